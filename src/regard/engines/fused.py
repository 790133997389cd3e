"""torch's fused kernels for the whole call: fast, O(n) memory for the weights, with log-sum-exp.

torch leaves its fused kernels silently where values are wider or narrower than keys; padding with zeros, which
changes no score and no output, keeps them.
"""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from regard.engines.contract import Problem
from regard.engines.kernel import call_kernel
from regard.engines.log_weights import log_sum_exp
from regard.engines.nonfinite import clean
from regard.engines.partial import Partial
from regard.mechanisms.grid import Grid
from regard.mechanisms.masks import Band, Full, Mask


class Fused:
    """One call of the kernel behind `torch.nn.functional.scaled_dot_product_attention`."""

    name = "fused"

    def against(self, problem: Problem) -> list[str]:
        """Refuse what torch would compute with the full matrix of scores."""
        reasons = []
        if problem.mask.requires_grad and torch.is_grad_enabled():
            reasons.append("the mask asks for a gradient, and torch's fused kernels give none to masks")
        if problem.device.type not in ("cpu", "cuda"):
            reasons.append(f"no fused kernel is known for device {problem.device.type}")
        return reasons

    def memory(self, problem: Problem) -> int:
        """Return room for padding, and for the mask where the kernel takes it only as a full tensor."""
        sizes, size = problem.sizes, problem.query.element_size()
        padded = abs(sizes.width - sizes.value_width) * sizes.batch * (sizes.keys + sizes.queries) * sizes.heads
        mask = 0 if _built_in(problem.mask) else sizes.pairs * size
        return padded * size + mask

    def run(self, problem: Problem) -> Partial:
        """Pad to one width, call the kernel, and put right what it says of queries that see no key."""
        sizes = problem.sizes
        if 0 in (sizes.keys, sizes.queries, sizes.batch, sizes.heads, sizes.value_width):
            return Partial.nothing(sizes, problem.query)
        cleaned = clean(problem)
        return cleaned.restore(_call(cleaned.problem))


def _built_in(mask: Mask) -> bool:
    """Whether the kernel knows the mask by name."""
    return isinstance(mask, Full) or mask == Band(None, 0, "first")


def _call(problem: Problem) -> Partial:
    sizes, scale = problem.sizes, problem.scale
    width = max(sizes.width, sizes.value_width)
    query, key, value = (pad(t, (0, width - t.shape[-1])) for t in (problem.query, problem.key, problem.value))
    problem = replace(problem, query=query, key=key, value=value, mechanism=replace(problem.mechanism, scale=scale))
    if _built_in(problem.mask):
        output, lse = call_kernel(query, key, value, None, not isinstance(problem.mask, Full), scale)
        lse = log_sum_exp(problem) if lse is None else lse
    else:
        added, sees_none = _as_added(problem)
        output, lse = call_kernel(query, key, value, added, False, scale)
        output = output.masked_fill(sees_none.unsqueeze(-1), 0.0)
        lse = log_sum_exp(problem) if lse is None else lse.masked_fill(sees_none, -torch.inf)
    return Partial(output[..., : sizes.value_width], lse)


def _as_added(problem: Problem) -> tuple[Tensor, Tensor]:
    """Return the mask as one tensor to be added to the scores, and (B, H, Nq) which queries see no key."""
    sizes, grid = problem.sizes, Grid.whole(problem.sizes, problem.device)
    allowed = problem.mask.dense(sizes, problem.device)
    bias = problem.mask.bias(grid)
    zero = torch.zeros((), dtype=problem.query.dtype, device=problem.device)
    added = (zero if bias is None else bias.to(zero.dtype)).masked_fill(~allowed, -torch.inf)
    sees_none = ~allowed.any(-1)
    return added, sees_none.expand(sizes.batch, sizes.heads, sizes.queries)
