"""Vectors as torch's fused kernels need them: of one width, each in one piece, in a type that multiplies fast."""

import torch
from torch import Tensor
from torch.nn.functional import pad


def in_rows(tensor: Tensor, width: int) -> Tensor:
    """Return vectors (..., D) padded with zeros, which change no score, to a width, each in one piece."""
    tensor = pad(tensor, (0, width - tensor.shape[-1])) if tensor.shape[-1] < width else tensor
    return tensor if tensor.stride(-1) == 1 else tensor.contiguous()


def as_multiplied(tensor: Tensor) -> Tensor:
    """Return vectors in the type to compute in: the CPU multiplies float16 many times slower than float32."""
    return tensor.float() if tensor.dtype == torch.float16 and tensor.device.type == "cpu" else tensor


def repeated(vectors: Tensor, start: int, size: int, step: int, count: int) -> Tensor:
    """Return a view (count, H, size, D) of (H, N, D): pieces `size` long, each `step` after the last."""
    heads, positions, width = vectors.stride()
    shape = (count, vectors.shape[0], size, vectors.shape[2])
    return vectors[:, start:].as_strided(shape, (step * positions, heads, positions, width))
