"""A survey as files: statistics as JSON and CSV, a picture, and a page; the fields are listed in docs/survey.md."""

import csv
import io
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from regard.errors import ReportError
from regard.reports.survey_page import as_page
from regard.reports.survey_picture import as_survey_picture
from regard.reports.writing import write_report
from regard.watch.survey.estimates import CONFIDENCE, Estimate
from regard.watch.survey.findings import Survey
from regard.watch.survey.integers import FRACTION_BITS
from regard.watch.tally import STATISTICS, HeadTally

VERSION = 1


def write_survey(survey: Survey, folder: str | Path) -> list[Path]:
    """Write `survey.json`, `survey.csv`, `survey.png` and `survey.html` into a folder, each whole or not at all.

    Args:
        survey: what was found.
        folder: where to; files of these names are overwritten.

    Returns:
        The files.

    Raises:
        ReportError: one cannot be written, or matplotlib is not installed.
    """
    formats: dict[str, Callable[[Survey], bytes]] = {
        "survey.json": as_json,
        "survey.csv": as_csv,
        "survey.png": as_survey_picture,
        "survey.html": as_page,
    }
    paths = []
    for name, render in formats.items():
        path = Path(folder) / name
        if not path.parent.is_dir():
            raise ReportError(f"expected a folder; {folder} is none")
        write_report(path, render(survey))
        paths.append(path)
    return paths


def as_json(survey: Survey) -> bytes:
    """Return the statistics, intervals and examples of every head as JSON."""
    reading = survey.reading
    content = {
        "version": VERSION,
        "settings": dict(survey.settings),
        "documents": survey.tally.documents,
        "tokens": survey.tally.queries,
        "truncated": reading.truncated,
        "blank": reading.blank,
        "bad": dict(reading.bad),
        "bad_places": [{"place": place, "problem": problem} for _, place, problem in reading.places],
        "digest": f"{reading.digest:032x}",
        "confidence": CONFIDENCE,
        "heads": [_head(head) for head in survey.tally.heads()],
    }
    return (json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _head(head: HeadTally) -> dict[str, Any]:
    return {
        "site": head.site,
        "head": head.head,
        "kind": head.kind,
        "kinds": head.kinds,
        "statistics": {name: numbers(each) for name, each in head.statistics.items()},
        "examples": {
            share: [{**example.plain(), "value": example.value / (1 << FRACTION_BITS)} for example in examples]
            for share, examples in head.examples.items()
        },
    }


def numbers(estimate: Estimate) -> dict[str, Any]:
    """Return an estimate as what JSON can hold."""
    return {name: value for name, value in asdict(estimate).items() if name != "p"}


def as_csv(survey: Survey) -> bytes:
    """Return a line for every head: its kind, and the mean and interval of each statistic."""
    columns = [f"{name}{part}" for name in STATISTICS for part in ("", "_error", "_low", "_high")]
    rows: list[list[Any]] = [["site", "head", "kind", "documents_of_kind", "documents", *columns]]
    for head in survey.tally.heads():
        estimates = [head.statistics[name] for name in STATISTICS]
        values = [value for each in estimates for value in (each.mean, each.error, each.low, each.high)]
        rows.append([head.site, head.head, head.kind, head.kinds[head.kind], sum(head.kinds.values()), *values])
    return table(rows)


def table(rows: list[list[Any]]) -> bytes:
    """Return rows as CSV in UTF-8; what is not known is left empty."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
