"""The axes of an einsum of weights and values, such as "bhqk,bkhd->bqhd"."""

import string
from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor


@dataclass(frozen=True)
class Letters:
    """One letter an axis.

    Attributes:
        weights: axes of the weights; the last one is summed over, the one before it is that of the queries.
        values: axes of the values.
        made: axes of what is made.
        weights_first: whether weights are the first operand.
    """

    weights: str
    values: str
    made: str
    weights_first: bool = True

    @property
    def rule(self) -> str:
        """The einsum's first argument."""
        sides = (self.weights, self.values) if self.weights_first else (self.values, self.weights)
        return f"{','.join(sides)}->{self.made}"

    @property
    def width(self) -> str:
        """The axis that only values have."""
        return (set(self.values) - set(self.weights)).pop()

    @property
    def all_values(self) -> str:
        """The axes of values of which there are as many as there are weights."""
        return self.weights[:-2] + self.weights[-1] + self.width

    @property
    def ordered(self) -> "Letters":
        """The same with the axis of the queries at its place: the last of those that values do not have."""
        shared = [letter for letter in self.weights[:-1] if letter in self.values]
        own = [letter for letter in self.weights[:-1] if letter not in self.values]
        return replace(self, weights="".join([*shared, *own, self.weights[-1]]))

    def order(self, other: "Letters") -> list[int]:
        """Return how to permute these weights into the order of others."""
        return [self.weights.index(letter) for letter in other.weights]


def letters_of(rule: str, operands: Sequence[Tensor], place: int) -> Letters | None:
    """Return the axes of an einsum of two operands, if it applies weights over their last axis to values.

    Args:
        rule: the einsum's first argument.
        operands: weights and values, in either order.
        place: which of them are the weights.
    """
    sides, arrow, made = rule.replace(" ", "").partition("->")
    names = sides.split(",")
    if not arrow or len(names) != 2:
        return None
    free = [letter for letter in string.ascii_letters if letter not in rule]
    counts = [operand.ndim - len(name) + 3 for name, operand in zip(names, operands, strict=True) if "..." in name]
    most = free[: max(counts, default=0)]
    names = [_spelled(name, most, operand.ndim) for name, operand in zip(names, operands, strict=True)]
    found = Letters(names[place], names[1 - place], made.replace("...", "".join(most)), place == 0)
    return found if _applies(found) else None


def _spelled(name: str, letters: Sequence[str], ndim: int) -> str:
    """Return axes with letters for the dots; operands are aligned at their last ones."""
    count = ndim - len(name) + 3
    return name.replace("...", "".join(letters[len(letters) - count :]))


def _applies(found: Letters) -> bool:
    """Whether keys, the last axis, are all that is summed, queries no axis of values, and values have a width."""
    weights, values, made = (set(each) for each in (found.weights, found.values, found.made))
    once = all(len(set(each)) == len(each) for each in (found.weights, found.values, found.made))
    one_width = len(values - weights) == 1
    asks = bool(weights - values)
    return (
        once
        and one_width
        and asks
        and found.weights[-1] in values
        and made == weights ^ {found.weights[-1]} | (values - weights)
    )
