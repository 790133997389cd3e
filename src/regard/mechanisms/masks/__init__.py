"""Masks: who may see whom, each one pointwise rule from which every other form is derived."""

from regard.mechanisms.masks.bands import causal, dilated, window
from regard.mechanisms.masks.convert import as_mask
from regard.mechanisms.masks.documents import documents, packed
from regard.mechanisms.masks.images import neighbourhood
from regard.mechanisms.masks.lengths import padding, prefix
from regard.mechanisms.masks.patterns import fixed, global_tokens, random_blocks, strided
from regard.mechanisms.masks.rule import Full, Mask, Tile

__all__ = [
    "Full",
    "Mask",
    "Tile",
    "as_mask",
    "causal",
    "dilated",
    "documents",
    "fixed",
    "full",
    "global_tokens",
    "neighbourhood",
    "packed",
    "padding",
    "prefix",
    "random_blocks",
    "strided",
    "window",
]


def full() -> Mask:
    """Every query may attend to every key."""
    return Full()
