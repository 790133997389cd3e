"""Layers: finished parts that models are assembled from; every attention in them is a call of `attend`."""

from regard.layers.blocks import DecoderBlock, EncoderBlock
from regard.layers.caches.contract import Cache, Caches, Kept
from regard.layers.caches.growing import GrowingCache
from regard.layers.caches.making import make_caches
from regard.layers.caches.paged import PagedCache
from regard.layers.caches.pool import BlockPool
from regard.layers.caches.preallocated import PreallocatedCache
from regard.layers.caches.sliding import SlidingCache
from regard.layers.caches.source import SourceCache
from regard.layers.caches.state import StateCache
from regard.layers.drop_path import DropPath
from regard.layers.feed_forward import FeedForward, GatedFeedForward
from regard.layers.multi_head import MultiHead

__all__ = [
    "BlockPool",
    "Cache",
    "Caches",
    "DecoderBlock",
    "DropPath",
    "EncoderBlock",
    "FeedForward",
    "GatedFeedForward",
    "GrowingCache",
    "Kept",
    "MultiHead",
    "PagedCache",
    "PreallocatedCache",
    "SlidingCache",
    "SourceCache",
    "StateCache",
    "make_caches",
]
