"""One thing to read rows from."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

# The number of a line or row, from 1, with its columns; or with the fault for which it has none.
Found = tuple[int, list[str] | str]


@dataclass(frozen=True, eq=False)
class Source:
    """A file, files side by side, or a saved data set.

    Attributes:
        name: what it is called where a row's place is told.
        files: what its content depends on.
        said: how its columns were found, where people may want to know.
        read: goes through its rows, from the start each time.
        unit: what a row is called: "line" or "row".
        named: of files side by side, what the name of each column's file has between dots and no other: "en", or
            "en.tok".
    """

    name: str
    files: tuple[Path, ...]
    said: str
    read: Callable[[], Iterator[Found]]
    unit: str = "line"
    named: Mapping[str, str] = field(default_factory=dict)
