"""The kernel, in Triton: blocks of queries walk over the keys, for log-sum-exps or for statistics of weights.

Each program takes a block of queries of one (batch, head) pair and makes the scores of the keys that they may see,
tile by tile, and the weights from the log-sum-exp, as FlashAttention's backward pass does (Dao et al. 2022,
algorithm 4). What is said of queries stays with the program; what keys receive from its queries is written out, a
row a program, to be put together afterwards. So each weight is made once, and no number depends on which program
runs first.
"""

from typing import Any, NamedTuple

import triton  # type: ignore[import-untyped,import-not-found,unused-ignore]
import triton.language as tl  # type: ignore[import-untyped,import-not-found,unused-ignore]

# The score of a forbidden pair, and the logarithm of its weight: the exponential is 0, and so is 0 times it.
FORBIDDEN = tl.constexpr(float("-inf"))
FLOOR = tl.constexpr(-1.0e5)


class Table(NamedTuple):
    """A tensor with four axes: where it is, and how far it is from entry to entry of each axis."""

    at: Any
    item: Any
    head: Any
    row: Any
    column: Any


class Work(NamedTuple):
    """What a launch is to do: so many blocks of queries for each pair, both counted from given ones.

    Blocks fill cells, each of the same number of queries, and the last block of a cell may be shorter.
    """

    first_pair: Any
    first_block: Any
    blocks: Any
    cell: Any


class Beside(NamedTuple):
    """What is computed, None where it is not wanted.

    Of queries (B * H, Nq): entropy, weight on key 0, mean and spread of the distance. Of keys (programs, Nk), zeros
    before: the sum and the largest of the weights that the program's queries give.
    """

    entropy: Any
    first: Any
    mean: Any
    spread: Any
    total: Any
    largest: Any


@triton.jit  # type: ignore[untyped-decorator,unused-ignore]
def _rows(table: tl.tuple, item: tl.tensor, head: tl.tensor, q: tl.tensor, ONE: tl.constexpr) -> tl.tensor:
    """Return pointers to where the rows of queries begin, (queries, 1); (1, 1) where all rows are one."""
    at = table.at + item * table.item + head * table.head + tl.zeros((1, 1), tl.int64)
    if not ONE:
        at = at + q.to(tl.int64)[:, None] * table.row
    return at


@triton.jit  # type: ignore[untyped-decorator,unused-ignore]
def _scores(
    Q: tl.tensor,
    q: tl.tensor,
    k: tl.tensor,
    stop: tl.tensor,
    item: tl.tensor,
    head: tl.tensor,
    key: tl.tuple,
    group: tl.tensor,
    width: tl.tensor,
    band: tl.tuple,
    allowed: tl.tuple,
    added: tl.tuple,
    scale: tl.tensor,
    cap: tl.tensor,
    ALLOWED_ONE: tl.constexpr,
    ADDED_ONE: tl.constexpr,
    WIDTH: tl.constexpr,
) -> tl.tensor:
    """Return scores (queries, keys), -inf where forbidden and from the key `stop` on."""
    seen = (k < stop)[None, :]
    place = k.to(tl.int64)[None, :]
    d = tl.arange(0, WIDTH)[:, None]
    K = tl.load(
        key.at + item * key.item + head // group * key.head + place * key.row + d * key.column,
        mask=seen & (d < width),
        other=0.0,
    )
    S = tl.dot(Q, K, input_precision="ieee") * scale
    if cap is not None:
        shrunk = tl.exp(-2.0 * tl.abs(S) / cap)
        S = tl.where(S < 0, -cap, cap) * (1.0 - shrunk) / (1.0 + shrunk)
    if added is not None:
        at = _rows(added, item, head, q, ADDED_ONE) + place * added.column
        S += tl.load(at, mask=seen, other=0.0).to(tl.float32)
    if allowed is not None:
        at = _rows(allowed, item, head, q, ALLOWED_ONE) + place * allowed.column
        seen = seen & (tl.load(at, mask=seen, other=0) != 0)
    if band is not None:
        ahead = k[None, :] - q[:, None]
        seen = seen & (ahead >= band[0]) & (ahead <= band[1])
    return tl.where(seen, S, FORBIDDEN)


@triton.jit  # type: ignore[untyped-decorator,unused-ignore]
def walk(
    query: tl.tuple,
    key: tl.tuple,
    lse: tl.tensor,
    beside: tl.tuple,
    work: tl.tuple,
    heads: tl.tensor,
    group: tl.tensor,
    queries: tl.tensor,
    keys: tl.tensor,
    width: tl.tensor,
    band: tl.tuple,
    lengths: tl.tensor,
    allowed: tl.tuple,
    added: tl.tuple,
    scale: tl.tensor,
    cap: tl.tensor,
    ALLOWED_ONE: tl.constexpr,
    ADDED_ONE: tl.constexpr,
    LSE_KNOWN: tl.constexpr,
    SUMS_TO_ONE: tl.constexpr,
    CELL_BLOCKS: tl.constexpr,
    QUERIES: tl.constexpr,
    KEYS: tl.constexpr,
    WIDTH: tl.constexpr,
) -> None:
    """Compute what is wanted beside attention, or the log-sum-exp where it is not known.

    Args:
        query: table (B, H, Nq, D).
        key: table (B, G, Nk, D).
        lse: (B * H, Nq), read, or written where it is not known.
        beside: what is wanted; read only where the log-sum-exp is known.
        work: which blocks of queries.
        heads: H.
        group: H / G.
        queries: Nq.
        keys: Nk.
        width: D.
        band: (low, high), query q may attend to keys q + low to q + high; or None.
        lengths: (B), only so many first keys may be attended to; or None.
        allowed: table (B, H, Nq, Nk), not 0 for may attend; or None.
        added: table (B, H, Nq, Nk), added to the scores; or None.
        scale: factor on the dot products.
        cap: soft cap of the scaled ones, or None.
        ALLOWED_ONE: whether what is allowed is the same for every query.
        ADDED_ONE: whether what is added is.
        LSE_KNOWN: whether the log-sum-exp is read.
        SUMS_TO_ONE: whether weights of a query that sees a key sum to 1 but for rounding.
        CELL_BLOCKS: how many blocks a cell has.
        QUERIES: how many queries a block has.
        KEYS: how many keys a tile has.
        WIDTH: D, rounded up to a power of 2, at least 16.
    """
    program = tl.program_id(0)
    pair = (work.first_pair + program // work.blocks).to(tl.int64)
    block = work.first_block + program % work.blocks
    item, head = pair // heads, pair % heads
    cell = block // CELL_BLOCKS
    start = cell * work.cell + block % CELL_BLOCKS * QUERIES
    end = tl.minimum(tl.minimum(start + QUERIES, (cell + 1) * work.cell), queries)
    here = start + tl.arange(0, QUERIES) < end
    q = tl.minimum(start + tl.arange(0, QUERIES), end - 1)  # a short block repeats its last query
    rows = pair * queries + q

    begin = 0
    stop = keys
    if band is not None:
        begin = tl.maximum(start + band[0], 0) // KEYS * KEYS
        stop = tl.minimum(end + band[1], keys)
    if lengths is not None:
        stop = tl.minimum(stop, tl.load(lengths + item))
    stop = tl.where(end > start, stop, 0)

    d = tl.arange(0, WIDTH)[None, :]
    Q = tl.load(_rows(query, item, head, q, False) + d * query.column, mask=d < width, other=0.0)
    if LSE_KNOWN:
        # Queries that see nothing, and those repeated, get weights of 0.
        known = tl.load(lse + rows, mask=here, other=FORBIDDEN)
        known = tl.where(known == FORBIDDEN, -FORBIDDEN, known)[:, None]
    peak = tl.full((QUERIES,), FORBIDDEN, tl.float32)
    mass = tl.zeros((QUERIES,), tl.float32)
    logarithms = tl.zeros((QUERIES,), tl.float32)
    on_first = tl.zeros((QUERIES,), tl.float32)
    # Moments of the distance: float32 within a tile, about its middle, and float64 from tile to tile.
    zeroth = tl.zeros((QUERIES,), tl.float64)
    moment = tl.zeros((QUERIES,), tl.float64)
    square = tl.zeros((QUERIES,), tl.float64)
    away = (tl.arange(0, KEYS) - (KEYS - 1) / 2)[None, :]

    for base in range(begin, stop, KEYS):
        k = base + tl.arange(0, KEYS)
        # fmt: off
        S = _scores(
            Q, q, k, stop, item, head, key, group, width, band, allowed, added, scale, cap,
            ALLOWED_ONE, ADDED_ONE, WIDTH,
        )
        # fmt: on
        if LSE_KNOWN:
            logP = tl.maximum(S - known, FLOOR, propagate_nan=tl.PropagateNan.ALL)
            logP = tl.where(S == FORBIDDEN, FLOOR, logP)  # also where a row's log-sum-exp is NaN
            P = tl.exp(logP)
            if beside.entropy is not None:
                mass += tl.sum(P, 1)
                logarithms += tl.sum(P * logP, 1)
            if beside.first is not None:
                on_first += tl.sum(tl.where((k == 0)[None, :], P, 0.0), 1)
            if beside.mean is not None:
                sum_0 = tl.sum(P, 1).to(tl.float64)
                sum_1 = tl.sum(P * away, 1).to(tl.float64)
                sum_2 = tl.sum(P * away * away, 1).to(tl.float64)
                middle = (base - q).to(tl.float64) + (KEYS - 1) / 2
                zeroth += sum_0
                moment += sum_1 + middle * sum_0
                square += sum_2 + middle * (2 * sum_1 + middle * sum_0)
            strip = program.to(tl.int64) * keys + k
            if beside.total is not None:
                tl.store(beside.total + strip, tl.sum(P, 0), mask=k < keys)
            if beside.largest is not None:
                total = tl.sum(P, 0)  # NaN where any weight is, which the largest may not be
                tl.store(beside.largest + strip, tl.where(total == total, tl.max(P, 0), total), mask=k < keys)
        else:
            higher = tl.maximum(peak, tl.max(S, 1))
            finite = tl.where(higher == FORBIDDEN, 0.0, higher)
            mass = mass * tl.exp(peak - finite) + tl.sum(tl.exp(S - finite[:, None]), 1)
            peak = higher

    if not LSE_KNOWN:
        tl.store(lse + rows, peak + tl.log(tl.where(mass == 0, 1.0, mass)), mask=here)
    if beside.entropy is not None:
        entropy = -logarithms
        if SUMS_TO_ONE:
            divisor = tl.where(mass == 0, 1.0, mass)
            entropy = tl.log(divisor) - logarithms / divisor
        tl.store(beside.entropy + rows, entropy, mask=here)
    if beside.first is not None:
        tl.store(beside.first + rows, on_first, mask=here)
    if beside.mean is not None:
        share = tl.where(zeroth > 0, zeroth, 1.0)
        mean = tl.where(zeroth > 0, moment / share, float("nan"))
        spread = tl.sqrt(tl.maximum(square / share - mean * mean, 0.0, propagate_nan=tl.PropagateNan.ALL))
        tl.store(beside.mean + rows, mean.to(tl.float32), mask=here)
        tl.store(beside.spread + rows, spread.to(tl.float32), mask=here)
