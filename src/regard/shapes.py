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


def _require(holds: bool, expected: str, query: Tensor, key: Tensor, value: Tensor) -> None:
    if not holds:
        got = ", ".join([_shown("query", query), _shown("key", key), _shown("value", value)])
        raise ShapeError(f"expected {expected}; got {got}")


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
    given = (query, key, value)

    def require(holds: bool, expected: str) -> None:
        _require(holds, expected, query, key, value)

    require(
        all(t.ndim == 4 for t in given),
        "query (B, H, Nq, D), key (B, G, Nk, D) and value (B, G, Nk, Dv), four axes each",
    )
    require(len({t.dtype for t in given}) == 1, "one data type for all three (convert with .to(dtype))")
    require(query.dtype in FLOATS, "float64, float32, bfloat16 or float16")
    require(len({t.device for t in given}) == 1, "all three on one device")
    require(query.shape[0] == key.shape[0] == value.shape[0], "the same batch size for all three")
    require(query.shape[3] == key.shape[3], "query and key of the same width D")
    require(query.shape[3] > 0, "queries of width at least 1")
    require(key.shape[2] == value.shape[2], "as many values as keys")
    require(key.shape[1] == value.shape[1], "as many value heads as key heads")
    heads, key_heads = query.shape[1], key.shape[1]
    require(
        heads == key_heads or (key_heads > 0 and heads % key_heads == 0),
        f"query heads ({heads}) to be a multiple of key heads ({key_heads})",
    )
    return Sizes(
        batch=query.shape[0],
        heads=heads,
        key_heads=key_heads,
        queries=query.shape[2],
        keys=key.shape[2],
        width=query.shape[3],
        value_width=value.shape[3],
    )


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
    given = (query, key, value)
    if all(t.ndim == 4 for t in given) and query.shape[0] == key.shape[0] == value.shape[0]:
        return query, key, value, tuple(query.shape[:2])

    def require(holds: bool, expected: str) -> None:
        _require(holds, expected, query, key, value)

    require(all(t.ndim >= 2 for t in given), "query (..., H, Nq, D), key (..., G, Nk, D), value (..., G, Nk, Dv)")
    most = max(t.ndim for t in given)
    three = [t.unsqueeze(0) if t.ndim == 2 else t for t in given]
    try:
        batch = torch.broadcast_shapes(*(t.shape[:-3] for t in three))
    except RuntimeError:
        require(False, "leading axes, before the heads, that broadcast to one another")
    four = [t.expand(*batch, *t.shape[-3:]).reshape(math.prod(batch), *t.shape[-3:]) for t in three]
    lead = () if most == 2 else (*batch, four[0].shape[1])
    return four[0], four[1], four[2], lead


def broadcasts(shape: Sequence[int], wanted: Sequence[int]) -> bool:
    """Whether a shape broadcasts to another one, which stays as it is."""
    have = (1,) * (len(wanted) - len(shape)) + tuple(shape)
    return len(have) == len(wanted) and all(h in (1, want) for h, want in zip(have, wanted, strict=True))


def compute_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the type in which scores and statistics are computed: float64 for float64, else float32."""
    return torch.float64 if dtype == torch.float64 else torch.float32
