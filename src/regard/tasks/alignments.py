"""Alignments of words: read from files in pharaoh's format, and the error rate of those that a model found."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from torch import nn

from regard.errors import TaskError
from regard.tasks.contract import Row
from regard.tasks.data.lines import raw_lines

# A source word and the target word that belongs to it, counted from 0.
Pair = tuple[int, int]

_LINK = re.compile(r"(\d+)([-p])(\d+)")


@runtime_checkable
class Aligns(Protocol):
    """A task that says which words of its two columns belong together."""

    def align(self, model: nn.Module, rows: Sequence[Row], parts: Any, settings: Any) -> list[frozenset[Pair]]:
        """Return the alignment of each row's words, which are what stands between spaces."""


@dataclass(frozen=True)
class Gold:
    """What people say of one pair of lines.

    Attributes:
        sure: pairs that every alignment should have.
        possible: pairs that one may have; the sure ones among them.
    """

    sure: frozenset[Pair]
    possible: frozenset[Pair]


def read_alignments(path: Path, first: int = 0) -> list[Gold]:
    """Return the alignments in a file, one line a pair of lines: "0-0 1p2" is a sure link and a possible one.

    Args:
        path: the file, of source-target links; .gz too.
        first: what the first word's number is: 0 in pharaoh's own files, 1 in those of many gold alignments.

    Raises:
        TaskError: the file cannot be read, or something in it is no link.
    """
    return [_gold(line, f"{path}, line {number}", first) for number, line in enumerate(raw_lines(path), 1)]


def alignment_error_rate(found: Sequence[frozenset[Pair]], gold: Sequence[Gold]) -> float:
    """Return the alignment error rate in per cent, over all lines together; 0 is best.

    With found pairs A, sure ones S and possible ones P it is 1 - (|A & S| + |A & P|) / (|A| + |S|).

    Raises:
        TaskError: there are not as many alignments on both sides.

    Source: Och and Ney 2003, "A Systematic Comparison of Various Statistical Alignment Models", section 2.3.
    """
    if len(found) != len(gold):
        raise TaskError(f"expected an alignment for each of {len(found)} pairs of lines; got {len(gold)}")
    right = sum(len(a & g.sure) + len(a & g.possible) for a, g in zip(found, gold, strict=True))
    total = sum(len(a) + len(g.sure) for a, g in zip(found, gold, strict=True))
    return 100 * (1 - right / total) if total else 0.0


def check_words(gold: Sequence[Gold], words: Iterable[tuple[int, int]], path: Path) -> None:
    """Refuse links to words that are not there, as where words are counted otherwise or the lines are others.

    Args:
        gold: the alignments.
        words: how many words source and target have, line by line.
        path: where the alignments come from.

    Raises:
        TaskError: there is such a link.
    """
    for number, (each, most) in enumerate(zip(gold, words, strict=False), 1):
        for link in sorted(each.possible):
            if link[0] >= most[0] or link[1] >= most[1]:
                raise TaskError(
                    f"{path}, line {number}: expected links within {most[0]} words of source and {most[1]} of"
                    f" target; got one from word {link[0]} to {link[1]}, counted from 0. Are words counted from"
                    " another number (--words-from), or do the lines belong to others?"
                )


def _gold(line: bytes | None, place: str, first: int) -> Gold:
    if line is None:
        raise TaskError(f"{place}: expected links; got a line too long to be read")
    sure, possible = set(), set()
    for word in line.decode(errors="replace").split():
        link = _LINK.fullmatch(word)
        pair = (int(link[1]) - first, int(link[3]) - first) if link else (-1, -1)
        if link is None or min(pair) < 0:
            raise TaskError(
                f"{place}: expected links such as {first}-{first} (sure) or {first}p{first + 1} (possible), words"
                f" counted from {first}; got {word!r}"
            )
        possible.add(pair)
        if link[2] == "-":
            sure.add(pair)
    return Gold(frozenset(sure), frozenset(possible))
