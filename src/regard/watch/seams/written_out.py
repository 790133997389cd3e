"""Attention that a model writes out itself, as a live call: the product of weights and values."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from regard.engines.contract import Problem
from regard.errors import ShapeError
from regard.shapes import broadcasts
from regard.watch.calls import WRITTEN_OUT, Call
from regard.watch.seams.einsum import Letters
from regard.watch.seams.given_weights import normalizers, problem_of

# How modules call the number of their heads.
_HEADS = ("num_heads", "num_attention_heads", "n_heads", "n_head", "nhead", "heads")


@dataclass(frozen=True, eq=False)
class Weights:
    """Weights on their way from a softmax to their values.

    Attributes:
        tensor: the weights before dropout, in the shape in which they stand now; None for the tensor itself.
        dropout: with what probability some were dropped.
        turned: whether keys stand on the last axis but one.
        softmax: the number of the softmax that they come from.
    """

    tensor: Tensor | None = None
    dropout: float = 0.0
    turned: bool = False
    softmax: int = 0

    def of(self, standing: Tensor) -> Tensor:
        """Return the weights before dropout, given the tensor that stands for them."""
        return standing if self.tensor is None else self.tensor

    def remade(self, change: Callable[[Tensor], Tensor]) -> "Weights":
        """Return what is known after a step that changes the tensor, and the weights before dropout alike."""
        return self if self.tensor is None else replace(self, tensor=change(self.tensor))


@dataclass(frozen=True, eq=False)
class WrittenOutCall:
    """A matrix product of weights and values.

    Attributes:
        function: what multiplies them.
        operands: the weights (..., Nq, Nk) as they are applied, and the values.
        letters: the axes, where the function is an einsum.
        weights: what is known of the weights; where these are turned, the product is one of turned values and them.
        module: the module at work, which knows how many heads there are.
    """

    function: Callable[..., Tensor]
    operands: tuple[Tensor, Tensor]
    letters: Letters | None
    weights: Weights
    module: nn.Module | None = None

    @property
    def tensors(self) -> Sequence[Tensor]:
        """Weights and values."""
        return self.operands

    def hiding(self, hidden: Tensor) -> "WrittenOutCall":
        """Return the call with weights that are 0 where hidden, the others growing as a softmax makes them."""
        P, V = self.operands
        before = self._folded(self.weights.of(P))
        growth = _growth(before, hidden.to(P.device))
        applied = (self._folded(P) * growth).to(P.dtype).reshape(P.shape)
        made = replace(self.weights, tensor=(before * growth).reshape(P.shape))
        return replace(self, operands=(applied, V), weights=made)

    def with_values(self, change: Callable[[Tensor], Tensor]) -> "WrittenOutCall":
        """Return the call with other values, as many as there are weights."""
        P, V = self.operands
        V = change(self._values(V))
        letters = None if self.letters is None else replace(self.letters, values=self.letters.all_values)
        return replace(self, operands=(P, V.reshape(*P.shape[:-2], *V.shape[-2:])), letters=letters)

    def run(self) -> Tensor:
        """Multiply."""
        P, V = self.operands
        if self.letters is None:
            return self.function(V.mT, P.mT) if self.weights.turned else self.function(P, V)
        operands = (P, V) if self.letters.weights_first else (V, P)
        return self.function(self.letters.rule, *operands)

    def output(self, result: Tensor) -> Tensor:
        """Return the output (B, H, Nq, Dv)."""
        P = self._folded(self.operands[0])
        return self._in_order(result).reshape(*P.shape[:3], -1)

    def with_output(self, result: Tensor, output: Tensor) -> Tensor:
        """Return the output with the axes of the product."""
        output = output.reshape(self._in_order(result).shape)
        if self.letters is None:
            return output.mT if self.weights.turned else output
        order = self.letters.weights[:-1] + self.letters.width
        return output.permute([order.index(letter) for letter in self.letters.made])

    def problem(self) -> Problem:
        """Return the weights as a problem: no dot products, and the logarithms of the weights in the mask."""
        return problem_of(self._folded(self.weights.of(self.operands[0])), self._values(self.operands[1]))

    def seen(self, result: Tensor) -> Call:
        """Return the call as it was seen; in each row the weights are what they are, so the log-sum-exp is 0."""
        P = self._folded(self.weights.of(self.operands[0]))
        problem = problem_of(P, self._values(self.operands[1]))
        return Call(problem, normalizers(P), WRITTEN_OUT, self.weights.dropout, result, self.output)

    def _values(self, V: Tensor) -> Tensor:
        """Return the values (B, H, Nk, Dv), the same ones several times where weights share them."""
        P = self.operands[0]
        if self.letters is not None:
            there = [letter for letter in self.letters.all_values if letter in self.letters.values]
            V = V.permute([self.letters.values.index(letter) for letter in there])
            for place, letter in enumerate(self.letters.all_values):
                V = V if letter in there else V.unsqueeze(place)
        if not broadcasts(V.shape[:-2], P.shape[:-2]):
            raise ShapeError(
                "expected values with the leading axes of their weights, or fewer; got attention written out as"
                f" {tuple(P.shape)} times {tuple(V.shape)}"
            )
        batch, heads = self._folded(P).shape[:2]
        return V.expand(*P.shape[:-2], *V.shape[-2:]).reshape(batch, heads, *V.shape[-2:])

    def _in_order(self, result: Tensor) -> Tensor:
        """Return a product with the axes of the weights, the last one being the values' width."""
        if self.letters is None:
            return result.mT if self.weights.turned else result
        order = self.letters.weights[:-1] + self.letters.width
        return result.permute([self.letters.made.index(letter) for letter in order])

    def _folded(self, P: Tensor) -> Tensor:
        """Return weights (..., Nq, Nk) with axes (B, H, Nq, Nk)."""
        if P.ndim == 3:
            return P.reshape(-1, _heads_of(self.module, P.shape[0]), *P.shape[1:])
        heads = math.prod(P.shape[1:-2])
        if P.ndim > 4 and heads in _said(self.module):  # heads of a group on an axis of their own
            return P.flatten(1, -3)
        return P.reshape((1,) * max(0, 4 - P.ndim) + tuple(P.shape)).flatten(0, max(0, P.ndim - 4))


def _growth(P: Tensor, hidden: Tensor) -> Tensor:
    """Return what to multiply weights (B, H, Nq, Nk) by: 0 where hidden, else 1 over what is left of all weight."""
    # What a row lacks of 1 went to a sink, unless rounding alone explains it.
    sink = 1 - P.sum(-1, keepdim=True)
    left = P.masked_fill(hidden, 0).sum(-1, keepdim=True) + sink.masked_fill(sink < 8 * torch.finfo(P.dtype).eps, 0)
    empty = left <= 0
    return (1 / left.masked_fill(empty, 1)).masked_fill(empty | hidden, 0)


def _heads_of(module: nn.Module | None, rows: int) -> int:
    """Return how many heads a module says that it has, if they divide a number of rows; else 1: rows are items."""
    return next((n for n in _said(module) if rows % n == 0), 1)


def _said(module: nn.Module | None) -> list[int]:
    """Return how many heads a module says that it has, by whatever name."""
    said = (getattr(module, name, None) for name in _HEADS)
    return [n for n in said if isinstance(n, int) and n > 0]
