"""Vectors as torch's fused kernels need them: of one width, each in one piece."""

from torch import Tensor
from torch.nn.functional import pad


def in_rows(tensor: Tensor, width: int) -> Tensor:
    """Return vectors (..., D) padded with zeros, which change no score, to a width, each in one piece."""
    tensor = pad(tensor, (0, width - tensor.shape[-1])) if tensor.shape[-1] < width else tensor
    return tensor if tensor.stride(-1) == 1 else tensor.contiguous()
