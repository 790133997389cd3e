"""Asking what follows: a model's attention changed for a while, and what becomes of its output."""
