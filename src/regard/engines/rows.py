"""Whole rows by matrix products in the inputs' own half precision, for short calls on the CPU in bfloat16.

There matrix products run three times as fast as torch's fused kernel multiplies, and its gradient is slower than
that many times over, which makes up for writing the scores out while these stay in the cache. A few rows are held
at a time, forward and backward. Scores and weights are rounded to bfloat16, as they are in models that compute
attention by plain tensor operations.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from regard.engines import strips
from regard.engines.contract import Computed, Problem
from regard.engines.formula import added_and_unseen
from regard.engines.nonfinite import clean
from regard.engines.pairs import chunks, of_pairs, pair_chunks
from regard.engines.parameters import Remembered
from regard.mechanisms.masks.rule import Full
from regard.mechanisms.scores import Dot
from regard.shapes import Sizes

# How many scores are held at a time: what the cache takes. A call that has no more keeps weights for the gradient.
ELEMENTS = 1 << 21

# Beyond so many keys the fused kernel is faster, as measured; with a mask, which it may skip, beyond so many pairs.
LONGEST = 1024
MASKED = 1 << 18


class Rows:
    """Matrix products over blocks of complete rows."""

    name = "rows"

    def against(self, problem: Problem) -> list[str]:
        """Refuse all but softmax over dot products, of which a mask may forbid some."""
        reasons = []
        if not problem.sums_to_one or not isinstance(problem.score, Dot) or problem.mechanism.dropout:
            reasons.append("it computes softmax over dot products, without sink and dropout, only")
        if problem.adds:
            reasons.append("what a mask or modifier adds would be rounded to bfloat16")
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
        if not isinstance(problem.mask, Full) and problem.sizes.queries * problem.sizes.keys > MASKED:
            return [f"beyond {MASKED} pairs of positions it is faster to skip what a mask forbids"]
        return []

    def memory(self, problem: Problem) -> int:
        """Return room for scores and weights of a block of rows, and for a mask."""
        mask = 0 if isinstance(problem.mask, Full) else problem.sizes.pairs
        return 4 * min(problem.sizes.pairs, max(ELEMENTS, problem.sizes.keys)) + 2 * mask

    def run(self, problem: Problem) -> Computed:
        """Compute block by block."""
        if not problem.sizes.pairs:
            return problem.nothing()
        cleaned = clean(problem)
        given = cleaned.problem
        if isinstance(given.mask, Full):
            return cleaned.restore(Computed(_rows(given, None)))
        added, unseen = added_and_unseen(given, given.query.dtype)
        # A softmax over -inf alone would be NaN, and so would be its gradient, even where the output is replaced.
        added = added.masked_fill(added.amax(-1, keepdim=True) == -torch.inf, 0.0)
        return cleaned.restore(Computed(_rows(given, added).masked_fill(unseen.unsqueeze(-1), 0.0)))


def _rows(problem: Problem, added: Tensor | None) -> Tensor:
    output: Tensor = _Rows.apply(problem, added, problem.query, problem.key, problem.value)  # type: ignore[no-untyped-call]
    return output


class _Rows(torch.autograd.Function):
    """Blocks of rows forward; backward the same blocks made again, or the weights of the only one."""

    @staticmethod
    def forward(
        ctx: Any, problem: Problem, added: Tensor | None, query: Tensor, key: Tensor, value: Tensor
    ) -> Tensor:
        ctx.remembered, ctx.added = Remembered.of(problem), added
        sizes = problem.sizes
        blocks = list(_blocks(problem))
        parts, P = [], None
        for pairs, queries in blocks:
            Q, K, V = (of_pairs(t, pairs, sizes) for t in (query, key, value))
            P = _weights(problem, Q[:, queries], K, _of_block(added, pairs, queries, sizes))
            parts.append(torch.bmm(P, V))
        kept = (P,) if len(blocks) == 1 and P is not None else ()
        ctx.save_for_backward(query, key, value, *kept)
        return _together(parts, blocks, sizes).view(sizes.batch, sizes.heads, sizes.queries, sizes.value_width)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, *kept = ctx.saved_tensors
        if torch.is_grad_enabled():
            return None, None, *strips.gradients(ctx.remembered, (query, key, value), grads[0], None)
        problem = ctx.remembered.problem(query, key, value)
        with torch.autocast(problem.device.type, enabled=False):
            gradients = _gradients(problem, ctx.added, (query, key, value), grads[0], kept[0] if kept else None)
        return None, None, *gradients


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


def _of_block(added: Tensor | None, pairs: range, queries: slice, sizes: Sizes) -> Tensor | None:
    """Return the part of a block, with axes pairs, queries and keys, of four axes; what is 1 long stays so."""
    if added is None:
        return None
    batch, heads, height, _ = added.shape
    rows = added if height == 1 else added[:, :, queries]
    if batch == heads == 1:
        return rows[0]
    index = torch.arange(pairs.start, pairs.stop, device=added.device)
    return rows[index // sizes.heads if batch > 1 else 0, index % sizes.heads if heads > 1 else 0]


def _weights(problem: Problem, Q: Tensor, K: Tensor, added: Tensor | None) -> Tensor:
    """Return softmax(scale Q K^T + added); queries are scaled, since they are fewer numbers than scores."""
    S = torch.bmm(Q * problem.scale, K.transpose(1, 2))
    return torch.softmax(S if added is None else S.add_(added), -1)


def _gradients(
    problem: Problem,
    added: Tensor | None,
    given: tuple[Tensor, Tensor, Tensor],
    d_output: Tensor,
    kept: Tensor | None,
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
        P = _weights(problem, Q, K, _of_block(added, pairs, queries, sizes)) if kept is None else kept
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
