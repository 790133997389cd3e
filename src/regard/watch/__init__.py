"""Looking: see every attention call of a model as it runs, and keep exact statistics of its weights."""
