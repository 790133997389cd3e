"""Stretches of positions that are no text: parts of a picture, moments of a sound, residues of a chain."""

from dataclasses import dataclass, field, replace
from typing import TypeAlias

from torch import Tensor


@dataclass(frozen=True, eq=False)
class ImageSegment:
    """The patches of a picture, row by row.

    Attributes:
        start: the position of the first patch.
        stop: the position after the last.
        rows: how many rows of patches there are.
        columns: how many columns.
        picture: a PNG or JPEG file; None: none was handed in.
        type: "image/png" or "image/jpeg".
    """

    start: int
    stop: int
    rows: int
    columns: int
    picture: bytes | None = field(default=None, repr=False)
    type: str = "image/png"


@dataclass(frozen=True, eq=False)
class SoundSegment:
    """Frames of a sound, one after another.

    Attributes:
        start: the position of the first frame.
        stop: the position after the last.
        seconds: the time from the beginning of the first frame to the end of the last.
        spectrogram: bytes (bins, frames), lowest frequency first; None: none was handed in.
        hertz: the highest frequency of the spectrogram; None: not told.
    """

    start: int
    stop: int
    seconds: float
    spectrogram: Tensor | None = field(default=None, repr=False)
    hertz: float | None = None


@dataclass(frozen=True, eq=False)
class ResidueSegment:
    """Residues of a chain, one a position.

    Attributes:
        start: the position of the first residue.
        stop: the position after the last.
        first: the number that the first residue has in its chain.
        chain: the chain's name.
        contacts: booleans (residues, residues), which of them touch; None: not told.
    """

    start: int
    stop: int
    first: int = 1
    chain: str = ""
    contacts: Tensor | None = field(default=None, repr=False)


Segment: TypeAlias = ImageSegment | SoundSegment | ResidueSegment


def shifted(segment: Segment, by: int) -> Segment:
    """Return a segment that stands so many positions later."""
    return replace(segment, start=segment.start + by, stop=segment.stop + by)
