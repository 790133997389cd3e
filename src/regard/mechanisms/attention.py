"""The mechanism: one frozen value that says which attention is meant."""

import math
from dataclasses import dataclass

from torch import Tensor

from regard.errors import MaskError
from regard.mechanisms.masks import Full, Mask, as_mask


@dataclass(frozen=True, eq=False, kw_only=True)
class Attention:
    """Softmax attention over scaled dot products, `softmax(scale * Q K^T + bias) V`.

    Attributes:
        mask: who may see whom; a `Mask`, a boolean tensor (True = may attend) or a float tensor (added to the
            scaled scores, -inf = may not attend), broadcastable to (B, H, Nq, Nk). Default: everyone.
        scale: factor on the dot products. Default: 1 / sqrt(D).

    Source: Vaswani et al. 2017, "Attention Is All You Need", equation 1.
    """

    mask: Mask | Tensor | None = None
    scale: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "mask", as_mask(self.mask))
        if self.scale is not None and not (isinstance(self.scale, int | float) and math.isfinite(self.scale)):
            raise MaskError(f"scale: expected a finite number or None; got {self.scale!r}")

    @property
    def rule(self) -> Mask:
        """The mask as a rule, whatever it was given as."""
        return self.mask if isinstance(self.mask, Mask) else Full()

    def scale_for(self, width: int) -> float:
        """Return the factor on the dot products of vectors of this width."""
        return float(width) ** -0.5 if self.scale is None else self.scale
