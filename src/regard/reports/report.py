"""A report: what a record shows, as one value that saves itself in the format that a file name asks for."""

import json
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from regard.errors import ReportError
from regard.reports.build import axis, build_groups
from regard.reports.html import as_html
from regard.reports.json import as_json
from regard.reports.panels import Axis, GroupPanel
from regard.reports.picture import as_picture
from regard.reports.writing import write_whole
from regard.watch.faithfulness.result import Faithfulness
from regard.watch.record import Record

# How many letters stand in a line on top of a picture.
_LINE = 120


@dataclass(frozen=True, eq=False, repr=False)
class Report:
    """What a record shows.

    Attributes:
        title: the model's name, or any title.
        facts: short statements about model and text.
        groups: the heads, grouped by what attends to what.
        coverage: the receipt, as text.
        check: what a check of the map found, if there was one; the facts say it in a sentence.
    """

    title: str
    facts: tuple[str, ...]
    groups: tuple[GroupPanel, ...]
    coverage: str
    check: Faithfulness | None = None

    def __repr__(self) -> str:
        heads = sum(len(group.heads) for group in self.groups)
        return f"Report({self.title!r}, {heads} heads); .save(path) writes html, png, svg, pdf or json"

    def save(self, path: str | Path) -> Path:
        """Write the report in the format of the path's ending: html, png, svg, pdf or json.

        A file is written whole or not at all.

        Raises:
            ReportError: another ending, or a path that cannot be written.
        """
        path = Path(path)
        write_whole(path, format_of(path)(self, path.suffix[1:].lower()))
        return path


def report(
    record: Record,
    tokens: Sequence[str] | Axis | None = None,
    *,
    target: Sequence[str] | Axis | None = None,
    title: str = "attention",
    facts: Sequence[str] = (),
    item: int = 0,
    layer: int | None = None,
    head: int | None = None,
) -> Report:
    """Return a report on a record.

    Args:
        record: what was seen by `watch`; every site must have kept rows.
        tokens: the tokens that the model read, one a position (or an `Axis`); default: position numbers.
        target: the tokens on the decoder's side of an encoder-decoder.
        title: what stands on top.
        facts: short statements that stand below it.
        item: which batch item to show.
        layer: the layer to show first; default: that of the head most worth reading.
        head: the head to show first, likewise.

    Raises:
        ReportError: nothing was seen, or tokens and sites do not fit together.
        NotKeptError: a site kept no rows.
    """
    source_axis, target_axis = (
        given if given is None or isinstance(given, Axis) else axis([str(word) for word in given])
        for given in (tokens, target)
    )
    groups = build_groups(record, source_axis, target_axis, item=item, layer=layer, head=head)
    return Report(title, tuple(facts), groups, str(record.coverage))


def format_of(path: Path) -> Callable[[Report, str], bytes]:
    """Return what renders a report for a file of this ending.

    Raises:
        ReportError: no format has it.
    """
    formats = {".html": _html, ".json": _json, ".png": _picture, ".svg": _picture, ".pdf": _picture}
    if path.suffix.lower() not in formats:
        endings = ", ".join(formats)
        raise ReportError(f"expected a file name that ends in one of {endings}; got {str(path)!r}")
    return formats[path.suffix.lower()]


def _html(shown: Report, _: str) -> bytes:
    return as_html(shown.title, shown.facts, shown.groups, shown.coverage).encode()


def _json(shown: Report, _: str) -> bytes:
    text = as_json(shown.title, shown.facts, shown.groups, shown.coverage)
    if shown.check is not None:
        content = json.loads(text) | {"check": shown.check.as_dict()}
        text = json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode()


def _picture(shown: Report, kind: str) -> bytes:
    lines = [shown.title, *(textwrap.wrap(shown.facts[-1], _LINE) if shown.check is not None else ())]
    return as_picture("\n".join(lines), shown.groups, kind)
