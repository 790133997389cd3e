"""A report: what a record shows, as one value that saves itself in the format that a file name asks for."""

import json
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any, SupportsIndex

from regard.errors import ReportError
from regard.reports.build import Run, Section, axis, build_sections, queries_of
from regard.reports.json import as_json
from regard.reports.page.html import as_html
from regard.reports.panels import Axis, GroupPanel
from regard.reports.picture import as_picture
from regard.reports.writing import write_report
from regard.watch.faithfulness.result import Faithfulness
from regard.watch.positions import whole
from regard.watch.record import Record
from regard.watch.reporting import shown_by

MOST_PINS = 256
# How many letters stand in a line on top of a picture.
_LINE = 120
# Pages of more bytes are not shown within a notebook, which would hold each twice.
_MOST_WITHIN = 10_000_000
_HEIGHT = 800


@dataclass(frozen=True, eq=False, repr=False)
class Report:
    """What a record shows; files are made when they are saved.

    Attributes:
        title: the model's name, or any title.
        facts: short statements about model and text.
        sections: the attention calls, put together by what attends to what.
        coverage: the receipt, as text.
        check: what a check of the map found, if there was one; the facts say it in a sentence.
        pins: queries whose exact rows stand on the page where it shows the map in cells.
        other: the report that is shown beside this one, if there is one.
        view: the view that the page opens on, by its name in the page's address; None: the first one.
    """

    title: str
    facts: tuple[str, ...]
    sections: tuple[Section, ...]
    coverage: str
    check: Faithfulness | None = None
    pins: tuple[int | str, ...] = ()
    other: "Report | None" = None
    view: str | None = None

    @property
    def groups(self) -> tuple[GroupPanel, ...]:
        """The heads with their weights between words, grouped by what attends to what.

        Raises:
            NotKeptError: a site kept no rows.
        """
        return tuple(section.panel for section in self.sections)

    def __repr__(self) -> str:
        sites = [site for section in self.sections for site in section.sites]
        heads = f"{self.title!r}, {sum(site.sizes.heads for site in sites)} heads"
        beside = "" if self.other is None else f", beside {self.other.title!r}"
        return f"Report({heads}{beside}); .save(path) writes html, png, svg, pdf or json"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """Return what notebooks show: the page, framed so that it reaches nothing of the notebook."""
        page = self._page()
        if len(page) > _MOST_WITHIN:
            shown = f"<p>{escape(repr(self))}<br>The page has {len(page) / 1e6:.0f} MB: save it as .html</p>"
        else:
            frame = f'sandbox="allow-scripts allow-downloads" width="100%" height="{_HEIGHT}"'
            # A notebook that is not trusted leaves out the frame, and shows what stands in it.
            within = "The page is shown when this cell is run, or the notebook is trusted."
            shown = f'<iframe srcdoc="{escape(page)}" {frame} style="border:0">{within}</iframe>'
        return {"text/plain": repr(self), "text/html": shown}

    def beside(self, other: "Report") -> "Report":
        """Return a report that shows another run beside this one.

        The two may be of different models, texts and heads; their titles name them, and if these are the same, the
        first gets " (first)" behind it, the second " (second)". Where no head of the other was
        asked for, it opens with the one that this opens with, if it has it.

        Raises:
            ReportError: it is no report, or one of the two shows two runs already.
        """
        if not isinstance(other, Report):
            raise ReportError(
                f"beside: expected a report, as regard.report(...) returns; got {type(other).__name__}"
            )
        if self.other is not None or other.other is not None:
            raise ReportError("beside: expected two reports of one run each; got one of two runs")
        sections = tuple(_opened_like(self, section) for section in other.sections)
        titles = self.title, other.title
        if self.title == other.title:
            titles = f"{self.title} (first)", f"{self.title} (second)"
        return replace(self, title=titles[0], other=replace(other, title=titles[1], sections=sections))

    def save(self, path: str | Path) -> Path:
        """Write the report in the format of the path's ending: html, png, svg, pdf or json.

        A file is written whole or not at all.

        Raises:
            ReportError: another ending, or a path that cannot be written.
            NotKeptError: a site kept no rows, which all formats but html need.
        """
        path = Path(path)
        write_report(path, format_of(path)(self, path.suffix[1:].lower()))
        return path

    def _reports(self) -> "tuple[Report, ...]":
        return (self,) if self.other is None else (self, self.other)

    def _page(self) -> str:
        return as_html(
            [
                Run(each.title, each.facts, each.sections, each.coverage, each.check, each.pins, each.view)
                for each in self._reports()
            ]
        )


def _opened_like(first: Report, section: Section) -> Section:
    """Return a section that opens with the head that another run opens with, if none was asked for."""
    for like in first.sections if section.layer is None and section.head is None else ():
        layer, head = like.shown
        sites = section.sites[layer : layer + 1] if like.name == section.name else ()
        if any(head < site.sizes.heads for site in sites):
            return replace(section, layer=layer, head=head)
    return section


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
    pins: Iterable[SupportsIndex | str] | SupportsIndex | str = (),
) -> Report:
    """Return a report on a record.

    Args:
        record: what was seen by `watch`; every site must have kept rows, or for the page alone the map, and beside
            them entropy and received weight.
        tokens: the tokens that the model read, one a position (or an `Axis`); default: position numbers.
        target: the tokens on the decoder's side of an encoder-decoder.
        title: what stands on top.
        facts: short statements that stand below it.
        item: which batch item to show.
        layer: the layer to show first; default: that of the head most worth reading.
        head: the head to show first, likewise.
        pins: queries, by position or by word (where it stands first), whose exact rows stand on the page of a text
            that is too long for every weight; at most 256. Beside them, where there is room, stand the rows of the
            last query and of that of the strongest weight.

    Raises:
        ReportError: nothing was seen, tokens and sites do not fit together, or a pin is no query; there is no
            record, a string stands for tokens, or no decoder reads a target.
        NotKeptError: a site kept neither rows nor the map.
    """
    if not isinstance(record, Record):
        raise ReportError(
            f"expected a record, as `with regard.watch(model) as record:` fills; got {type(record).__name__}"
        )
    source_axis, target_axis = _axis("tokens", tokens), _axis("target", target)
    sections = build_sections(record, source_axis, target_axis, item=item, layer=layer, head=head)
    return Report(title, tuple(facts), sections, str(record.coverage), pins=_pins(pins, sections))


shown_by(report)


def _axis(name: str, given: Sequence[str] | Axis | None) -> Axis | None:
    if isinstance(given, str):
        raise ReportError(
            f"{name}: expected a list of tokens, one a position; got a string. Split it, or hand in"
            " regard.words(...)"
        )
    return given if given is None or isinstance(given, Axis) else axis([str(word) for word in given])


def _pins(
    given: Iterable[SupportsIndex | str] | SupportsIndex | str, sections: Sequence[Section]
) -> tuple[int | str, ...]:
    several = given if isinstance(given, Iterable) and not isinstance(given, str) else (given,)
    pins = tuple(
        pin if isinstance(pin, str) else whole("pins", pin, "a query", error=ReportError) for pin in several
    )
    if len(pins) > MOST_PINS:
        raise ReportError(f"pins: expected at most {MOST_PINS} queries; got {len(pins):,}")
    for pin in pins:
        if not any(queries_of(section.queries, pin) for section in sections):
            longest = max(len(section.queries.groups) for section in sections)
            raise ReportError(f"pins: expected queries from 0 to {longest - 1}, or their words; got {pin!r}")
    return pins


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
    return shown._page().encode()


def _json(shown: Report, _: str) -> bytes:
    content, *others = (_content(each) for each in shown._reports())
    for other in others:
        content["beside"] = other
    # A half of a letter, which UTF-8 cannot say, becomes an escape, as JSON has them.
    return (json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n").encode(errors="backslashreplace")


def _content(shown: Report) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(as_json(shown.title, shown.facts, shown.groups, shown.coverage))
    return content if shown.check is None else content | {"check": shown.check.as_dict()}


def _picture(shown: Report, kind: str) -> bytes:
    reports = shown._reports()
    lines = [
        line
        for each in reports
        for line in (each.title, *(textwrap.wrap(each.facts[-1], _LINE) if each.check is not None else ()))
    ]
    groups = [
        group if shown.other is None else replace(group, name=f"{each.title}, {group.name}")
        for each in reports
        for group in each.groups
    ]
    return as_picture("\n".join(lines), groups, kind)
