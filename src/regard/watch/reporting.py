"""The way from a record to a report: it leads out of this wing, which knows nothing of how things are shown."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from regard.errors import RecordError


class Shown(Protocol):
    """What a report can do."""

    def save(self, path: str | Path) -> Path:
        """Write it in the format of the path's ending."""
        ...


_makers: list[Callable[..., Shown]] = []


def shown_by(maker: Callable[..., Shown]) -> None:
    """Say what makes reports."""
    _makers[:] = [maker]


def report_on(record: Any, *args: Any, **kwargs: Any) -> Shown:
    """Return a report on a record.

    Raises:
        RecordError: nothing that makes reports was imported.
    """
    if not _makers:
        raise RecordError("report: expected regard's reports to be imported; write: import regard")
    return _makers[0](record, *args, **kwargs)
