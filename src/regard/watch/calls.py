"""One attention call as it was seen, and its translation into a problem that can be observed."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from regard.engines.contract import Problem
from regard.engines.kernel import Caught
from regard.mechanisms.attention import Attention
from regard.mechanisms.masks import Table, as_mask, causal


@dataclass(frozen=True, eq=False)
class Call:
    """An attention call that ran.

    Attributes:
        problem: its tensors, without gradient history, and its mechanism.
        lse: (B, H, Nq), or None where the kernel did not give it.
        engine: what computed it, for people.
        dropout: the probability with which weights were dropped; observed are the weights before.
    """

    problem: Problem
    lse: Tensor | None
    engine: str
    dropout: float


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


def unreadable(tensor: Tensor) -> str | None:
    """Return why a tensor holds no numbers to look at, or None if it does."""
    if tensor.is_nested:
        return "its tensors are nested"
    if tensor.device.type == "meta" or type(tensor).__name__ == "FakeTensor":
        return "its tensors hold no numbers (meta or fake)"
    if torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        return "it ran inside a functorch transform such as vmap"
    if tensor.ndim < 2:
        return "its tensors have fewer than two axes"
    return None


def translate(given: Arguments, caught: Caught | None) -> Call:
    """Return a call of torch's attention as a problem with four axes.

    Args:
        given: the arguments of the call.
        caught: the fused operator that it took, or None where torch used plain operations.
    """
    mask = as_mask(None if given.attn_mask is None else given.attn_mask.detach())
    if isinstance(mask, Table):
        mask = Table(_four_axes(mask.tensor, given.query))
    if given.is_causal:
        mask = causal() & mask
    query, key, value = (_four_axes(t.detach()) for t in _as_computed(given))
    problem = Problem(query, key, value, Attention(mask=mask, scale=given.scale))
    return Call(
        problem=problem,
        lse=None if caught is None or caught.lse is None else caught.lse.detach().reshape(query.shape[:3]),
        engine="math" if caught is None else caught.name,
        dropout=given.dropout_p,
    )


def _as_computed(given: Arguments) -> tuple[Tensor, Tensor, Tensor]:
    """Return query, key and value in the data type that autocast turns them into."""
    tensors = (given.query, given.key, given.value)
    device = given.query.device.type
    if torch.is_autocast_enabled(device) and given.query.dtype != torch.float64:
        dtype = torch.get_autocast_dtype(device)
        return tuple(t.to(dtype) for t in tensors)  # type: ignore[return-value]
    return tensors


def _four_axes(tensor: Tensor, like: Tensor | None = None) -> Tensor:
    """Return a tensor (..., N, M) with exactly two leading axes: further ones are folded into the batch.

    A mask is first given as many axes as the queries, so that the same axes are folded.
    """
    if like is not None and tensor.ndim <= 4 and like.ndim == 4:
        return tensor
    if like is not None:
        tensor = tensor.reshape((1,) * (like.ndim - tensor.ndim) + tuple(tensor.shape))
        if tensor.ndim > 4:
            tensor = tensor.expand(*like.shape[:-2], *tensor.shape[-2:])
    if tensor.ndim == 2:
        return tensor[None, None]
    if tensor.ndim == 3:
        return tensor[:, None]
    return tensor.flatten(0, tensor.ndim - 4)
