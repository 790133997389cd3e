"""A table of heads as plain text, sorted by any of its columns."""

from collections.abc import Mapping, Sequence
from typing import Any

from regard.errors import WantError
from regard.watch.heads.estimate import Estimate


def listed(rows: Sequence[Mapping[str, Any]], by: str | None, count: int | None) -> str:
    """Return rows of one set of columns as text.

    Args:
        rows: values by column: words, numbers, estimates, or None where nothing is known.
        by: the column to sort by: numbers from the largest, words from A. Default: as they stand.
        count: how many rows to list. Default: all.

    Raises:
        WantError: there is no such column.
    """
    if not rows:
        return "no heads"
    shown = (rows if by is None else in_order(rows, by))[:count]
    columns = {name: [name, *(_cell(row[name]) for row in shown)] for name in rows[0]}
    widths = {name: max(map(len, cells)) for name, cells in columns.items()}
    left = {name for name in columns if isinstance(rows[0][name], str)}
    lines = (
        "  ".join(
            cells[line].ljust(widths[name]) if name in left else cells[line].rjust(widths[name])
            for name, cells in columns.items()
        ).rstrip()
        for line in range(len(shown) + 1)
    )
    return "\n".join(lines)


def in_order(rows: Sequence[Mapping[str, Any]], by: str) -> list[Mapping[str, Any]]:
    """Return rows sorted by a column, numbers from the largest, words from A, unknown ones last.

    Raises:
        WantError: there is no such column.
    """
    if rows and by not in rows[0]:
        raise WantError(f"by: expected one of {', '.join(rows[0])}; got {by!r}")
    known = [row for row in rows if row[by] is not None]
    words = any(isinstance(row[by], str) for row in known)
    known.sort(key=lambda row: row[by] if words else -_number(row[by]))
    return known + [row for row in rows if row[by] is None]


def _number(value: Any) -> float:
    return float(value.mean if isinstance(value, Estimate) else value)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if isinstance(value, float) else str(value)
