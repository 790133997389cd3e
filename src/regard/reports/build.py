"""From a record to a report: which sites belong together, over whose words, and which head to show first."""

import math
from collections.abc import Sequence

import torch

from regard.errors import ReportError
from regard.reports.panels import Axis, GroupPanel, HeadPanel
from regard.watch.head_kinds import head_kinds
from regard.watch.record import Record
from regard.watch.site import Site

# Maps have at most this many words a side; longer texts are shown in runs of neighbouring words.
MOST_WORDS = 512


def axis(tokens: Sequence[str], *, special: Sequence[bool] = (), separators: Sequence[int] = ()) -> Axis:
    """Return an axis on which every token is a word."""
    count = len(tokens)
    return Axis(tuple(tokens), tuple(range(count)), tuple(special) or (False,) * count, tuple(separators))


def build_groups(
    record: Record,
    source: Axis | None,
    target: Axis | None,
    *,
    item: int = 0,
    layer: int | None = None,
    head: int | None = None,
) -> tuple[GroupPanel, ...]:
    """Return the sites of a record, put into groups and ready to be shown.

    Args:
        record: what was seen; its sites must have kept rows.
        source: the words that the model read; default: positions.
        target: the words on a decoder's side, if there is a decoder beside an encoder.
        item: which batch item to show.
        layer: the layer to show first; default: that of the head most worth reading.
        head: the head to show first, likewise.

    Raises:
        ReportError: nothing was seen, words and sites do not fit together, or there is no such layer or head.
    """
    if not record.sites:
        raise ReportError(f"expected a record with at least one attention call; got none.\n{record.coverage}")
    sites: dict[str, list[Site]] = {}
    for site in record.sites:
        if not 0 <= item < site.sizes.batch:
            raise ReportError(f"item: expected from 0 to {site.sizes.batch - 1} (the batch); got {item}")
        sites.setdefault(_group_name(site, target), []).append(site)
    groups = []
    for name, members in sites.items():
        queries, keys = _axes(name, members, source, target)
        groups.append(_group(name, members, queries, keys, item, layer, head))
    return tuple(groups)


def _group_name(site: Site, target: Axis | None) -> str:
    if site.kind == "cross":
        return "cross-attention"
    if target is not None and "decoder" in site.path:
        return "decoder self-attention"
    return "self-attention"


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
    return _pooled(words)


def _pooled(words: Axis) -> Axis:
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


def _group(
    name: str,
    sites: Sequence[Site],
    queries: Axis,
    keys: Axis,
    item: int,
    layer: int | None,
    head: int | None,
) -> GroupPanel:
    layers = tuple(_layer(number, site, queries, keys, item) for number, site in enumerate(sites))
    chosen = [
        panel for row in layers for panel in row if layer in (None, panel.layer) and head in (None, panel.head)
    ]
    if not chosen:
        raise ReportError(
            f"expected a layer from 0 to {len(layers) - 1} and a head from 0 to {len(layers[0]) - 1};"
            f" got {', '.join(f'{name} {n}' for name, n in (('layer', layer), ('head', head)) if n is not None)}"
        )
    return GroupPanel(name, queries, keys, layers, max(chosen, key=lambda panel: panel.facts.worth))


def _layer(number: int, site: Site, queries: Axis, keys: Axis, item: int) -> tuple[HeadPanel, ...]:
    weights = site.joined(torch.tensor(queries.groups), torch.tensor(keys.groups))[item].float().cpu()
    if not bool(weights.isfinite().all()):
        raise ReportError(
            f"{site.name}: expected finite weights; got NaN. Its queries or keys hold NaN or infinity, as half"
            " precision makes of large numbers: run the model in float32 or bfloat16"
        )
    entropy, received = site.entropy[item].cpu(), site.received[item].cpu()
    facts = head_kinds(site, keys.separators, item)
    return tuple(
        HeadPanel(number, head, facts[head], weights[head], entropy[head], received[head])
        for head in range(site.sizes.heads)
    )
