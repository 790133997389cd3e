"""The dense form: every weight at once, n x n; for small calls and as a check on the others."""

from torch import Tensor

from regard.engines.linear.chunked import chunked
from regard.engines.linear.steps import Steps


def dense(steps: Steps) -> tuple[Tensor, Tensor]:
    """Return outputs (B, H, N, E) and the state after the last position (B, H, F, E), all in one chunk."""
    return chunked(steps, max(1, steps.key.shape[2]))
