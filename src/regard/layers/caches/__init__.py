"""Caches: what attention keeps of earlier positions, so that each position is computed once."""
