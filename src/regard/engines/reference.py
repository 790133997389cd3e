"""The oracle: attention written as its formula, dense, in float64 if asked, differentiable twice.

    S = scale * Q K^T + bias,   l = log sum_k exp(S),   P = exp(S - l),   O = P V

or whatever else the mechanism says of scores and weights. It holds the full matrix of scores and is what every
other engine is tested against.
"""

from regard.engines.contract import Computed, Problem
from regard.engines.formula import dense_rows
from regard.engines.nonfinite import clean


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
    result = dense_rows(problem)
    beside = result.weighed
    return Computed(
        output=result.output.to(problem.query.dtype),
        lse=None if beside.lse is None else beside.lse.detach(),
        log_probability=beside.log_probability,
        chosen=beside.chosen,
    )
