"""Softmax attention by torch's fused kernel, block by block, as a plan says; results join as partials.

Forward, a block of queries visits its full tiles without a mask and its partial tiles with one, and the two results
join by their log-sum-exps. Backward, the share of a visit in the gradient follows from the output and log-sum-exp
of the whole (Dao et al. 2022, "FlashAttention", appendix B): the kernel's own backward, given these instead of the
visit's, returns exactly that share.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from regard.engines import strips
from regard.engines.contract import Computed, Problem
from regard.engines.formula import written_out
from regard.engines.kernel import call_kernel, call_kernel_backward
from regard.engines.large_rows import LARGE
from regard.engines.log_weights import with_sink
from regard.engines.parameters import Remembered
from regard.engines.partial import Partial
from regard.engines.plan import Added, Plan, Visit, planned
from regard.engines.vectors import as_multiplied, in_rows, repeated
from regard.mechanisms.grid import Grid, Positions, count
from regard.mechanisms.masks.bands import Band
from regard.mechanisms.scores import Dot
from regard.shapes import compute_dtype

# How many numbers are added to scores at a time.
_NUMBERS = 1 << 23


def run(problem: Problem) -> Computed:
    """Compute softmax over dot products with any mask and bias on the CPU; inputs are finite."""
    output, lse = _Tiles.apply(problem, problem.query, problem.key, problem.value, *problem.parameters)  # type: ignore[no-untyped-call]
    return Computed(output, lse)


class _Tiles(torch.autograd.Function):
    """Visits forward, the same visits backward; strips where parameters or second derivatives are asked for."""

    @staticmethod
    def forward(ctx: Any, problem: Problem, *given: Tensor) -> tuple[Tensor, Tensor]:
        calls = _Calls.of(problem)
        output, lse = calls.forward()
        output = output.to(problem.query.dtype)
        ctx.remembered, ctx.plan = Remembered.of(problem), calls.plan
        ctx.save_for_backward(output, lse, *given)
        ctx.mark_non_differentiable(lse)
        return output, lse

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        output, lse, *given = ctx.saved_tensors
        if torch.is_grad_enabled() or len(given) > 3 or _is_large(lse):
            return None, *strips.gradients(ctx.remembered, given, grads[0], None)
        query, key, value = given
        calls = _Calls.of(ctx.remembered.problem(query, key, value), ctx.plan)
        return None, *calls.backward(grads[0], output, lse)


@dataclass(frozen=True, eq=False)
class _Calls:
    """The kernel's calls for one problem.

    Attributes:
        problem: the call, its vectors all of one width and in rows.
        given: the call as it was given.
        plan: the visits.
    """

    problem: Problem
    given: Problem
    plan: Plan

    @classmethod
    def of(cls, given: Problem, visits: Plan | None = None) -> "_Calls":
        """Prepare vectors."""
        sizes = given.sizes
        width = max(sizes.width, sizes.value_width)
        query, key, value = (
            in_rows(as_multiplied(t.detach()), width) for t in (given.query, given.key, given.value)
        )
        mechanism = replace(given.mechanism, score=Dot(given.scale))
        problem = Problem(query, key, value, mechanism)
        return cls(problem, given, visits or planned(given.mask, sizes, given.device))

    def forward(self) -> tuple[Tensor, Tensor]:
        """Return output (B, H, Nq, Dv) and log-sum-exp (B, H, Nq)."""
        problem, sizes = self.problem, self.given.sizes
        dtype = compute_dtype(problem.query.dtype)
        rows = (sizes.batch, sizes.heads, sizes.queries)
        output = problem.query.new_zeros((*rows, problem.sizes.value_width))
        lse = problem.query.new_full(rows, -torch.inf, dtype=dtype)
        for run in self.plan.runs:
            if len(run) > 1 and not problem.adds:
                self._forward_run(run, output, lse)
            else:
                for visit in self._cut(run):
                    self._forward_visit(visit, output, lse)
        output = output[..., : sizes.value_width]
        if problem.sums_to_one:
            return output, lse
        with_all = with_sink(problem, lse).detach()
        return output * torch.exp(lse - with_all).unsqueeze(-1), with_all

    def _forward_visit(self, visit: Visit, output: Tensor, lse: Tensor) -> None:
        """Compute a visit, or join it to what earlier visits of its queries gave."""
        parts = [self._partial(visit, keys, masked) for keys, masked in _parts(visit)]
        place = (visit.batch, visit.heads, visit.queries)
        parts += [Partial(output[place], lse[place])] if visit.again else []
        whole = reduce(Partial.join, parts)
        output[place], lse[place] = whole.output, whole.lse

    def _forward_run(self, run: tuple[Visit, ...], output: Tensor, lse: Tensor) -> None:
        """Compute visits that repeat along the diagonal in one call of the kernel a batch item."""
        problem, along = self.problem, _Along.of(run)
        added = self._added(run[0], along.keys)
        for item in range(problem.sizes.batch):
            query = along.of_queries(problem.query[item])
            key, value = (along.of_keys(t[item]) for t in (problem.key, problem.value))
            part = _seen(*call_kernel(query, key, value, added.numbers, False, problem.scale), added)
            along.of_queries(output[item]).copy_(part.output)
            along.of_queries(lse[item].unsqueeze(-1)).copy_(part.lse.unsqueeze(-1))

    def _partial(self, visit: Visit, keys: Positions, masked: bool) -> Partial:
        """Return attention of a visit's queries over a part of its keys."""
        query, key, value = self._vectors(visit, keys)
        added = self._added(visit, keys) if masked or self.problem.adds else Added()
        return _seen(*call_kernel(query, key, value, added.numbers, False, self.problem.scale), added)

    def backward(self, d_output: Tensor, output: Tensor, lse: Tensor) -> Iterator[Tensor]:
        """Return the gradients of query, key and value, given the output and log-sum-exp of the whole."""
        problem, given = self.problem, self.given
        dtype = compute_dtype(problem.query.dtype)
        width = problem.sizes.width
        d_output, output = (in_rows(t.to(problem.query.dtype), width) for t in (d_output, output))
        # A query that sees no key has weights exp(-inf - lse) = 0 only if its log-sum-exp is a number.
        lse = lse.masked_fill(lse == -torch.inf, 0.0)
        vectors = (problem.query, problem.key, problem.value)
        found = _Found(*(torch.zeros(t.shape, dtype=dtype, device=t.device) for t in vectors))
        whole = _Whole(d_output, output, lse)
        # One by one even in a run: what the kernel gives for overlapping keys would be as large as all of them.
        for visit in self._cut(self.plan.visits):
            self._backward_visit(visit, whole, found)
        return (
            new[..., : old.shape[-1]].to(old.dtype)
            for new, old in zip(found.all, (given.query, given.key, given.value), strict=True)
        )

    def _backward_visit(self, visit: Visit, whole: "_Whole", found: "_Found") -> None:
        """Add a visit's share to the gradients."""
        place = (visit.batch, visit.heads, visit.queries)
        heads = _key_heads(visit, self.problem)
        for keys, masked in _parts(visit):
            vectors = self._vectors(visit, keys)
            added = self._added(visit, keys).numbers if masked or self.problem.adds else None
            d_query, d_key, d_value = call_kernel_backward(
                whole.d_output[place], *vectors, whole.output[place], whole.lse[place], added, self.problem.scale
            )
            found.query[place] += d_query
            _add(found.key[visit.batch, heads], keys, d_key)
            _add(found.value[visit.batch, heads], keys, d_value)

    def _cut(self, visits: tuple[Visit, ...]) -> Iterator[Visit]:
        """Yield visits, in pieces where what is added would be large: it is written out for all of their keys."""
        for visit in visits:
            keys = max(count(keys) for keys, _ in _parts(visit))
            height = max(1, _NUMBERS // max(1, self.problem.sizes.batch * self.problem.sizes.heads * keys))
            whole = visit.queries
            if not self.problem.adds or whole.stop - whole.start <= height:
                yield visit
                continue
            for start in range(whole.start, whole.stop, height):
                yield replace(visit, queries=slice(start, min(start + height, whole.stop)))

    def _vectors(self, visit: Visit, keys: Positions) -> tuple[Tensor, Tensor, Tensor]:
        problem, heads = self.problem, _key_heads(visit, self.problem)
        key, value = (t[visit.batch, heads][:, :, keys] for t in (problem.key, problem.value))
        return problem.query[visit.batch, visit.heads, visit.queries], key, value

    def _added(self, visit: Visit, keys: Positions) -> Added:
        """Return what is added to the scores of a visit's queries and keys, the mask included."""
        if self.problem.adds:
            return self._made(visit, keys)
        return self.plan.added.get(self._place(visit, keys), lambda: self._made(visit, keys))

    def _place(self, visit: Visit, keys: Positions) -> tuple[object, ...]:
        """Return what the mask of a visit depends on; masks of bands repeat along the diagonal."""
        queries, dtype = visit.queries, self.problem.query.dtype
        if isinstance(self.problem.mask, Band) and isinstance(keys, slice):
            gap, wide = keys.start - queries.start, keys.stop - keys.start
            return gap, wide, queries.stop - queries.start, dtype
        return visit.batch.start, visit.heads.start, queries.start, dtype

    def _made(self, visit: Visit, keys: Positions) -> Added:
        problem = self.problem
        grid = Grid.rectangle(visit.queries, keys, problem.sizes, problem.device, visit.batch, visit.heads)
        # The CPU's kernel takes masks in the type it computes in, where the least half number is no limit.
        added = written_out(problem, grid, compute_dtype(problem.query.dtype)).detach()
        added = added.expand(*added.shape[:-2], visit.queries.stop - visit.queries.start, count(keys))
        blind = added.amax(-1) == -torch.inf
        return Added(added, blind if bool(blind.any()) else None)


@dataclass(frozen=True, eq=False)
class _Whole:
    """What the backward pass is given of the whole, -inf in the log-sum-exp replaced."""

    d_output: Tensor
    output: Tensor
    lse: Tensor


@dataclass(frozen=True, eq=False)
class _Found:
    """Gradients, added up in place."""

    query: Tensor
    key: Tensor
    value: Tensor

    @property
    def all(self) -> tuple[Tensor, Tensor, Tensor]:
        """The three."""
        return self.query, self.key, self.value


@dataclass(frozen=True)
class _Along:
    """Where the visits of a run stand: the first one's queries and keys, moved on by its height each time."""

    queries: slice
    keys: slice
    count: int

    @classmethod
    def of(cls, run: tuple[Visit, ...]) -> "_Along":
        """Read a run."""
        keys = run[0].masked
        return cls(run[0].queries, keys if isinstance(keys, slice) else slice(0, 0), len(run))

    def of_queries(self, tensor: Tensor) -> Tensor:
        """Return a view (visits, H, queries, D) of something (H, Nq, D)."""
        return self._of(tensor, self.queries)

    def of_keys(self, tensor: Tensor) -> Tensor:
        """Return a view (visits, G, keys, D) of something (G, Nk, D)."""
        return self._of(tensor, self.keys)

    def _of(self, tensor: Tensor, first: slice) -> Tensor:
        step = self.queries.stop - self.queries.start
        return repeated(tensor, first.start, first.stop - first.start, step, self.count)


def _seen(output: Tensor, lse: Tensor | None, added: Added) -> Partial:
    """Return what the kernel gave, put right for queries that see none of the keys."""
    assert lse is not None
    if added.blind is None:
        return Partial(output, lse)
    return Partial(output.masked_fill(added.blind.unsqueeze(-1), 0.0), lse.masked_fill(added.blind, -torch.inf))


def _is_large(lse: Tensor) -> bool:
    """Whether some log-sum-exp is so large that the kernel's gradient is wrong; see `large_rows`."""
    return bool((lse.isfinite() & (lse.abs() > LARGE)).any())


def _parts(visit: Visit) -> Iterator[tuple[Positions, bool]]:
    """Yield the keys of a visit, and whether they need a mask."""
    if visit.free is not None:
        yield visit.free, False
    if visit.masked is not None:
        yield visit.masked, True


def _key_heads(visit: Visit, problem: Problem) -> slice:
    """Return the key heads that a visit's query heads read."""
    group = problem.sizes.group
    return slice(visit.heads.start // group, (visit.heads.stop - 1) // group + 1)


def _add(whole: Tensor, keys: Positions, part: Tensor) -> None:
    """Add the gradient of some keys to that of all."""
    if isinstance(keys, slice):
        whole[:, :, keys] += part
    else:
        whole.index_add_(2, keys, part.to(whole.dtype))
