"""Where a change applies: which layers, paths, kinds of attention and heads."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypedDict

from regard.errors import ChangeError
from regard.shapes import Sizes

Numbers = int | Sequence[int] | None
Paths = str | Sequence[str] | Callable[[str], bool] | None


class Place(TypedDict, total=False):
    """Where a change applies, as keywords.

    Attributes:
        layers: numbers of layers: the first whole number in the path of the attention module. Default: all.
        paths: how the paths of modules begin ("decoder"), or a function of the path. Default: all.
        kind: "self" or "cross". Default: both.
    """

    layers: Numbers
    paths: Paths
    kind: str | None


@dataclass(frozen=True)
class Where:
    """A choice of calls and heads; what is None chooses all.

    Attributes:
        layers: numbers of layers; the layer of a call is the first whole number in the path of its module.
        paths: how paths begin, or a function of the path.
        kind: "self" or "cross".
        heads: numbers of heads, negative ones from the end.
    """

    layers: tuple[int, ...] | None
    paths: tuple[str, ...] | Callable[[str], bool] | None
    kind: str | None
    heads: tuple[int, ...] | None

    @classmethod
    def of(cls, heads: Numbers, place: Place) -> "Where":
        """Check a choice.

        Raises:
            ChangeError: a number that is none, or another kind than "self" or "cross".
        """
        paths, kind = place.get("paths"), place.get("kind")
        if kind not in (None, "self", "cross"):
            raise ChangeError(f'kind: expected "self", "cross" or None for both; got {kind!r}')
        begins = (paths,) if isinstance(paths, str) else paths
        chosen = begins if begins is None or callable(begins) else tuple(begins)
        return cls(_numbers("layers", place.get("layers")), chosen, kind, _numbers("heads", heads))

    def chooses(self, path: str, kind: str) -> bool:
        """Whether a call of a module is chosen."""
        if self.kind not in (None, kind):
            return False
        if self.layers is not None and layer_of(path) not in self.layers:
            return False
        if self.paths is None:
            return True
        if callable(self.paths):
            return self.paths(path)
        return any(path == each or path.startswith(f"{each.rstrip('.')}.") for each in self.paths)

    def heads_of(self, sizes: Sizes, path: str) -> tuple[int, ...] | None:
        """Return the chosen heads of a call, counted from 0; None for all.

        Raises:
            ChangeError: the call has no such head.
        """
        if self.heads is None:
            return None
        if any(not -sizes.heads <= head < sizes.heads for head in self.heads):
            raise ChangeError(
                f"heads: expected numbers from 0 to {sizes.heads - 1} at {path or 'the call'};"
                f" got {list(self.heads)}"
            )
        return tuple(sorted({head % sizes.heads for head in self.heads}))

    def __str__(self) -> str:
        parts = {"layers": self.layers, "paths": self.paths, "kind": self.kind, "heads": self.heads}
        return ", ".join(f"{name}={value}" for name, value in parts.items() if value is not None)


def layer_of(path: str) -> int | None:
    """Return the first whole number in a path, as in "encoder.layer.3.attention", or None."""
    found = re.search(r"(?:^|\.)(\d+)(?:\.|$)", path)
    return int(found[1]) if found else None


def _numbers(name: str, given: Numbers) -> tuple[int, ...] | None:
    if given is None:
        return None
    numbers = (given,) if isinstance(given, int) else tuple(given)
    if any(not isinstance(each, int) or isinstance(each, bool) for each in numbers):
        raise ChangeError(f"{name}: expected a whole number, several, or None for all; got {given!r}")
    return numbers
