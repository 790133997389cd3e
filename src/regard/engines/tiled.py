"""Any mechanism, any mask, in O(n) memory: what the mask forbids is skipped.

Softmax over dot products goes through torch's fused kernel in blocks (`kernel_tiles`); everything else in strips of
complete rows (`strips`).
"""

import torch

from regard.engines import kernel_tiles, strips
from regard.engines.contract import Computed, Problem
from regard.engines.nonfinite import clean


class Tiled:
    """Blocks of queries against those keys that they may see."""

    name = "tiled"

    def against(self, problem: Problem) -> list[str]:
        """Return no reasons: this engine computes everything."""
        return []

    def unasked(self, problem: Problem) -> list[str]:
        """Return no reasons: nothing grows with the square of the length."""
        return []

    def memory(self, problem: Problem) -> int:
        """Return room for a strip, or for a block's output and mask."""
        return strips.memory(problem)

    def run(self, problem: Problem) -> Computed:
        """Compute by the kernel where it can, else by strips."""
        if torch.compiler.is_compiling():
            from regard.engines.uncompiled import run_uncompiled

            computed: Computed = run_uncompiled(_run, problem)
            return computed
        return _run(problem)


def _run(problem: Problem) -> Computed:
    cleaned = clean(problem)
    way = kernel_tiles.run if _suits_kernel(problem) else strips.run
    return cleaned.restore(way(cleaned.problem))


def _suits_kernel(problem: Problem) -> bool:
    """Whether torch's fused kernel can compute blocks of a problem, and their gradients."""
    if problem.device.type != "cpu" or problem.mechanism.dropout or 0 in (problem.sizes.pairs, problem.sizes.width):
        return False
    return problem.is_softmax and problem.is_dot_and_bias
