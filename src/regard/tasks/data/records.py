"""Files that hold a table each: TSV, CSV, JSON lines, Parquet, and data sets that the library `datasets` saved."""

import csv
import json
import reprlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from regard.errors import TaskError
from regard.tasks.data import faults
from regard.tasks.data.lines import packed, raw_lines
from regard.tasks.data.source import Found, Source
from regard.tasks.extra import extra

_ROWS = 256
# Where data sets of translations keep their languages.
_NESTED = "translation"
# Columns that a message names at most.
_NAMED = 10

Fields = Iterator[tuple[int, list[str] | str]]


def format_of(path: Path) -> str:
    """Return the ending of a file's name, that of the packed file for .gz."""
    return Path(path.stem).suffix.lower() if packed(path) else path.suffix.lower()


def is_saved(path: Path) -> bool:
    """Return whether a folder is what `save_to_disk` of the library `datasets` wrote."""
    return (path / "state.json").is_file() or (path / "dataset_dict.json").is_file()


def separated(path: Path, columns: Sequence[str], fields: Callable[[Path], Fields]) -> Source:
    """Return a table whose first line may name its columns; else they are those asked for, in order.

    Raises:
        TaskError: the file is empty, or lacks a column.
    """
    first = next(fields(path), None)
    if first is None:
        raise TaskError(f"{path} is empty: expected lines with {_listed(columns)}")
    if isinstance(first[1], str):
        raise TaskError(f"{path.name}, line {first[0]}: {first[1]}; expected the names of its columns, or a row")
    names = [name.strip() for name in first[1]]
    folded = [name.casefold() for name in names]
    known = [column.casefold() in folded for column in columns]
    if not any(known) and len(names) == len(columns):
        row = " | ".join(map(reprlib.repr, names))
        said = (
            f"{path.name} has no line of names (the first, {row}, is a row): its columns are taken as "
            f"{_listed(columns)}, in this order"
        )
        return Source(path.name, (path,), said, partial(_chosen, path, fields, list(range(len(names))), None))
    if not all(known):
        raise _lacking(str(path), columns[known.index(False)], names)
    places = [folded.index(column.casefold()) for column in columns]
    for column, place in zip(columns, places, strict=True):
        if folded.count(folded[place]) > 1:
            raise TaskError(f"{path}: expected one column {column!r}; its first line names it more than once")
    said = f"{path.name} names its columns"
    return Source(path.name, (path,), said, partial(_chosen, path, fields, places, len(names)))


def _chosen(path: Path, fields: Callable[[Path], Fields], places: list[int], named: int | None) -> Iterator[Found]:
    expected = len(places) if named is None else named
    for number, found in islice(fields(path), 0 if named is None else 1, None):
        if isinstance(found, str):
            yield number, found
        elif len(found) != expected:
            yield number, faults.FIELDS
        else:
            yield number, [found[place] for place in places]


def tab_fields(path: Path) -> Fields:
    """Go through the lines of a TSV file that are not blank; quotes are part of the text."""
    for number, line in enumerate(raw_lines(path), 1):
        if line is None:
            yield number, faults.LONG
        elif line.strip():
            try:
                yield number, line.decode().split("\t")
            except UnicodeDecodeError:
                yield number, faults.UTF8


def comma_fields(path: Path) -> Fields:
    """Go through the rows of a CSV file; a text in quotes may hold commas, line ends and doubled quotes."""
    # What is no UTF-8 becomes lone surrogates here, by which it is found; too long a line becomes one bad field.
    lines = (b"\0" if line is None else line for line in raw_lines(path))
    texts = (line.decode(errors="surrogateescape") + "\n" for line in lines)
    reader = csv.reader(texts, strict=True)
    while True:
        number = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield number, faults.QUOTES
            continue
        if any(row):
            wrong = any("\udc80" <= letter <= "\udcff" for field in row if not field.isascii() for letter in field)
            yield number, faults.UTF8 if wrong else row


def json_lines(path: Path, columns: Sequence[str]) -> Source:
    """Return a table of one JSON object a line.

    Raises:
        TaskError: the file is empty, or its first object lacks a column.
    """
    for _, record in _objects(path):
        if isinstance(record, dict):
            _has(str(path), columns, record)
            break
    return Source(path.name, (path,), "", partial(_columns, partial(_objects, path), columns))


def _objects(path: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    for number, line in enumerate(raw_lines(path), 1):
        if line is None:
            yield number, faults.LONG
        elif line.strip():
            try:
                record = json.loads(line.decode())
            except UnicodeDecodeError:
                yield number, faults.UTF8
                continue
            except (ValueError, RecursionError):
                record = None
            yield number, record if isinstance(record, dict) else faults.JSON


def parquet(path: Path, columns: Sequence[str]) -> Source:
    """Return the table of a Parquet file.

    Raises:
        TaskError: it is packed again, is no Parquet file, or lacks a column.
    """
    with extra():
        from pyarrow.parquet import ParquetFile
    if packed(path):
        raise TaskError(f"{path}: expected a Parquet file as it is, not packed again")
    try:
        schema = ParquetFile(path).schema_arrow
    except (OSError, ValueError) as error:
        raise TaskError(f"{path} is no Parquet file, or is damaged ({error})") from error
    _has(str(path), columns, {name: _inside(schema, name) for name in schema.names})
    names = [name for name in schema.names if name in {*columns, _NESTED}]

    def records() -> Iterator[tuple[int, dict[str, Any] | str]]:
        try:
            yield from _numbered(ParquetFile(path).iter_batches(_ROWS, columns=names))
        except (OSError, ValueError) as error:
            raise TaskError(f"{path} is damaged ({error})") from error

    return Source(path.name, (path,), "", partial(_columns, records, columns), "row")


def saved(path: Path, columns: Sequence[str]) -> Source:
    """Return a data set that `save_to_disk` wrote to a folder.

    Raises:
        TaskError: it cannot be read, lacks a column, or holds several parts.
    """
    with extra():
        from datasets import load_from_disk
    try:
        data = load_from_disk(str(path))
    except (OSError, ValueError, KeyError) as error:
        raise TaskError(f"cannot read the data set {path}: {error}") from error
    if (path / "dataset_dict.json").is_file():
        if len(data) != 1:
            parts = ", ".join(str(path / name) for name in data)
            raise TaskError(f"{path} holds several data sets; give one of them: {parts}")
        (data,) = data.values()
    _has(str(path), columns, {name: _inside(data.features.arrow_schema, name) for name in data.column_names})
    data = data.select_columns([name for name in data.column_names if name in {*columns, _NESTED}])

    def records() -> Iterator[tuple[int, dict[str, Any] | str]]:
        return _numbered(data.with_format("arrow").iter(_ROWS))

    files = tuple(sorted(path.rglob("*.arrow")))
    return Source(path.name, files, "", partial(_columns, records, columns), "row")


def _numbered(batches: Iterator[Any]) -> Iterator[tuple[int, dict[str, Any] | str]]:
    return enumerate((record for batch in batches for record in batch.to_pylist()), 1)


def _inside(schema: Any, name: str) -> dict[str, Any] | None:
    """Return the names within a column of records, as a record has them."""
    kind = schema.field(name).type
    fields = [kind.field(place).name for place in range(kind.num_fields)]
    return dict.fromkeys(fields) if name == _NESTED and fields else None


def _columns(
    records: Callable[[], Iterator[tuple[int, dict[str, Any] | str]]], columns: Sequence[str]
) -> Iterator[Found]:
    for number, record in records():
        yield number, record if isinstance(record, str) else _values(record, columns)


def _values(record: dict[str, Any], columns: Sequence[str]) -> list[str] | str:
    values = []
    for column in columns:
        holder = _holder(record, column)
        if holder is None:
            return faults.MISSING
        value = holder[column]
        if value is None:
            return faults.EMPTY
        if not isinstance(value, str):
            return faults.NOT_TEXT
        values.append(value)
    return values


def _holder(record: dict[str, Any], column: str) -> dict[str, Any] | None:
    """Return where a record has a column: in itself, or among its translations."""
    nested = record.get(_NESTED)
    if column in record:
        return record
    return nested if isinstance(nested, dict) and column in nested else None


def _has(where: str, columns: Sequence[str], record: dict[str, Any]) -> None:
    nested = record.get(_NESTED)
    for column in columns:
        if _holder(record, column) is None:
            raise _lacking(where, column, [*record, *(nested if isinstance(nested, dict) else ())])


def _lacking(where: str, column: str, names: Sequence[str]) -> TaskError:
    told = ", ".join(map(reprlib.repr, names[:_NAMED])) + (", ..." if len(names) > _NAMED else "")
    return TaskError(
        f"{where}: expected a column {column!r}; it has {told}. Name them so, or say how they are "
        "named, for translation by --set source=NAME --set target=NAME"
    )


def _listed(columns: Sequence[str]) -> str:
    return " and ".join(columns)
