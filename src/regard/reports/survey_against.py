"""A comparison of two surveys as files: every difference as JSON and as CSV."""

import json
from pathlib import Path

from regard.reports.survey import numbers, table
from regard.reports.writing import write_report
from regard.watch.survey.comparing import Comparison

VERSION = 1

AGAINST = ("against.json", "against.csv")


def write_comparison(comparison: Comparison, folder: str | Path) -> list[Path]:
    """Write `against.json` and `against.csv` into a folder, each whole or not at all.

    Raises:
        ReportError: one cannot be written.
    """
    paths = [Path(folder) / name for name in AGAINST]
    for path, content in zip(paths, (_json(comparison), _csv(comparison)), strict=True):
        write_report(path, content)
    return paths


def _json(comparison: Comparison) -> bytes:
    content = {
        "version": VERSION,
        "this": dict(comparison.one.settings),
        "other": dict(comparison.other.settings),
        "same_documents": comparison.same_documents,
        "missing": list(comparison.missing),
        "changed_kinds": [
            {"site": site, "head": head, "other": before, "this": now}
            for site, head, before, now in comparison.changed_kinds
        ],
        "differences": [
            {
                "site": d.site,
                "head": d.head,
                "statistic": d.statistic,
                "this": d.one,
                "other": d.other,
                "difference": numbers(d.estimate),
                "p": d.estimate.p,
                "adjusted_p": d.adjusted,
            }
            for d in comparison.differences
        ],
    }
    return (json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _csv(comparison: Comparison) -> bytes:
    names = ["site", "head", "statistic", "this", "other", "difference", "low", "high", "p", "adjusted_p"]
    rows = [
        [d.site, d.head, d.statistic, d.one, d.other, e.mean, e.low, e.high, e.p, d.adjusted]
        for d in comparison.differences
        for e in [d.estimate]
    ]
    return table([names, *rows])
