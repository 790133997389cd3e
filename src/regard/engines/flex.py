"""torch's FlexAttention: one kernel, compiled for the mechanism; the best on CUDA, on the CPU only on request.

It is compiled whole or not at all, since torch would else run it with the full matrix of scores and one warning.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import flex_attention as flex

from regard.engines.contract import Computed, Problem
from regard.engines.nonfinite import clean
from regard.mechanisms.grid import Blocks, Grid
from regard.mechanisms.masks.patterns import RandomBlocks
from regard.mechanisms.masks.rule import Full, Tile
from regard.mechanisms.masks.tiles import classify
from regard.mechanisms.scores import Dot
from regard.mechanisms.walk import parts_in
from regard.shapes import Sizes

BLOCK = 128

# Compiling once a mechanism is meant; torch's limit of 8 is for functions that change by accident.
_RECOMPILE_LIMIT = 256


class Flex:
    """A call of compiled `torch.nn.attention.flex_attention`."""

    name = "flex"

    def against(self, problem: Problem) -> list[str]:
        """Refuse what FlexAttention cannot express, and gradients where it gives none."""
        reasons = []
        if not problem.is_softmax or not problem.sums_to_one or not isinstance(problem.score, Dot):
            return [
                f"FlexAttention computes softmax over modified dot products, without a sink; this is"
                f" {problem.mechanism}"
            ]
        if problem.mechanism.dropout:
            reasons.append("FlexAttention drops no weights")
        if problem.device.type not in ("cpu", "cuda"):
            reasons.append(f"FlexAttention is not known to run on device {problem.device.type}")
        if problem.device.type == "cpu" and (problem.wants_grad or problem.parameters):
            reasons.append("on the CPU FlexAttention gives no gradients")
        if problem.query.dtype == torch.float64:
            reasons.append("FlexAttention takes no float64")
        if any(isinstance(part, RandomBlocks) for part in parts_in(problem.mask)):
            reasons.append("FlexAttention's compiler cannot follow how random blocks are drawn")
        if torch.compiler.is_compiling():
            reasons.append("it compiles by itself, and cannot inside a compiled call")
        return reasons

    def unasked(self, problem: Problem) -> list[str]:
        """Leave the CPU to other engines: compiling takes half a minute there."""
        return ["on the CPU it compiles for seconds at each new mask"] if problem.device.type == "cpu" else []

    def memory(self, problem: Problem) -> int:
        """Return room for the table of blocks."""
        sizes = problem.sizes
        return 16 * (-(-sizes.queries // BLOCK)) * (-(-sizes.keys // BLOCK))

    def run(self, problem: Problem) -> Computed:
        """Compile if need be, and call; log-sum-exp comes with it on CUDA only."""
        if not problem.sizes.pairs:
            return problem.nothing()
        cleaned = clean(problem)
        return cleaned.restore(_call(cleaned.problem))


@lru_cache(maxsize=1)
def _compiled() -> Callable[..., Any]:
    return torch.compile(flex.flex_attention, fullgraph=True, dynamic=False)


def _call(problem: Problem) -> Computed:
    on_cuda = problem.device.type == "cuda"
    aux = flex.AuxRequest(lse=True) if on_cuda else None
    with torch._dynamo.config.patch(recompile_limit=_RECOMPILE_LIMIT):
        result = _compiled()(
            problem.query,
            problem.key,
            problem.value,
            score_mod=_score_mod(problem),
            block_mask=_block_mask(problem),
            scale=problem.scale,
            enable_gqa=problem.sizes.group > 1,
            return_aux=aux,
        )
    if not on_cuda:
        return Computed(result)
    output, beside = result
    return Computed(output, beside.lse.detach())


def _point(sizes: Sizes, b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Grid:
    """Return the grid of one place."""
    return Grid(b, h, q, k, sizes)


def _score_mod(problem: Problem) -> Callable[..., Tensor] | None:
    if not problem.adds:
        return None
    sizes, modifiers, mask = problem.sizes, problem.mechanism.modifiers, problem.mask

    def score_mod(score: Tensor, b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        grid = _point(sizes, b, h, q, k)
        for modifier in modifiers:
            score = modifier.apply(score, grid)
        bias = mask.bias(grid)
        return score if bias is None else score + bias.to(score.dtype)

    return score_mod


def _block_mask(problem: Problem) -> Any:
    """Return the mask as torch's table of blocks, from what it leaves of tiles."""
    sizes, mask, device = problem.sizes, problem.mask, problem.device
    if isinstance(mask, Full):
        return None

    def mask_mod(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return mask.allowed(_point(sizes, b, h, q, k))

    kinds = classify(mask, Blocks.of(sizes, BLOCK, BLOCK), device).to(device)
    partial, full = ((kinds == kind).int() for kind in (Tile.PARTIAL, Tile.FULL))
    listed = [
        (t.sum(-1, dtype=torch.int32), t.argsort(dim=-1, descending=True, stable=True).int())
        for t in (partial, full)
    ]
    return flex.BlockMask.from_kv_blocks(
        *listed[0], *listed[1], BLOCK_SIZE=BLOCK, mask_mod=mask_mod, seq_lengths=(sizes.queries, sizes.keys)
    )
