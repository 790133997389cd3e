"""torch's fused kernels for the whole call: fast, O(n) memory for the weights, with log-sum-exp.

torch leaves its fused kernels silently where values are wider or narrower than keys; padding with zeros, which
changes no score and no output, keeps them.
"""

import math
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
from regard.mechanisms.masks import Band, Full
from regard.shapes import compute_dtype

_LARGE_BIAS = 1.0e3


class Fused:
    """One call of the kernel behind `torch.nn.functional.scaled_dot_product_attention`."""

    name = "fused"

    def against(self, problem: Problem) -> list[str]:
        """Refuse what torch would compute with the full matrix of scores."""
        reasons = []
        if problem.mask.requires_grad and torch.is_grad_enabled():
            reasons.append("the mask asks for a gradient, and torch's fused kernels give none to masks")
        if problem.wants_grad and _adds_large_rows(problem):
            reasons.append(
                f"the mask adds numbers beyond {_LARGE_BIAS:g} to a row, where torch's fused gradient is wrong"
            )
        if problem.device.type not in ("cpu", "cuda"):
            reasons.append(f"no fused kernel is known for device {problem.device.type}")
        return reasons

    def memory(self, problem: Problem) -> int:
        """Return room for padding, and for the mask where the kernel takes it only as a full tensor."""
        sizes = problem.sizes
        positions = sizes.batch * sizes.heads * (sizes.keys + sizes.queries)
        padded = abs(sizes.width - sizes.value_width) * positions
        mask = 0 if _built_in(problem) else _mask_elements(problem) * max(4, problem.query.element_size())
        return padded * problem.query.element_size() + mask

    def run(self, problem: Problem) -> Partial:
        """Pad to one width, call the kernel, and put right what it says of queries that see no key."""
        sizes = problem.sizes
        if 0 in (sizes.keys, sizes.queries, sizes.batch, sizes.heads):
            return problem.nothing()
        cleaned = clean(problem)
        return cleaned.restore(_call(cleaned.problem))


def _built_in(problem: Problem) -> bool:
    """Whether the kernel knows the mask by name; it forbids before it scales, so -inf must stay -inf."""
    return isinstance(problem.mask, Full) or (problem.mask == Band(None, 0, "first") and problem.scale > 0)


def _mask_elements(problem: Problem) -> int:
    """Return how many numbers the mask has as one tensor; one pair of positions tells which axes it needs."""
    sizes = problem.sizes
    if sizes.pairs == 0:
        return 0
    first = torch.zeros(1, dtype=torch.long, device=problem.device)
    corner = replace(Grid.whole(sizes, problem.device), query=first.view(-1, 1), key=first)
    bias = problem.mask.bias(corner)
    shape = torch.broadcast_shapes(problem.mask.allowed(corner).shape, () if bias is None else bias.shape)
    return int(math.prod(shape)) * sizes.queries * sizes.keys


def _adds_large_rows(problem: Problem) -> bool:
    """Whether the mask adds large numbers to a whole row: its log-sum-exp then drowns what it is to normalise."""
    if not problem.mask.adds:
        return False
    grid = Grid.whole(problem.sizes, problem.device)
    added = problem.added(grid, compute_dtype(problem.query.dtype))
    if added is None or added.numel() == 0:
        return False
    peak = added.masked_fill(~problem.mask.allowed(grid), -torch.inf).amax(-1)
    return bool((peak.isfinite() & (peak.abs() > _LARGE_BIAS)).any())


def _in_rows(tensor: Tensor, width: int) -> Tensor:
    """Return a tensor as the kernel needs it: padded to a width, each vector in one piece."""
    tensor = pad(tensor, (0, width - tensor.shape[-1])) if tensor.shape[-1] < width else tensor
    return tensor if tensor.stride(-1) == 1 else tensor.contiguous()


def _call(problem: Problem) -> Partial:
    sizes, scale = problem.sizes, problem.scale
    width = max(sizes.width, sizes.value_width)
    query, key, value = (_in_rows(t, width) for t in (problem.query, problem.key, problem.value))
    problem = replace(problem, query=query, key=key, value=value, mechanism=replace(problem.mechanism, scale=scale))
    if _built_in(problem):
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
    # The CPU's kernel takes masks in the type it computes in, where the least number of a half type is no limit.
    dtype = compute_dtype(problem.query.dtype) if problem.device.type == "cpu" else problem.query.dtype
    bias = problem.added(grid, dtype)
    zero = torch.zeros((), dtype=dtype, device=problem.device)
    added = (zero if bias is None else bias).masked_fill(~allowed, -torch.inf)
    sees_none = ~allowed.any(-1)
    return added, sees_none.expand(sizes.batch, sizes.heads, sizes.queries)
