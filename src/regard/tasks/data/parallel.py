"""Files of text side by side: line n of each belongs to row n."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import zip_longest
from pathlib import Path

from regard.errors import TaskError
from regard.tasks.data import faults
from regard.tasks.data.lines import raw_lines
from regard.tasks.data.source import Found, Source

# Ends of names that tell how a file is written, and nothing of what it holds.
_FORMATS = ("txt", "gz")


def parallel(
    files: Sequence[Path], columns: Sequence[str], *, named: Mapping[str, str] | None = None, ordered: bool = True
) -> Source:
    """Return files of text as one table, a file for each column.

    A column goes to the file that has the column's name between the dots of its own ("de" to train.de, "source" to
    source.txt), where just one has. Other columns go to files named as theirs were before, where each finds just
    one and no two the same; else they take the files that are left, in order, where there are as many.

    Args:
        files: the files.
        columns: names of the columns.
        named: what the names of other files of the same columns said, as `Source.named` has it.
        ordered: whether a user put them in order.

    Raises:
        TaskError: there are not as many files as columns.
    """
    every, telling = [_parts(file) for file in files], _telling(files)
    own = [_named([column], every) for column in columns]
    before = [_named((named or {}).get(column, "").split("."), telling) for column in columns]
    both = [there if place is None else place for place, there in zip(own, before, strict=True)]
    # A word that another name has by chance, or a name that has words of two columns, overrules no order.
    places = own if None in both or len(set(both)) < len(both) else both
    left = [place for place in range(len(files)) if place not in places]
    several = len(set(places) - {None}) + places.count(None) < len(places)
    if several or (None in places and len(left) != places.count(None)):
        names = ", ".join(file.name for file in files[:6]) + (", ..." if len(files) > 6 else "")
        raise TaskError(
            f"expected a file of text for each of {' and '.join(columns)}, or a table (.tsv, .csv, .jsonl, "
            f".parquet); got {names}. Name a file for each, one after the other; names of tables end like these"
        )
    guessed = not ordered and places.count(None) > 1
    order = [left.pop(0) if place is None else place for place in places]
    chosen = tuple(files[place] for place in order)
    said = ", ".join(f"{file.name} is {column}" for file, column in zip(chosen, columns, strict=True))
    if guessed:
        said += ", in the order of the names; for another, give the files themselves one after the other"
    elif own != places and order != sorted(order):
        said += ", by their names, as in training"
    words = dict(zip(columns, map(".".join, _telling(chosen)), strict=True))
    name = " and ".join(file.name for file in chosen)
    return Source(name, chosen, said, partial(_rows, chosen), named=words if all(words.values()) else {})


def _named(words: Sequence[str], parts: Sequence[Sequence[str]]) -> int | None:
    """Return which name alone has some of the words among its parts."""
    folded = {word.casefold() for word in words}
    found = [place for place, each in enumerate(parts) if not folded.isdisjoint(each)]
    return found[0] if len(found) == 1 else None


def _telling(files: Sequence[Path]) -> list[list[str]]:
    """Return what tells each file's name from the others: the parts that they lack, its language for example."""
    counts = Counter(part for file in files for part in set(_parts(file)))
    return [[part for part in _parts(file) if counts[part] == 1 and part not in _FORMATS] for file in files]


def _parts(file: Path) -> list[str]:
    return [part for part in file.name.casefold().split(".") if part]


def _rows(files: Sequence[Path]) -> Iterator[Found]:
    nothing = object()
    series = [raw_lines(file) for file in files]
    for number, lines in enumerate(zip_longest(*series, fillvalue=nothing), 1):
        if nothing in lines:
            ended = [line is nothing for line in lines]
            _same_length(files, number - 1, ended, lines, series)
            return
        if None in lines:
            yield number, f"{faults.LONG} in {files[lines.index(None)].name}"
            continue
        try:
            yield number, [line.decode() for line in lines if isinstance(line, bytes)]
        except UnicodeDecodeError as error:
            yield number, f"{faults.UTF8} in {files[lines.index(error.object)].name}"


def _same_length(
    files: Sequence[Path],
    length: int,
    ended: Sequence[bool],
    lines: Sequence[object],
    series: Sequence[Iterator[bytes | None]],
) -> None:
    """Go to the ends of files that are longer than the shortest: blank lines there do no harm.

    Raises:
        TaskError: another line follows.
    """
    totals = []
    harm = False
    for over, line, rest in zip(ended, lines, series, strict=True):
        total = length
        if not over:
            for total, each in enumerate((line, *rest), length + 1):  # noqa: B007
                harm = harm or not isinstance(each, bytes) or bool(each.strip())
        totals.append(total)
    if harm:
        told = ", ".join(f"{file.name} has {total:,}" for file, total in zip(files, totals, strict=True))
        raise TaskError(f"files side by side need as many lines each: {told}. Line n of each belongs to row n")
