"""Where attention is seen and changed: every way in which a model may come to compute it."""
