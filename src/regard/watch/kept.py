"""Weights on demand: with queries, keys and log-sum-exp kept, any weight can be made again exactly."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from regard.engines.contract import Problem
from regard.engines.log_weights import LogWeights, chunks, pair_chunks

# How many weights are made at a time.
_AT_ONCE = 1 << 20


@dataclass(frozen=True, eq=False)
class TopKeys:
    """The keys that each query attends to most, strongest first.

    Attributes:
        keys: (B, H, Nq, k) positions; -1 where a query has fewer than k keys with any weight.
        weights: (B, H, Nq, k), 0 there.
    """

    keys: Tensor
    weights: Tensor


@dataclass(frozen=True, eq=False)
class Kept:
    """A copy of a call's queries and keys, and its log-sum-exp.

    Attributes:
        problem: the call; its tensors are copies, so that caches written in place do not change it.
        lse: (B, H, Nq).
    """

    problem: Problem
    lse: Tensor

    @classmethod
    def of(cls, problem: Problem, lse: Tensor) -> "Kept":
        """Copy what is needed of a call; values are not, only their shape stays."""
        value = problem.value.new_empty(()).expand(problem.value.shape)
        return cls(replace(problem, query=problem.query.clone(), key=problem.key.clone(), value=value), lse)

    @torch.no_grad()
    def rows(self, queries: Tensor, keys: Tensor | None = None) -> Tensor:
        """Return the weights (B, H, n, m) of chosen queries on chosen keys (default: all)."""
        parts = [torch.exp2(weights.rows(queries, keys)) for _, weights in self._chunks(len(queries))]
        return self._shaped(torch.cat(parts) if parts else self.lse.new_zeros((0, len(queries), 0)))

    @torch.no_grad()
    def top(self, k: int) -> TopKeys:
        """Return the k keys that each query attends to most."""
        sizes = self.problem.sizes
        k = min(k, sizes.keys)
        rows = (sizes.batch * sizes.heads, sizes.queries, k)
        keys, weights = self.lse.new_full(rows, -1, dtype=torch.long), self.lse.new_zeros(rows)
        for queries in chunks(sizes.queries, max(1, _AT_ONCE // max(1, sizes.keys))):
            index = torch.arange(queries.start, queries.stop, device=self.lse.device)
            for pairs, part in self._chunks(len(index)):
                best = torch.exp2(part.rows(index)).topk(k, dim=-1)
                weights[pairs, queries] = best.values
                keys[pairs, queries] = best.indices.masked_fill(best.values == 0, -1)
        return TopKeys(self._shaped(keys), self._shaped(weights))

    @torch.no_grad()
    def mass(self, keys: Tensor) -> Tensor:
        """Return the weight (B, H, Nq) that each query puts on a set of keys together."""
        sizes = self.problem.sizes
        mass = self.lse.new_zeros((sizes.batch * sizes.heads, sizes.queries))
        for queries in chunks(sizes.queries, max(1, _AT_ONCE // max(1, len(keys)))):
            index = torch.arange(queries.start, queries.stop, device=self.lse.device)
            for pairs, part in self._chunks(len(index), max(1, len(keys))):
                mass[pairs, queries] = torch.exp2(part.rows(index, keys)).sum(-1)
        return self._shaped(mass)

    @torch.no_grad()
    def diagonal(self, offset: int) -> Tensor:
        """Return the weight (B, H, n) of each query i on key i + offset, for those i that have such a key."""
        sizes = self.problem.sizes
        start, stop = max(0, -offset), min(sizes.queries, sizes.keys - offset)
        queries = torch.arange(start, max(start, stop), device=self.lse.device)
        parts = [torch.exp2(part.along(queries, queries + offset)) for _, part in self._chunks(1)]
        return self._shaped(torch.cat(parts))

    def _chunks(self, queries: int, keys: int | None = None) -> Iterator[tuple[slice, LogWeights]]:
        """Go through the (batch, head) pairs, as many at a time as make not too many weights."""
        sizes = self.problem.sizes
        width = max(1, queries * (sizes.keys if keys is None else keys))
        for pairs in pair_chunks(sizes, _AT_ONCE // width):
            yield slice(pairs.start, pairs.stop), LogWeights.of(self.problem, pairs, self.lse)

    def _shaped(self, tensor: Tensor) -> Tensor:
        return tensor.view(self.problem.sizes.batch, self.problem.sizes.heads, *tensor.shape[1:])
