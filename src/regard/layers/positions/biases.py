"""Positions as what is added to scores, for how far a key stands from its query."""

import torch
from torch import nn

from regard.layers.positions.fixed import FixedNumbers
from regard.mechanisms.modifiers import Modifier, alibi, alibi_slopes, relative_buckets


class AlibiBias(nn.Module):
    """A penalty that grows with the distance, with a slope of its own for each head; without parameters.

    Args:
        heads: how many query heads.

    Raises:
        MechanismError: `heads` is not positive.

    Source: Press et al. 2022, "Train Short, Test Long", section 3; see `regard.alibi`.
    """

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.slopes = FixedNumbers(torch.tensor(alibi_slopes(heads), dtype=torch.float64, device="cpu"))

    def forward(self, queries: int, keys: int) -> Modifier:
        """Return what is added in a call of so many queries and keys, of which the last stand side by side."""
        return alibi(self.slopes.numbers, align="last")

    def extra_repr(self) -> str:
        """Return the numbers, for people."""
        return f"heads={len(self.slopes.numbers)}"


class RelativeBias(nn.Module):
    """A number for each bucket of distances and each head, learned as `weight` (buckets, H).

    Args:
        buckets: how many there are; near distances have their own, far ones share by their logarithm.
        farthest: from here on, all share the last bucket.
        heads: how many query heads.
        both_ways: whether half of the buckets are for keys ahead, as in an encoder.

    Raises:
        MechanismError: there are too few buckets, or `farthest` is not beyond those of near distances.

    Source: Raffel et al. 2020 (T5), section 2.1; see `regard.relative_buckets`.
    """

    def __init__(self, buckets: int, farthest: int, heads: int, both_ways: bool) -> None:
        super().__init__()
        self.farthest, self.both_ways = farthest, both_ways
        self.weight = nn.Parameter(torch.empty(buckets, heads))
        self(1, 1)  # refuses what has no meaning
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, queries: int, keys: int) -> Modifier:
        """Return what is added in a call of so many queries and keys, of which the last stand side by side."""
        return relative_buckets(self.weight, bidirectional=self.both_ways, max_distance=self.farthest, align="last")

    def extra_repr(self) -> str:
        """Return the numbers, for people."""
        buckets, heads = self.weight.shape
        return f"buckets={buckets}, farthest={self.farthest}, heads={heads}, both_ways={self.both_ways}"
