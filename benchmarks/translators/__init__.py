"""Who translates in the benchmark of translation: regard, and others with the same weights."""
