"""What a compiled call leaves to plain Python; a module of its own, since torch's compiler takes long to import."""

from collections.abc import Callable

import torch

from regard.engines.contract import Computed, Problem


@torch.compiler.disable(reason="what a mask leaves of tiles decides what runs")  # type: ignore[untyped-decorator]
def run_uncompiled(run: Callable[[Problem], Computed], problem: Problem) -> Computed:
    """Return what a function computes, from compiled code too."""
    return run(problem)
