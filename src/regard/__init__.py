"""Attention for PyTorch: compute it, look into it exactly at full length, apply it."""

from regard.attend import Attended, attend, explain
from regard.mechanisms.attention import Attention
from regard.mechanisms.masks import Mask, causal, full, padding, window

__all__ = ["Attended", "Attention", "Mask", "attend", "causal", "explain", "full", "padding", "window"]
