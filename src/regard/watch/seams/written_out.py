"""Attention that a model writes out itself: a softmax whose result, on its way through a few steps, meets values.

A softmax over the last axis is remembered; what is made of it by slicing, reshaping, casting, masking and dropout
is followed. The attention's weights are those that the model itself made.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from weakref import finalize

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.engines.contract import Problem
from regard.errors import ChangeError, ShapeError
from regard.mechanisms.attention import Attention
from regard.mechanisms.masks.tensors import TensorMask
from regard.mechanisms.weighing import softmax
from regard.shapes import broadcasts, compute_dtype
from regard.watch.calls import WRITTEN_OUT, Call

_SOFTMAX = {F.softmax, torch.softmax, Tensor.softmax, torch.special.softmax}
_DROPOUT = {F.dropout, torch.dropout}
_CASTS = {Tensor.to, Tensor.type_as, Tensor.type, Tensor.float, Tensor.half, Tensor.bfloat16, Tensor.double}
_VIEWS = {
    Tensor.__getitem__,
    Tensor.view,
    Tensor.reshape,
    Tensor.flatten,
    Tensor.unflatten,
    Tensor.squeeze,
    Tensor.unsqueeze,
    Tensor.contiguous,
    Tensor.narrow,
    Tensor.expand,
    torch.reshape,
    torch.flatten,
    torch.narrow,
    torch.squeeze,
    torch.unsqueeze,
}
_VALUES = {
    Tensor.masked_fill,
    Tensor.mul,
    Tensor.__mul__,
    Tensor.clone,
    Tensor.nan_to_num,
    torch.mul,
    torch.masked_fill,
    torch.nan_to_num,
    torch.where,
}
_FOLLOWED = _DROPOUT | _CASTS | _VIEWS | _VALUES
_PRODUCTS = {torch.matmul, torch.bmm, Tensor.matmul, Tensor.bmm, Tensor.__matmul__}
_HEADS = ("num_heads", "num_attention_heads", "n_heads", "n_head", "nhead", "heads")


@dataclass(frozen=True, eq=False)
class Weights:
    """Weights on their way from a softmax to their values.

    Attributes:
        tensor: the weights before dropout, in the shape in which they stand now; None for the tensor itself.
        dropout: with what probability some were dropped.
    """

    tensor: Tensor | None = None
    dropout: float = 0.0

    def of(self, standing: Tensor) -> Tensor:
        """Return the weights before dropout, given the tensor that stands for them."""
        return standing if self.tensor is None else self.tensor


class Follower:
    """Follows the results of softmax through a model, by the identity of tensors."""

    def __init__(self) -> None:
        self._known: dict[int, Weights] = {}

    def function(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> "WrittenOutCall | None":
        """Return the attention call that a function is about to finish, if it is one."""
        if not self._known or not args:
            return None
        if func in _PRODUCTS and len(args) == 2 and id(args[0]) in self._known:
            return WrittenOutCall(func, (args[0], args[1]), None, self._known[id(args[0])])
        if func is torch.einsum and isinstance(args[0], str):
            return self._einsum(args)
        return None

    def concerns(self, func: Any) -> bool:
        """Whether a function may begin or carry on the way of weights."""
        return func in _SOFTMAX or (bool(self._known) and func in _FOLLOWED)

    def follow(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        """Take in that a function has run."""
        if func in _SOFTMAX:
            if isinstance(result, Tensor) and _axis(args, kwargs) in (-1, result.ndim - 1) and result.ndim > 1:
                self._remember(result, Weights())
        elif self._known and func in _FOLLOWED and isinstance(result, Tensor):
            place = next((i for i, each in enumerate(args[:2]) if id(each) in self._known), None)
            if place is not None and result is not args[place]:
                self._remember(result, self._next(func, args, kwargs, place))

    def _next(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], place: int) -> Weights:
        """Return what is known of weights after a step."""
        known = self._known[id(args[place])]
        if func in _DROPOUT:
            rate = kwargs.get("p", args[1] if len(args) > 1 else 0.5)
            return Weights(known.of(args[place]), float(rate))
        if func in _CASTS:
            return replace(known, tensor=known.of(args[place]))
        if func in _VIEWS and known.tensor is not None:
            return replace(known, tensor=func(known.tensor, *args[1:], **kwargs))
        return Weights(None, known.dropout)

    def _einsum(self, args: tuple[Any, ...]) -> "WrittenOutCall | None":
        """Return the call in an einsum of weights and values, such as "bhqk,bkhd->bqhd"."""
        operands = args[1] if len(args) == 2 and isinstance(args[1], tuple | list) else args[1:]
        if len(operands) != 2 or "->" not in args[0] or "." in args[0]:
            return None
        place = next((i for i, each in enumerate(operands) if id(each) in self._known), None)
        if place is None:
            return None
        sides, made = args[0].replace(" ", "").split("->")
        letters = sides.split(",")
        weights, values = letters[place], letters[1 - place]
        summed = set(weights) & set(values) - set(made)
        if summed != {weights[-1]} or weights[-1] in made or len(set(values) - set(weights)) != 1:
            return None
        names = _Letters(weights, values, made)
        tensors = (operands[place], operands[1 - place])
        return WrittenOutCall(torch.einsum, tensors, names, self._known[id(operands[place])])

    def _remember(self, tensor: Tensor, weights: Weights) -> None:
        number = id(tensor)
        self._known[number] = weights
        finalize(tensor, self._known.pop, number, None)


@dataclass(frozen=True, eq=False)
class _Letters:
    """The axes of an einsum: of the weights (the last one summed over), of the values and of what is made."""

    weights: str
    values: str
    made: str

    @property
    def width(self) -> str:
        """The axis that only values have."""
        return (set(self.values) - set(self.weights)).pop()

    @property
    def all_values(self) -> str:
        """The axes of values of which there are as many as there are weights."""
        return self.weights[:-2] + self.weights[-1] + self.width


@dataclass(frozen=True, eq=False)
class WrittenOutCall:
    """A matrix product of weights and values.

    Attributes:
        function: what multiplies them.
        operands: the weights as they are applied, and the values.
        letters: the axes, where the function is an einsum.
        weights: what is known of the weights.
        module: the module at work, which knows how many heads there are.
    """

    function: Callable[..., Tensor]
    operands: tuple[Tensor, Tensor]
    letters: _Letters | None
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
        made = Weights((before * growth).reshape(P.shape), self.weights.dropout)
        return replace(self, operands=(applied, V), weights=made)

    def with_values(self, change: Callable[[Tensor], Tensor]) -> "WrittenOutCall":
        """Return the call with other values, as many as there are weights."""
        P, V = self.operands
        if V.ndim == 1:
            raise ChangeError("expected values (..., Nk, Dv); got a vector, one number a key")
        V = change(self._values(V))
        letters = None if self.letters is None else replace(self.letters, values=self.letters.all_values)
        return replace(self, operands=(P, V.reshape(*P.shape[:-2], *V.shape[-2:])), letters=letters)

    def run(self) -> Tensor:
        """Multiply."""
        if self.letters is None:
            return self.function(*self.operands)
        rule = f"{self.letters.weights},{self.letters.values}->{self.letters.made}"
        return self.function(rule, *self.operands)

    def output(self, result: Tensor) -> Tensor:
        """Return the output (B, H, Nq, Dv)."""
        P = self._folded(self.operands[0])
        return self._in_order(result).reshape(*P.shape[:3], -1)

    def with_output(self, result: Tensor, output: Tensor) -> Tensor:
        """Return the output with the axes of the product."""
        output = output.reshape(self._in_order(result).shape)
        if self.letters is None:
            return output
        order = self.letters.weights[:-1] + self.letters.width
        return output.permute([order.index(letter) for letter in self.letters.made])

    def problem(self) -> Problem:
        """Return the weights as a problem: no dot products, and the logarithms of the weights in the mask."""
        return self._problem(self._folded(self.weights.of(self.operands[0])))

    def seen(self, result: Tensor) -> Call:
        """Return the call as it was seen; in each row the weights are what they are, so the log-sum-exp is 0."""
        P = self._folded(self.weights.of(self.operands[0]))
        problem = self._problem(P)
        lse = torch.zeros(P.shape[:3], dtype=compute_dtype(P.dtype), device=P.device)
        lse.masked_fill_(P.amax(-1) <= 0 if P.shape[-1] else lse == 0, -torch.inf)
        return Call(problem, lse, WRITTEN_OUT, self.weights.dropout, result, self.output)

    def _problem(self, P: Tensor) -> Problem:
        P = P.detach().to(compute_dtype(P.dtype))
        batch, heads, queries, keys = P.shape
        nothing = P.new_zeros(())
        value = self._values(self.operands[1].detach().to(P.dtype))
        # A sink without weight says that rows need not sum to 1: they are as the model made them.
        weigh = softmax(sink=-math.inf)
        return Problem(
            nothing.expand(batch, heads, queries, 1),
            nothing.expand(batch, heads, keys, 1),
            value,
            Attention(mask=TensorMask(P.log()), scale=1.0, weigh=weigh),
        )

    def _values(self, V: Tensor) -> Tensor:
        """Return the values (B, H, Nk, Dv), the same ones several times where weights share them."""
        P = self.operands[0]
        V = V.unsqueeze(-1) if V.ndim == 1 else V
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
            return result
        order = self.letters.weights[:-1] + self.letters.width
        return result.permute([self.letters.made.index(letter) for letter in order])

    def _folded(self, P: Tensor) -> Tensor:
        """Return weights (..., Nq, Nk) with axes (B, H, Nq, Nk)."""
        if P.ndim == 3:
            heads = _heads_of(self.module, P.shape[0])
            return P.reshape(-1, heads, *P.shape[1:])
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
    """Return how many heads a module says that it has, if they divide a number of rows; else all rows are."""
    return next((n for n in _said(module) if rows % n == 0), rows)


def _said(module: nn.Module | None) -> list[int]:
    """Return how many heads a module says that it has, by whatever name."""
    said = (getattr(module, name, None) for name in _HEADS)
    return [n for n in said if isinstance(n, int) and n > 0]


def _axis(args: tuple[Any, ...], kwargs: dict[str, Any]) -> int | None:
    axis = kwargs.get("dim", args[1] if len(args) > 1 else None)
    return axis if isinstance(axis, int) else None
