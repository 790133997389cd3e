"""Weights on demand: with queries, keys and log-sum-exp kept, any weight can be made again exactly."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from regard.engines.contract import Problem
from regard.engines.log_weights import LogWeights
from regard.engines.pairs import chunks, pair_chunks, subranges
from regard.mechanisms.masks.mods import BlockRule, MaskMod
from regard.mechanisms.modifiers import ScoreMod
from regard.mechanisms.walk import parts_in, tensors_in, with_tensors
from regard.watch.records.key_store import Held, Stretch
from regard.watch.visible import visible

# How many weights are made at a time.
_AT_ONCE = 1 << 20


@dataclass(frozen=True, eq=False)
class TopKeys:
    """The keys that each query attends to most, strongest first.

    Attributes:
        keys: (B, H, Nq, k) positions; -1 where a query has fewer than k keys with any weight.
        weights: (B, H, Nq, k), 0 there.
    """

    keys: Int[Tensor, "B H Nq k"]
    weights: Float[Tensor, "B H Nq k"]


@dataclass(eq=False)
class Gradient:
    """Where the gradient of a call's output stands, once the backward pass has come by.

    Attributes:
        output: (B, H, Nq, Dv), or None before.
    """

    output: Float[Tensor, "B H Nq Dv"] | None = None


@dataclass(frozen=True, eq=False)
class Kept:
    """A copy of a call's queries and keys, and its log-sum-exp.

    Attributes:
        problem: the call; its tensors are copies, so that caches written in place do not change it.
        lse: (B, H, Nq).
        has_values: whether the values are there; if not, only their shape is.
        gradient: where the gradient of the output goes once it is computed, if it was asked for.
        stretch: what part of a run of calls this one is, such as the steps of a generation; None for no run.
    """

    problem: Problem
    lse: Float[Tensor, "B H Nq"]
    has_values: bool = False
    gradient: Gradient | None = None
    stretch: Stretch | None = None

    @classmethod
    def of(
        cls,
        problem: Problem,
        lse: Tensor,
        held: Held,
        copy_mask: Callable[[Tensor], Tensor] = torch.clone,
        gradient: Gradient | None = None,
    ) -> "Kept":
        """Copy what is needed of a call.

        Args:
            problem: the call.
            lse: (B, H, Nq).
            held: copies of its keys and values.
            copy_mask: how to copy a tensor that the mechanism holds; calls often share one.
            gradient: where the gradient of the output will go, if it was asked for.
        """
        value = held.value
        if value is None:
            value = without_numbers(problem.value, *problem.value.shape)
        mechanism = with_tensors(problem.mechanism, lambda tensor: copy_mask(tensor.detach()))
        query = problem.query.clone(memory_format=torch.contiguous_format)
        copied = replace(problem, query=query, key=held.key, value=value, mechanism=mechanism)
        return cls(copied, lse.clone(), held.value is not None, gradient, held.stretch)

    @torch.no_grad()
    def rows(self, queries: Int[Tensor, " n"]) -> Float[Tensor, "B H n Nk"]:
        """Return the weights (B, H, n, Nk) of chosen queries on all keys."""
        parts = [_weights(part, queries) for _, part in self._chunks(len(queries))]
        return self._shaped(torch.cat(parts) if parts else self.lse.new_zeros((0, len(queries), 0)))

    @torch.no_grad()
    def strips(self, item: int, queries: Int[Tensor, " n"]) -> Iterator[tuple[slice, slice, Tensor]]:
        """Go through the weights of chosen queries of a batch item, a few at a time.

        Args:
            item: the batch item.
            queries: (n,) positions.

        Returns heads, places among the chosen queries, and the weights (heads, places, Nk) there.
        """
        sizes = self.problem.sizes
        first = item * sizes.heads
        for places in chunks(len(queries), max(1, _AT_ONCE // max(1, sizes.keys))):
            width = max(1, (places.stop - places.start) * sizes.keys)
            for pairs in subranges(range(first, first + sizes.heads), _AT_ONCE // width):
                part = LogWeights.of(self.problem, pairs, self.lse)
                yield slice(pairs.start - first, pairs.stop - first), places, _weights(part, queries[places])

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
                best = _weights(part, index).topk(k, dim=-1)
                weights[pairs, queries] = best.values
                keys[pairs, queries] = best.indices.masked_fill(best.values == 0, -1)
        return TopKeys(self._shaped(keys), self._shaped(weights))

    @torch.no_grad()
    def mass(self, keys: Tensor) -> Tensor:
        """Return the weight (B, H, Nq) that each query puts on a set of keys together."""
        sizes, keys = self.problem.sizes, keys.unique()
        mass = self.lse.new_zeros((sizes.batch * sizes.heads, sizes.queries))
        for queries in chunks(sizes.queries, max(1, _AT_ONCE // max(1, len(keys)))):
            index = torch.arange(queries.start, queries.stop, device=self.lse.device)
            for pairs, part in self._chunks(len(index), max(1, len(keys))):
                mass[pairs, queries] = torch.exp2(part.rows(index, keys)).sum(-1)
        return self._shaped(mass)

    def masses(self, sets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the mass (B, H, Nq) of each named set; positions that the call does not have do not count."""
        count, device = self.problem.sizes.keys, self.lse.device
        return {name: self.mass(keys[keys < count].to(device)) for name, keys in sets.items()}

    @torch.no_grad()
    def along(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Return the weights (B, H, n) of n single pairs of one query and one key each."""
        parts = [torch.exp2(part.along(queries, keys)) for _, part in self._chunks(1)]
        return self._shaped(torch.cat(parts) if parts else self.lse.new_zeros((0, len(queries))))

    @torch.no_grad()
    def joined(self, query_groups: Tensor, key_groups: Tensor, factors: Tensor | None = None) -> Tensor:
        """Return the weights (B, H, query groups, key groups) between groups of positions, as of words.

        The weight on a group is the sum over its keys, that of a group the mean over its queries.

        Args:
            query_groups: (Nq,) number of each query's group, from 0; -1 for none.
            key_groups: (Nk,) number of each key's group, from 0; -1 for none.
            factors: (B, H, Nk) what weights on each key are multiplied by first. Default: 1.
        """
        sizes, like = self.problem.sizes, self.lse
        to_queries, to_keys = _membership(query_groups, like), _membership(key_groups, like)
        to_queries = to_queries / to_queries.sum(0).clamp(min=1)
        out = like.new_zeros((sizes.batch * sizes.heads, to_queries.shape[1], to_keys.shape[1]))
        for queries in chunks(sizes.queries, max(1, _AT_ONCE // max(1, sizes.keys))):
            index = torch.arange(queries.start, queries.stop, device=like.device)
            # Few groups have queries here, so these come first: the keys' groups are many.
            here = to_queries[queries].any(0).nonzero().squeeze(-1)
            to_here = to_queries[queries][:, here].T
            for pairs, part in self._chunks(len(index)):
                P = _weights(part, index)
                P = P if factors is None else P * factors.flatten(0, 1)[pairs].unsqueeze(1).to(P)
                out[pairs, here] += (to_here @ P) @ to_keys
        return self._shaped(out)

    @torch.no_grad()
    def visible(self) -> Tensor:
        """Return how many keys each query may see, (B, H, Nq); those do not count that a model hides by -10,000."""
        sizes = self.problem.sizes
        counts = visible(self.problem, range(sizes.batch))
        return counts.expand(sizes.batch, sizes.heads, sizes.queries).long()

    def _chunks(self, queries: int, keys: int | None = None) -> Iterator[tuple[slice, LogWeights]]:
        """Go through the (batch, head) pairs, as many at a time as make not too many weights."""
        sizes = self.problem.sizes
        width = max(1, queries * (sizes.keys if keys is None else keys))
        for pairs in pair_chunks(sizes, _AT_ONCE // width):
            yield slice(pairs.start, pairs.stop), LogWeights.of(self.problem, pairs, self.lse)

    def _shaped(self, tensor: Tensor) -> Tensor:
        return tensor.view(self.problem.sizes.batch, self.problem.sizes.heads, *tensor.shape[1:])


def without_numbers(values: Tensor, *shape: int) -> Tensor:
    """Return what stands for values that are not kept: of their type and of a shape, in no memory."""
    return values.new_zeros(()).expand(*shape)


def can_be_copied(problem: Problem) -> bool:
    """Whether all tensors of the mechanism can be copied; those that a function has captured cannot."""
    functions = [part for part in parts_in(problem.mechanism) if isinstance(part, ScoreMod | MaskMod | BlockRule)]
    return not any(True for each in functions for _ in tensors_in(each.function))


def _weights(part: LogWeights, queries: Tensor) -> Tensor:
    """Return whole rows of weights, free of what the log-sum-exp's rounding leaves of their sums."""
    P = torch.exp2(part.rows(queries))
    if not part.problem.sums_to_one:
        return P
    total = P.sum(-1, keepdim=True)
    return P / total.masked_fill(total == 0, 1.0)


def _membership(groups: Tensor, like: Tensor) -> Tensor:
    """Return (positions, groups): 1 where a position belongs to a group."""
    count = int(groups.max()) + 1 if groups.numel() else 0
    numbers = torch.arange(count, device=like.device)
    return (groups.to(like.device).unsqueeze(-1) == numbers).to(like.dtype)
