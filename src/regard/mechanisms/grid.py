"""Where a mask is asked: a rectangle of positions, or the index of every (batch, head, query, key) in it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from regard.shapes import Sizes


@dataclass(frozen=True)
class Region:
    """A rectangle of positions, every batch item and head: half-open ranges of queries and keys."""

    query_start: int
    query_stop: int
    key_start: int
    key_stop: int
    sizes: Sizes


@dataclass(frozen=True)
class Grid:
    """Index tensors that broadcast to one another; `slices` says so where queries and keys are plain ranges."""

    batch: Tensor
    head: Tensor
    query: Tensor
    key: Tensor
    sizes: Sizes
    slices: tuple[slice, slice] | None = None

    @classmethod
    def whole(cls, sizes: Sizes, device: torch.device) -> "Grid":
        """Return every position of a call: axes (B, H, Nq, Nk)."""
        return cls(
            batch=torch.arange(sizes.batch, device=device).view(-1, 1, 1, 1),
            head=torch.arange(sizes.heads, device=device).view(-1, 1, 1),
            query=torch.arange(sizes.queries, device=device).view(-1, 1),
            key=torch.arange(sizes.keys, device=device),
            sizes=sizes,
        )

    @classmethod
    def of(
        cls, pairs: range, queries: Tensor | slice, keys: Tensor | slice, sizes: Sizes, device: torch.device
    ) -> "Grid":
        """Return the positions of some (batch, head) pairs, numbered b * H + h: axes (pairs, queries, keys)."""
        pair = torch.arange(pairs.start, pairs.stop, device=device).view(-1, 1, 1)
        ranges = (queries, keys) if isinstance(queries, slice) and isinstance(keys, slice) else None
        return cls(
            batch=pair // max(sizes.heads, 1),
            head=pair % max(sizes.heads, 1),
            query=_index(queries, device).view(-1, 1),
            key=_index(keys, device),
            sizes=sizes,
            slices=ranges,
        )

    def read(self, table: Tensor) -> Tensor:
        """Return the entries of a tensor that broadcasts to (B, H, Nq, Nk), with axes of length 1 kept short."""
        table = table.to(self.query.device)
        table = table.reshape((1,) * (4 - table.ndim) + tuple(table.shape))
        if self.slices is not None:
            return self._read_slices(table)
        zero = torch.zeros((), dtype=torch.long, device=table.device)
        index = (self.batch, self.head, self.query, self.key)
        return table[tuple(zero if n == 1 else i for i, n in zip(index, table.shape, strict=True))]

    def _read_slices(self, table: Tensor) -> Tensor:
        """Slice positions first, as views, so that only the pairs asked for are copied, if any."""
        queries, keys = self.slices or (slice(None), slice(None))
        part = table[
            :, :, slice(None) if table.shape[2] == 1 else queries, slice(None) if table.shape[3] == 1 else keys
        ]
        batch, head = self.batch.flatten(), self.head.flatten()
        if part.shape[1] > 1:
            return part[batch if part.shape[0] > 1 else torch.zeros_like(batch), head]
        if part.shape[0] > 1:
            one_item = batch.numel() > 0 and int(batch[0]) == int(batch[-1])
            return part[batch[:1] if one_item else batch, 0]
        return part[0]


def _index(positions: Tensor | slice, device: torch.device) -> Tensor:
    if isinstance(positions, slice):
        return torch.arange(positions.start, positions.stop, device=device)
    return positions.to(device)
