"""What a survey found: the tally, what was read and what was not, and how it was made; as a value that adds up."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from regard.errors import InputError
from regard.watch.survey.files import pack, read, unpack
from regard.watch.tally import Tally
from regard.writing import write_whole

# The file of a folder that holds a finished survey.
TOTALS = "survey.safetensors"

# Bad places are listed up to this many; all are counted.
LISTED = 100


@dataclass(frozen=True)
class Reading:
    """What became of the corpus's lines.

    Attributes:
        truncated: documents of which only the beginning was read.
        blank: blank lines.
        bad: how many could not be read, by reason.
        places: the first of them: number in the corpus, place, reason.
        digest: a sum over numbers and texts of documents, which tells whether two surveys read the same.
    """

    truncated: int = 0
    blank: int = 0
    bad: Mapping[str, int] = field(default_factory=dict)
    places: tuple[tuple[int, str, str], ...] = ()
    digest: int = 0

    def __add__(self, other: "Reading") -> "Reading":
        return Reading(
            self.truncated + other.truncated,
            self.blank + other.blank,
            dict(sorted((Counter(self.bad) + Counter(other.bad)).items())),
            tuple(sorted(self.places + other.places)[:LISTED]),
            (self.digest + other.digest) % (1 << 128),
        )

    def plain(self) -> dict[str, Any]:
        """Return it as what JSON can hold."""
        return {
            "truncated": self.truncated,
            "blank": self.blank,
            "bad": dict(self.bad),
            "places": [list(place) for place in self.places],
            "digest": f"{self.digest:032x}",
        }

    @classmethod
    def from_plain(cls, content: dict[str, Any]) -> "Reading":
        """Return what `plain` made plain."""
        places = tuple((int(number), str(place), str(reason)) for number, place, reason in content["places"])
        return cls(content["truncated"], content["blank"], content["bad"], places, int(content["digest"], 16))


@dataclass(frozen=True, eq=False)
class Survey:
    """Statistics of every head over a corpus.

    Attributes:
        tally: the totals; `tally.heads()` tells of each head.
        reading: what was read of the corpus, and what was not.
        settings: model, corpus and arguments.
    """

    tally: Tally
    reading: Reading
    settings: Mapping[str, Any]

    def __add__(self, other: "Survey") -> "Survey":
        return Survey(self.tally + other.tally, self.reading + other.reading, self.settings)

    def packed(self, **more: Any) -> bytes:
        """Return the survey, and further facts, as bytes of a safetensors file."""
        facts, arrays = self.tally.parts()
        reading, settings = self.reading.plain(), dict(self.settings)
        return pack({**facts, "reading": reading, "settings": settings, **more}, arrays)

    @classmethod
    def unpacked(cls, raw: bytes, name: str) -> tuple["Survey", dict[str, Any]]:
        """Return what `packed` packed, and all its facts.

        Raises:
            InputError: it is something else.
        """
        facts, arrays = unpack(raw, name)
        if "settings" not in facts:
            raise InputError(f"{name} holds no survey")
        survey = cls(Tally.from_parts(facts, arrays), Reading.from_plain(facts["reading"]), facts["settings"])
        return survey, facts

    def save(self, folder: str | Path) -> Path:
        """Write the totals into a folder, whole or not at all; reports are written by `regard.write_survey`."""
        path = Path(folder) / TOTALS
        write_whole(path, self.packed(), InputError)
        return path

    @classmethod
    def load(cls, folder: str | Path) -> "Survey":
        """Read a finished survey from its folder.

        Raises:
            InputError: the folder holds none.
        """
        path = Path(folder) / TOTALS
        if not path.is_file():
            raise InputError(f"expected a folder with a finished survey ({TOTALS}); {folder} is none")
        return cls.unpacked(read(path), str(path))[0]
