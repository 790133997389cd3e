"""Attention by words: reading them, and making what each of them means."""
