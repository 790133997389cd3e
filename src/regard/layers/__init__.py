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
from regard.layers.caches.state import SourceStateCache, StateCache
from regard.layers.chosen_blocks import mixture_of_blocks
from regard.layers.compression import Compression
from regard.layers.drop_path import DropPath
from regard.layers.dropout import Dropout
from regard.layers.feed_forward import FeedForward, GatedFeedForward
from regard.layers.multi_head import MultiHead
from regard.layers.named import named
from regard.layers.native_sparse import NativeSparse
from regard.layers.positions import (
    AlibiBias,
    DynamicNTKScaling,
    Learned,
    LinearScaling,
    Llama3Scaling,
    NTKScaling,
    RelativeBias,
    Rotary,
    Rotary2d,
    RotaryScaling,
    Sinusoidal,
    Sinusoidal2d,
    YarnScaling,
    grid_positions,
)

__all__ = [
    "AlibiBias",
    "BlockPool",
    "Cache",
    "Caches",
    "Compression",
    "DecoderBlock",
    "DropPath",
    "Dropout",
    "DynamicNTKScaling",
    "EncoderBlock",
    "FeedForward",
    "GatedFeedForward",
    "GrowingCache",
    "Kept",
    "Learned",
    "LinearScaling",
    "Llama3Scaling",
    "MultiHead",
    "NTKScaling",
    "NativeSparse",
    "PagedCache",
    "PreallocatedCache",
    "RelativeBias",
    "Rotary",
    "Rotary2d",
    "RotaryScaling",
    "Sinusoidal",
    "Sinusoidal2d",
    "SlidingCache",
    "SourceCache",
    "SourceStateCache",
    "StateCache",
    "YarnScaling",
    "grid_positions",
    "make_caches",
    "mixture_of_blocks",
    "named",
]
