"""Asking a function of scalars at every place of index tensors."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from regard.shapes import broadcast_shapes


def pointwise(function: Callable[..., Any], *tensors: Tensor) -> Tensor:
    """Return the function's answers at each place of tensors that broadcast to one another.

    The function gets scalars, as torch's FlexAttention calls its functions, so that indexing a table by them means
    what it says; `torch.vmap` turns this into whole-tensor operations. Axes on which the answer does not depend are
    1 long.

    Args:
        function: of as many scalars as there are tensors; gives a scalar tensor.
        tensors: of any shapes that broadcast.
    """
    axes = max(tensor.ndim for tensor in tensors)
    if axes == 0:
        return function(*tensors)  # type: ignore[no-any-return]
    full = [tensor.reshape((1,) * (axes - tensor.ndim) + tuple(tensor.shape)) for tensor in tensors]
    shape = broadcast_shapes(*(tensor.shape for tensor in full))
    if 0 in shape:
        return function(*(tensor.new_zeros(()) for tensor in full)).expand(shape)  # type: ignore[no-any-return]
    mapped, kept = function, []
    for axis in reversed(range(axes)):
        if shape[axis] > 1:
            mapped = torch.vmap(mapped, in_dims=tuple(0 if t.shape[axis] > 1 else None for t in full))
            kept.append(axis)
    answer = mapped(*(tensor.squeeze() for tensor in full))
    if not isinstance(answer, Tensor):
        answer = torch.as_tensor(answer, device=tensors[0].device)
    if not answer.ndim:
        return answer.reshape((1,) * axes)
    # What does not depend on an axis comes repeated along it, without lying there more than once.
    for place in range(answer.ndim):
        answer = answer.narrow(place, 0, 1) if answer.stride(place) == 0 else answer
    lengths = dict(zip(reversed(kept), answer.shape, strict=True))
    return answer.reshape([lengths.get(axis, 1) for axis in range(axes)])
