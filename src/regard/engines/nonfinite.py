"""NaN and infinity in the inputs: they reach exactly the queries that may see them, on every engine.

A matrix product lets a masked NaN through, since 0 * NaN is NaN. So engines compute on inputs in which such
vectors are zero, and afterwards every query that may see one of them gets a NaN output and log-sum-exp.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from regard.engines.contract import Computed, Problem
from regard.mechanisms.grid import Grid
from regard.mechanisms.masks.bands import Band
from regard.mechanisms.masks.rule import Full

# How many pairs of positions are asked of a mask at a time.
_AT_ONCE = 1 << 20


@dataclass(frozen=True, eq=False)
class Cleaned:
    """A problem with finite inputs, and the rows (B, H, Nq) that must become NaN, or None for none."""

    problem: Problem
    poisoned: Tensor | None

    def restore(self, computed: Computed) -> Computed:
        """Return the result with NaN where a query may see what was cleaned away."""
        if self.poisoned is None:
            return computed
        poisoned, lse, log_probability = self.poisoned, computed.lse, computed.log_probability
        return replace(
            computed,
            output=computed.output.masked_fill(poisoned.unsqueeze(-1), torch.nan),
            lse=None if lse is None else lse.masked_fill(poisoned, torch.nan),
            chosen=None if computed.chosen is None else computed.chosen.masked_fill(poisoned, -1),
            log_probability=None if log_probability is None else log_probability.masked_fill(poisoned, torch.nan),
        )


def guarded(problem: Problem, compute: Callable[[Problem], Computed]) -> Computed:
    """Return what a fused kernel computes of a problem, with NaN for exactly the queries that may see a bad vector.

    Values need no look of their own where no gradient could meet those that are masked: the kernel multiplies each
    value that a query sees by its weight, be it 0, and NaN or infinity comes of that. So a finite output proves
    that no query saw a bad value, and it is smaller than the values where queries are few, as in generation. Keys
    need one: infinity may make a score of -inf, which leaves no trace.
    """
    spares_values = isinstance(problem.mask, Full) or not problem.wants_grad
    if spares_values and not torch.compiler.is_compiling() and _finite(problem.query) and _finite(problem.key):
        computed = compute(problem)
        if _finite(computed.output):
            return computed
    cleaned = clean(problem)
    return cleaned.restore(compute(cleaned.problem))


def clean(problem: Problem) -> Cleaned:
    """Return the problem with non-finite queries, keys and values set to zero."""
    given = (problem.query, problem.key, problem.value)
    if torch.compiler.is_compiling():
        return _cleaned(problem, _poisoned_at_once)
    if all(_finite(tensor) for tensor in given):
        return Cleaned(problem, None)
    return _cleaned(problem, _poisoned)


def _cleaned(problem: Problem, poisoned: Callable[[Problem, Tensor, Tensor], Tensor]) -> Cleaned:
    given = (problem.query, problem.key, problem.value)
    bad_query, bad_key, bad_value = ((~torch.isfinite(t)).any(-1) for t in given)
    query, key, value = (
        t.masked_fill(bad.unsqueeze(-1), 0.0) for t, bad in zip(given, (bad_query, bad_key, bad_value), strict=True)
    )
    bad_pair = bad_key | bad_value
    return Cleaned(replace(problem, query=query, key=key, value=value), poisoned(problem, bad_query, bad_pair))


def _finite(tensor: Tensor) -> bool:
    """Whether all entries are finite; a finite sum proves it, at the price of one pass and no memory."""
    wide = torch.float32 if tensor.dtype == torch.float16 else None
    return math.isfinite(tensor.detach().sum(dtype=wide).item()) or bool(torch.isfinite(tensor).all())


def _poisoned(problem: Problem, bad_query: Tensor, bad_key: Tensor) -> Tensor:
    """Return (B, H, Nq): the query itself is bad and sees some key, or it may see a bad key."""
    sizes, device = problem.sizes, problem.device
    bad_key = bad_key.repeat_interleave(sizes.group, dim=1)
    rows = torch.zeros((sizes.batch * sizes.heads, sizes.queries), dtype=torch.bool, device=device)
    bad_query, bad_key = bad_query.reshape(rows.shape), bad_key.reshape(rows.shape[0], sizes.keys)
    everyone = torch.arange(sizes.queries, device=device)
    every_key = torch.arange(sizes.keys, device=device)
    for pair in range(rows.shape[0]):
        keys, queries = every_key[bad_key[pair]], everyone[bad_query[pair]]
        for whole, seen in ((everyone, keys), (queries, every_key)):
            for asked in whole.split(max(1, _AT_ONCE // max(1, seen.numel()))):
                allowed = problem.mask.allowed(Grid.of(range(pair, pair + 1), asked, seen, sizes, device))
                rows[pair, asked] |= allowed.expand(1, asked.numel(), seen.numel())[0].any(-1)
    return rows.view(sizes.batch, sizes.heads, sizes.queries)


def _poisoned_at_once(problem: Problem, bad_query: Tensor, bad_key: Tensor) -> Tensor:
    """Return the same in operations that a compiler can follow: no branch depends on numbers."""
    sizes, mask = problem.sizes, problem.mask
    bad_key = bad_key.repeat_interleave(sizes.group, dim=1)
    if not sizes.keys:
        return torch.zeros_like(bad_query)
    if isinstance(mask, Full):
        return bad_query | bad_key.any(-1, keepdim=True)
    if mask == Band(None, 0, "first"):
        last = torch.arange(sizes.queries, device=problem.device).clamp(max=sizes.keys - 1)
        return bad_query | (bad_key.cumsum(-1) > 0)[..., last]
    allowed = mask.dense(sizes, device=problem.device)
    return (bad_query & allowed.any(-1)) | (allowed & bad_key.unsqueeze(-2)).any(-1)
