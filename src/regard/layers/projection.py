"""Linear layers that multiply few rows, as generation has them at each step, in the way that is fastest."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# How many numbers the rows have at most together, so that they lie in the first cache, and the matrix at least.
MOST, LEAST = 1 << 12, 1 << 16


class Projection(nn.Linear):
    """`nn.Linear`, of which few rows without gradient are computed as `project` says."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., out) of x (..., in)."""
        return project(x, self.weight, self.bias)


def project(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return what `F.linear` does; the same numbers but for rounding, and for few rows sooner.

    Of few rows the CPU reads the whole matrix to multiply each number once. The library behind `F.linear` does
    that by dot products, at half the speed or less of the memory, for one row as for several. The product with
    sides exchanged, W xᵀ, takes other ways through it, which read at full speed; one row is worth doubling for it.

    Args:
        x: (..., in).
        weight: (out, in).
        bias: (out,), or None.
    """
    if not _pays(x, weight):
        return F.linear(x, weight, bias)
    rows = x.reshape(-1, x.shape[-1])
    if len(rows) == 1:
        product = torch.mm(weight, torch.cat([rows, rows]).t())[:, 0]
    else:
        product = torch.mm(weight, rows.t()).t()
    product = product if bias is None else product + bias
    return product.contiguous().view(*x.shape[:-1], -1)


def _pays(x: Tensor, weight: Tensor) -> bool:
    """Whether sides should be exchanged; shapes are as measured, the rest is what the measurement was of."""
    if torch.is_grad_enabled() or torch.compiler.is_compiling() or weight.numel() < LEAST:
        return False
    numbers, (outputs, inputs) = x.numel(), weight.shape
    if numbers == inputs and not (numbers <= MOST // 4 and inputs <= outputs):  # a long row is fast as it is
        return False
    plain = x.dtype == weight.dtype == torch.float32 and x.device.type == weight.device.type == "cpu"
    known = torch.backends.mkl.is_available() and not torch.is_autocast_enabled("cpu")
    return 0 < numbers <= MOST and x.shape[-1] == inputs and plain and known and weight.is_contiguous()
