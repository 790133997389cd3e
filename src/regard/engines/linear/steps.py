"""A call of linear attention made ready: features taken, heads in step, gates and strengths of full shape."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.errors import ShapeError
from regard.mechanisms.linear import LinearAttention
from regard.shapes import Sizes, check, compute_dtype


@dataclass(frozen=True, eq=False)
class Steps:
    """What the recurrence runs over, in float32 at least.

    Attributes:
        query, key: (B, H, N, F), features of queries (scaled) and keys.
        value: (B, H, N, E), with a column of ones at the end where outputs are normalised.
        log_decay: (B, H, N, 1), or (B, H, N, F) for a gate a channel; None: nothing fades.
        beta: (B, H, N, 1); None: values are written as they are.
        state: (B, H, F, E), before the first position.
        causal: whether queries see only keys up to their own.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    log_decay: Tensor | None
    beta: Tensor | None
    state: Tensor
    causal: bool


def steps_of(query: Tensor, key: Tensor, value: Tensor, mechanism: LinearAttention) -> tuple[Steps, Sizes]:
    """Return a call made ready, and its sizes.

    Args:
        query: (B, H, N, D).
        key: (B, G, N, D).
        value: (B, G, N, Dv).
        mechanism: which linear attention is meant.

    Raises:
        ShapeError: tensors, gates or state do not fit together.
    """
    sizes = check(query, key, value)
    mechanism.check(sizes)
    dtype = compute_dtype(query.dtype)
    query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)
    if mechanism.features is not None:
        query, key = mechanism.features(query), mechanism.features(key)
    scale = mechanism.scale
    if scale is None:
        scale = 1.0 if mechanism.features is not None else sizes.width**-0.5
    key, value = (each.repeat_interleave(sizes.group, 1) if sizes.group > 1 else each for each in (key, value))
    if mechanism.normalise:
        value = torch.cat([value, value.new_ones((*value.shape[:-1], 1))], -1)
    steps = (sizes.batch, sizes.heads, sizes.keys)
    log_decay = _full(mechanism.log_decay, steps, dtype)
    if mechanism.real is not None:
        missing = ~mechanism.real.to(key.device).expand(steps).unsqueeze(-1)
        key, value = (each.masked_fill(missing, 0.0) for each in (key, value))
        log_decay = None if log_decay is None else log_decay.masked_fill(missing, 0.0)
    wanted = (*steps[:2], key.shape[-1], value.shape[-1])
    state = mechanism.state
    if state is not None and (state.shape[-2:] != wanted[2:] or state.numel() != math.prod(wanted)):
        raise ShapeError(f"{mechanism.kind}: expected a state of shape {wanted}; got {tuple(state.shape)}")
    return Steps(
        query * scale if scale != 1.0 else query,
        key,
        value,
        log_decay,
        _full(mechanism.beta, steps, dtype),
        key.new_zeros(wanted) if state is None else state.to(dtype).reshape(wanted),
        mechanism.causal,
    ), sizes


def _full(tensor: Tensor | None, steps: tuple[int, int, int], dtype: torch.dtype) -> Tensor | None:
    """Return a number a step as (B, H, N, 1), numbers a channel as (B, H, N, F)."""
    if tensor is None:
        return None
    tensor = tensor.to(dtype)
    return tensor.expand(*steps, -1) if tensor.ndim == 4 else tensor.expand(steps).unsqueeze(-1)
