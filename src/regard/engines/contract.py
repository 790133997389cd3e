"""What an engine is: it says why it cannot compute a problem, what memory it takes, and computes it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from regard.engines.partial import Partial
from regard.mechanisms.attention import Attention
from regard.mechanisms.grid import Grid
from regard.mechanisms.masks import Mask
from regard.shapes import Sizes, check


@dataclass(frozen=True, eq=False)
class Problem:
    """One call: query (B, H, Nq, D), key (B, G, Nk, D), value (B, G, Nk, Dv) and the mechanism.

    Making one checks that the parts fit together.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    mechanism: Attention

    def __post_init__(self) -> None:
        self.mask.check(self.sizes)

    @cached_property
    def sizes(self) -> Sizes:
        """The sizes of the call."""
        return check(self.query, self.key, self.value)

    @property
    def mask(self) -> Mask:
        """Who may see whom."""
        return self.mechanism.rule

    @property
    def scale(self) -> float:
        """The factor on the dot products."""
        return self.mechanism.scale_for(self.sizes.width)

    @property
    def device(self) -> torch.device:
        """Where the tensors lie."""
        return self.query.device

    def added(self, grid: Grid, dtype: torch.dtype) -> Tensor | None:
        """Return what the mask adds to the scaled scores on a grid, in a data type; finite numbers stay finite."""
        bias = self.mask.bias(grid)
        if bias is None:
            return None
        limits = torch.finfo(dtype)
        if torch.finfo(bias.dtype).max <= limits.max:
            return bias.to(dtype)
        return bias.clamp(limits.min, limits.max).to(dtype).masked_fill(bias == -torch.inf, -torch.inf)

    @property
    def wants_grad(self) -> bool:
        """Whether a gradient is asked of query, key or value."""
        return torch.is_grad_enabled() and any(t.requires_grad for t in (self.query, self.key, self.value))

    def nothing(self) -> Partial:
        """Return attention over no keys, from which gradients (of 0) flow back all the same."""
        partial = Partial.nothing(self.sizes, self.query)
        if not self.wants_grad:
            return partial
        everything = torch.ones((), dtype=torch.bool, device=self.device)
        zero = sum(t.masked_fill(everything, 0.0).sum() for t in (self.query, self.key, self.value))
        return Partial(partial.output + zero, partial.lse)

    def dense_bytes(self) -> int:
        """Return the size of one full matrix of scores."""
        return self.sizes.pairs * (8 if self.query.dtype == torch.float64 else 4)


class Engine(Protocol):
    """A way to compute a problem."""

    name: str

    def against(self, problem: Problem) -> list[str]:
        """Return the reasons why this engine cannot compute the problem; none means it can."""
        ...

    def memory(self, problem: Problem) -> int:
        """Return the bytes that the forward pass needs beside inputs and output, an estimate."""
        ...

    def run(self, problem: Problem) -> Partial:
        """Compute the problem; only called where `against` is empty."""
        ...
