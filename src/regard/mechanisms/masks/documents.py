"""Masks by document: several sequences packed into one, each of which sees itself alone."""

from dataclasses import dataclass

import torch
from torch import Tensor

from regard.errors import MaskError
from regard.mechanisms.grid import Blocks, Grid
from regard.mechanisms.masks.bands import as_tensor
from regard.mechanisms.masks.rule import Bounds, Mask
from regard.shapes import Sizes


@dataclass(frozen=True, eq=False)
class Documents(Mask):
    """A query may attend to the keys whose document has its own number.

    Attributes:
        queries: (1 or B, Nq), each query's document.
        keys: (1 or B, Nk), each key's document.
    """

    queries: Tensor
    keys: Tensor

    def check(self, sizes: Sizes) -> None:
        """Expect a number for each query and key, for one batch item or for all."""
        for name, numbers, count in (("query", self.queries, sizes.queries), ("key", self.keys, sizes.keys)):
            if numbers.shape not in {(1, count), (sizes.batch, count)}:
                raise MaskError(
                    f"documents: expected a document number for each {name}, ({count},) or"
                    f" ({sizes.batch}, {count}); got {tuple(numbers.shape)}"
                )

    def allowed(self, grid: Grid) -> Tensor:
        """Compare the two numbers."""
        queries, keys = (t.to(grid.key.device) for t in (self.queries, self.keys))
        return grid.read(queries[:, None, :, None]) == grid.read(keys[:, None, None, :])

    def bounds(self, blocks: Blocks) -> Bounds:
        """Compare the least and the largest number among each block's queries with those among its keys."""
        low_query, high_query = _extremes(self.queries.cpu(), blocks.query_start, blocks.query_stop)
        low_key, high_key = _extremes(self.keys.cpu(), blocks.key_start, blocks.key_stop)
        low_query, high_query = low_query[:, None, :, None], high_query[:, None, :, None]
        low_key, high_key = low_key[:, None, None, :], high_key[:, None, None, :]
        some = (low_query <= high_key) & (low_key <= high_query)
        return Bounds(some, (low_query == high_key) & (low_key == high_query) & (low_query == high_query))

    @property
    def exact(self) -> bool:
        """Whether documents stand one after another, alike for queries and keys."""
        alike = self.queries is self.keys or torch.equal(self.queries, self.keys)
        return alike and not bool((self.queries.diff(dim=-1) < 0).any())

    @property
    def made_for(self) -> tuple[int, int]:
        """The items and heads of its tensor."""
        return max(self.queries.shape[0], self.keys.shape[0]), 1

    @property
    def kind(self) -> str:
        """The word."""
        return "documents"


def documents(numbers: Tensor | list[int], key_numbers: Tensor | list[int] | None = None) -> Mask:
    """A query may attend to the keys of its own document.

    Args:
        numbers: (N,) or (B, N), whole number of the document of each query; equal numbers are one document.
        key_numbers: the same for keys. Default: as for queries.

    Raises:
        MaskError: something else than whole numbers, or (when called) not one a position.
    """
    queries = _numbers(numbers)
    return Documents(queries, queries if key_numbers is None else _numbers(key_numbers))


def packed(cu_seqlens: Tensor | list[int], key_cu_seqlens: Tensor | list[int] | None = None) -> Mask:
    """A query may attend to the keys of its own sequence, sequences being packed one after another.

    Args:
        cu_seqlens: (sequences + 1,) where each sequence begins and, last, where the last one ends; the first is 0,
            as variable-length attention functions take it.
        key_cu_seqlens: the same for keys, as many. Default: as for queries.

    Raises:
        MaskError: the numbers do not begin at 0 or descend, or the two have different lengths.
    """
    ends = as_tensor("packed", cu_seqlens)
    key_ends = ends if key_cu_seqlens is None else as_tensor("packed", key_cu_seqlens)
    if ends.shape != key_ends.shape:
        raise MaskError(
            f"packed: expected as many key sequences as query sequences; got {key_ends.numel() - 1} and"
            f" {ends.numel() - 1}"
        )
    queries = _numbers(_unpacked(ends))
    return Documents(queries, queries if key_cu_seqlens is None else _numbers(_unpacked(key_ends)))


def _unpacked(ends: Tensor) -> Tensor:
    """Return the number of the sequence at each position."""
    whole = not ends.dtype.is_floating_point and ends.dtype != torch.bool
    if ends.ndim != 1 or not ends.numel() or not whole or int(ends[0]) != 0 or bool((ends.diff() < 0).any()):
        raise MaskError(f"packed: expected whole numbers that begin at 0 and do not descend; got {ends.tolist()}")
    return torch.repeat_interleave(torch.arange(ends.numel() - 1, device=ends.device), ends.diff())


def _numbers(numbers: Tensor | list[int]) -> Tensor:
    tensor = as_tensor("documents", numbers)
    if tensor.ndim not in (1, 2) or tensor.dtype.is_floating_point or tensor.dtype == torch.bool:
        raise MaskError(
            f"documents: expected whole numbers (N,) or (B, N); got {tensor.dtype} of shape {tuple(tensor.shape)}"
        )
    return tensor.long().reshape(-1, tensor.shape[-1]) if tensor.numel() else tensor.long().view(1, -1)


def _extremes(numbers: Tensor, start: Tensor, stop: Tensor) -> tuple[Tensor, Tensor]:
    """Return the least and the largest number (rows, ranges) within half-open ranges of positions."""
    starts, stops = start.flatten().tolist(), stop.flatten().tolist()
    parts = [numbers[:, begin:end].aminmax(dim=-1) for begin, end in zip(starts, stops, strict=True)]
    if not parts:
        empty = numbers.new_empty((numbers.shape[0], 0))
        return empty, empty
    return torch.stack([part.min for part in parts], -1), torch.stack([part.max for part in parts], -1)
