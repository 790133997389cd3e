"""Where chains compute: without gradients of their own, and without a caller's autocast."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


@contextmanager
def exact(tensor: Tensor) -> Iterator[None]:
    """Within the block, record no gradients and compute on the device of a tensor in the types that are given."""
    with torch.no_grad(), torch.autocast(tensor.device.type, enabled=False):
        yield
