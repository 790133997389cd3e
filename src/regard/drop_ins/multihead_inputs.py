"""What a call of torch's multi-head attention module is given: checked, and its masks as one."""

import torch
from torch import Tensor
from torch.nn.functional import pad

from regard.errors import DropInError, DropInTypeError
from regard.mechanisms.masks import Full, Mask, as_mask


def check_call(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None, key_padding_mask: Tensor | None
) -> None:
    """Check what needs no projection: kinds, and how many axes there are."""
    for name, tensor in (("query", query), ("key", key), ("value", value)):
        if not isinstance(tensor, Tensor):
            raise DropInTypeError(f"argument '{name}' must be Tensor, not {type(tensor).__name__}")
        if tensor.is_nested:
            raise DropInError(
                f"{name}: MultiheadAttention does not support NestedTensor; pad it and give key_padding_mask"
            )
    if query.ndim not in (2, 3):
        raise DropInError(f"query should be unbatched 2D or batched 3D tensor but received {query.ndim}-D")
    if key.ndim != query.ndim or value.ndim != query.ndim:
        raise DropInError(
            f"For {query.ndim}-D query, expected key and value to be {query.ndim}-D;"
            f" got {key.ndim}-D and {value.ndim}-D"
        )
    for name, mask, axes in (
        ("attn_mask", attn_mask, (2, 3)),
        ("key_padding_mask", key_padding_mask, (query.ndim - 1,)),
    ):
        if mask is None:
            continue
        if not isinstance(mask, Tensor):
            raise DropInTypeError(
                f"{name}: expected a tensor; got {type(mask).__name__}. A mask of regard is part of the mechanism:"
                " MultiheadAttention(..., attention=Attention(mask=...))"
            )
        if mask.dtype != torch.bool and not mask.is_floating_point():
            raise DropInError(f"only bool and floating types of {name} are supported; got {mask.dtype}")
        if mask.ndim not in axes:
            raise DropInError(
                f"For {query.ndim}-D query, expected {name} of {' or '.join(map(str, axes))} axes; got {mask.ndim}"
            )


def combined(
    attn_mask: Tensor | None, key_padding_mask: Tensor | None, shape: tuple[int, int, int, int], added: int
) -> Mask:
    """Return the masks of a call as one, in regard's polarity; keys added at the end are always seen.

    Args:
        attn_mask: (Nq, Nk) or (B * H, Nq, Nk), or None.
        key_padding_mask: (B, Nk), (Nk,) for a batch of one, or None.
        shape: (B, H, Nq, Nk) without what was added.
        added: how many keys were added.
    """
    batch, heads, queries, keys = shape
    mask: Mask = Full()
    if attn_mask is not None:
        expected = (queries, keys) if attn_mask.ndim == 2 else (batch * heads, queries, keys)
        if tuple(attn_mask.shape) != expected:
            raise DropInError(
                f"The shape of the {attn_mask.ndim}D attn_mask is {tuple(attn_mask.shape)},"
                f" but should be {expected}"
            )
        mask = mask & _seen(attn_mask if attn_mask.ndim == 2 else attn_mask.reshape(shape), added)
    if key_padding_mask is not None:
        if key_padding_mask.ndim == 1:
            key_padding_mask = key_padding_mask.unsqueeze(0)
        if tuple(key_padding_mask.shape) != (batch, keys):
            raise DropInError(
                f"key_padding_mask: expected shape {(batch, keys)}; got {tuple(key_padding_mask.shape)}"
            )
        mask = mask & _seen(key_padding_mask[:, None, None], added)
    return mask


def _seen(mask: Tensor, added: int) -> Mask:
    """Return torch's mask, in which True forbids, as one in which True allows; numbers stay."""
    if mask.dtype == torch.bool:
        return as_mask(pad(~mask, (0, added), value=True))
    return as_mask(pad(mask, (0, added), value=0.0))
