"""A tally: totals of head statistics over documents that add up exactly, whatever the order.

For every document and head, each statistic is one number, turned into an integer number of steps of 2^-32. Integers
are added, and their squares; so sums do not depend on the order of documents, batches or processes, not in a single
bit, and variances suffer no cancellation. Sums stand in BLOCKS blocks of documents (number modulo BLOCKS), so that
two tallies over the same documents can be compared in pairs without keeping every document.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from regard.errors import InputError, WatchError
from regard.watch.gathering import gathered
from regard.watch.head_kinds import KINDS, Head, head_kinds
from regard.watch.record import Record
from regard.watch.site import Site
from regard.watch.survey.documents import Document
from regard.watch.survey.estimates import Estimate, estimate
from regard.watch.survey.examples import (
    Best,
    Example,
    best_of,
    excerpt_of,
    key_words,
    links_of,
    may_enter,
    query_words,
)
from regard.watch.survey.files import pack, read, unpack
from regard.watch.survey.integers import Integers, fixed, from_bytes, to_bytes
from regard.writing import write_whole

# What `Tally.of` needs of `watch`.
WANT = ("entropy", "received", "received_max", "distance", "first", "rows")

# Blocks of documents whose totals are kept apart.
BLOCKS = 64

_JUDGED = tuple(each.name for each in fields(Head) if each.type in (float, float | None))

# What is told of a head in each document; `docs/survey.md` says what each means.
STATISTICS = (*_JUDGED, "distance", "spread", "received_max", "most_received")

# By which of them examples are chosen.
SHARES = tuple(name for name in _JUDGED if name != "entropy")

# Cross-attention has no positions in common.
_POSITIONAL = ("previous", "same", "next", "local", "distance", "spread")


@dataclass(frozen=True, eq=False)
class Block:
    """Totals over some of the documents.

    Attributes:
        documents: (H, statistics), over how many documents; those where a statistic is not known do not count.
        sums: (H, statistics), in steps of 2^-32.
    """

    documents: NDArray[np.int64]
    sums: Integers

    def __add__(self, other: "Block") -> "Block":
        return Block(self.documents + other.documents, self.sums + other.sums)


@dataclass(frozen=True, eq=False)
class SiteTally:
    """Totals of the heads of one site.

    Attributes:
        kind: "self" or "cross".
        heads: how many heads there are.
        blocks: totals by block of documents.
        squares: (H, statistics), sums of squares in steps of 2^-64.
        kinds: (H, kinds), in how many documents the head is of each kind.
        best: for each of SHARES, the examples that show each head best.
    """

    kind: str
    heads: int
    blocks: dict[int, Block]
    squares: Integers
    kinds: NDArray[np.int64]
    best: dict[str, Best]

    def __add__(self, other: "SiteTally") -> "SiteTally":
        if (self.kind, self.heads) != (other.kind, other.heads):
            raise WatchError(
                f"expected tallies of one model; a site has {self.heads} heads ({self.kind}) in one, and"
                f" {other.heads} ({other.kind}) in the other"
            )
        blocks = dict(self.blocks)
        for number, block in other.blocks.items():
            blocks[number] = blocks[number] + block if number in blocks else block
        return SiteTally(
            self.kind,
            self.heads,
            blocks,
            self.squares + other.squares,
            self.kinds + other.kinds,
            {share: best_of(self.best[share], other.best[share]) for share in SHARES},
        )

    @property
    def total(self) -> Block:
        """All blocks together."""
        return reduce(Block.__add__, self.blocks.values())


@dataclass(frozen=True, eq=False)
class HeadTally:
    """One head over the documents.

    Attributes:
        site: the site's name.
        head: its number.
        kind: the kind that it is in most documents.
        kinds: in how many documents it is of each kind.
        statistics: mean over documents, standard error and interval of each of STATISTICS.
        examples: the documents in which it is most worth reading, and those where the share of its kind is largest.
    """

    site: str
    head: int
    kind: str
    kinds: dict[str, int]
    statistics: dict[str, Estimate]
    examples: dict[str, tuple[Example, ...]]


@dataclass(frozen=True, eq=False)
class Tally:
    """Totals over documents; `a + b` adds two up, exactly.

    Attributes:
        documents: how many.
        queries: how many tokens attended, at the first site of each document.
        sites: the totals of each site, by name.
    """

    documents: int = 0
    queries: int = 0
    sites: dict[str, SiteTally] = field(default_factory=dict)

    @classmethod
    def of(
        cls, record: Record, documents: Sequence[Document] | None = None, *, beside: "Tally | None" = None
    ) -> "Tally":
        """Return the tally of one watched run, in which each batch item is a document, without padding.

        Args:
            record: what was seen with `watch(model, want=WANT)`.
            documents: the documents, one for each batch item; default: numbered from 0, without text.
            beside: a tally to which this one will be added; examples that could not enter there are left out.

        Raises:
            NotKeptError: the record keeps less than it takes.
            WatchError: there are not as many documents as batch items.
        """
        if not record.sites:
            raise WatchError(f"expected a record with at least one attention call; got none.\n{record.coverage}")
        sizes = record.sites[0].sizes
        documents = [Document(i) for i in range(sizes.batch)] if documents is None else documents
        if bad := [s.name for s in record.sites if s.sizes.batch != len(documents)]:
            raise WatchError(f"expected one batch item for each of {len(documents)} documents; not so at {bad[0]}")
        total = cls(len(documents), sizes.queries * len(documents))
        for site in record.sites:
            others = beside.sites.get(site.name) if beside is not None else None
            parts = [_one(site, item, document, others) for item, document in enumerate(documents)]
            total.sites[site.name] = reduce(SiteTally.__add__, parts)
        return total

    def __add__(self, other: "Tally") -> "Tally":
        """Return both together.

        Raises:
            WatchError: a site has other heads in the other tally.
        """
        sites = dict(self.sites)
        for name, site in other.sites.items():
            sites[name] = sites[name] + site if name in sites else site
        return Tally(self.documents + other.documents, self.queries + other.queries, sites)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tally) and pack(*self.parts()) == pack(*other.parts())

    __hash__ = None  # type: ignore[assignment]

    def heads(self) -> list[HeadTally]:
        """Return every head, site by site in the order of their names, numbers in them by value."""
        return [head for name in sorted(self.sites, key=_natural) for head in _heads(name, self.sites[name])]

    def gathered(self) -> "Tally":
        """Return the sum over all processes of `torch.distributed`, the same on every one."""
        return reduce(
            Tally.__add__, (Tally.from_parts(*unpack(raw, "a tally")) for raw in gathered(self._packed()))
        )

    def save(self, path: str | Path) -> Path:
        """Write the totals to a safetensors file, whole or not at all.

        Raises:
            InputError: it cannot be written.
        """
        write_whole(Path(path), self._packed(), InputError)
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> "Tally":
        """Read what `save` wrote.

        Raises:
            InputError: the file cannot be read, or is something else.
        """
        return cls.from_parts(*unpack(read(Path(path)), str(path)))

    def parts(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return the tally as facts (what JSON can hold) and arrays, the same for equal tallies."""
        names = sorted(self.sites, key=_natural)
        facts = {
            "statistics": list(STATISTICS),
            "kinds": list(KINDS),
            "documents": self.documents,
            "queries": self.queries,
            "sites": [_facts(name, self.sites[name]) for name in names],
        }
        arrays: dict[str, NDArray[Any]] = {}
        for i, name in enumerate(names):
            site = self.sites[name]
            blocks = [site.blocks[number] for number in sorted(site.blocks)]
            arrays[f"{i}.documents"] = np.stack([block.documents for block in blocks])
            arrays[f"{i}.sums"] = to_bytes(np.stack([block.sums for block in blocks]))
            arrays[f"{i}.squares"] = to_bytes(site.squares)
            arrays[f"{i}.kinds"] = site.kinds
        return facts, arrays

    @classmethod
    def from_parts(cls, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> "Tally":
        """Return what `parts` took apart.

        Raises:
            WatchError: it counts other statistics or kinds than this version.
        """
        if facts["statistics"] != list(STATISTICS) or facts["kinds"] != list(KINDS):
            raise WatchError("this tally counts other statistics or kinds of heads than this version of regard")
        sites = {}
        for i, each in enumerate(facts["sites"]):
            documents, sums = arrays[f"{i}.documents"], from_bytes(arrays[f"{i}.sums"])
            sites[each["name"]] = SiteTally(
                each["kind"],
                each["heads"],
                {number: Block(documents[j], sums[j]) for j, number in enumerate(each["blocks"])},
                from_bytes(arrays[f"{i}.squares"]),
                arrays[f"{i}.kinds"],
                {
                    share: tuple(tuple(map(Example.from_plain, best)) for best in heads)
                    for share, heads in each["best"].items()
                },
            )
        return cls(facts["documents"], facts["queries"], sites)

    def _packed(self) -> bytes:
        return pack(*self.parts())


def _facts(name: str, site: SiteTally) -> dict[str, Any]:
    best = {share: [[e.plain() for e in head] for head in heads] for share, heads in site.best.items()}
    return {"name": name, "kind": site.kind, "heads": site.heads, "blocks": sorted(site.blocks), "best": best}


def _one(site: Site, item: int, document: Document, beside: SiteTally | None) -> SiteTally:
    """Return the tally of one document at one site."""
    words = key_words(site, document)
    separators = document.separators if words is None else words.separators
    tokens = words.tokens if words is not None and words.tokens else None
    judged = head_kinds(site, separators, item, tokens=tokens)
    sums, known = fixed(_values(site, judged, item))
    kinds = np.array([[head.kind == kind for kind in KINDS] for head in judged], dtype=np.int64)
    kinds *= known[:, STATISTICS.index("worth"), None]
    best = _best(site, item, document, sums, beside)
    return SiteTally(
        site.kind, site.sizes.heads, {document.number % BLOCKS: Block(known, sums)}, sums * sums, kinds, best
    )


def _values(site: Site, judged: Sequence[Head], item: int) -> NDArray[np.float64]:
    """Return (H, statistics): one number a head; NaN where it is not known."""
    received, largest = (t[item].double().cpu() for t in (site.received, site.received_max))
    mean, spread = (t[item].double().cpu() for t in (site.distance.mean, site.distance.spread))
    own = torch.stack(
        [
            mean.nanmean(-1),
            spread.nanmean(-1),
            largest.mean(-1),
            received.amax(-1) / site.sizes.queries,
        ],
        -1,
    )
    values = np.array([[getattr(head, name) for name in _JUDGED] for head in judged], dtype=np.float64)
    values = np.concatenate([values, own.numpy()], 1)
    if site.kind == "cross":
        values[:, [STATISTICS.index(name) for name in _POSITIONAL]] = np.nan
    return values


def _best(
    site: Site,
    item: int,
    document: Document,
    sums: Integers,
    beside: SiteTally | None,
) -> dict[str, Best]:
    """Return the document as an example of those heads where it could be among the best."""
    columns = {share: STATISTICS.index(share) for share in SHARES}
    enters = {
        (share, head)
        for share, column in columns.items()
        for head in range(site.sizes.heads)
        if sums[head, column] > 0
        and (beside is None or may_enter(beside.best[share][head], sums[head, column], document.number))
    }
    links = links_of(site, item, document) if enters else []
    words = query_words(site, document)

    def example(share: str, head: int) -> Example:
        first = links[head][0][0] if links[head] else None
        return Example(
            value=sums[head, columns[share]],
            document=document.number,
            place=document.place,
            excerpt=excerpt_of(document, words, first),
            links=tuple(link for _, link in links[head]),
        )

    return {
        share: tuple((example(share, h),) if (share, h) in enters else () for h in range(site.sizes.heads))
        for share in SHARES
    }


def _heads(name: str, site: SiteTally) -> list[HeadTally]:
    total, heads = site.total, []
    for head in range(site.heads):
        counts = dict(zip(KINDS, site.kinds[head].tolist(), strict=True))
        kind = max(counts, key=lambda each: counts[each])
        statistics = {
            each: estimate(int(total.documents[head, i]), total.sums[head, i], site.squares[head, i])
            for i, each in enumerate(STATISTICS)
        }
        examples = {share: site.best[share][head] for share in dict.fromkeys(("worth", share_of(kind)))}
        heads.append(HeadTally(name, head, kind, counts, statistics, examples))
    return heads


def share_of(kind: str) -> str:
    """Return the statistic that says how much a head is of a kind."""
    name = {"broad": "relative_entropy"}.get(kind, kind.replace(" ", "_"))
    return name if name in SHARES else "worth"


def _natural(name: str) -> list[tuple[int, str]]:
    """Return what sorts names with the numbers in them by value: "layer.2" before "layer.10"."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
