"""Numbers of a layer that are known without a checkpoint: they follow its device, and keep their precision."""

from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor, nn

from regard.shapes import compute_dtype


class FixedNumbers(nn.Module):
    """A row of numbers as a buffer outside of the state dict.

    In bfloat16 a frequency would be wrong by far more than a turn at the thousandth position. So a module that is
    moved to a narrow data type keeps these numbers in float32, and `dtype` says which type it was moved to. Numbers
    on the meta device are made anew where the module comes to lie.

    Args:
        numbers: (N,), in float64.
    """

    numbers: Tensor

    def __init__(self, numbers: Tensor) -> None:
        super().__init__()
        self._exact: list[float] = numbers.tolist()
        self.dtype = torch.get_default_dtype()
        device = torch.get_default_device()
        # A checkpoint fills what was built on the meta device, but holds none of these.
        self._place(torch.device("cpu") if device.type == "meta" else device)

    def forward(self, device: torch.device) -> Tensor:
        """Return the numbers on a device."""
        return self.numbers.to(device)

    def _place(self, device: torch.device) -> None:
        numbers = torch.tensor(self._exact, dtype=compute_dtype(self.dtype), device=device)
        self.register_buffer("numbers", numbers, persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.dtype = self.numbers.dtype
        self._place(self.numbers.device)
        return self
