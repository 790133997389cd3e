"""One attention call as it was seen, and its translation into a problem that can be observed."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from regard.engines.contract import Problem
from regard.engines.kernel import Caught
from regard.mechanisms.attention import Attention
from regard.mechanisms.masks import Full, Mask, causal
from regard.mechanisms.masks.tensors import TensorMask
from regard.shapes import broadcast_shapes

# The engine of attention that a model writes out itself.
WRITTEN_OUT = "written out"


@dataclass(frozen=True, eq=False)
class Call:
    """An attention call that ran.

    Attributes:
        problem: its tensors and its mechanism.
        lse: (B, H, Nq), or None where the kernel did not give it.
        engine: what computed it, for people.
        dropout: the probability with which weights were dropped; observed are the weights before.
        output: what came out, as it stands in the graph, for its gradient; None where it is not at hand.
        fold: takes a tensor of the output's shape to (B, H, Nq, Dv).
    """

    problem: Problem
    lse: Tensor | None
    engine: str
    dropout: float
    output: Tensor | None = None
    fold: Callable[[Tensor], Tensor] | None = None

    def folded(self, tensor: Tensor) -> Tensor:
        """Return a tensor of the output's shape as (B, H, Nq, Dv)."""
        sizes = self.problem.sizes
        tensor = tensor if self.fold is None else self.fold(tensor)
        return tensor.reshape(sizes.batch, sizes.heads, sizes.queries, sizes.value_width)


@dataclass(frozen=True, eq=False)
class Arguments:
    """The arguments of `torch.nn.functional.scaled_dot_product_attention`, named."""

    query: Tensor
    key: Tensor
    value: Tensor
    attn_mask: Tensor | None = None
    dropout_p: float = 0.0
    is_causal: bool = False
    scale: float | None = None
    enable_gqa: bool = False

    @classmethod
    def bound(cls, args: tuple[Any, ...], kwargs: dict[str, Any]) -> "Arguments":
        """Return the arguments of a call by name."""
        names = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")
        return cls(**dict(zip(names, args, strict=False)), **kwargs)


def unreadable(tensors: Iterable[Tensor]) -> str | None:
    """Return why tensors hold no numbers to look at, or None if they do."""
    for tensor in tensors:
        if tensor.is_nested:
            return "its tensors are nested"
        if tensor.device.type == "meta" or type(tensor).__name__ == "FakeTensor":
            return "its tensors hold no numbers (meta or fake)"
        if torch._C._functorch.is_functorch_wrapped_tensor(tensor):
            return "it ran inside a functorch transform such as vmap"
    return None


def standard(given: Arguments, meant: Tensor | None = None) -> Arguments:
    """Return the arguments with four axes each, keys and values alike in their leading ones.

    Args:
        given: the arguments of the call.
        meant: queries (B, H, N, D) as the model means them, where it may call with the heads of a group as queries.
    """
    tensors = _broadcast([given.query, given.key, given.value], given.enable_gqa)
    mask = given.attn_mask
    if mask is not None and tensors[0].ndim != 4:
        mask = mask.reshape((1,) * (tensors[0].ndim - mask.ndim) + tuple(mask.shape))
        mask = _four_axes(mask.expand(*tensors[0].shape[:-2], *mask.shape[-2:]))
    query, key, value = (_four_axes(t) for t in tensors)
    if meant is not None and query.shape != meant.shape and query.shape[1] * query.shape[2] == meant.shape[1]:
        heads, queries = meant.shape[1:3]
        if mask is not None and mask.ndim == 4 and mask.shape[1] > 1:
            mask = mask.expand(-1, -1, query.shape[2], -1).reshape(mask.shape[0], heads, queries, -1)
        query = query.reshape(query.shape[0], heads, queries, -1)
    return replace(given, query=query, key=key, value=value, attn_mask=mask, enable_gqa=True)


def translate(given: Arguments, caught: Caught | None, output: Tensor | None) -> Call:
    """Return a call of torch's attention as a problem.

    Args:
        given: the arguments of the call, standardised.
        caught: the fused operator that it took, or None where torch used plain operations.
        output: what it returned.
    """
    query, key, value = (_as_computed(t.detach()) for t in (given.query, given.key, given.value))
    mask: Mask = Full() if given.attn_mask is None else TensorMask(_as_computed(given.attn_mask.detach()))
    mask = causal() & mask if given.is_causal else mask
    lse = None if caught is None or caught.lse is None else caught.lse.detach()
    return Call(
        problem=Problem(query, key, value, Attention(mask=mask, scale=given.scale)),
        lse=None if lse is None else lse.reshape(query.shape[:3]),
        engine="math" if caught is None else caught.name,
        dropout=given.dropout_p,
        output=output,
    )


def _as_computed(tensor: Tensor) -> Tensor:
    """Return a tensor in the data type that autocast turns it into."""
    device = tensor.device.type
    if not torch.is_autocast_enabled(device) or tensor.dtype in (torch.bool, torch.float64):
        return tensor
    return tensor.to(torch.get_autocast_dtype(device))


def _broadcast(tensors: list[Tensor], grouped: bool) -> list[Tensor]:
    """Return tensors (..., N, D) with the same leading axes, but for the heads of a grouped call."""
    fixed = 3 if grouped else 2
    lead = broadcast_shapes(*(t.shape[:-fixed] for t in tensors))
    return [t.expand(*lead, *t.shape[-fixed:]) for t in tensors]


def _four_axes(tensor: Tensor) -> Tensor:
    """Return a tensor (..., N, M) with exactly two leading axes: further ones are folded into the batch."""
    if tensor.ndim == 2:
        return tensor[None, None]
    if tensor.ndim == 3:
        return tensor[:, None]
    return tensor.flatten(0, tensor.ndim - 4)
