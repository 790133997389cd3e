"""From a record to a report: which sites belong together, over whose words, and which head to show first."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch

from regard.errors import ReportError
from regard.reports.panels import Axis, GroupPanel, HeadPanel
from regard.watch.faithfulness.result import Faithfulness
from regard.watch.head_kinds import Head, head_kinds
from regard.watch.record import Record
from regard.watch.site import Site

# Maps have at most this many words a side; longer texts are shown in runs of neighbouring words.
MOST_WORDS = 512

_CROSS = "cross-attention"


@dataclass(frozen=True, eq=False)
class Section:
    """All layers of one sort of attention between the same positions.

    Attributes:
        name: "self-attention", "decoder self-attention" or "cross-attention", perhaps with more behind it.
        queries: the words that attend.
        keys: the words that are attended to.
        sites: the layers.
        item: which batch item is shown.
        layer: the layer to show first; None: that of the head most worth reading.
        head: the head to show first, likewise.
        first_layer: the number of the first of `sites` among the model's layers.
        head_name: what the only head of each layer is called where it is none of the model's, as `name` says.
    """

    name: str
    queries: Axis
    keys: Axis
    sites: tuple[Site, ...]
    item: int
    layer: int | None
    head: int | None
    first_layer: int = 0
    head_name: str | None = None

    @property
    def kind(self) -> Literal["self", "cross"]:
        """Whether keys and queries are the same positions."""
        return "cross" if self.name.startswith(_CROSS) else "self"

    @cached_property
    def heads(self) -> tuple[tuple[Head, ...] | None, ...]:
        """What is told of the heads of each layer; None for a layer that kept no queries and keys."""
        return tuple(None if site.kept is None else self._heads(site) for site in self.sites)

    @cached_property
    def shown(self) -> tuple[int, int]:
        """Layer and head to show first."""
        worth = {
            (number, head): 0.0 if told is None else told[head].worth
            for number, (site, told) in enumerate(zip(self.sites, self.heads, strict=True))
            for head in range(site.sizes.heads)
            if self.layer in (None, number) and self.head in (None, head)
        }
        return max(worth, key=lambda place: worth[place])

    @cached_property
    def panel(self) -> GroupPanel:
        """The heads with their weights between words, ready to be shown."""
        queries = pooled(self.queries)
        keys = queries if self.kind == "self" else pooled(self.keys)
        layers = tuple(
            self._layer(number, site, self._heads(site) if told is None else told, queries, keys)
            for number, (site, told) in enumerate(zip(self.sites, self.heads, strict=True), self.first_layer)
        )
        layer, head = self.shown
        return GroupPanel(self.name, queries, keys, layers, layers[layer][head])

    def _heads(self, site: Site) -> tuple[Head, ...]:
        return tuple(head_kinds(site, self.keys.separators, self.item))

    def _layer(
        self, number: int, site: Site, told: Sequence[Head], queries: Axis, keys: Axis
    ) -> tuple[HeadPanel, ...]:
        weights = site.joined(torch.tensor(queries.groups), torch.tensor(keys.groups))[self.item].float().cpu()
        check_finite(site, weights)
        entropy, received = site.entropy[self.item].cpu(), site.received[self.item].cpu()
        return tuple(
            HeadPanel(number, head, told[head], weights[head], entropy[head], received[head], self.head_name)
            for head in range(site.sizes.heads)
        )


@dataclass(frozen=True, eq=False)
class Run:
    """One run of a model, as reports show it.

    Attributes:
        title: what stands on top.
        facts: short statements below it.
        sections: the attention calls, put together by what attends to what.
        coverage: the receipt, as text.
        check: what a check of faithfulness found, if there was one.
        pins: queries whose exact rows are kept where the map is shown in cells: positions and words.
        view: the view that the page opens on, by its name in the page's address; None: the first one.
    """

    title: str
    facts: tuple[str, ...]
    sections: tuple[Section, ...]
    coverage: str
    check: Faithfulness | None = None
    pins: tuple[int | str, ...] = ()
    view: str | None = None


def axis(tokens: Sequence[str], *, special: Sequence[bool] = (), separators: Sequence[int] = ()) -> Axis:
    """Return an axis on which every token is a word."""
    count = len(tokens)
    return Axis(tuple(tokens), tuple(range(count)), tuple(special) or (False,) * count, tuple(separators))


def build_sections(
    record: Record,
    source: Axis | None,
    target: Axis | None,
    *,
    item: int = 0,
    layer: int | None = None,
    head: int | None = None,
) -> tuple[Section, ...]:
    """Return the sites of a record, put together by what attends to what.

    Args:
        record: what was seen; its sites must have kept rows, or the map.
        source: the words that the model read; default: positions.
        target: the words on a decoder's side, if there is a decoder beside an encoder.
        item: which batch item to show.
        layer: the layer to show first; default: that of the head most worth reading.
        head: the head to show first, likewise.

    Raises:
        ReportError: nothing was seen, words and sites do not fit together, or there is no such layer or head.
        NotKeptError: a site kept neither rows nor the map.
    """
    if not record.sites:
        raise ReportError(f"expected a record with at least one attention call; got none.\n{record.coverage}")
    sites: dict[str, list[Site]] = {}
    for site in record.sites:
        if not 0 <= item < site.sizes.batch:
            raise ReportError(f"item: expected from 0 to {site.sizes.batch - 1} (the batch); got {item}")
        if site.kept is None and site.statistics.map is None:
            site.kept_for("a report")
        sites.setdefault(_group_name(site, target), []).append(site)
    if target is not None and list(sites) == ["self-attention"]:
        raise ReportError(
            "target: expected a record with attention of a decoder beside an encoder; got one without. The tokens"
            " of a model that reads one text are handed in as tokens="
        )
    sections = []
    for name, members in sites.items():
        _check_place(members, layer, head)
        queries, keys = _axes(name, members, source, target)
        sections.append(Section(name, queries, keys, tuple(members), item, layer, head))
    return tuple(sections)


def queries_of(axis: Axis, pin: int | str) -> list[int]:
    """Return the positions that a number (from the end if it is negative) means, or a word where it is first."""
    if isinstance(pin, str):
        number = axis.words.index(pin) if pin in axis.words else None
        return [place for place, group in enumerate(axis.groups) if group == number]
    count = len(axis.groups)
    return [pin % count] if -count <= pin < count else []


def _group_name(site: Site, target: Axis | None) -> str:
    if site.kind == "cross":
        return _CROSS
    if target is not None and "decoder" in site.path:
        return "decoder self-attention"
    return "self-attention"


def _check_place(sites: Sequence[Site], layer: int | None, head: int | None) -> None:
    chosen = [site for number, site in enumerate(sites) if layer in (None, number)]
    if not any(head is None or 0 <= head < site.sizes.heads for site in chosen):
        raise ReportError(
            f"expected a layer from 0 to {len(sites) - 1} and a head from 0 to {sites[0].sizes.heads - 1};"
            f" got {', '.join(f'{name} {n}' for name, n in (('layer', layer), ('head', head)) if n is not None)}"
        )


def _axes(name: str, sites: Sequence[Site], source: Axis | None, target: Axis | None) -> tuple[Axis, Axis]:
    queries = source if name == "self-attention" else target
    keys = target if name == "decoder self-attention" else source
    count, width = sites[0].sizes.queries, sites[0].sizes.keys
    if any((s.sizes.queries, s.sizes.keys) != (count, width) for s in sites):
        raise ReportError(
            f"{name}: expected calls of one size; got several. A decoder beside an encoder needs target=...; of"
            " generation with a cache, report record.joined(), which makes one site of its steps"
        )
    if name.endswith("self-attention") and count != width:
        raise ReportError(
            f"{name}: expected as many queries as keys; got {count} and {width}, as generation with a cache makes."
            " Report record.joined(), which makes one site of its steps"
        )
    queries = _fitted(f"{name}, queries", queries, count)
    return queries, queries if name.endswith("self-attention") else _fitted(f"{name}, keys", keys, width)


def _fitted(what: str, words: Axis | None, positions: int) -> Axis:
    words = axis([str(i) for i in range(positions)]) if words is None else words
    if len(words.groups) != positions:
        raise ReportError(f"{what}: expected {positions} tokens, as the model saw; got {len(words.groups)}")
    return words


def pooled(words: Axis) -> Axis:
    """Return an axis with neighbouring words put together, if there are more than can be shown."""
    run = math.ceil(len(words.words) / MOST_WORDS)
    if run <= 1:
        return words
    starts = range(0, len(words.words), run)
    ends = [min(start + run, len(words.words)) - 1 for start in starts]
    return Axis(
        words=tuple(f"{words.words[a]} … {words.words[b]}" for a, b in zip(starts, ends, strict=True)),
        groups=tuple(group // run for group in words.groups),
        special=tuple(all(words.special[a : b + 1]) for a, b in zip(starts, ends, strict=True)),
        separators=words.separators,
    )


def check_finite(site: Site, *weights: torch.Tensor) -> None:
    """Raise ReportError where weights of a site are not finite."""
    if not all(bool(each.isfinite().all()) for each in weights):
        raise ReportError(
            f"{site.name}: expected finite weights; got NaN. Its queries or keys hold NaN or infinity, as half"
            " precision makes of large numbers: run the model in float32 or bfloat16"
        )
