"""Two runs over the same words: the heads whose weights differ most."""

from collections.abc import Iterator

from regard.reports.panels import GroupPanel
from regard.reports.report import Report

_HEADS = 10
_SIDES = {"self-attention": "encoder:", "decoder self-attention": "decoder:", "cross-attention": "cross:"}


def has_every_weight(report: Report) -> bool:
    """Return whether all sites of a report kept what any weight is made of."""
    return all(site.kept is not None for section in report.sections for site in section.sites)


def differing(first: Report, second: Report) -> tuple[str, ...]:
    """Return a sentence on the heads of the first run that differ most from those of the second.

    Nothing is said where words or heads are not the same in both, or not every weight is at hand.
    """
    if not (has_every_weight(first) and has_every_weight(second)):
        return ()
    pairs = zip(first.groups, second.groups, strict=False)
    found = [each for pair in pairs if _alike(*pair) for each in _shares(*pair, sided=len(first.groups) > 1)]
    moved = sorted((each for each in found if each[1] > 0), key=lambda each: -each[1])[:_HEADS]
    if not found:
        return ()
    named = ", ".join(f"{name} {share:.3f}" for name, share in moved)
    return (
        f"Heads that differ most from the run beside it (share of the weight that lies on other words): {named}."
        if moved
        else "No head differs from the run beside it.",
    )


def _alike(one: GroupPanel, other: GroupPanel) -> bool:
    return (one.name, one.queries.words, one.keys.words) == (
        other.name,
        other.queries.words,
        other.keys.words,
    ) and [len(layer) for layer in one.layers] == [len(layer) for layer in other.layers]


def _shares(one: GroupPanel, other: GroupPanel, *, sided: bool) -> Iterator[tuple[str, float]]:
    """Go through the heads: the name, and how far apart the weights of a word are, on average over words."""
    side = _SIDES[one.name] if sided else ""
    for a, b in zip(one.heads, other.heads, strict=True):
        apart = (a.weights - b.weights).abs().sum(-1) / 2
        yield f"{side}{a.layer}.{a.head}", float(apart.mean()) if apart.numel() else 0.0
