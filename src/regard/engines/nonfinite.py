"""NaN and infinity in the inputs: they reach exactly the queries that may see them, on every engine.

A matrix product lets a masked NaN through, since 0 * NaN is NaN. So engines compute on inputs in which such
vectors are zero, and afterwards every query that may see one of them gets a NaN output and log-sum-exp.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from regard.engines.contract import Problem
from regard.engines.partial import Partial
from regard.mechanisms.grid import Grid

# How many pairs of positions are asked of a mask at a time.
_AT_ONCE = 1 << 20


@dataclass(frozen=True, eq=False)
class Cleaned:
    """A problem with finite inputs, and the rows (B, H, Nq) that must become NaN, or None for none."""

    problem: Problem
    poisoned: Tensor | None

    def restore(self, partial: Partial) -> Partial:
        """Return the result with NaN where a query may see what was cleaned away."""
        if self.poisoned is None:
            return partial
        return Partial(
            output=partial.output.masked_fill(self.poisoned.unsqueeze(-1), torch.nan),
            lse=partial.lse.masked_fill(self.poisoned, torch.nan),
        )


def clean(problem: Problem) -> Cleaned:
    """Return the problem with non-finite queries, keys and values set to zero."""
    given = (problem.query, problem.key, problem.value)
    if all(_finite(tensor) for tensor in given):
        return Cleaned(problem, None)
    bad_query, bad_key, bad_value = ((~torch.isfinite(t)).any(-1) for t in given)
    query, key, value = (
        t.masked_fill(bad.unsqueeze(-1), 0.0) for t, bad in zip(given, (bad_query, bad_key, bad_value), strict=True)
    )
    bad_pair = bad_key | bad_value
    return Cleaned(replace(problem, query=query, key=key, value=value), _poisoned(problem, bad_query, bad_pair))


def _finite(tensor: Tensor) -> bool:
    """Whether all entries are finite; a finite sum proves it, at the price of one pass and no memory."""
    total = tensor.detach().sum(dtype=torch.float64 if tensor.dtype == torch.float64 else torch.float32)
    return bool(torch.isfinite(total)) or bool(torch.isfinite(tensor).all())


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
