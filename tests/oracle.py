"""Attention and its statistics written down once more, dense and in float64, from the formulas alone.

Nothing of regard is used here, so that a mistake in the library cannot hide in what it is compared with:

    S = scale * Q K^T + bias,   P = softmax(S) over the allowed keys,   O = P V,   l = log sum exp S
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Dense:
    """output (B, H, Nq, Dv), lse (B, H, Nq) and weights (B, H, Nq, Nk), all float64."""

    output: Tensor
    lse: Tensor
    weights: Tensor


@dataclass(frozen=True, eq=False)
class DenseStatistics:
    """Statistics of the weights, named as in regard; `mean` and `spread` are those of the distance."""

    entropy: Tensor
    received: Tensor
    received_max: Tensor
    mean: Tensor
    spread: Tensor
    first: Tensor
    map_mean: Tensor
    map_max: Tensor
    query_cell: int
    key_cell: int


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    allowed: Tensor | None = None,
    bias: Tensor | None = None,
    scale: float | None = None,
) -> Dense:
    """Return dense attention, differentiable; a query that may see no key gets output 0 and lse -inf."""
    q, k, v = query.double(), _per_query_head(key, query), _per_query_head(value, query)
    scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    S = scale * torch.einsum("bhqd,bhkd->bhqk", q, k)
    S = S if bias is None else S + bias.double()
    S = S if allowed is None else torch.where(allowed, S, -torch.inf)
    sees_some = ~torch.isneginf(S).all(-1, keepdim=True)
    P = torch.softmax(torch.where(sees_some, S, 0.0), -1) * sees_some
    return Dense(output=torch.einsum("bhqk,bhkd->bhqd", P, v), lse=torch.logsumexp(S, -1), weights=P)


def _per_query_head(tensor: Tensor, query: Tensor) -> Tensor:
    """Return keys or values (B, G, N, D) once for each query head, in float64: head h reads h // (H / G)."""
    heads, key_heads = query.shape[1], tensor.shape[1]
    which = [head * key_heads // heads for head in range(heads)]
    return tensor.double()[:, which]


def statistics(weights: Tensor, cells: int = 64) -> DenseStatistics:
    """Return the statistics of dense weights (B, H, Nq, Nk); the map has at most `cells` rows and columns."""
    P = weights.double()
    *lead, queries, keys = P.shape
    place = torch.arange(keys, dtype=torch.float64)
    mass = P.sum(-1)
    middle = (P @ place) / mass
    away = place - middle.unsqueeze(-1)
    map_mean, map_max, query_cell, key_cell = _pooled(P, cells)
    return DenseStatistics(
        entropy=torch.special.entr(P).sum(-1),
        received=P.sum(-2),
        received_max=P.amax(-2) if queries else P.new_zeros(*lead, keys),
        mean=middle - torch.arange(queries),
        spread=((P * away.square()).sum(-1) / mass).sqrt(),
        first=P[..., 0] if keys else P.new_zeros(*lead, queries),
        map_mean=map_mean,
        map_max=map_max,
        query_cell=query_cell,
        key_cell=key_cell,
    )


def _pooled(P: Tensor, cells: int) -> tuple[Tensor, Tensor, int, int]:
    """Return mean and maximum of each cell, and how many queries and keys a cell spans."""
    *lead, queries, keys = P.shape
    high, wide = (max(1, math.ceil(positions / cells)) for positions in (queries, keys))
    rows, columns = _ranges(queries, high), _ranges(keys, wide)
    mean, largest = P.new_zeros(*lead, len(rows), len(columns)), P.new_zeros(*lead, len(rows), len(columns))
    for row, strip in enumerate(rows):
        mean_of_keys, largest_of_keys = P[..., strip, :].mean(-2), P[..., strip, :].amax(-2)
        for column, part in enumerate(columns):
            mean[..., row, column] = mean_of_keys[..., part].mean(-1)
            largest[..., row, column] = largest_of_keys[..., part].amax(-1)
    return mean, largest, high, wide


def _ranges(positions: int, size: int) -> list[slice]:
    return [slice(start, start + size) for start in range(0, positions, size)]
