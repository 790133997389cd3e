"""Masks of blocks of keys: those that a query chose, and summaries that speak of the past alone."""

from dataclasses import dataclass

import torch
from torch import Tensor

from regard.errors import MaskError
from regard.mechanisms.grid import Blocks, Grid
from regard.mechanisms.masks.rule import Bounds, Mask
from regard.shapes import Sizes


@dataclass(frozen=True, eq=False)
class Chosen(Mask):
    """A query may attend to keys up to its own position in the blocks that it chose; the last query stands last.

    Attributes:
        choice: (B, C, Nq, K) numbers of blocks, -1 for none; C divides the heads, neighbours sharing a choice.
        block: how many keys make a block.
    """

    choice: Tensor
    block: int

    def allowed(self, grid: Grid) -> Tensor:
        """Look for each key's block among the chosen ones."""
        head = grid.head // (grid.sizes.heads // self.choice.shape[1])
        chosen = self.choice[grid.batch, head, grid.query]  # (B, H, Nq, 1, K)
        past = grid.key <= grid.query + (grid.sizes.keys - grid.sizes.queries)
        found = torch.zeros_like(past)
        for rank in range(chosen.shape[-1]):
            found = found | (chosen[..., rank] == grid.key // self.block)
        return found & past

    def check(self, sizes: Sizes) -> None:
        """Expect the batch items, heads and queries whose choice it is."""
        items, choosers, queries = self.choice.shape[:3]
        if (items, queries) != (sizes.batch, sizes.queries) or not choosers or sizes.heads % choosers:
            raise MaskError(
                f"choice: expected (B, C, Nq, K) for {sizes.batch} batch items and {sizes.queries} queries, C a"
                f" divisor of {sizes.heads} heads; got {tuple(self.choice.shape)}"
            )

    @property
    def made_for(self) -> tuple[int, int]:
        """The items and heads whose choice it is."""
        return self.choice.shape[0], self.choice.shape[1]

    @property
    def kind(self) -> str:
        """How many blocks, and of what size."""
        return f"{self.choice.shape[-1]} chosen blocks of {self.block}"


@dataclass(frozen=True)
class Ended(Mask):
    """A query may attend to summaries of stretches of keys that end at its own position or before.

    Attributes:
        length: how many keys a summary speaks of.
        stride: how many keys after one stretch the next begins.
        first: at which key the first query stands.
    """

    length: int
    stride: int
    first: int

    def allowed(self, grid: Grid) -> Tensor:
        """Compare a stretch's last key with the query's place."""
        return self._last(grid.key) <= grid.query + self.first

    def bounds(self, blocks: Blocks) -> Bounds:
        """Compare the first stretch with the last query, and the last with the first."""
        some = self._last(blocks.key_start) <= blocks.query_stop - 1 + self.first
        everything = self._last(blocks.key_stop - 1) <= blocks.query_start + self.first
        return Bounds(some, everything)

    def _last(self, summary: Tensor) -> Tensor:
        return summary * self.stride + self.length - 1

    @property
    def kind(self) -> str:
        """What the summaries speak of."""
        return f"past stretches of {self.length}"
