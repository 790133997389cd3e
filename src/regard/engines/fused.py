"""torch's fused kernels for the whole call: fast, O(n) memory for the weights, with log-sum-exp.

torch leaves its fused kernels silently where values are wider or narrower than keys; padding with zeros, which
changes no score and no output, keeps them.
"""

from dataclasses import replace

import torch

from regard.engines.contract import Computed, Problem
from regard.engines.formula import added_and_unseen
from regard.engines.kernel import call_kernel
from regard.engines.large_rows import LARGE, adds_large_rows
from regard.engines.nonfinite import guarded
from regard.engines.vectors import as_multiplied, in_rows
from regard.mechanisms.grid import Grid
from regard.mechanisms.masks.bands import Band
from regard.mechanisms.masks.rule import Full
from regard.mechanisms.weighing import Softmax
from regard.shapes import broadcast_shapes, compute_dtype

# Below so many pairs of positions one call of the kernel, the mask a tensor, is faster than several that skip; and
# what such a mask takes is not worth a closer look.
SMALL = 1 << 18

CAUSAL = Band(None, 0, "first")


class Fused:
    """One call of the kernel behind `torch.nn.functional.scaled_dot_product_attention`."""

    name = "fused"

    def against(self, problem: Problem) -> list[str]:
        """Refuse what torch would compute with the full matrix of scores."""
        device = problem.device.type
        unknown = [] if device in ("cpu", "cuda") else [f"no fused kernel is known for device {device}"]
        if problem.is_plain:
            return unknown
        reasons = []
        if not problem.is_softmax or not problem.is_dot_and_bias:
            return [f"torch's fused kernels compute softmax over dot products; this is {problem.mechanism}"]
        if isinstance(problem.mechanism.weighing, Softmax) and problem.mechanism.weighing.sink is not None:
            reasons.append("torch's fused kernels take no sink")
        if problem.mechanism.dropout:
            reasons.append("torch's fused kernels drop no weights by a seed of our own")
        if problem.wants_grad and problem.adds and torch.compiler.is_compiling():
            return [*reasons, "a compiled gradient cannot depend on how large the numbers are that the mask adds"]
        if problem.parameters:
            reasons.append("the mask or bias asks for a gradient, and torch's fused kernels give none to it")
        if not reasons and problem.wants_grad and adds_large_rows(problem):
            reasons.append(
                f"the mask adds numbers beyond {LARGE:g} to a row, where torch's fused gradient is wrong"
            )
        return reasons + unknown

    def unasked(self, problem: Problem) -> list[str]:
        """Leave to others a mask that the kernel does not know by name, unless the call is short."""
        if _built_in(problem) or problem.sizes.queries * problem.sizes.keys < SMALL:
            return []
        return ["the mask would be one tensor that the kernel adds everywhere; tiles skip what it forbids"]

    def memory(self, problem: Problem) -> int:
        """Return room for padding, and for the mask where the kernel takes it only as a full tensor."""
        sizes = problem.sizes
        positions = sizes.batch * sizes.heads * (sizes.keys + sizes.queries)
        padded = abs(sizes.width - sizes.value_width) * positions
        mask = 0 if _built_in(problem) else _mask_elements(problem) * max(4, problem.query.element_size())
        return padded * problem.query.element_size() + mask

    def run(self, problem: Problem) -> Computed:
        """Pad to one width, call the kernel, and put right what it says of queries that see no key."""
        sizes = problem.sizes
        if 0 in (sizes.keys, sizes.queries, sizes.batch, sizes.heads):
            return problem.nothing()
        return guarded(problem, _call)


def _built_in(problem: Problem) -> bool:
    """Whether the kernel knows the mask by name; it forbids before it scales, so -inf must stay -inf."""
    if problem.mechanism.modifiers:
        return False
    return isinstance(problem.mask, Full) or (problem.mask == CAUSAL and problem.scale > 0)


def _mask_elements(problem: Problem) -> int:
    """Return how many numbers the mask has as one tensor; its corner tells which axes it needs.

    Of a short call, a step of generation for example, so little depends on it that all axes are counted.
    """
    sizes = problem.sizes
    if sizes.pairs <= SMALL:
        return sizes.pairs
    corner = torch.arange(2, device=problem.device)
    lengths = (sizes.batch, sizes.heads, sizes.queries, sizes.keys)
    grid = Grid.whole(sizes, problem.device)
    queries, keys = corner[: sizes.queries], corner[: sizes.keys]
    grid = replace(grid, query=queries.view(-1, 1), key=keys, slices=None)
    bias = problem.added(grid, torch.float32) if problem.is_dot_and_bias else None
    shape = broadcast_shapes(problem.mask.allowed(grid).shape, () if bias is None else bias.shape)
    shape = (1,) * (4 - len(shape)) + shape
    # A plain loop, which torch.compile can follow.
    elements = 1
    for axis, length in zip(shape, lengths, strict=True):
        elements *= length if axis > 1 else 1
    return elements


def _call(problem: Problem) -> Computed:
    sizes, scale, dtype = problem.sizes, problem.scale, problem.query.dtype
    width = max(sizes.width, sizes.value_width)
    query, key, value = [in_rows(as_multiplied(t), width) for t in (problem.query, problem.key, problem.value)]
    if _built_in(problem):
        output, lse = call_kernel(query, key, value, None, not isinstance(problem.mask, Full), scale)
    else:
        # The CPU's kernel takes masks in the type it computes in, in which a half type's least number is no limit.
        multiplied = compute_dtype(query.dtype) if problem.device.type == "cpu" else query.dtype
        added, unseen = added_and_unseen(problem, multiplied)
        output, lse = call_kernel(query, key, value, added, False, scale)
        output = output.masked_fill(unseen.unsqueeze(-1), 0.0)
        lse = None if lse is None else lse.masked_fill(unseen, -torch.inf)
    output = output if width == sizes.value_width else output[..., : sizes.value_width]
    return Computed(output.to(dtype), lse)
