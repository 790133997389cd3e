"""Launching the kernel: how a call is cut into blocks, and how what programs wrote about keys is put together."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from regard.engines.contract import Problem
from regard.engines.gpu.kernel import Beside, Table, Work, walk
from regard.engines.gpu.terms import Terms
from regard.engines.pairs import subranges
from regard.engines.statistics import Distance, PooledMap, Statistics

# Bytes of what the programs of one launch write about keys.
STRIPS = 1 << 29

# What a block of queries costs beside its queries, in queries: it reads the keys anew, and fills the machine less.
_BLOCK_COST = 32


@dataclass(frozen=True)
class Cut:
    """How a call is cut.

    Attributes:
        cell: how many queries a cell has.
        queries: how many queries a block has; blocks fill cells.
        keys: how many keys a tile has.
        warps: how many warps work on a block.
        per_cell: how many blocks a cell has.
        blocks: how many blocks a pair has.
    """

    cell: int
    queries: int
    keys: int
    warps: int
    per_cell: int
    blocks: int

    @classmethod
    def of(cls, problem: Problem, cell: int | None) -> "Cut":
        """Cut blocks that fill cells of so many queries with little left over; None for blocks by themselves."""
        tallest, keys, warps = _tile(problem)
        heights = [height for height in (128, 64, 32, 16) if height <= tallest]
        cell = tallest if cell is None else cell
        queries = min(heights, key=lambda height: math.ceil(cell / height) * (height + _BLOCK_COST))
        per_cell = math.ceil(cell / queries)
        blocks = math.ceil(problem.sizes.queries / cell) * per_cell
        return cls(cell, queries, keys, warps if queries == tallest else 4, per_cell, blocks)


def _tile(problem: Problem) -> tuple[int, int, int]:
    """Return queries and keys of the largest tile, and warps, for which the compiler finds registers on sm_90."""
    if problem.query.element_size() == 4:
        return 64, 32, 8
    return (128, 64, 8) if problem.sizes.width <= 128 else (64, 32, 4)


def log_sum_exp(problem: Problem) -> Tensor:
    """Return the natural log-sum-exp (B, H, Nq) of a problem's scores."""
    sizes, cut = problem.sizes, Cut.of(problem, None)
    lse = problem.query.new_empty((sizes.batch, sizes.heads, sizes.queries), dtype=torch.float32)
    _Launch(problem, lse, cut, known=False).run(
        range(sizes.batch * sizes.heads), range(cut.blocks), Beside(*[None] * 6)
    )
    return lse


def summary(problem: Problem, lse: Tensor, wanted: frozenset[str], cells: tuple[int, int]) -> Statistics:
    """Return statistics of the weights P = exp(S - lse).

    Args:
        problem: the call.
        lse: (B, H, Nq), natural log-sum-exp of its scores.
        wanted: names of `Statistics`.
        cells: how many queries and keys a cell of the map spans.
    """
    sizes = problem.sizes
    columns = _Columns(problem, wanted, cells)
    cut = Cut.of(problem, cells[0] if columns.wanted else None)
    launch = _Launch(problem, lse.float().contiguous(), cut, known=True)

    def rows(name: str) -> Tensor | None:
        shape = (sizes.batch, sizes.heads, sizes.queries)
        return problem.query.new_empty(shape, dtype=torch.float32) if name in wanted else None

    said = Beside(rows("entropy"), rows("first"), rows("distance"), rows("distance"), None, None)
    for pairs, blocks in _parts(sizes.batch * sizes.heads, sizes.keys, cut, columns.wanted):
        total, largest = columns.strips(len(pairs) * len(blocks))
        launch.run(pairs, blocks, said._replace(total=total, largest=largest))
        columns.add(pairs, blocks, cut, total, largest)
    return Statistics(
        entropy=said.entropy,
        received=columns.received,
        received_max=columns.received_max,
        distance=None if said.mean is None else Distance(said.mean, said.spread),
        first=said.first,
        map=columns.map(),
    )


def _parts(pairs: int, keys: int, cut: Cut, strips: bool) -> Iterator[tuple[range, range]]:
    """Yield pairs and blocks, in whole cells, of which the strips find room; all of them where there are none."""
    if not strips:
        yield range(pairs), range(cut.blocks)
        return
    room = max(1, STRIPS // (8 * keys))
    for some in subranges(range(pairs), room // cut.blocks):
        for blocks in subranges(range(cut.blocks), max(1, room // len(some) // cut.per_cell) * cut.per_cell):
            yield some, blocks


class _Launch:
    """The kernel with all that stays the same from launch to launch."""

    def __init__(self, problem: Problem, lse: Tensor, cut: Cut, *, known: bool) -> None:
        sizes, terms = problem.sizes, Terms.of(problem)
        self._cut = cut
        self._given: dict[str, Any] = {
            "query": _table(problem.query),
            "key": _table(problem.key),
            "lse": lse,
            "heads": sizes.heads,
            "group": sizes.group,
            "queries": sizes.queries,
            "keys": sizes.keys,
            "width": sizes.width,
            "band": terms.band,
            "lengths": terms.lengths,
            "allowed": None if terms.allowed is None else _table(terms.allowed.view(torch.uint8)),
            "added": None if terms.added is None else _table(terms.added),
            "scale": problem.scale,
            "cap": terms.cap,
            "ALLOWED_ONE": terms.allowed is not None and terms.allowed.stride(2) == 0,
            "ADDED_ONE": terms.added is not None and terms.added.stride(2) == 0,
            "LSE_KNOWN": known,
            "SUMS_TO_ONE": problem.sums_to_one,
            "CELL_BLOCKS": cut.per_cell,
            "QUERIES": cut.queries,
            "KEYS": cut.keys,
            "WIDTH": max(16, 1 << (sizes.width - 1).bit_length()),
            "num_warps": cut.warps,
            "num_stages": 2,
            "enable_fp_fusion": True,
        }

    def run(self, pairs: range, blocks: range, beside: Beside) -> None:
        """Launch a program for each block of each pair."""
        work = Work(pairs.start, blocks.start, len(blocks), self._cut.cell)
        with torch.cuda.device_of(self._given["lse"]):
            walk[(len(pairs) * len(blocks),)](beside=beside, work=work, **self._given)


def _table(tensor: Tensor) -> Table:
    return Table(tensor, *tensor.stride())


class _Columns:
    """What keys receive, and the map, put together from strips."""

    def __init__(self, problem: Problem, wanted: frozenset[str], cells: tuple[int, int]) -> None:
        sizes = problem.sizes
        self._sizes, self._cells, self._query = sizes, cells, problem.query
        self._summed, self._largest = bool(wanted & {"received", "map"}), bool(wanted & {"received_max", "map"})
        self.received = self._zeros(sizes.keys) if "received" in wanted else None
        self.received_max = self._zeros(sizes.keys) if "received_max" in wanted else None
        shape = [math.ceil(count / cell) for count, cell in zip((sizes.queries, sizes.keys), cells, strict=True)]
        self._sums, self._peaks = (self._zeros(*shape) if "map" in wanted else None for _ in range(2))

    @property
    def wanted(self) -> bool:
        """Whether strips are needed at all."""
        return self._summed or self._largest

    def strips(self, programs: int) -> tuple[Tensor | None, Tensor | None]:
        """Return room for sums and maxima, zeros where the programs come by nothing."""

        def zeros(wanted: bool) -> Tensor | None:
            return self._query.new_zeros((programs, self._sizes.keys), dtype=torch.float32) if wanted else None

        return zeros(self._summed), zeros(self._largest)

    def add(self, pairs: range, blocks: range, cut: Cut, total: Tensor | None, largest: Tensor | None) -> None:
        """Take in the strips of some pairs and blocks, whole cells of queries."""
        some = slice(pairs.start, pairs.stop)
        rows = slice(blocks.start // cut.per_cell, blocks.stop // cut.per_cell)
        shape = (len(pairs), -1, cut.per_cell, self._sizes.keys)
        if total is not None:
            total = total.view(shape).sum(2)
            if self.received is not None:
                self.received.flatten(0, 1)[some] += total.sum(1)
            if self._sums is not None:
                self._sums.flatten(0, 1)[some, rows] = self._pooled(total).sum(-1)
        if largest is not None:
            largest = largest.view(shape).amax(2)
            if self.received_max is not None:
                into = self.received_max.flatten(0, 1)[some]
                torch.maximum(into, largest.amax(1), out=into)
            if self._peaks is not None:
                self._peaks.flatten(0, 1)[some, rows] = self._pooled(largest).amax(-1)

    def map(self) -> PooledMap | None:
        """Return the map with axes (B, H, rows, columns)."""
        if self._sums is None or self._peaks is None:
            return None
        rows, columns = (
            cell_sizes(count, cell, self._query.device)
            for count, cell in zip((self._sizes.queries, self._sizes.keys), self._cells, strict=True)
        )
        return PooledMap(self._sums / (rows.unsqueeze(-1) * columns), self._peaks, *self._cells)

    def _zeros(self, *shape: int) -> Tensor:
        return self._query.new_zeros((self._sizes.batch, self._sizes.heads, *shape), dtype=torch.float32)

    def _pooled(self, strip: Tensor) -> Tensor:
        """Return a strip with its keys in cells on an axis of their own, the last one filled with zeros."""
        padded = torch.nn.functional.pad(strip, (0, -self._sizes.keys % self._cells[1]))
        return padded.view(*strip.shape[:-1], -1, self._cells[1])


def cell_sizes(positions: int, cell: int, device: torch.device) -> Tensor:
    """Return how many positions each cell spans: so many, and the last what is left."""
    starts = torch.arange(0, positions, cell, device=device)
    return (positions - starts).clamp(max=cell)
