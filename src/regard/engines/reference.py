"""The oracle: attention written as its formula, dense, in float64 if asked, differentiable twice.

    S = scale * Q K^T + bias,   l = log sum_k exp(S),   P = exp(S - l),   O = P V

or whatever else the mechanism says of scores and weights. It holds the full matrix of scores and is what every
other engine is tested against.
"""

from torch import Tensor

from regard.engines.contract import Computed, Problem
from regard.engines.formula import rows
from regard.engines.nonfinite import clean
from regard.mechanisms.grid import Grid
from regard.shapes import compute_dtype


class Reference:
    """Dense attention in plain tensor operations."""

    name = "reference"

    def against(self, problem: Problem) -> list[str]:
        """Return no reasons: this engine computes everything."""
        return []

    def unasked(self, problem: Problem) -> list[str]:
        """Return no reasons: what comes last is taken."""
        return []

    def memory(self, problem: Problem) -> int:
        """Return room for scores, their exponentials and the weights."""
        return 3 * problem.dense_bytes()

    def run(self, problem: Problem) -> Computed:
        """Compute scores, weights, output."""
        cleaned = clean(problem)
        return cleaned.restore(_attention(cleaned.problem))


def _attention(problem: Problem) -> Computed:
    sizes, dtype = problem.sizes, compute_dtype(problem.query.dtype)

    def per_query_head(tensor: Tensor) -> Tensor:
        return tensor.to(dtype).repeat_interleave(sizes.group, dim=1)

    Q, K, V = problem.query.to(dtype), per_query_head(problem.key), per_query_head(problem.value)
    result = rows(problem, Q, K, V, Grid.whole(sizes, problem.device))
    beside = result.weighed
    return Computed(
        output=result.output.to(problem.query.dtype),
        lse=None if beside.lse is None else beside.lse.detach(),
        log_probability=beside.log_probability,
        chosen=beside.chosen,
    )
