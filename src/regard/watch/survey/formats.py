"""Formats of corpora: lines of text, JSON lines, Parquet, and data sets saved by the library datasets."""

import gzip
import importlib
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from regard.errors import InputError

# A longer line (or file, where one is a document) is told as bad rather than read, so that memory stays bounded.
LONGEST = 64 << 20

_ROWS = 256


@dataclass(frozen=True, eq=False)
class Item:
    """What stands at one place of a file.

    Attributes:
        place: the file and the line or row, from 1.
        text: the document, or None.
        target: the text for a decoder, if asked for.
        problem: why there is no document; "" with text None: a blank line.
        done: what share of the file is read.
    """

    place: str
    text: str | None
    target: str | None
    problem: str
    done: float


@dataclass(frozen=True, eq=False)
class Source:
    """Something to read.

    Attributes:
        size: how large it is, compared with the others of its corpus.
        identity: what tells it from others, where that is not its content.
        read: goes through its items, from the start each time.
    """

    size: int
    identity: str
    read: Callable[[], Iterator[Item]]


def format_of(path: Path) -> str:
    """Return the ending of a file's name, that of the packed file for .gz."""
    return Path(path.stem).suffix.lower() if path.suffix.lower() == ".gz" else path.suffix.lower()


def _text(path: Path, field: str, target_field: str | None, whole: bool) -> Source:
    if target_field is not None:
        raise InputError(
            f"a field for the decoder's text: expected .jsonl, .parquet or a data set; got {path.name}"
        )
    return Source(path.stat().st_size, "", partial(_whole if whole else _lines, path))


def _json_lines(path: Path, field: str, target_field: str | None, whole: bool) -> Source:
    return Source(path.stat().st_size, "", partial(_objects, path, field, target_field))


def _parquet(path: Path, field: str, target_field: str | None, whole: bool) -> Source:
    if path.suffix.lower() == ".gz":
        raise InputError(f"{path}: expected a Parquet file as it is, not packed again")
    parquet = _needs("pyarrow.parquet", "Parquet files need pyarrow")
    try:
        file = parquet.ParquetFile(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is no Parquet file ({error})") from error
    names = [name for name in (field, target_field) if name is not None]
    _has_fields(str(path), names, file.schema_arrow.names)
    rows = file.metadata.num_rows

    def records() -> Iterator[dict[str, Any]]:
        for batch in parquet.ParquetFile(path).iter_batches(_ROWS, columns=names):
            yield from batch.to_pylist()

    return Source(path.stat().st_size, "", partial(_rows, path.name, records, rows, field, target_field))


READERS = {".txt": _text, ".jsonl": _json_lines, ".parquet": _parquet}


def saved_dataset(path: Path, field: str, target_field: str | None, split: str | None) -> Source | None:
    """Return what `save_to_disk` of the library datasets wrote to a folder, read from its memory-mapped files.

    Raises:
        InputError: it cannot be read, has no such field, or holds several parts and none was chosen.
    """
    several = (path / "dataset_dict.json").is_file()
    if not several and not (path / "state.json").is_file():
        if split is not None:
            raise InputError(f"--split: expected a saved dictionary of data sets; {path} is none")
        return None
    datasets = _needs("datasets", "saved data sets need the library datasets")
    try:
        data = datasets.load_from_disk(str(path))
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"cannot read the data set {path} ({error})") from error
    if several:
        if split not in data:
            raise InputError(f"--split: expected one of {', '.join(data)}; got {split}")
        data = data[split]
    names = [name for name in (field, target_field) if name is not None]
    _has_fields(str(path), names, data.column_names)
    data = data.select_columns(names)
    read = partial(_rows, path.name, lambda: iter(data), len(data), field, target_field)
    return Source(max(1, len(data)), f"{data._fingerprint} {len(data)}", read)


def _needs(module: str, what: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(f"{what}; install it with: pip install 'regard[survey]'") from error


def _has_fields(where: str, names: list[str], known: list[str]) -> None:
    if missing := [name for name in names if name not in known]:
        raise InputError(
            f"{where}: expected a field {missing[0]!r}; it has {', '.join(known)}. Choose with --field"
        )


def _rows(
    name: str, records: Callable[[], Iterator[dict[str, Any]]], count: int, field: str, target_field: str | None
) -> Iterator[Item]:
    for i, record in enumerate(records()):
        yield Item(f"{name}, row {i + 1}", *_fields(record, field, target_field), (i + 1) / count)


def _objects(path: Path, field: str, target_field: str | None) -> Iterator[Item]:
    for line in _lines(path):
        if line.text is None:
            yield line
            continue
        try:
            record = json.loads(line.text)
        except (ValueError, RecursionError):
            yield Item(line.place, None, None, "is no JSON", line.done)
            continue
        yield Item(line.place, *_fields(record, field, target_field), line.done)


def _fields(record: Any, field: str, target_field: str | None) -> tuple[str | None, str | None, str]:
    """Return text, target and problem of a record."""
    if not isinstance(record, dict):
        return None, None, "is no JSON object"
    values: list[str] = []
    for name in (field, target_field):
        if name is None:
            continue
        value = record.get(name)
        if name not in record:
            return None, None, f"has no field {name!r}"
        if not isinstance(value, str):
            return None, None, f"field {name!r} is no text"
        if not value.strip():
            return None, None, f"field {name!r} is empty"
        values.append(value)
    return values[0], values[1] if target_field is not None else None, ""


def _lines(path: Path) -> Iterator[Item]:
    """Go through the lines of a file in UTF-8; a blank one has neither text nor problem."""
    size = max(1, path.stat().st_size)
    with path.open("rb") as raw:
        number = 0
        for number, (line, problem) in enumerate(_raw_lines(path, raw), 1):
            done = min(1.0, raw.tell() / size)
            text, problem = (None, problem) if problem else _decoded(line)
            blank = text is not None and not text.strip()
            yield Item(f"{path.name}, line {number}", None if blank else text, None, problem, done)


def _raw_lines(path: Path, raw: IO[bytes]) -> Iterator[tuple[bytes, str]]:
    """Go through lines without their ends, or why one cannot be read."""
    file = gzip.GzipFile(fileobj=raw) if path.suffix.lower() == ".gz" else raw
    try:
        while line := file.readline(LONGEST):
            if len(line) < LONGEST or line.endswith(b"\n"):
                yield line.rstrip(b"\r\n"), ""
                continue
            while (rest := file.readline(LONGEST)) and not rest.endswith(b"\n"):
                pass
            yield b"", f"is longer than {LONGEST:,} bytes"
    except (OSError, EOFError, zlib.error) as error:
        yield b"", f"cannot be read, nor what follows ({error})"


def _whole(path: Path) -> Iterator[Item]:
    with path.open("rb") as raw:
        file = gzip.GzipFile(fileobj=raw) if path.suffix.lower() == ".gz" else raw
        try:
            content = file.read(LONGEST + 1)
        except (OSError, EOFError, zlib.error) as error:
            yield Item(path.name, None, None, f"cannot be read ({error})", 1.0)
            return
    text, problem = _decoded(content) if len(content) <= LONGEST else (None, f"is longer than {LONGEST:,} bytes")
    blank = text is not None and not text.strip()
    yield Item(path.name, None if blank else text, None, problem, 1.0)


def _decoded(raw: bytes) -> tuple[str | None, str]:
    try:
        return raw.decode("utf-8-sig"), ""
    except UnicodeDecodeError as error:
        return None, f"is not in UTF-8 (byte {error.start + 1})"
