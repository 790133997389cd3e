"""Any mechanism in O(n) memory: complete rows of a few queries at a time, made again for the gradient.

A strip is a range of queries of some (batch, head) pairs against all the keys that they may see. Forward, each
strip is computed by the formula and dropped; backward, it is computed once more and differentiated there. A second
derivative goes through all strips together, and holds the matrix.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from regard.engines.contract import Computed, Problem
from regard.engines.formula import Rows, dense_rows, rows
from regard.engines.log_weights import with_sink
from regard.engines.pairs import chunks, of_pairs, pair_chunks
from regard.engines.parameters import Remembered, check_functions, differentiated
from regard.mechanisms.grid import Blocks, Grid
from regard.mechanisms.masks.rule import Full, Tile
from regard.mechanisms.masks.tiles import bounded
from regard.mechanisms.weighing import Hard
from regard.shapes import compute_dtype

# How many scores are held at a time; there are a few tensors of this size.
ELEMENTS = 1 << 20

# Keys that nobody in a strip may see are left out by so many.
_KEYS = 256

_MOST_ROWS = 512


@dataclass(frozen=True)
class Strip:
    """Some pairs, some queries, and the range of keys that they may see."""

    pairs: range
    queries: slice
    keys: slice


def memory(problem: Problem) -> int:
    """Return the bytes of a strip's scores, weights and what lies between."""
    sizes = problem.sizes
    elements = min(sizes.pairs, max(ELEMENTS, sizes.keys))
    return 6 * elements * (8 if problem.query.dtype == torch.float64 else 4)


def run(problem: Problem) -> Computed:
    """Compute a problem strip by strip; inputs are finite."""
    if problem.wants_grad or problem.parameters:
        check_functions(problem)
        given = (problem.query, problem.key, problem.value, *problem.parameters)
        output, lse, log_probability, chosen = _Strips.apply(problem, *given)  # type: ignore[no-untyped-call]
        return _computed(problem, output, lse, log_probability, chosen)
    return _computed(problem, *_forward(problem))


def _computed(problem: Problem, output: Tensor, lse: Tensor, log_probability: Tensor, chosen: Tensor) -> Computed:
    chooses = isinstance(problem.mechanism.weighing, Hard)
    return Computed(
        output,
        lse if problem.is_softmax else None,
        log_probability if chooses else None,
        chosen if chooses else None,
    )


class _Strips(torch.autograd.Function):
    """Strips forward, strips made again backward."""

    @staticmethod
    def forward(ctx: Any, problem: Problem, *given: Tensor) -> tuple[Tensor, ...]:
        ctx.remembered = Remembered.of(problem)
        ctx.save_for_backward(*given)
        results = _forward(problem)
        ctx.mark_non_differentiable(results[1], results[3])
        return results

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return None, *gradients(ctx.remembered, ctx.saved_tensors, grads[0], grads[2])


def gradients(
    remembered: Remembered, given: Sequence[Tensor], d_output: Tensor, d_log_probability: Tensor | None
) -> list[Tensor | None]:
    """Return the gradients of query, key, value and the mechanism's parameters, in the order given."""
    query, key, value, *parameters = given
    problem = remembered.problem(query, key, value)
    with torch.autocast(problem.device.type, enabled=False):
        if torch.is_grad_enabled():
            return _twice_differentiable(problem, given, d_output, d_log_probability)
        return _Gradients(problem, parameters).of(d_output, d_log_probability)


def _forward(problem: Problem) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    sizes, dtype = problem.sizes, compute_dtype(problem.query.dtype)
    lead = (sizes.batch * sizes.heads, sizes.queries)
    output = problem.query.new_zeros((*lead, sizes.value_width))
    nothing = problem.query.new_full((sizes.batch, sizes.heads, sizes.queries), -torch.inf, dtype=dtype)
    lse = with_sink(problem, nothing).detach().reshape(lead).clone()
    log_probability = problem.query.new_zeros(lead, dtype=dtype)
    chosen = torch.full(lead, -1, dtype=torch.long, device=problem.device)
    for strip in _strips(problem):
        part = _rows(problem, strip, *_vectors(problem, strip, dtype))
        place = (slice(strip.pairs.start, strip.pairs.stop), strip.queries)
        output[place] = part.output.to(output.dtype)
        for whole, piece in zip(
            (lse, log_probability, chosen),
            (part.weighed.lse, part.weighed.log_probability, part.weighed.chosen),
            strict=True,
        ):
            if piece is not None:
                whole[place] = piece.to(whole.dtype)
    shape = (sizes.batch, sizes.heads, sizes.queries)
    return output.view(*shape, sizes.value_width), lse.view(shape), log_probability.view(shape), chosen.view(shape)


def _rows(problem: Problem, strip: Strip, Q: Tensor, K: Tensor, V: Tensor) -> Rows:
    grid = Grid.of(strip.pairs, strip.queries, strip.keys, problem.sizes, problem.device)
    return rows(problem, Q, K, V, grid)


def _vectors(problem: Problem, strip: Strip, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Return the strip's queries, keys and values, once a (batch, head) pair, in the type of the computation."""
    sizes = problem.sizes
    Q = of_pairs(problem.query, strip.pairs, sizes)[:, strip.queries]
    K, V = (of_pairs(t, strip.pairs, sizes)[:, strip.keys] for t in (problem.key, problem.value))
    return Q.to(dtype), K.to(dtype), V.to(dtype)


def _strips(problem: Problem) -> Iterator[Strip]:
    """Yield strips that cover all that may be seen, each with the range of keys that its queries may see."""
    sizes = problem.sizes
    if not sizes.pairs:
        return
    height = max(1, min(_MOST_ROWS, sizes.queries, ELEMENTS // sizes.keys))
    ranges = _seen_keys(problem, height)
    for pairs in pair_chunks(sizes, ELEMENTS // (height * sizes.keys)):
        for queries, keys in zip(chunks(sizes.queries, height), ranges, strict=True):
            if keys.stop > keys.start:
                yield Strip(pairs, queries, keys)


def _seen_keys(problem: Problem, height: int) -> list[slice]:
    """Return, for each range of queries, the keys from the first to the last that any of them may see."""
    sizes = problem.sizes
    ranges = chunks(sizes.queries, height)
    if isinstance(problem.mask, Full):
        return [slice(0, sizes.keys)] * len(ranges)
    kinds = bounded(problem.mask, Blocks.of(sizes, height, _KEYS))
    seen = (kinds != Tile.EMPTY).any(0).any(0)
    found = [row.nonzero().flatten() for row in seen]
    return [
        slice(int(row[0]) * _KEYS, min(sizes.keys, (int(row[-1]) + 1) * _KEYS)) if len(row) else slice(0, 0)
        for row in found
    ]


class _Gradients:
    """Gradients added up strip by strip."""

    def __init__(self, problem: Problem, parameters: Sequence[Tensor]) -> None:
        self._problem, self._parameters = problem, parameters
        sizes, dtype = problem.sizes, compute_dtype(problem.query.dtype)
        keys = (sizes.batch * sizes.key_heads, sizes.keys)
        self._query = problem.query.new_zeros((sizes.batch * sizes.heads, sizes.queries, sizes.width), dtype=dtype)
        self._key = problem.query.new_zeros((*keys, sizes.width), dtype=dtype)
        self._value = problem.query.new_zeros((*keys, sizes.value_width), dtype=dtype)
        self._others: list[Tensor | None] = [None] * len(parameters)

    def of(self, d_output: Tensor, d_log_probability: Tensor | None) -> list[Tensor | None]:
        """Return the gradients, given those of the output and of the log-probability of what was chosen."""
        problem = self._problem
        rows_shape = (problem.sizes.batch * problem.sizes.heads, problem.sizes.queries)
        d_output = d_output.reshape(*rows_shape, problem.sizes.value_width)
        if d_log_probability is not None:
            d_log_probability = d_log_probability.reshape(rows_shape)
        for strip in _strips(problem):
            self._add(strip, d_output, d_log_probability)
        given = (problem.query, problem.key, problem.value)
        found = (self._query, self._key, self._value)
        shaped = [new.view(old.shape).to(old.dtype) for new, old in zip(found, given, strict=True)]
        others = [
            None if new is None else new.to(old.dtype)
            for new, old in zip(self._others, self._parameters, strict=True)
        ]
        return [*shaped, *others]

    def _add(self, strip: Strip, d_output: Tensor, d_log_probability: Tensor | None) -> None:
        problem, dtype = self._problem, self._query.dtype
        place = (slice(strip.pairs.start, strip.pairs.stop), strip.queries)
        Q, K, V = (t.detach().requires_grad_() for t in _vectors(problem, strip, dtype))
        with torch.enable_grad():
            part = _rows(problem, strip, Q, K, V)
        results, grads = [part.output], [d_output[place].to(dtype)]
        if part.weighed.log_probability is not None and d_log_probability is not None:
            results.append(part.weighed.log_probability)
            grads.append(d_log_probability[place].to(dtype))
        (dQ, dK, dV), others = differentiated(results, [Q, K, V], self._parameters, grads)
        if dQ is not None:
            self._query[place] = dQ
        self._to_keys(self._key, strip, dK)
        self._to_keys(self._value, strip, dV)
        for index, other in enumerate(others):
            if other is not None:
                old = self._others[index]
                # Thousands of strips add up to more than a half type resolves.
                wide = other.to(torch.promote_types(other.dtype, torch.float32))
                self._others[index] = wide if old is None else old + wide

    def _to_keys(self, whole: Tensor, strip: Strip, part: Tensor | None) -> None:
        """Add the gradient of a strip's keys, one a query head, to that of the key heads."""
        if part is None:
            return
        sizes = self._problem.sizes
        pair = torch.arange(strip.pairs.start, strip.pairs.stop, device=part.device)
        key_pair = pair // sizes.heads * sizes.key_heads + pair % sizes.heads // sizes.group
        whole[:, strip.keys].index_add_(0, key_pair, part)


def _twice_differentiable(
    problem: Problem, given: Sequence[Tensor], d_output: Tensor, d_log_probability: Tensor | None
) -> list[Tensor | None]:
    """Return gradients that can be differentiated again, from the graph of all rows at once."""
    part = dense_rows(problem)
    results, grads = [part.output.to(d_output.dtype)], [d_output]
    if part.weighed.log_probability is not None and d_log_probability is not None:
        results.append(part.weighed.log_probability)
        grads.append(d_log_probability)
    wanted = [each for each in given if each.requires_grad]
    found = iter(torch.autograd.grad(results, wanted, grads, create_graph=True, allow_unused=True))
    return [next(found) if each.requires_grad else None for each in given]
