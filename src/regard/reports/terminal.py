"""A report in the terminal: the grid of heads, the words shaded by what they receive, the strongest links."""

from collections.abc import Sequence

from rich.cells import cell_len
from rich.color import Color
from rich.console import Group, RenderableType
from rich.style import Style
from rich.table import Table
from rich.text import Text

from regard.reports.colors import on_top, shade
from regard.reports.panels import GroupPanel, HeadPanel, strongest_links
from regard.watch.faithfulness.curves import METRICS
from regard.watch.faithfulness.result import RANDOM, Faithfulness

LETTERS = {
    "previous": "p",
    "same": "=",
    "next": "n",
    "first": "f",
    "sink": "k",
    "separator": "s",
    "same token": "t",
    "local": "l",
    "broad": "b",
    "mixed": "·",
}
# What the grid can be coloured by: all are shares from 0 to 1.
STATISTICS = ("relative_entropy", "first", "separator", "previous", "same", "next", "local", "worth")
# Hyphens, so that the table of a check fits into 80 columns.
_HEADINGS = {
    "comprehensiveness": "compre-\nhensive-\nness",
    "sufficiency": "suffi-\nciency",
    "deletion": "deletion",
    "insertion": "inser-\ntion",
}
_HEADS_TO_READ = 3
_LINKS = 5
_MOST_STRIP_WORDS = 400


def as_text(
    title: str,
    facts: Sequence[str],
    groups: Sequence[GroupPanel],
    coverage: str,
    by: str = "relative_entropy",
    check: Faithfulness | None = None,
    *,
    short: bool = False,
) -> RenderableType:
    """Return what rich prints: the whole report, or in short without the words."""
    parts: list[RenderableType] = [Text(title, style="bold"), *(Text(fact, style="dim") for fact in facts)]
    for group in groups:
        parts += [Text(), *_group(group, by, short)]
    if check is not None:
        parts += [Text(), *_check(check)]
    return Group(*parts, Text(), Text(coverage, style="dim"))


def _group(group: GroupPanel, by: str, short: bool) -> list[RenderableType]:
    readable = sorted(group.heads, key=lambda head: (head is not group.shown, -head.facts.worth))[:_HEADS_TO_READ]
    return [
        Text(f"{group.name}: each head's {by.replace('_', ' ')}, from 0 (dark) to 1 (bright), and its kind"),
        _grid(group, by),
        Text("  ".join(f"{letter} {kind}" for kind, letter in LETTERS.items()), style="dim"),
        *([] if short else _shaded(group)),
        Text(),
        Text("Strongest links between words, in the head shown and those most worth reading"),
        *(_links(group, head) for head in readable),
    ]


def _shaded(group: GroupPanel) -> list[RenderableType]:
    return [Text(), Text(f"Weight that each word receives in {group.shown.title}"), _strip(group, group.shown)]


def _grid(group: GroupPanel, by: str) -> Text:
    text = Text("        " + "".join(f"{head:>3}" for head in range(len(group.layers[0]))) + "\n", style="dim")
    for layer in group.layers:
        text.append(f"layer {layer[0].layer:>2}")
        for head in layer:
            text.append(f" {LETTERS[head.facts.kind]} ", _style(getattr(head.facts, by)))
        text.append("\n")
    text.right_crop(1)
    return text


def _strip(group: GroupPanel, head: HeadPanel) -> Text:
    """Shade words by the square root of their share, so that weak ones are told apart; runs of spaces close up."""
    received = head.weights.sum(0).sqrt()
    most = float(received.max()) if received.numel() else 0.0
    text = Text(overflow="fold")
    for word, value in zip(group.keys.words[:_MOST_STRIP_WORDS], received.tolist(), strict=False):
        text.append(f" {printable(word)} ", _style(value / most if most else 0.0))
    if len(group.keys.words) > _MOST_STRIP_WORDS:
        text.append(f" … and {len(group.keys.words) - _MOST_STRIP_WORDS} more")
    return text


def _links(group: GroupPanel, head: HeadPanel) -> Text:
    text = Text(f"  {head.title:<34}")
    links = strongest_links(group, head, _LINKS)
    # Spaces that do not break keep each link on one line.
    shown = [
        f"{printable(link.query)} → {printable(link.key)} {link.weight:.2f}".replace(" ", "\N{NO-BREAK SPACE}")
        for link in links
    ]
    return text.append("   ".join(shown) or "none")


def _check(found: Faithfulness) -> list[RenderableType]:
    table = Table(box=None, pad_edge=False)
    table.add_column("explanation")
    for metric in METRICS:
        table.add_column(_HEADINGS[metric], justify="right")
    table.add_column("better than random", justify="right", no_wrap=True)
    for name in (*found.names, RANDOM):
        gain = f"mean of {found.draws} orders" if name == RANDOM else str(found.gain(name))
        table.add_row(name, *(f"{found.value(name, metric):.3f}" for metric in METRICS), gain)
    return [
        Text(
            f"Check: {printable(found.about)} is {found.full:.3f} with all {found.units} {found.what} of the text,"
            f" {found.empty:.3f} with none"
        ),
        table,
        Text("better than random: by comprehensiveness, above 0, with its interval of 95 %", style="dim"),
    ]


def printable(word: str) -> str:
    """Return a word with control characters made visible and no width lost or gained by them."""
    shown = "".join(letter if letter.isprintable() else "·" for letter in word)
    return shown if cell_len(shown) else "·"


def _style(value: float) -> Style:
    color = shade(value)
    return Style(color=Color.from_rgb(*on_top(color)), bgcolor=Color.from_rgb(*color))
