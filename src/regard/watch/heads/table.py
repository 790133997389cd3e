"""The table of all heads of a model: shares, probe scores and kinds, sorted by any of its columns."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from regard.errors import ShapeError
from regard.watch.head_kinds import Head, head_kinds
from regard.watch.heads.listing import in_order, listed
from regard.watch.heads.probe import Probe
from regard.watch.site import Site

_SHARES = ("previous", "same", "next", "first", "sink", "separator", "same_token", "local")


@dataclass(frozen=True, eq=False)
class Heads:
    """All heads of a model, with what probes found of them; prints as a table.

    Attributes:
        heads: every head, site by site.
        probes: probes of the same model.
    """

    heads: tuple[Head, ...]
    probes: tuple[Probe, ...] = ()

    def __iter__(self) -> Iterator[Head]:
        return iter(self.heads)

    def __len__(self) -> int:
        return len(self.heads)

    def kinds(self, head: Head) -> tuple[str, ...]:
        """Return every kind of a head: what probes name it, then what its shares do."""
        found = [kind for probe in self.probes for kind in probe.kinds(head.site, head.head)]
        return (*found, *head.kinds)

    def of(self, kind: str) -> tuple[Head, ...]:
        """Return the heads of a kind."""
        return tuple(head for head in self.heads if kind in self.kinds(head))

    def row(self, head: Head) -> dict[str, Any]:
        """Return what is known of a head by column; probe scores are estimates, None where not measured."""
        row: dict[str, Any] = {"site": head.site, "head": head.head, "kinds": ", ".join(self.kinds(head))}
        row |= {name: getattr(head, name) for name in (*_SHARES, "relative_entropy", "worth")}
        for probe in self.probes:
            for score in probe.scores:
                known = head.site in probe.measured[score]
                row[score] = probe.estimate(score, head.site, head.head) if known else None
        return row

    def sorted_by(self, column: str) -> "Heads":
        """Return the heads sorted by a column, numbers from the largest, words from A, unknown ones last.

        Raises:
            WantError: there is no such column.
        """
        rows = [self.row(head) | {"": head} for head in self.heads]
        return replace(self, heads=tuple(row[""] for row in in_order(rows, column)))

    def table(self, by: str | None = None, count: int | None = None) -> str:
        """Return the heads as text, a line each.

        Args:
            by: the column to sort by, as `sorted_by` does. Default: as they stand.
            count: how many heads to list. Default: all.

        Raises:
            WantError: there is no such column.
        """
        return listed([self.row(head) for head in self.heads], by, count)

    def __str__(self) -> str:
        return self.table()


def heads(
    sites: Iterable[Site],
    *,
    separators: Sequence[int] | Tensor = (),
    tokens: Sequence[int] | Tensor | None = None,
    real: Sequence[bool] | Tensor | None = None,
    item: int | None = None,
    probes: Sequence[Probe] = (),
) -> Heads:
    """Return all heads of a record with their shares and kinds, and what probes found of them.

    Args:
        sites: a record, or some of its sites; they must have kept entropy, queries and keys.
        separators: as for `head_kinds`.
        tokens: numbers of the tokens, (N,) or (B, N), for self-attention over as many positions; other sites are
            judged without. Default: not known.
        real: which of these are real tokens and no padding, likewise.
        item: a batch item. Default: all together.
        probes: results of `induction` and `retrieval` on the same model.

    Raises:
        NotKeptError: a site kept no entropy, or no queries and keys.
        ShapeError: what is given fits no site's positions.
    """
    found = tuple(sites)
    given = {"tokens": tokens, "real": real}
    marks = {name: torch.as_tensor(each) for name, each in given.items() if each is not None}
    for name, each in marks.items():
        if found and not any(_fits(site, each) for site in found):
            raise ShapeError(
                f"{name}: expected as many as a self-attention site has keys; none has {each.shape[-1]}"
            )

    def judged(site: Site) -> list[Head]:
        fitting = {name: each for name, each in marks.items() if _fits(site, each)}
        return head_kinds(site, separators, item, **fitting)

    return Heads(tuple(head for site in found for head in judged(site)), tuple(probes))


def _fits(site: Site, marks: Tensor) -> bool:
    return site.kind == "self" and marks.ndim > 0 and site.sizes.keys == marks.shape[-1]
