"""A user's data for a task: files as tables, text as numbers, rows as batches."""
