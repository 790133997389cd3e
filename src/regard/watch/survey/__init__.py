"""Surveys: statistics of every head of a model over a whole corpus, in constant memory, and how two differ."""
