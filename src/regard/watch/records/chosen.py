"""A mask, or a modifier, of some heads and queries: it is asked as it was within the whole call."""

from dataclasses import dataclass

from torch import Tensor

from regard.mechanisms.grid import Grid
from regard.mechanisms.masks.rule import Mask
from regard.mechanisms.modifiers import Bias, Modifier
from regard.shapes import Sizes


@dataclass(frozen=True, eq=False)
class Choice:
    """Some heads and queries of a call.

    Attributes:
        heads: (heads,) their numbers in the call.
        queries: (queries,) their numbers in the call.
        sizes: the call's sizes.
    """

    heads: Tensor
    queries: Tensor
    sizes: Sizes

    def within(self, grid: Grid) -> Grid:
        """Return a grid over what was chosen in the numbers of the call."""
        heads, queries = self.heads.to(grid.head.device), self.queries.to(grid.query.device)
        return Grid(grid.batch, heads[grid.head], queries[grid.query], grid.key, self.sizes)


@dataclass(frozen=True, eq=False)
class ChosenMask(Mask):
    """What a mask says to chosen heads and queries."""

    mask: Mask
    choice: Choice

    def allowed(self, grid: Grid) -> Tensor:
        """Ask the mask."""
        return self.mask.allowed(self.choice.within(grid))

    def bias(self, grid: Grid) -> Tensor | None:
        """Ask the mask."""
        return self.mask.bias(self.choice.within(grid))

    @property
    def adds(self) -> bool:
        """Whether the mask adds."""
        return self.mask.adds

    @property
    def made_for(self) -> tuple[int, int]:
        """The mask's items, and the chosen heads if it tells heads apart."""
        items, heads = self.mask.made_for
        return items, len(self.choice.heads) if heads > 1 else 1

    @property
    def kind(self) -> str:
        """The mask's name."""
        return self.mask.kind


@dataclass(frozen=True, eq=False)
class ChosenBias(Bias):
    """What a bias adds for chosen heads and queries."""

    bias: Bias
    choice: Choice

    def on(self, grid: Grid) -> Tensor:
        """Ask the bias."""
        return self.bias.on(self.choice.within(grid))

    @property
    def kind(self) -> str:
        """The bias' name."""
        return self.bias.kind


@dataclass(frozen=True, eq=False)
class ChosenModifier(Modifier):
    """What a modifier does to chosen heads and queries."""

    modifier: Modifier
    choice: Choice

    def apply(self, S: Tensor, grid: Grid) -> Tensor:
        """Ask the modifier."""
        return self.modifier.apply(S, self.choice.within(grid))

    @property
    def kind(self) -> str:
        """The modifier's name."""
        return self.modifier.kind
