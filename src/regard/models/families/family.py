"""What a family of pretrained models is: how it is built from its config, and how its tensors are named."""

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from regard.errors import ModelError
from regard.models.families.config import Config


@dataclass(frozen=True)
class Rename:
    """How tensors of a stored module become ours.

    Attributes:
        theirs: the stored module or tensor, `{}` standing for the number of a layer.
        ours: where its tensors belong, the same number in `{}`; several where a stored one holds several of ours
            after one another, in equal parts.
        transposed: whether matrices are stored as (in, out) rather than (out, in).
    """

    theirs: str
    ours: tuple[str, ...]
    transposed: bool = False

    def of(self, name: str) -> list[str] | None:
        """Return our names of a stored tensor, or None where this rename does not speak of it."""
        pattern = re.escape(self.theirs).replace(r"\{\}", r"(\d+)")
        found = re.fullmatch(rf"{pattern}((?:\..+)?)", name)
        if found is None:
            return None
        *layers, rest = found.groups()
        return [each.format(*layers) + rest for each in self.ours]

    def parts(self, tensor: Tensor) -> tuple[Tensor, ...]:
        """Return our tensors out of a stored one."""
        ours = tensor.t() if self.transposed and tensor.ndim == 2 else tensor
        return ours.chunk(len(self.ours)) if len(self.ours) > 1 and ours.ndim else (ours,)


def rename(theirs: str, *ours: str, transposed: bool = False) -> Rename:
    """Return a rename; see `Rename`."""
    return Rename(theirs, ours, transposed)


def projections(theirs: str, ours: str, names: tuple[str, str, str, str]) -> tuple[Rename, ...]:
    """Return the renames of the projections of queries, keys, values and outputs, whose stored names are given."""
    own = ("query", "key", "value", "output")
    return tuple(rename(f"{theirs}.{name}", f"{ours}.{each}") for name, each in zip(names, own, strict=True))


@dataclass(frozen=True)
class Family:
    """A family of pretrained models.

    Attributes:
        build: makes the model of a config; it is told the names of the stored tensors, without prefix, since these
            say which parts there are.
        renames: from stored modules to ours, the first that speaks of a tensor counting.
        prefix: what may stand before stored names, the model's own where a head stands beside it.
        body: where ours of the renames are within a model that has a head beside its body.
        ignored: expressions for stored tensors that nothing is computed with.
        tied: expressions for stored tensors that repeat the embedding in a model that has no place for them.
        harmless: fields of the config that change nothing, beside those of every family.
    """

    build: Callable[[Config, Collection[str]], nn.Module]
    renames: tuple[Rename, ...]
    prefix: str = ""
    body: str = ""
    ignored: tuple[str, ...] = ()
    tied: tuple[str, ...] = ()
    harmless: tuple[str, ...] = ()

    def plain(self, name: str) -> str:
        """Return a stored name without prefix, norms in the words of today."""
        return re.sub(r"\.beta$", ".bias", re.sub(r"\.gamma$", ".weight", name.removeprefix(self.prefix)))

    def ignores(self, name: str) -> bool:
        """Whether nothing is computed with a stored tensor."""
        return self._is_one_of(name, self.ignored)

    def repeats(self, name: str) -> bool:
        """Whether a stored tensor for which there is no place repeats another."""
        return self._is_one_of(name, self.tied)

    def _is_one_of(self, name: str, expressions: tuple[str, ...]) -> bool:
        return any(re.fullmatch(each, self.plain(name)) for each in expressions)

    def ours(self, name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Yield our names and tensors of a stored one; nothing where it is unknown.

        Raises:
            ModelError: the stored tensor does not hold equal parts.
        """
        for each in self.renames:
            names = each.of(self.plain(name))
            if names is None:
                continue
            parts = each.parts(tensor)
            if len(parts) != len(names):
                raise ModelError(
                    f"{name}: expected {len(names)} equal parts after one another; got {tuple(tensor.shape)}"
                )
            yield from zip(names, parts, strict=True)
            return
