"""What is wrong with rows that are left out: how many of each kind, and where the first ones stand."""

from collections.abc import Mapping
from dataclasses import dataclass, field

# Kinds of faults, as people read them.
EMPTY = "an empty column"
MISSING = "a missing column"
FIELDS = "too many or too few fields"
QUOTES = "quotes that do not match"
JSON = "no JSON object"
NOT_TEXT = "a value that is no text"
UTF8 = "bytes that are no UTF-8"
BINARY = "binary data"
LONG = "a line too long to be read"

_SHOWN = 5


@dataclass(frozen=True)
class Faults:
    """Rows that were left out of a table.

    Attributes:
        rows: how many rows there are in the files, good and bad.
        counts: how many are bad, by kind.
        places: where the first of each kind stand: file and line.
        first: where the first of all stands, and its kind.
    """

    rows: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    places: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    first: str = ""

    @property
    def total(self) -> int:
        """How many rows were left out."""
        return sum(self.counts.values())

    def told(self) -> str:
        """Return what was left out for people, a line for each kind; nothing where every row is good."""
        if not self.counts:
            return ""
        lines = [f"{self.total:,} of {self.rows:,} rows left out:"]
        for kind, count in sorted(self.counts.items(), key=lambda item: (-item[1], item[0])):
            more = f" and {count - len(self.places[kind]):,} more" if count > len(self.places[kind]) else ""
            lines.append(f"  {count:,} with {kind}: {'; '.join(self.places[kind])}{more}")
            if kind.startswith(UTF8) and 2 * count > self.rows:
                lines.append(
                    "  A whole file in another encoding is made UTF-8 by, say: iconv -f ISO-8859-1 -t UTF-8"
                )
        return "\n".join(lines)


class Counting:
    """Faults while they are being counted."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._places: dict[str, list[str]] = {}
        self._first = ""

    def add(self, kind: str, place: str) -> None:
        """Count a fault."""
        self._first = self._first or f"{place}: {kind}"
        self._counts[kind] = self._counts.get(kind, 0) + 1
        places = self._places.setdefault(kind, [])
        if len(places) < _SHOWN:
            places.append(place)

    def faults(self, rows: int) -> Faults:
        """Return what was counted, among so many rows."""
        places = {kind: tuple(found) for kind, found in self._places.items()}
        return Faults(rows, dict(self._counts), places, self._first)
