"""The positions along a side of a map, as the page takes them: words, their tokens, and what is no text."""

from itertools import pairwise
from typing import Any

import numpy as np

from regard.reports.page.arrays import Arrays
from regard.watch.segments import ImageSegment, Segment, SoundSegment
from regard.watch.words import Axis


def axis_of(axis: Axis, arrays: Arrays) -> dict[str, Any]:
    """Return an axis."""
    axis = _in_order(axis)
    tokens, count = len(axis.groups), len(axis.words)
    every_token_a_word = axis.groups == tuple(range(count))
    labels = axis.labels
    return {
        "tokens": tokens,
        "words": arrays.add_labels(axis.words),
        "count": count,
        "wordOf": None if every_token_a_word else arrays.add(np.asarray(axis.groups, "<u4").tobytes()),
        "pieces": None if every_token_a_word and labels == axis.words else arrays.add_labels(labels),
        "special": [number for number, added in enumerate(axis.special) if added],
        "separators": [int(place) for place in axis.separators],
        "segments": [_segment(segment, arrays) for segment in axis.segments],
    }


def _in_order(axis: Axis) -> Axis:
    """Return the axis with words that stand one behind the other, as often as they come up."""
    groups = axis.groups
    if all(a <= b for a, b in pairwise((0, *groups))):
        return axis
    starts = [place for place, group in enumerate(groups) if not place or group != groups[place - 1]]
    numbers = [groups[place] for place in starts]
    return Axis(
        words=tuple(axis.words[number] if number >= 0 else "" for number in numbers),
        groups=tuple(np.repeat(range(len(starts)), np.diff(starts, append=len(groups))).tolist()),
        special=tuple(number >= 0 and axis.special[number] for number in numbers),
        separators=axis.separators,
        tokens=axis.labels,
        segments=axis.segments,
    )


def _segment(segment: Segment, arrays: Arrays) -> dict[str, Any]:
    place = {"start": segment.start, "stop": segment.stop}
    if isinstance(segment, ImageSegment):
        return {
            "kind": "image",
            **place,
            "rows": segment.rows,
            "columns": segment.columns,
            "picture": None if segment.picture is None else arrays.add(segment.picture),
            "type": segment.type,
        }
    if isinstance(segment, SoundSegment):
        spectrogram = segment.spectrogram
        bins, frames = (0, 0) if spectrogram is None else spectrogram.shape
        return {
            "kind": "sound",
            **place,
            "seconds": segment.seconds,
            "spectrogram": None if spectrogram is None else arrays.add(spectrogram.numpy().tobytes()),
            "bins": bins,
            "frames": frames,
            "hertz": segment.hertz,
        }
    contacts = segment.contacts
    return {
        "kind": "residues",
        **place,
        "first": segment.first,
        "chain": segment.chain,
        "contacts": None if contacts is None else arrays.add(contacts.byte().numpy().tobytes()),
    }
