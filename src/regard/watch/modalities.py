"""The positions of what is no text: patches of a picture, frames of a sound, residues of a chain.

Each is an axis like that of words; axes are added where a model reads one after the other.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from regard.errors import RecordError
from regard.watch.pictures import file_of
from regard.watch.positions import whole
from regard.watch.segments import ImageSegment, ResidueSegment, Segment, SoundSegment
from regard.watch.words import Axis

# A spectrogram has at most so many bins and frames; beyond, the loudest of neighbours stands for them.
MOST_BINS, MOST_FRAMES = 512, 4096


def patches(picture: Any = None, *, grid: tuple[int, int]) -> Axis:
    """Return the positions of the patches that a vision model cuts a picture into, row by row.

    Tokens that a model adds stand beside them: `words(["[CLS]"]) + patches("cat.png", grid=(14, 14))`.

    Args:
        picture: a path, the bytes of a PNG or JPEG file, a Pillow image, or a tensor or array (3, H, W) or
            (H, W, 3) of bytes or of numbers from 0 to 1, cropped as the model sees it; default: none, the page then
            shows the patches alone. It is kept with at most 768 pixels on its longer side.
        grid: how many rows and columns of patches there are.

    Raises:
        RecordError: no picture can be made of what was given, or there are no rows or columns.
    """
    if not isinstance(grid, Sequence) or len(grid) != 2:
        raise RecordError(f"patches: expected grid=(rows, columns); got {grid!r}")
    rows, columns = (whole("patches", each, "rows and columns", 1, RecordError) for each in grid)
    file, kind = (None, "image/png") if picture is None else file_of(picture)
    labels = [f"row {row}, column {column}" for row in range(1, rows + 1) for column in range(1, columns + 1)]
    return _axis(labels, ImageSegment(0, len(labels), rows, columns, file, kind))


def frames(count: int, *, seconds: float, spectrogram: Any = None, hertz: float | None = None) -> Axis:
    """Return the positions of the frames of a sound, one after another.

    Args:
        count: how many positions there are.
        seconds: the time from the beginning of the first to the end of the last.
        spectrogram: (bins, frames) real numbers, lowest frequency first, over the same time; default: none.
        hertz: the highest frequency of the spectrogram.

    Raises:
        RecordError: there are no frames, no time passes, or the spectrogram is none.
    """
    count = whole("frames", count, "frames", 1, RecordError)
    for name, value in (("seconds", seconds), ("hertz", hertz)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise RecordError(f"frames: expected {name} above 0; got {value!r}")
    drawn = None if spectrogram is None else _spectrogram(spectrogram)
    labels = [f"{frame * seconds / count:.2f} s" for frame in range(count)]
    return _axis(labels, SoundSegment(0, count, float(seconds), drawn, None if hertz is None else float(hertz)))


def residues(sequence: str | Sequence[str], *, first: int = 1, chain: str = "", contacts: Any = None) -> Axis:
    """Return the positions of the residues of a chain, labelled as "M1".

    Args:
        sequence: the residues, a letter or name each.
        first: the number that the first one has in its chain.
        chain: the chain's name.
        contacts: (n, n) booleans or 0 and 1, which residues touch; default: not told.

    Raises:
        RecordError: there are no residues, or contacts do not fit them.
    """
    names = [str(name) for name in sequence]
    first = whole("residues", first, "the first residue's number", error=RecordError)
    if not names:
        raise RecordError("residues: expected at least one residue; got none")
    labels = [f"{name}{number}" for number, name in enumerate(names, first)]
    touching = None if contacts is None else _contacts(contacts, len(names))
    return _axis(labels, ResidueSegment(0, len(names), first, chain, touching))


def _axis(labels: Sequence[str], segment: Segment) -> Axis:
    count = len(labels)
    return Axis(tuple(labels), tuple(range(count)), (False,) * count, segments=(segment,))


def _numbers(asked: str, given: Any) -> Tensor:
    """Return a matrix of real numbers."""
    try:
        numbers = torch.as_tensor(given).detach().cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise RecordError(f"{asked}: expected real numbers with two axes; got {type(given).__name__}") from error
    if numbers.ndim != 2 or not numbers.numel() or numbers.is_complex():
        raise RecordError(
            f"{asked}: expected real numbers with two axes; got {numbers.dtype} of shape {tuple(numbers.shape)}"
        )
    return numbers


def _spectrogram(given: Any) -> Tensor:
    """Return a spectrogram as bytes, from its least number to its greatest; silence of -inf counts as the least."""
    numbers = _numbers("frames, spectrogram", given).double()
    finite = numbers[numbers.isfinite()]
    least, greatest = (float(finite.min()), float(finite.max())) if finite.numel() else (0.0, 0.0)
    numbers = numbers.nan_to_num(nan=least, posinf=greatest, neginf=least)
    bins, count = min(MOST_BINS, numbers.shape[0]), min(MOST_FRAMES, numbers.shape[1])
    numbers = F.adaptive_max_pool2d(numbers.unsqueeze(0), (bins, count)).squeeze(0)
    return ((numbers - least) / ((greatest - least) or 1.0) * 255).round().byte()


def _contacts(given: Any, count: int) -> Tensor:
    touching = _numbers("residues, contacts", given)
    if touching.shape != (count, count) or not bool(((touching == 0) | (touching == 1)).all()):
        raise RecordError(
            f"residues, contacts: expected booleans, or 0 and 1, of shape {(count, count)}; got {touching.dtype} of"
            f" shape {tuple(touching.shape)}"
        )
    return touching.bool()
