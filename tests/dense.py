"""The oracle of the watch tests: weights by the formula, and every statistic from a whole matrix of weights.

Written from the definitions in the documentation, independently of the library's own code. Weights have axes
(B, H, Nq, Nk).
"""

import math
from typing import Any

import torch
from torch import Tensor

from regard import Site


def weights(
    query: Tensor,
    key: Tensor,
    *,
    allowed: Tensor | None = None,
    added: Tensor | None = None,
    scale: float | None = None,
) -> Tensor:
    """Return softmax(scale * Q K^T + added) over the allowed keys; 0 for a query that may see none.

    Query head h reads key head h // (H / G). The result has the data type of the queries.
    """
    S = scores(query, key, scale)
    if added is not None:
        S = S + added
    if allowed is not None:
        S = S.masked_fill(~allowed, -torch.inf)
    return S.softmax(-1).nan_to_num(0.0)


def scores(query: Tensor, key: Tensor, scale: float | None = None) -> Tensor:
    """Return scale * Q K^T (B, H, Nq, Nk)."""
    key = key.repeat_interleave(query.shape[1] // key.shape[1], dim=1)
    return query @ key.transpose(-1, -2) * (query.shape[-1] ** -0.5 if scale is None else scale)


def resolution(score: float) -> float:
    """Return how closely weights can be known whose scores are this large: to 2 units in float32's last place."""
    return max(1e-5, 2 * torch.finfo(torch.float32).eps * score)


def causal(queries: int, keys: int) -> Tensor:
    """Return who may see whom where the first positions are aligned."""
    return torch.ones(queries, keys, dtype=torch.bool).tril()


def entropy(P: Tensor) -> Tensor:
    """Return -sum_k P log P (B, H, Nq)."""
    return -torch.xlogy(P, P).sum(-1)


def received(P: Tensor) -> Tensor:
    """Return the sum over queries (B, H, Nk)."""
    return P.sum(-2)


def received_max(P: Tensor) -> Tensor:
    """Return the largest over queries (B, H, Nk)."""
    return P.amax(-2)


def first_place(P: Tensor, site: Site) -> int:
    """Return at which key the first query stands: with a cache, the last query stands at the last key.

    A causal call says itself that first positions are aligned.
    """
    return max(0, P.shape[-1] - P.shape[-2]) if site.kind == "self" and site.mask != "causal" else 0


def distance(P: Tensor, site: Site) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of key position minus query position; NaN for rows without weight."""
    P = P.double()
    queries, keys = P.shape[-2:]
    place = torch.arange(queries, dtype=P.dtype) + first_place(P, site)
    offset = torch.arange(keys, dtype=P.dtype) - place.unsqueeze(-1)
    share = P / P.sum(-1, keepdim=True)
    mean = (share * offset).sum(-1)
    return mean, (share * (offset - mean.unsqueeze(-1)).square()).sum(-1).sqrt()


def pooled(P: Tensor, cells: int) -> tuple[Tensor, Tensor]:
    """Return mean and largest weight of each cell, at most `cells` rows and columns of equal cells."""
    queries, keys = P.shape[-2:]
    tall, wide = math.ceil(queries / cells), math.ceil(keys / cells)
    strips = [P[..., start : start + tall, :] for start in range(0, queries, tall)]
    blocks = [[strip[..., start : start + wide] for start in range(0, keys, wide)] for strip in strips]
    mean = [torch.stack([block.mean((-2, -1)) for block in row], -1) for row in blocks]
    largest = [torch.stack([block.amax((-2, -1)) for block in row], -1) for row in blocks]
    return torch.stack(mean, -2), torch.stack(largest, -2)


def diagonal(P: Tensor, offset: int, site: Site) -> Tensor:
    """Return the weight (B, H, n) of each query on the key `offset` places after it."""
    offset += first_place(P, site)
    return P.diagonal(offset, -2, -1) if -P.shape[-2] < offset < P.shape[-1] else P[..., :0, 0]


def joined(P: Tensor, query_groups: list[int], key_groups: list[int]) -> Tensor:
    """Return the mean over the queries of each group of the sum over the keys of each group; group -1 is none."""
    queries, keys = torch.tensor(query_groups), torch.tensor(key_groups)
    out = P.new_zeros(*P.shape[:2], max(query_groups) + 1, max(key_groups) + 1)
    for row in range(out.shape[2]):
        for column in range(out.shape[3]):
            block = P[:, :, queries == row][..., keys == column]
            out[:, :, row, column] = block.sum(-1).mean(-1) if block.shape[2] else 0.0
    return out


def close(got: Tensor, wanted: Tensor, rtol: float = 0.0, atol: float = 1e-5) -> None:
    """Expect two tensors to be equal up to a tolerance, NaN where NaN."""
    torch.testing.assert_close(got.double(), wanted.double(), rtol=rtol, atol=atol, equal_nan=True)


def statistics_equal(site: Any, P: Tensor, cells: int = 64, top: int = 8, atol: float = 1e-5) -> None:
    """Expect every statistic that a site keeps, or makes on demand, to be that of the matrix."""
    close(site.weights(), P, atol=atol)
    close(site.entropy, entropy(P), atol=atol)
    close(site.received, received(P), rtol=1e-5, atol=atol)
    close(site.received_max, received_max(P), atol=atol)
    close(site.first, P[..., 0], atol=atol)
    mean, largest = pooled(P, cells)
    close(site.map().mean, mean, atol=atol)
    close(site.map().max, largest, atol=atol)
    top_equal(site, P, top, atol)
    some = sorted({0, P.shape[-2] // 2, P.shape[-2] - 1})
    close(site.rows(some), P[:, :, some], atol=atol)
    mean_distance_equal(site, P)


def top_equal(site: Any, P: Tensor, k: int = 8, atol: float = 1e-5) -> None:
    """Expect the k largest weights, and keys that have them; which of equal keys is first has no meaning."""
    best = site.top(k)
    close(best.weights, P.sort(-1, descending=True).values[..., :k], atol=atol)
    found = P.gather(-1, best.keys.clamp(min=0)).masked_fill(best.keys < 0, 0.0)
    close(best.weights, found, atol=atol)


def mean_distance_equal(site: Any, P: Tensor) -> None:
    """Expect the mean of distances; it is in positions, so its rounding grows with their number."""
    close(site.distance.mean, distance(P, site)[0], rtol=1e-5, atol=1e-6 * max(10, *P.shape[-2:]))


def spread_equal(site: Any, P: Tensor) -> None:
    """Expect the spread of distances, which is documented to be resolved to 0.04."""
    close(site.distance.spread, distance(P, site)[1], atol=4e-2)
