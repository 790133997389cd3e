"""What stays while units are removed in an order, and what the answers along the way add up to."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

METRICS = ("comprehensiveness", "sufficiency", "deletion", "insertion")
# +1 where the larger number is the better explanation.
DIRECTION = {"comprehensiveness": 1, "sufficiency": -1, "deletion": -1, "insertion": 1}
BINS = (0.01, 0.05, 0.1, 0.2, 0.5)


@dataclass(frozen=True, eq=False)
class Grid:
    """How many units are removed, or kept, at each step of a curve.

    Attributes:
        units: how many there are.
        counts: (steps,) ascending, from none to all.
        tops: (bins,) places in `counts` of the shares at which comprehensiveness and sufficiency are taken.
    """

    units: int
    counts: Tensor
    tops: Tensor

    @classmethod
    def of(cls, units: int, steps: int, bins: Sequence[float]) -> "Grid":
        """Return at most `steps` even steps, and the shares of the bins, each at least one unit."""
        # A share such as 0.2 of 5 must not be rounded up to 2 for what floating point adds to it.
        tops = torch.tensor([max(1, math.ceil(share * units - 1e-9)) for share in bins])
        even = torch.linspace(0, units, min(units, steps) + 1, dtype=torch.float64).round().long()
        counts = torch.cat([even, tops]).unique()
        return cls(units, counts, torch.searchsorted(counts, tops))

    def without_top(self, orders: Tensor) -> Tensor:
        """Return what stays (orders, steps, units) when the first units of each order (orders, units) go."""
        ranks = orders.argsort(-1)
        return ranks.unsqueeze(1) >= self.counts.unsqueeze(1)

    def metrics(self, without_top: Tensor, only_top: Tensor) -> dict[str, Tensor]:
        """Return the metrics (orders,) of answers (orders, steps).

        Comprehensiveness is the mean over bins of m(x) - m(x without r), sufficiency that of m(x) - m(r), where r
        are the most important units; deletion and insertion are the areas under the two curves, over the share
        of units removed or inserted.

        Source: DeYoung et al. 2020 (ERASER), section 4.2, averaged over the bins as in the authors' scorer (the
        paper's formula counts an empty bin too); Petsiuk et al. 2018 (RISE), section 4.
        """
        full, share = without_top[:, 0], self.counts / self.units
        return {
            "comprehensiveness": full - without_top[:, self.tops].mean(-1),
            "sufficiency": full - only_top[:, self.tops].mean(-1),
            "deletion": torch.trapezoid(without_top, share, dim=-1),
            "insertion": torch.trapezoid(only_top, share, dim=-1),
        }
