"""A survey and a comparison in the terminal: the heads most worth reading, and the surest differences."""

from collections import Counter
from collections.abc import Collection

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from regard.reports.survey_facts import COLORS, facts_of, title_of
from regard.reports.terminal import printable
from regard.watch.survey.comparing import Comparison
from regard.watch.survey.estimates import Estimate
from regard.watch.survey.findings import Survey
from regard.watch.tally import HeadTally

_ROWS = 12
_COLUMNS = ("worth", "relative_entropy", "distance")
SURE = 0.05


def survey_text(survey: Survey) -> RenderableType:
    """Return what rich prints of a survey."""
    heads = survey.tally.heads()
    short = shortened(survey.tally.sites)
    counts = Counter(head.kind for head in heads)
    kinds = "  ".join(f"{counts[kind]} {kind}" for kind in COLORS if counts[kind])
    table = Table(
        box=box.SIMPLE,
        title=f"The {min(_ROWS, len(heads))} heads most worth reading (site names shortened)",
        title_justify="left",
    )
    for name in ("site", "head", "kind", *(each.replace("_", " ") for each in _COLUMNS), "strongest link"):
        table.add_column(name, no_wrap=name != "strongest link")
    for head in sorted(heads, key=lambda head: -(head.statistics["worth"].mean or 0.0))[:_ROWS]:
        known = max(1, sum(head.kinds.values()))
        table.add_row(
            Text(short[head.site]),
            str(head.head),
            f"{head.kind} {head.kinds[head.kind] / known:.0%}",
            *(with_interval(head.statistics[name]) for name in _COLUMNS),
            _link(head),
        )
    title = Text(printable(title_of(survey)), style="bold")
    return Group(
        title, *(Text(printable(f), style="dim") for f in facts_of(survey)), Text(f"kinds: {kinds}"), table
    )


def comparison_text(comparison: Comparison) -> RenderableType:
    """Return what rich prints of a comparison."""
    one, other = comparison.one, comparison.other
    short = shortened(one.tally.sites)
    sure = [d for d in comparison.differences if d.adjusted < SURE]
    table = Table(box=box.SIMPLE, title="The surest differences", title_justify="left")
    for name in ("site", "head", "statistic", "this", "other", "difference", "adjusted p"):
        table.add_column(name, no_wrap=name != "strongest link")
    for d in comparison.differences[:_ROWS]:
        numbers = (f"{d.one:.3f}", f"{d.other:.3f}", with_interval(d.estimate), f"{d.adjusted:.2g}")
        table.add_row(Text(short[d.site]), str(d.head), d.statistic.replace("_", " "), *numbers)
    lines = [
        Text(printable(f"This: {title_of(one)}. Other: {title_of(other)}."), style="bold"),
        Text(
            "Same documents: differences are taken in pairs."
            if comparison.same_documents
            else "Not the same documents: the difference of the means, by Welch's interval.",
            style="dim",
        ),
        Text(
            f"{len(sure):,} of {len(comparison.differences):,} differences have an adjusted p below {SURE}"
            " (Benjamini and Hochberg)."
        ),
    ]
    if comparison.missing:
        lines.append(Text(f"Not in both, or with other heads: {', '.join(comparison.missing)}", style="dim"))
    changed = comparison.changed_kinds
    if changed:
        said = ", ".join(
            f"{short[site]} head {head}: {before} → {now}" for site, head, before, now in changed[:_ROWS]
        )
        lines.append(Text(f"{len(changed)} heads are of another kind than in the other: {said}"))
    return Group(*lines, table)


def with_interval(estimate: Estimate) -> str:
    """Return a mean with the half of its interval."""
    if estimate.mean is None:
        return "none"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.mean:.3f}"
    return f"{estimate.mean:.3f} ± {(estimate.high - estimate.low) / 2:.3f}"


def shortened(sites: Collection[str]) -> dict[str, str]:
    """Return the names of sites without what all begin and end with, told by parts between dots."""
    parts = [site.split(".") for site in sites]
    start, stop = (_common(rows) for rows in (parts, [row[::-1] for row in parts]))
    if len(parts) < 2:
        return {site: site for site in sites}
    stop = min(stop, min(map(len, parts)) - start - 1)
    return {".".join(row): ".".join(row[start : len(row) - stop]) for row in parts}


def _common(rows: list[list[str]]) -> int:
    """Return with how many equal parts all begin, short of the whole of the shortest."""
    alike = [len(set(column)) == 1 for column in zip(*rows, strict=False)]
    return min([*(i for i, same in enumerate(alike) if not same), max(0, len(alike) - 1)])


def _link(head: HeadTally) -> Text:
    example = next(iter(head.examples["worth"]), None)
    if example is None or not example.links:
        return Text("none")
    link = example.links[0]
    return Text(f"{printable(link.query)} → {printable(link.key)} {link.weight:.2f}")
