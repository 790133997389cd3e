"""Whole rows by matrix products in the inputs' own half precision, for short calls on the CPU in bfloat16.

There matrix products run three times as fast as torch's fused kernel multiplies, which makes up for writing
the scores out while these stay in the cache. A few rows are held at a time, forward and backward. Scores and
weights are rounded to bfloat16, as they are in models that compute attention by plain tensor operations.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from regard.engines import strips
from regard.engines.contract import Computed, Problem
from regard.engines.nonfinite import clean
from regard.engines.pairs import chunks, of_pairs, pair_chunks
from regard.engines.parameters import Remembered
from regard.mechanisms.masks.rule import Full
from regard.shapes import Sizes

# How many scores are held at a time: what the cache takes. A call that has no more keeps weights for the gradient.
ELEMENTS = 1 << 21

# Beyond so many keys the fused kernel is faster, as measured.
LONGEST = 1024


class Rows:
    """Matrix products over blocks of complete rows."""

    name = "rows"

    def against(self, problem: Problem) -> list[str]:
        """Refuse all but softmax over dot products that sees everything."""
        reasons = []
        if not problem.mechanism.is_plain or not isinstance(problem.mask, Full):
            reasons.append("it computes softmax over scaled dot products without a mask only")
        if problem.query.dtype != torch.bfloat16:
            reasons.append("it is for bfloat16")
        if torch.compiler.is_compiling():
            reasons.append("it decides by numbers how many rows it holds")
        return reasons

    def unasked(self, problem: Problem) -> list[str]:
        """Leave to the fused kernel what is long, or not on the CPU."""
        if problem.device.type != "cpu":
            return ["it is faster than the fused kernel on the CPU only"]
        if problem.sizes.keys > LONGEST:
            return [f"beyond {LONGEST} keys the fused kernel is faster"]
        return []

    def memory(self, problem: Problem) -> int:
        """Return room for scores and weights of a block of rows."""
        return 4 * min(problem.sizes.pairs, max(ELEMENTS, problem.sizes.keys))

    def run(self, problem: Problem) -> Computed:
        """Compute block by block."""
        if not problem.sizes.pairs:
            return problem.nothing()
        cleaned = clean(problem)
        given = cleaned.problem
        output: Tensor = _Rows.apply(given, given.query, given.key, given.value)  # type: ignore[no-untyped-call]
        return cleaned.restore(Computed(output))


class _Rows(torch.autograd.Function):
    """Blocks of rows forward; backward the same blocks made again, or the weights of the only one."""

    @staticmethod
    def forward(ctx: Any, problem: Problem, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        ctx.remembered = Remembered.of(problem)
        sizes = problem.sizes
        blocks = list(_blocks(problem))
        parts, P = [], None
        for pairs, queries in blocks:
            Q, K, V = (of_pairs(t, pairs, sizes) for t in (query, key, value))
            P = _weights(problem, Q[:, queries], K)
            parts.append(torch.bmm(P, V))
        kept = (P,) if len(blocks) == 1 and P is not None else ()
        ctx.save_for_backward(query, key, value, *kept)
        return _together(parts, blocks, sizes).view(sizes.batch, sizes.heads, sizes.queries, sizes.value_width)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, *kept = ctx.saved_tensors
        if torch.is_grad_enabled():
            return None, *strips.gradients(ctx.remembered, (query, key, value), grads[0], None)
        problem = ctx.remembered.problem(query, key, value)
        with torch.autocast(problem.device.type, enabled=False):
            return None, *_gradients(problem, (query, key, value), grads[0], kept[0] if kept else None)


def _blocks(problem: Problem) -> Iterator[tuple[range, slice]]:
    """Yield (batch, head) pairs and queries that make few enough scores."""
    sizes = problem.sizes
    height = max(1, min(sizes.queries, ELEMENTS // sizes.keys))
    for pairs in pair_chunks(sizes, ELEMENTS // (height * sizes.keys)):
        for queries in chunks(sizes.queries, height):
            yield pairs, queries


def _together(parts: list[Tensor], blocks: list[tuple[range, slice]], sizes: Sizes) -> Tensor:
    """Return what blocks gave as one tensor (pairs, queries, width)."""
    if len(parts) == 1:
        return parts[0]
    whole = parts[0].new_empty((sizes.batch * sizes.heads, sizes.queries, parts[0].shape[-1]))
    for part, (pairs, queries) in zip(parts, blocks, strict=True):
        whole[pairs.start : pairs.stop, queries] = part
    return whole


def _weights(problem: Problem, Q: Tensor, K: Tensor) -> Tensor:
    """Return softmax(scale Q K^T); queries are scaled, since they are fewer numbers than scores."""
    return torch.softmax(torch.bmm(Q * problem.scale, K.transpose(1, 2)), -1)


def _gradients(
    problem: Problem, given: tuple[Tensor, Tensor, Tensor], d_output: Tensor, kept: Tensor | None
) -> list[Tensor]:
    """Return the gradients of query, key and value: dS = P * (dO V^T - rowsum(P * dO V^T))."""
    query, key, value = given
    sizes, scale = problem.sizes, problem.scale
    blocks = list(_blocks(problem))
    d_queries = []
    key_rows = (sizes.batch * sizes.heads, sizes.keys)
    d_key, d_value = (
        torch.zeros((*key_rows, width), dtype=torch.float32, device=query.device)
        for width in (sizes.width, sizes.value_width)
    )
    for pairs, queries in blocks:
        Q, K, V, dO = (of_pairs(t, pairs, sizes) for t in (query, key, value, d_output))
        Q, dO = Q[:, queries], dO[:, queries]
        P = _weights(problem, Q, K) if kept is None else kept
        dS = torch.ops.aten._softmax_backward_data(torch.bmm(dO, V.transpose(1, 2)), P, -1, P.dtype)
        place = slice(pairs.start, pairs.stop)
        d_queries.append(torch.bmm(dS, K).mul_(scale))
        d_key[place] += torch.bmm(dS.transpose(1, 2), Q).mul_(scale)
        d_value[place] += torch.bmm(P.transpose(1, 2), dO)
    grouped = (sizes.batch, sizes.key_heads, sizes.group, sizes.keys)
    return [
        _together(d_queries, blocks, sizes).view(query.shape),
        d_key.view(*grouped, sizes.width).sum(2).to(key.dtype),
        d_value.view(*grouped, sizes.value_width).sum(2).to(value.dtype),
    ]
