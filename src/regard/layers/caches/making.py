"""Making the caches of a model, one for each of its attention layers."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from torch import nn

from regard.layers.caches.contract import Cache, Caches
from regard.layers.caches.growing import GrowingCache


@runtime_checkable
class Caching(Protocol):
    """A layer that knows which cache it needs."""

    def new_cache(self, kind: Callable[[], Cache]) -> Cache:
        """Return an empty cache: of this kind, if that serves the layer, else of the kind it needs."""


def make_caches(model: nn.Module, kind: Callable[[], Cache] = GrowingCache) -> Caches:
    """Return empty caches for the attention layers of a model, in the order in which they were put into it.

    Args:
        model: the model, or the part of it that generates, a decoder for example.
        kind: makes the cache of a layer of attention to earlier positions; layers of attention to a source and
            those with a state know their own.
    """
    return Caches(module.new_cache(kind) for module in model.modules() if isinstance(module, Caching))
