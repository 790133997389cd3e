"""Files of text side by side: line n of each belongs to row n."""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import zip_longest
from pathlib import Path

from regard.errors import TaskError
from regard.tasks.data import faults
from regard.tasks.data.lines import raw_lines
from regard.tasks.data.source import Found, Source


def parallel(files: Sequence[Path], columns: Sequence[str]) -> Source:
    """Return files of text as one table, a file for each column.

    A column goes to the file that has the column's name between the dots of its own ("de" to train.de, "source" to
    source.txt), where just one has; columns without such a file take those that are left, in order, where there
    are as many.

    Raises:
        TaskError: there are not as many files as columns.
    """
    places = [_named(column, files) for column in columns]
    left = [place for place in range(len(files)) if place not in places]
    several = len(set(places) - {None}) + places.count(None) < len(places)
    if several or (None in places and len(left) != places.count(None)):
        names = ", ".join(file.name for file in files[:6]) + (", ..." if len(files) > 6 else "")
        raise TaskError(
            f"expected a file of text for each of {' and '.join(columns)}, or a table (.tsv, .csv, .jsonl, "
            f".parquet); got {names}. Give the files, or what their names begin with and columns named as they end"
        )
    places = [left.pop(0) if place is None else place for place in places]
    chosen = tuple(files[place] for place in places if place is not None)
    said = ", ".join(f"{file.name} is {column}" for file, column in zip(chosen, columns, strict=True))
    return Source(" and ".join(file.name for file in chosen), chosen, said, partial(_rows, chosen))


def _named(column: str, files: Sequence[Path]) -> int | None:
    found = [place for place, file in enumerate(files) if column.casefold() in file.name.casefold().split(".")]
    return found[0] if len(found) == 1 else None


def _rows(files: Sequence[Path]) -> Iterator[Found]:
    nothing = object()
    series = [raw_lines(file) for file in files]
    for number, lines in enumerate(zip_longest(*series, fillvalue=nothing), 1):
        if nothing in lines:
            ended = [line is nothing for line in lines]
            _same_length(files, number - 1, ended, lines, series)
            return
        if None in lines:
            yield number, faults.LONG
            continue
        try:
            yield number, [line.decode() for line in lines if isinstance(line, bytes)]
        except UnicodeDecodeError:
            yield number, faults.UTF8


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
