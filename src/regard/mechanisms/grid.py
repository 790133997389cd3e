"""Where a rule is asked: the index of every (batch, head, query, key) in a rectangle or at chosen positions."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from regard.shapes import Sizes

Positions = Tensor | slice


@dataclass(frozen=True, eq=False)
class Grid:
    """Index tensors that broadcast to one another; `slices` says so where queries and keys are plain ranges.

    Axes are (B, H, queries, keys), or (pairs, queries, keys) where batch and head share one axis.
    """

    batch: Tensor
    head: Tensor
    query: Tensor
    key: Tensor
    sizes: Sizes
    slices: tuple[slice, slice] | None = None

    @classmethod
    def whole(cls, sizes: Sizes, device: torch.device) -> "Grid":
        """Return every position of a call: axes (B, H, Nq, Nk)."""
        return cls.rectangle(slice(0, sizes.queries), slice(0, sizes.keys), sizes, device)

    @classmethod
    def rectangle(
        cls,
        queries: Positions,
        keys: Positions,
        sizes: Sizes,
        device: torch.device,
        batch: slice | None = None,
        heads: slice | None = None,
    ) -> "Grid":
        """Return some queries and keys of some batch items and heads (default: all): axes (B, H, queries, keys)."""
        return cls(
            batch=_index(batch or slice(0, sizes.batch), device).view(-1, 1, 1, 1),
            head=_index(heads or slice(0, sizes.heads), device).view(-1, 1, 1),
            query=_index(queries, device).view(-1, 1),
            key=_index(keys, device),
            sizes=sizes,
            slices=_ranges(queries, keys),
        )

    @classmethod
    def of(cls, pairs: range, queries: Positions, keys: Positions, sizes: Sizes, device: torch.device) -> "Grid":
        """Return the positions of some (batch, head) pairs, numbered b * H + h: axes (pairs, queries, keys)."""
        pair = torch.arange(pairs.start, pairs.stop, device=device).view(-1, 1, 1)
        return cls(
            batch=pair // max(sizes.heads, 1),
            head=pair % max(sizes.heads, 1),
            query=_index(queries, device).view(-1, 1),
            key=_index(keys, device),
            sizes=sizes,
            slices=_ranges(queries, keys),
        )

    @property
    def indices(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The four index tensors."""
        return self.batch, self.head, self.query, self.key

    def read(self, table: Tensor) -> Tensor:
        """Return the entries of a tensor that broadcasts to (B, H, Nq, Nk), with axes of length 1 kept short."""
        table = table.to(self.query.device)
        table = table.reshape((1,) * (4 - table.ndim) + tuple(table.shape))
        if self.slices is not None:
            return self._read_slices(table)
        # One axis where there are any: torch.compile takes an index without axes for a number that it must know.
        zero = torch.zeros((1,) if self.key.ndim else (), dtype=torch.long, device=table.device)
        return table[tuple(zero if n == 1 else i for i, n in zip(self.indices, table.shape, strict=True))]

    def _read_slices(self, table: Tensor) -> Tensor:
        """Slice positions first, as views, so that only the batch items and heads asked for are copied, if any."""
        queries, keys = self.slices or (slice(None), slice(None))
        part = table[
            :, :, slice(None) if table.shape[2] == 1 else queries, slice(None) if table.shape[3] == 1 else keys
        ]
        if self.batch.ndim == 4:
            part = part if part.shape[0] == 1 else _consecutive(part, 0, self.batch)
            return part if part.shape[1] == 1 else _consecutive(part, 1, self.head)
        batch, head = self.batch.flatten(), self.head.flatten()
        if part.shape[1] != 1:
            return part[batch if part.shape[0] > 1 else torch.zeros_like(batch), head]
        if part.shape[0] > 1:
            one_item = batch.numel() > 0 and int(batch[0]) == int(batch[-1])
            return part[batch[:1] if one_item else batch, 0]
        return part[0]


@dataclass(frozen=True, eq=False)
class Blocks:
    """A call cut into rectangles of positions, of which a mask is asked what it leaves.

    Attributes:
        query_start, query_stop: (rows, 1), the half-open range of queries of each row of blocks.
        key_start, key_stop: (columns,), the half-open range of keys of each column of blocks.
        sizes: the call.
    """

    query_start: Tensor
    query_stop: Tensor
    key_start: Tensor
    key_stop: Tensor
    sizes: Sizes

    @classmethod
    def of(cls, sizes: Sizes, height: int, width: int) -> "Blocks":
        """Cut a call into blocks of so many queries and keys; the last ones are shorter."""
        return cls.between(
            [*range(0, sizes.queries, height), sizes.queries], [*range(0, sizes.keys, width), sizes.keys], sizes
        )

    @classmethod
    def between(cls, queries: list[int], keys: list[int], sizes: Sizes) -> "Blocks":
        """Cut a call at given positions, the first and the last included."""
        (q_start, q_stop), (k_start, k_stop) = (
            torch.tensor([*pairwise(cuts)], dtype=torch.long, device="cpu").view(-1, 2).unbind(-1)
            for cuts in (queries, keys)
        )
        return cls(q_start.unsqueeze(-1), q_stop.unsqueeze(-1), k_start, k_stop, sizes)


def count(positions: Positions) -> int:
    """Return how many positions there are."""
    return int(positions.stop - positions.start) if isinstance(positions, slice) else len(positions)


def _index(positions: Positions, device: torch.device) -> Tensor:
    if isinstance(positions, slice):
        return torch.arange(positions.start, positions.stop, device=device)
    return positions.to(device)


def _ranges(queries: Positions, keys: Positions) -> tuple[slice, slice] | None:
    return (queries, keys) if isinstance(queries, slice) and isinstance(keys, slice) else None


def _consecutive(table: Tensor, axis: int, index: Tensor) -> Tensor:
    """Return consecutive entries along an axis, as a view."""
    if index.numel() == table.shape[axis]:
        return table  # without asking what the first is, which torch.export cannot follow
    return table.narrow(axis, int(index.flatten()[0]), index.numel()) if index.numel() else table.narrow(axis, 0, 0)
