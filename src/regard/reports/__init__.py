"""Showing: a report is plain data, made once from a record, and rendered for terminal, picture, page and file."""
