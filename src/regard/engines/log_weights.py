"""The weights of attention made again, a tile at a time, from queries, keys and the known log-sum-exp.

A weight is P = exp(S - l). The base-2 logarithms of a tile of weights are one matrix product and a sum,

    log2 P = log2(e) (scale q . k - l),

and their exponential is torch's fastest one. The product is the model's own, so that its rounding is; scale and
log-sum-exp enter in one more pass. A forbidden pair gets FLOOR, whose power of two is exactly 0 while
0 * FLOOR is 0 too, which is not so of -inf.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from regard.engines.contract import Problem
from regard.engines.formula import unmasked
from regard.engines.pairs import chunks, of_pairs, pair_chunks
from regard.mechanisms.grid import Blocks, Grid
from regard.mechanisms.masks.rule import Tile
from regard.mechanisms.masks.tiles import bounded
from regard.mechanisms.weighing import Softmax
from regard.shapes import compute_dtype

FLOOR = -1.0e5
LOG2_E = math.log2(math.e)

# Beyond this size a log-sum-exp comes from large numbers, like finfo.min, that a mask adds to a whole row. Rounding
# then decides the model's weights, so they are made as the model makes them: add first, then subtract the maximum.
LARGE_LSE = 1.0e2

# How many scores such rows are normalised with at a time.
_AT_ONCE = 1 << 20


@dataclass(frozen=True, eq=False)
class LogWeights:
    """Base-2 logarithms of the weights, or natural scores, of some (batch, head) pairs of a problem.

    Attributes:
        problem: the call.
        pairs: which pairs, numbered b * H + h.
        query: (pairs, Nq, D).
        key: (pairs, Nk, D).
        shift: (pairs, Nq, 1), -log2(e) l, or 0 for scores.
        unit: 1 of the scores' natural logarithm in the logarithm used here: log2(e) or 1.
        floor: what a forbidden pair gets.
        large: rows with large numbers added, or None for no such rows.
    """

    problem: Problem
    pairs: range
    query: Tensor
    key: Tensor
    shift: Tensor
    unit: float
    floor: float
    large: "LargeRows | None"

    @classmethod
    def of(cls, problem: Problem, pairs: range, lse: Tensor | None) -> "LogWeights":
        """Prepare some pairs.

        Args:
            problem: the call.
            pairs: which (batch, head) pairs.
            lse: (B, H, Nq) natural log-sum-exp, or None to get natural scores, -inf where forbidden.
        """
        sizes, dtype = problem.sizes, compute_dtype(problem.query.dtype)
        rows = problem.query.new_zeros((len(pairs), sizes.queries), dtype=dtype)
        large, unit = None, 1.0
        if lse is not None:
            known = lse.reshape(sizes.batch * sizes.heads, sizes.queries)[pairs.start : pairs.stop].to(dtype)
            unit = _unit(problem.scale, dtype)
            rows = torch.where(known == -torch.inf, FLOOR, (-unit * known.double()).to(dtype))
            beyond = known.isfinite() & (known.abs() > LARGE_LSE)
            large = beyond if problem.adds and problem.is_dot_and_bias and bool(beyond.any()) else None
        scores = cls(
            problem=problem,
            pairs=pairs,
            query=of_pairs(problem.query, pairs, sizes).to(dtype).contiguous(),
            key=of_pairs(problem.key, pairs, sizes).to(dtype).contiguous(),
            shift=rows.unsqueeze(-1),
            unit=unit,
            floor=-torch.inf if lse is None else FLOOR,
            large=None,
        )
        return scores if large is None else replace(scores, large=scores._normalised(large))

    def narrow(self, pairs: range) -> "LogWeights":
        """Return some of these pairs, without copying."""
        part = slice(pairs.start - self.pairs.start, pairs.stop - self.pairs.start)
        return replace(
            self,
            pairs=pairs,
            query=self.query[part],
            key=self.key[part],
            shift=self.shift[part],
            large=None if self.large is None else self.large.narrow(part),
        )

    def tile(self, queries: slice, keys: slice, out: Tensor | None = None) -> Tensor | None:
        """Return (pairs, queries, keys) of a rectangle, or None where the mask leaves nothing of it.

        Args:
            queries: a range of queries.
            keys: a range of keys.
            out: where to write the result.
        """
        cuts = ([queries.start, queries.stop], [keys.start, keys.stop])
        kinds = bounded(self.problem.mask, Blocks.between(*cuts, self.problem.sizes))
        if not bool((kinds != Tile.EMPTY).any()):
            return None
        S = self._unmasked(queries, keys, out)
        full = bool((kinds == Tile.FULL).all()) and not self.problem.adds
        return S if full else self._masked(S, queries, keys)

    def rows(self, queries: Tensor, keys: Tensor | None = None) -> Tensor:
        """Return (pairs, queries, keys) for chosen positions.

        Args:
            queries: (n,) positions.
            keys: (m,) positions; default: all.
        """
        wanted = slice(0, self.problem.sizes.keys) if keys is None else keys
        return self._masked(self._unmasked(queries, wanted), queries, wanted)

    def along(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Return (pairs, n) for n single pairs of one query and one key each.

        Args:
            queries: (n,) positions.
            keys: (n,) positions.
        """
        grid = Grid.of(self.pairs, queries, keys.view(-1, 1), self.problem.sizes, self.query.device)
        Q, K = self.query[:, queries], self.key[:, keys]
        if not self.problem.is_dot_and_bias:
            each = Grid.of(self.pairs, queries, keys, self.problem.sizes, self.query.device)
            S = unmasked(self.problem, Q, K, each).diagonal(dim1=-2, dim2=-1).unsqueeze(-1)
            S = self.shift[:, queries] + self.unit * S
            return S.masked_fill(~self.problem.mask.allowed(grid), self.floor).squeeze(-1)
        dots = (Q * K).sum(-1, keepdim=True)
        S = self.shift[:, queries] + self._factor * dots
        return self._on(grid, S, lambda: dots, queries).squeeze(-1)

    @property
    def _factor(self) -> float:
        """What takes dot products to the logarithms used here."""
        return self.problem.scale * self.unit

    def _unmasked(self, queries: slice | Tensor, keys: slice | Tensor, out: Tensor | None = None) -> Tensor:
        if not self.problem.is_dot_and_bias:
            S = unmasked(self.problem, self.query[:, queries], self.key[:, keys], self._grid(queries, keys))
            return torch.add(self.shift[:, queries], S, alpha=self.unit, out=out)
        S = torch.bmm(self.query[:, queries], self.key[:, keys].transpose(1, 2), out=out)
        return torch.add(self.shift[:, queries], S, alpha=self._factor, out=S)

    def _masked(self, S: Tensor, queries: slice | Tensor, keys: slice | Tensor) -> Tensor:
        def dots() -> Tensor:
            return torch.bmm(self.query[:, queries], self.key[:, keys].transpose(1, 2))

        return self._on(self._grid(queries, keys), S, dots, queries)

    def _on(self, grid: Grid, S: Tensor, dots: Callable[[], Tensor], queries: slice | Tensor) -> Tensor:
        """Apply the mask of a grid to S, in place; rows with large numbers added are made anew from dots."""
        bias = self.problem.added(grid, S.dtype) if self.problem.is_dot_and_bias else None
        allowed = self.problem.mask.allowed(grid)
        if bias is not None:
            S.add_(bias, alpha=self.unit)
        S.masked_fill_(~allowed, self.floor)
        if not self.problem.adds:
            return S
        S.clamp_(min=self.floor)
        if bias is not None and self.large is not None and bool((rows := self.large.rows[:, queries]).any()):
            made = self._added(dots(), bias, allowed) - self.large.peak[:, queries]
            made = ((made - self.large.rest[:, queries]) * self.unit).clamp_(min=self.floor)
            S.copy_(torch.where(rows.unsqueeze(-1), made, S))
        return S

    def _added(self, dots: Tensor, bias: Tensor, allowed: Tensor) -> Tensor:
        """Return scores as models compute them: scaled, then added to; -inf where forbidden."""
        return (self.problem.scale * dots + bias).masked_fill_(~allowed, -torch.inf)

    def _normalised(self, rows: Tensor) -> "LargeRows":
        """Return what normalises rows (pairs, Nq), each by itself."""
        sizes = self.problem.sizes
        peak, rest = torch.zeros_like(self.shift), torch.zeros_like(self.shift)
        for queries in chunks(sizes.queries, max(1, _AT_ONCE // max(1, len(self.pairs) * sizes.keys))):
            if bool(rows[:, queries].any()):
                grid = self._grid(queries, slice(0, sizes.keys))
                bias = self.problem.added(grid, self.query.dtype)
                assert bias is not None
                dots = torch.bmm(self.query[:, queries], self.key.transpose(1, 2))
                S = self._added(dots, bias, self.problem.mask.allowed(grid))
                sink = self._sink(grid, S)
                peak[:, queries] = torch.maximum(S.amax(-1, keepdim=True), sink)
                rest[:, queries] = torch.logaddexp(
                    torch.logsumexp(S - peak[:, queries], -1, keepdim=True), sink - peak[:, queries]
                )
        return LargeRows(rows, peak, rest)

    def _sink(self, grid: Grid, S: Tensor) -> Tensor:
        """Return the sink's score, -inf where there is none."""
        weigh = self.problem.mechanism.weighing
        sink = weigh.on(grid, S) if isinstance(weigh, Softmax) else None
        return S.new_full((), -torch.inf) if sink is None else sink

    def _grid(self, queries: slice | Tensor, keys: slice | Tensor) -> Grid:
        return Grid.of(self.pairs, queries, keys, self.problem.sizes, self.query.device)


@dataclass(frozen=True, eq=False)
class LargeRows:
    """Rows to which a mask adds large numbers, and what normalises them.

    Attributes:
        rows: (pairs, Nq), which rows they are.
        peak: (pairs, Nq, 1), their largest score.
        rest: (pairs, Nq, 1), the log-sum-exp of their scores less the largest.
    """

    rows: Tensor
    peak: Tensor
    rest: Tensor

    def narrow(self, part: slice) -> "LargeRows":
        """Return some of the pairs."""
        return LargeRows(self.rows[part], self.peak[part], self.rest[part])


def _unit(scale: float, dtype: torch.dtype) -> float:
    """Return log2(e), off by what makes scale * log2(e) a number of the type, so that only differences are off."""
    factor = float(torch.tensor(scale * LOG2_E, dtype=dtype))
    return factor / scale if scale and math.isfinite(factor) and factor else LOG2_E


@torch.no_grad()
def log_sum_exp(problem: Problem, tile: int = 512) -> Tensor:
    """Return the natural log-sum-exp (B, H, Nq) of a problem's scores and sink, streamed over tiles of keys.

    On CUDA a kernel does so where it can (see `gpu`).

    Args:
        problem: the call.
        tile: how many queries and keys a tile has at most.
    """
    from regard.engines.gpu import terms  # it stands above this file

    if not terms.against(problem):
        from regard.engines.gpu import launch  # it needs triton, which is optional

        return with_sink(problem, launch.log_sum_exp(problem))
    sizes = problem.sizes
    rows = problem.query.new_full(
        (sizes.batch * sizes.heads, sizes.queries), -torch.inf, dtype=compute_dtype(problem.query.dtype)
    )
    width = max(1, min(tile, sizes.queries) * min(tile, sizes.keys))
    for pairs in pair_chunks(sizes, tile * tile // width):
        scores = LogWeights.of(problem, pairs, None)
        for queries in chunks(sizes.queries, tile):
            part = rows[pairs.start : pairs.stop, queries]
            for keys in chunks(sizes.keys, tile):
                S = scores.tile(queries, keys)
                if S is not None:
                    part.copy_(torch.logaddexp(part, torch.logsumexp(S, -1)))
    return with_sink(problem, rows.view(sizes.batch, sizes.heads, sizes.queries))


def with_sink(problem: Problem, lse: Tensor) -> Tensor:
    """Return the log-sum-exp (B, H, Nq) with the mechanism's sink taken in, if it has one."""
    weigh = problem.mechanism.weighing
    if not isinstance(weigh, Softmax):
        return lse
    sink = weigh.on(Grid.whole(problem.sizes, problem.device), lse)
    return lse if sink is None else torch.logaddexp(lse, sink.squeeze(-1) if sink.ndim else sink)
