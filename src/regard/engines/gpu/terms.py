"""A problem in the terms of the kernels, band, lengths and tensors, or the reasons why it has none."""

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from regard.engines.contract import Problem
from regard.engines.log_weights import LARGE_LSE
from regard.mechanisms.masks.bands import Band, offset
from regard.mechanisms.masks.lengths import Padding
from regard.mechanisms.masks.rule import Both, Full, Mask
from regard.mechanisms.masks.tensors import TensorMask
from regard.mechanisms.modifiers import SoftCap, TensorBias
from regard.mechanisms.scores import Dot

# A block of queries and a block of keys have to fit into a multiprocessor's own memory.
WIDEST = 256

# Matrix products of bfloat16 begin here.
_CAPABILITY = (8, 0)


@dataclass(frozen=True, eq=False)
class Terms:
    """What the kernels know of a mechanism.

    Attributes:
        band: (low, high), query q may attend to keys q + low to q + high; None for no limits.
        lengths: (B,), only so many first keys of an item may be attended to; None for all.
        allowed: booleans (B, H, Nq, Nk), axes of stride 0 where they broadcast, or None.
        added: numbers added to the scores, likewise.
        cap: the soft cap, or None.
    """

    band: tuple[int, int] | None
    lengths: Tensor | None
    allowed: Tensor | None
    added: Tensor | None
    cap: float | None

    @classmethod
    def of(cls, problem: Problem) -> "Terms":
        """Put a problem into these terms; only where `unsuited` has nothing to say."""
        parts = list(_parts(problem.mask))
        lengths = [part.lengths.to(problem.device) for part in parts if isinstance(part, Padding)]
        caps = [each.cap for each in problem.mechanism.modifiers if isinstance(each, SoftCap)]
        allowed, added = _allowed(parts), _added(problem)
        return cls(
            band=_band(problem, [part for part in parts if isinstance(part, Band)]),
            lengths=torch.stack([each.expand(problem.sizes.batch) for each in lengths]).amin(0)
            if lengths
            else None,
            allowed=_whole(problem, allowed[0]) if allowed else None,
            added=_whole(problem, added[0]) if added else None,
            cap=caps[0] if caps else None,
        )


def against(problem: Problem, lse: Tensor | None = None) -> list[str]:
    """Return the reasons why the kernels are not taken for a problem; none means they are.

    Args:
        problem: the call.
        lse: (B, H, Nq) its log-sum-exp, where it is known.
    """
    if problem.device.type != "cuda":
        return [f"its tensors lie on {problem.device.type}, not on CUDA"]
    if torch.compiler.is_compiling():
        return ["it is part of a compiled call"]
    if not _triton():
        return ["triton is not installed"]
    if (capability := torch.cuda.get_device_capability(problem.device)) < _CAPABILITY:
        return [f"it takes a GPU of compute capability 8.0; this one has {capability[0]}.{capability[1]}"]
    return unsuited(problem, lse)


def unsuited(problem: Problem, lse: Tensor | None = None) -> list[str]:
    """Return the reasons why the kernels cannot compute a problem, wherever it lies; arguments as for `against`."""
    parts, modifiers, added = list(_parts(problem.mask)), problem.mechanism.modifiers, _added(problem)
    reasons = [] if problem.sizes.pairs else ["there are no positions"]
    reasons += ["its numbers are float64"] if problem.query.dtype == torch.float64 else []
    reasons += [f"its vectors are wider than {WIDEST}"] if problem.sizes.width > WIDEST else []
    reasons += [] if isinstance(problem.score, Dot) else ["its scores are no dot products"]
    known = Full | Band | Padding | TensorMask
    reasons += [f"the kernel has no mask {part.kind}" for part in parts if not isinstance(part, known)]
    reasons += [
        f"the kernel has no modifier {each.kind}"
        for each in modifiers
        if not isinstance(each, SoftCap | TensorBias)
    ]
    if any(isinstance(each, SoftCap) for each in modifiers[1:]):
        reasons.append("a soft cap is not the first of its modifiers")
    reasons += ["it has more than one boolean tensor"] if len(_allowed(parts)) > 1 else []
    reasons += ["it adds more than one tensor"] if len(added) > 1 else []
    reasons += ["it adds float64"] if any(each.dtype == torch.float64 for each in added) else []
    if added and lse is not None and bool((lse.isfinite() & (lse.abs() > LARGE_LSE)).any()):
        reasons.append("it adds large numbers to whole rows")
    return reasons


@cache
def _triton() -> bool:
    return importlib.util.find_spec("triton") is not None


def _parts(mask: Mask) -> Iterator[Mask]:
    """Yield the masks of which all have to allow a pair."""
    if isinstance(mask, Both):
        yield from _parts(mask.left)
        yield from _parts(mask.right)
    else:
        yield mask


def _allowed(parts: list[Mask]) -> list[Tensor]:
    return [part.tensor for part in parts if isinstance(part, TensorMask) and not part.adds]


def _added(problem: Problem) -> list[Tensor]:
    masks = [part.tensor for part in _parts(problem.mask) if isinstance(part, TensorMask) and part.adds]
    return masks + [each.tensor for each in problem.mechanism.modifiers if isinstance(each, TensorBias)]


def _band(problem: Problem, bands: list[Band]) -> tuple[int, int] | None:
    """Return what several bands have in common, counted from the query's own number."""
    if not bands:
        return None
    sizes = problem.sizes
    low, high = -sizes.queries, sizes.keys
    for band in bands:
        start = offset(band.align, sizes)
        low = low if band.back is None else max(low, start - band.back)
        high = high if band.ahead is None else min(high, start + band.ahead)
    return low, high


def _whole(problem: Problem, tensor: Tensor) -> Tensor:
    """Return a tensor that broadcasts to (B, H, Nq, Nk) with these axes, as a view."""
    sizes = problem.sizes
    return tensor.to(problem.device).expand(sizes.batch, sizes.heads, sizes.queries, sizes.keys)
