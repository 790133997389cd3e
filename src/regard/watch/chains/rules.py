"""Elementwise rules: what becomes of a tile of weights P before heads are averaged."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from regard.engines.pairs import of_pairs
from regard.shapes import Sizes

# Takes a tile of weights (pairs, queries, keys), which it may use up, with its range of queries and of keys.
OnTile = Callable[[Tensor, slice, slice], Tensor]


class Rule(Protocol):
    """An elementwise function of the weights."""

    def on(self, pairs: range, sizes: Sizes) -> OnTile:
        """Return the function for some (batch, head) pairs of a call, numbered b * H + h."""
        ...


@dataclass(frozen=True, eq=False)
class Weights:
    """The weights as they are: P."""

    def on(self, pairs: range, sizes: Sizes) -> OnTile:
        """Return what leaves a tile as it is."""
        return lambda P, queries, keys: P


@dataclass(frozen=True, eq=False)
class KeyFactors:
    """Every key's weights times a number of that key: P_ij c_j.

    Attributes:
        factors: (B, H, Nk).
    """

    factors: Tensor

    def on(self, pairs: range, sizes: Sizes) -> OnTile:
        """Return what multiplies a tile by its keys' numbers."""
        factors = self.factors.flatten(0, 1)[pairs.start : pairs.stop].unsqueeze(1)
        return lambda P, queries, keys: P.mul_(factors[..., keys])


@dataclass(frozen=True, eq=False)
class GradientTimesWeights:
    """Weights times the gradient of the weights: P_ij dP_ij, where dP_ij = dO_i . V_j.

    Attributes:
        value: (B, G, Nk, Dv).
        d_output: (B, H, Nq, Dv), gradient of the call's output O = P V.
        positive: whether negative products count as 0.
    """

    value: Tensor
    d_output: Tensor
    positive: bool

    def on(self, pairs: range, sizes: Sizes) -> OnTile:
        """Return what multiplies a tile by its gradient."""
        value, d_output = (of_pairs(t, pairs, sizes) for t in (self.value, self.d_output))

        def times_gradient(P: Tensor, queries: slice, keys: slice) -> Tensor:
            dP = torch.bmm(d_output[:, queries].to(P.dtype), value[:, keys].to(P.dtype).transpose(1, 2))
            product = P.mul_(dP)
            return product.clamp_(min=0) if self.positive else product

        return times_gradient
