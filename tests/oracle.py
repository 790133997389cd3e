"""Attention and its statistics written down once more, dense and in float64, from the formulas alone.

Nothing of regard is used here, so that a mistake in the library cannot hide in what it is compared with:

    S = scale * Q K^T + bias,   P = softmax(S) over the allowed keys,   O = P V,   l = log sum exp S

or another score, something done to the scores, another way from scores to weights.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Scoring = Callable[[Tensor, Tensor], Tensor]
Weighing = Callable[[Tensor], tuple[Tensor, Tensor | None]]


@dataclass(frozen=True, eq=False)
class Dense:
    """output (B, H, Nq, Dv), lse (B, H, Nq; None if there is none) and weights (B, H, Nq, Nk), all float64."""

    output: Tensor
    lse: Tensor | None
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
    *,
    score: Scoring | None = None,
    modify: Sequence[Callable[[Tensor], Tensor]] = (),
    weigh: Weighing | None = None,
) -> Dense:
    """Return dense attention, differentiable; a query that may see no key gets output 0 and lse -inf.

    Scores (B, H, Nq, Nk) are made by `score` from queries and keys once a query head, changed by each of `modify`,
    added to, masked, and weighed.
    """
    q, k, v = query.double(), _per_query_head(key, query), _per_query_head(value, query)
    S = (score or dot(scale))(q, k)
    for change in modify:
        S = change(S)
    S = S if bias is None else S + bias.double()
    S = S if allowed is None else torch.where(allowed, S, -torch.inf)
    P, lse = (weigh or softmax())(S)
    return Dense(output=torch.einsum("bhqk,bhkd->bhqd", P, v), lse=lse, weights=P)


def _per_query_head(tensor: Tensor, query: Tensor) -> Tensor:
    """Return keys or values (B, G, N, D) once for each query head, in float64: head h reads h // (H / G)."""
    return _heads(tensor.double(), query.shape[1], 1)


def _heads(tensor: Tensor, heads: int, axis: int) -> Tensor:
    few = tensor.shape[axis]
    return tensor.index_select(axis, torch.tensor([head * few // heads for head in range(heads)], dtype=torch.long))


def _number(given: float | Sequence[float] | Tensor) -> Tensor:
    return given.double() if isinstance(given, Tensor) else torch.tensor(given, dtype=torch.float64)


# Scores.


def dot(scale: float | None = None) -> Scoring:
    def score(q: Tensor, k: Tensor) -> Tensor:
        factor = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
        return factor * torch.einsum("bhqd,bhkd->bhqk", q, k)

    return score


def additive(W: Tensor, U: Tensor, v: Tensor) -> Scoring:
    """v^T tanh(W q + U k), with the whole cube; W, U, v for all heads or one a (key) head."""

    def score(q: Tensor, k: Tensor) -> Tensor:
        heads = q.shape[1]
        w, u, x = (
            t.double() if each else t.double().unsqueeze(0)
            for t, each in ((W, W.ndim == 3), (U, U.ndim == 3), (v, v.ndim == 2))
        )
        w, u, x = (_heads(t, heads, 0) for t in (w, u, x))
        left, right = torch.einsum("had,bhqd->bhqa", w, q), torch.einsum("had,bhkd->bhka", u, k)
        return torch.einsum("ha,bhqka->bhqk", x, torch.tanh(left[:, :, :, None] + right[:, :, None]))

    return score


def bilinear(W: Tensor, scale: float = 1.0) -> Scoring:
    def score(q: Tensor, k: Tensor) -> Tensor:
        each = W.double() if W.ndim == 3 else W.double().expand(q.shape[1], *W.shape)
        return scale * torch.einsum("bhqd,hde,bhke->bhqk", q, each, k)

    return score


def cosine(temperature: float | Tensor) -> Scoring:
    def score(q: Tensor, k: Tensor) -> Tensor:
        dots = torch.einsum("bhqd,bhkd->bhqk", q, k)
        length = q.square().sum(-1).sqrt()[..., None] * k.square().sum(-1).sqrt()[..., None, :]
        divisor = _number(temperature)
        return dots / length / (divisor.reshape(-1, 1, 1) if divisor.ndim else divisor)

    return score


# What happens to scores.


def soft_cap(cap: float) -> Callable[[Tensor], Tensor]:
    return lambda S: cap * torch.tanh(S / cap)


def alibi_slopes(heads: int) -> list[float]:
    """The slopes as the authors' own code makes them."""
    if math.log2(heads).is_integer():
        start = 2 ** -(2 ** -(math.log2(heads) - 3))
        return [start * start**head for head in range(heads)]
    fewer = 2 ** math.floor(math.log2(heads))
    return alibi_slopes(fewer) + alibi_slopes(2 * fewer)[0::2][: heads - fewer]


def alibi(slopes: Sequence[float] | Tensor, last: bool = False) -> Callable[[Tensor], Tensor]:
    def change(S: Tensor) -> Tensor:
        slope = _number(slopes)
        return S - slope[:, None, None] * gaps(S, last).abs()

    return change


def t5_bucket(ahead: int, buckets: int, bidirectional: bool, max_distance: int) -> int:
    """The bucket of one distance, key place minus query place, as T5's paper and code say."""
    first = 0
    if bidirectional:
        buckets //= 2
        first = buckets if ahead > 0 else 0
        distance = abs(ahead)
    else:
        distance = max(0, -ahead)
    exact = buckets // 2
    if distance < exact:
        return first + distance
    share = math.log(distance / exact) / math.log(max_distance / exact)
    # A share that is a whole number of buckets stays one in spite of rounding.
    return first + min(buckets - 1, exact + math.floor(share * (buckets - exact) + 1e-9))


def relative_buckets(
    table: Tensor, bidirectional: bool = True, max_distance: int = 128, last: bool = False
) -> Callable[[Tensor], Tensor]:
    def change(S: Tensor) -> Tensor:
        rows = [
            [t5_bucket(int(gap), len(table), bidirectional, max_distance) for gap in row] for row in gaps(S, last)
        ]
        return S + table.double()[torch.tensor(rows, dtype=torch.long).view(S.shape[-2:])].permute(2, 0, 1)

    return change


def gaps(S: Tensor, last: bool) -> Tensor:
    """Return key place minus query place, (Nq, Nk)."""
    queries, keys = S.shape[-2:]
    start = keys - queries if last else 0
    return torch.arange(keys) - (torch.arange(queries) + start)[:, None]


# Scores to weights: each returns weights, 0 where the score is -inf, and the log-sum-exp if there is one.


def softmax(sink: float | Tensor | None = None) -> Weighing:
    def weigh(S: Tensor) -> tuple[Tensor, Tensor]:
        if sink is not None:
            extra = _number(sink)
            extra = (extra.reshape(-1, 1, 1) if extra.ndim else extra).expand(*S.shape[:-1], 1)
            S = torch.cat([S, extra], -1)
        sees_some = ~torch.isneginf(S).all(-1, keepdim=True)
        P = torch.softmax(torch.where(sees_some, S, 0.0), -1) * sees_some
        return P if sink is None else P[..., :-1], torch.logsumexp(S, -1)

    return weigh


def _sparse(threshold: Callable[[Tensor], Tensor], alpha: float) -> Weighing:
    def weigh(S: Tensor) -> tuple[Tensor, None]:
        if not S.shape[-1]:
            return S, None
        sees_some = ~torch.isneginf(S).all(-1, keepdim=True)
        z = (alpha - 1) * torch.where(sees_some, S, 0.0)
        return (z - threshold(z)).clamp(min=0) ** (1 / (alpha - 1)) * sees_some, None

    return weigh


def sparsemax() -> Weighing:
    """Martins & Astudillo 2016, algorithm 1: by sorting."""

    def threshold(z: Tensor) -> Tensor:
        ordered = z.sort(-1, descending=True).values
        summed = ordered.cumsum(-1)
        rank = torch.arange(1, z.shape[-1] + 1)
        count = (1 + rank * ordered > summed).sum(-1, keepdim=True)
        return (summed.gather(-1, count - 1) - 1) / count

    return _sparse(threshold, 2.0)


def entmax(alpha: float) -> Weighing:
    """By bisection; one more step of Newton's method carries the threshold's own gradient."""
    power = 1 / (alpha - 1)

    def threshold(z: Tensor) -> Tensor:
        fixed = z.detach()
        high = fixed.amax(-1, keepdim=True)
        low = high - 1
        for _ in range(80):
            middle = (low + high) / 2
            above = ((fixed - middle).clamp(min=0) ** power).sum(-1, keepdim=True) >= 1
            low, high = torch.where(above, middle, low), torch.where(above, high, middle)
        rest = (fixed - low).clamp(min=0)
        slope = torch.where(rest > 0, power * rest ** (power - 1), 0.0).sum(-1, keepdim=True)
        return low + (((z - low).clamp(min=0) ** power).sum(-1, keepdim=True) - 1) / slope

    return _sparse(threshold, alpha)


def sigmoid(bias: float | Tensor | None = None) -> Weighing:
    def weigh(S: Tensor) -> tuple[Tensor, None]:
        added = -math.log(max(1, S.shape[-1])) if bias is None else bias
        added = _number(added)
        seen, each = ~torch.isneginf(S), added.reshape(-1, 1, 1) if added.ndim else added
        return seen / (1 + torch.exp(-torch.where(seen, S, 0.0) - each)), None

    return weigh


def top_k(k: int) -> Weighing:
    def weigh(S: Tensor) -> tuple[Tensor, None]:
        if S.shape[-1] > k:
            least = S.detach().sort(-1, descending=True).values[..., k - 1 : k]
            S = torch.where(S.detach() >= least, S, -torch.inf)
        return softmax()(S)[0], None

    return weigh


def argmax(straight_through: bool = False) -> Weighing:
    """The whole weight on the first of the largest scores."""

    def weigh(S: Tensor) -> tuple[Tensor, None]:
        if not S.shape[-1]:
            return S, None
        place = torch.arange(S.shape[-1])
        largest = (S.amax(-1, keepdim=True) == S) & ~torch.isneginf(S)
        first = torch.where(largest, place, S.shape[-1]).amin(-1, keepdim=True)
        one = (place == first).double()
        soft = softmax()(S)[0]
        return one + (soft - soft.detach()) if straight_through else one, None

    return weigh


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
