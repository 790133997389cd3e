"""Where a change applies: which layers, paths, kinds of attention and heads."""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from operator import index
from typing import SupportsIndex, TypedDict

from regard.errors import ChangeError
from regard.shapes import Sizes
from regard.watch.paths import Choice, Paths, choice_of, chooses, named, unmet

Numbers = int | Sequence[int] | None


class Place(TypedDict, total=False):
    """Where a change applies, as keywords.

    Attributes:
        layers: numbers of layers: the first whole number in the path of the attention module. Default: all.
        paths: paths of modules, each with what is below it ("decoder"), patterns with * or ?, or a function of the
            path. Default: all.
        kind: "self" or "cross". Default: both.
    """

    layers: Numbers
    paths: Paths | None
    kind: str | None


@dataclass(frozen=True)
class Where:
    """A choice of calls and heads; what is None chooses all.

    Attributes:
        layers: numbers of layers; the layer of a call is the first whole number in the path of its module.
        paths: paths and patterns, or a function of the path.
        kind: "self" or "cross".
        heads: numbers of heads, negative ones from the end.
    """

    layers: tuple[int, ...] | None
    paths: Choice | None
    kind: str | None
    heads: tuple[int, ...] | None

    @classmethod
    def of(cls, heads: Numbers, place: Place) -> "Where":
        """Check a choice.

        Raises:
            ChangeError: a number that is none, no number at all, or another kind than "self" or "cross".
        """
        paths, kind = place.get("paths"), place.get("kind")
        if unknown := sorted(set(place) - set(Place.__annotations__)):
            raise ChangeError(f"expected layers=, paths= or kind=; got {', '.join(unknown)}=")
        if kind not in (None, "self", "cross"):
            raise ChangeError(f'kind: expected "self", "cross" or None for both; got {kind!r}')
        layers = _numbers("layers", place.get("layers"))
        if layers is not None and min(layers) < 0:
            raise ChangeError(f"layers: expected numbers from 0; got {list(layers)}")
        choice = None if paths is None else choice_of(paths, ChangeError)
        return cls(layers, choice, kind, _numbers("heads", heads))

    def chooses(self, path: str, kind: str | None) -> bool:
        """Whether a call of a module is chosen; where its kind is not known, whether it may be."""
        if None not in (self.kind, kind) and self.kind != kind:
            return False
        if self.layers is not None and layer_of(path) not in self.layers:
            return False
        return self.paths is None or chooses(self.paths, path)

    def missing(self, met: Collection[str]) -> str | None:
        """Return what of the choice none of the modules that were met stands for, or None."""
        if not met:
            return str(self) or "all calls"
        layers = [each for each in self.layers or () if each not in map(layer_of, met)]
        found = {"layers": layers, "paths": [] if self.paths is None else unmet(self.paths, met)}
        return ", ".join(f"{name}={value}" for name, value in found.items() if value) or None

    def heads_of(self, sizes: Sizes, path: str) -> tuple[int, ...] | None:
        """Return the chosen heads of a call, counted from 0; None for all.

        Raises:
            ChangeError: the call has no such head.
        """
        if self.heads is None:
            return None
        if any(not -sizes.heads <= head < sizes.heads for head in self.heads):
            raise ChangeError(
                f"heads: expected numbers from 0 to {sizes.heads - 1} at {path or 'the model'};"
                f" got {list(self.heads)}"
            )
        return tuple(sorted({head % sizes.heads for head in self.heads}))

    def __str__(self) -> str:
        paths = None if self.paths is None else named(self.paths)
        parts = {"layers": self.layers, "paths": paths, "kind": self.kind, "heads": self.heads}
        return ", ".join(
            f"{name}={list(value) if isinstance(value, tuple) else value}"
            for name, value in parts.items()
            if value is not None
        )


def layer_of(path: str) -> int | None:
    """Return the first whole number in a path, as in "encoder.layer.3.attention", or None."""
    found = re.search(r"(?:^|\.)(\d+)(?:\.|$)", path)
    return int(found[1]) if found else None


def _numbers(name: str, given: Numbers) -> tuple[int, ...] | None:
    if given is None:
        return None
    numbers = tuple(given) if isinstance(given, Iterable) else (given,)
    if not all(isinstance(each, SupportsIndex) and not isinstance(each, bool) for each in numbers):
        raise ChangeError(f"{name}: expected a whole number, several, or None for all; got {given!r}")
    found = tuple(index(each) for each in numbers)
    if not found:
        raise ChangeError(f"{name}: expected at least one number, or None for all; got none")
    return found
