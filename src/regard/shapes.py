"""The legend of axis letters, and the one check that query, key and value fit together.

| letter | axis |
|---|---|
| B | batch |
| H | query heads |
| G | key heads (H is a multiple of G; query head h reads key head h // (H / G)) |
| Nq, Nk | queries, keys (positions) |
| D | width of queries and keys |
| Dv | width of values |
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from regard.errors import ShapeError

FLOATS = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


@dataclass(frozen=True)
class Sizes:
    """The sizes of one call, named."""

    batch: int
    heads: int
    key_heads: int
    queries: int
    keys: int
    width: int
    value_width: int

    @classmethod
    def of(cls, queries: "Sizes | int", keys: int | None = None, batch: int = 1, heads: int = 1) -> "Sizes":
        """Return the sizes of a call of which lengths, batch and heads matter; sizes given stay as they are."""
        if isinstance(queries, Sizes):
            return queries
        lengths = (queries, queries if keys is None else keys, batch, heads)
        if any(not isinstance(each, int) or each < 0 for each in lengths):
            raise ShapeError(f"expected whole numbers of queries, keys, batch items and heads; got {lengths}")
        return cls(batch, heads, heads, lengths[0], lengths[1], 1, 1)

    @property
    def group(self) -> int:
        """How many query heads share one key head."""
        return self.heads // self.key_heads if self.key_heads else 1

    @property
    def pairs(self) -> int:
        """How many weights the full matrices hold: B * H * Nq * Nk."""
        return self.batch * self.heads * self.queries * self.keys


def _shown(name: str, tensor: Tensor) -> str:
    return f"{name} {tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')} on {tensor.device}"


def _misfit(expected: str, query: Tensor, key: Tensor, value: Tensor) -> ShapeError:
    got = ", ".join([_shown("query", query), _shown("key", key), _shown("value", value)])
    return ShapeError(f"expected {expected}; got {got}")


def check(query: Tensor, key: Tensor, value: Tensor) -> Sizes:
    """Return the sizes of a call.

    Args:
        query: (B, H, Nq, D).
        key: (B, G, Nk, D), H a multiple of G.
        value: (B, G, Nk, Dv).

    Raises:
        ShapeError: an axis is missing or does not match, data types or devices differ, or the data type is
            not a floating one.
    """
    if expected := _missing(query, key, value):
        raise _misfit(expected, query, key, value)
    (batch, heads, queries, width), (_, key_heads, keys, value_width) = query.shape, value.shape
    return Sizes(batch, heads, key_heads, queries, keys, width, value_width)


def _missing(query: Tensor, key: Tensor, value: Tensor) -> str | None:
    """Return what a call would have to be and is not; each of these is asked at every call, and so in few words."""
    if not query.ndim == key.ndim == value.ndim == 4:
        return "query (B, H, Nq, D), key (B, G, Nk, D) and value (B, G, Nk, Dv), four axes each"
    if not query.dtype == key.dtype == value.dtype:
        return "one data type for all three (convert with .to(dtype))"
    if query.dtype not in FLOATS:
        return "float64, float32, bfloat16 or float16"
    if not query.device == key.device == value.device:
        return "all three on one device"
    (batch, heads, _, width), (items, key_heads, keys, key_width), of_values = query.shape, key.shape, value.shape
    if not batch == items == of_values[0]:
        return "the same batch size for all three"
    if width != key_width:
        return "query and key of the same width D"
    if width == 0:
        return "queries of width at least 1"
    if keys != of_values[2]:
        return "as many values as keys"
    if key_heads != of_values[1]:
        return "as many value heads as key heads"
    if heads != key_heads and (key_heads == 0 or heads % key_heads):
        return f"query heads ({heads}) to be a multiple of key heads ({key_heads})"
    return None


def four_axes(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor, tuple[int, ...]]:
    """Return query, key and value with exactly the axes (B, H, N, D), and the leading axes of the result.

    Axes before the heads broadcast to one another and are folded into one batch; what has no heads has one.

    Args:
        query: (..., H, Nq, D), or (Nq, D).
        key: (..., G, Nk, D), or (Nk, D).
        value: (..., G, Nk, Dv), or (Nk, Dv).

    Raises:
        ShapeError: fewer than two axes, or leading axes that do not broadcast.
    """
    if query.ndim == key.ndim == value.ndim == 4 and query.shape[0] == key.shape[0] == value.shape[0]:
        return query, key, value, tuple(query.shape[:2])
    given = (query, key, value)
    if any(t.ndim < 2 for t in given):
        raise _misfit("query (..., H, Nq, D), key (..., G, Nk, D), value (..., G, Nk, Dv)", *given)
    most = max(t.ndim for t in given)
    three = [t.unsqueeze(0) if t.ndim == 2 else t for t in given]
    try:
        batch = broadcast_shapes(*(t.shape[:-3] for t in three))
    except RuntimeError:
        raise _misfit("leading axes, before the heads, that broadcast to one another", *given) from None
    four = [t.expand(*batch, *t.shape[-3:]).reshape(math.prod(batch), *t.shape[-3:]) for t in three]
    lead = () if most == 2 else (*batch, four[0].shape[1])
    return four[0], four[1], four[2], lead


def broadcast_shapes(*shapes: Sequence[int]) -> tuple[int, ...]:
    """Return the shape to which shapes broadcast; torch's own function imports sympy at first, half a second.

    Raises:
        RuntimeError: there is none.
    """
    if torch.compiler.is_compiling():
        return tuple(torch.broadcast_shapes(*shapes))
    try:
        return np.broadcast_shapes(*(tuple(shape) for shape in shapes))
    except ValueError as error:
        raise RuntimeError(str(error)) from None


def broadcasts(shape: Sequence[int], wanted: Sequence[int]) -> bool:
    """Whether a shape broadcasts to another one, which stays as it is."""
    have = (1,) * (len(wanted) - len(shape)) + tuple(shape)
    return len(have) == len(wanted) and all(h in (1, want) for h, want in zip(have, wanted, strict=True))


def compute_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the type in which scores and statistics are computed: float64 for float64, else float32."""
    return torch.float64 if dtype == torch.float64 else torch.float32
