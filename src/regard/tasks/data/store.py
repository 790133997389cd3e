"""Rows in Arrow's format on disk: written once for each content of the user's files, and mapped into memory."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from regard.errors import TaskError
from regard.tasks.data import faults
from regard.tasks.data.faults import Counting, Faults
from regard.tasks.data.source import Source
from regard.tasks.extra import extra

_ROWS, _ABOUT = "rows.arrow", "about.json"
_PORTION = 1000
# Differs wherever the same files would become other rows.
_VERSION = 3


def stored(
    found: Sequence[Source], columns: Sequence[str], *, strict: bool, max_length: int, cache: Path
) -> tuple[Path, Faults, str]:
    """Return the file that holds the rows, what was left out, and a digest of the rows.

    Args:
        found: what to read.
        columns: names of the columns.
        strict: whether the first fault is an error.
        max_length: of a column, in characters.
        cache: the folder in which such files are kept, by the content of what they were read from.

    Raises:
        TaskError: something cannot be read or written, or has a fault under `strict`.
    """
    folder = cache / _key(found, columns, max_length)
    if not _is_there(folder):
        _write(found, columns, strict, max_length, folder)
    about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
    places = {kind: tuple(places) for kind, places in about["faults"].pop("places").items()}
    read = Faults(**about["faults"], places=places)
    if strict and read.counts:
        raise _refused(read.first)
    return folder / _ROWS, read, about["digest"]


def _is_there(folder: Path) -> bool:
    """Return whether a folder holds rows; one that may not be opened holds none."""
    try:
        return (folder / _ABOUT).is_file()
    except OSError:
        return False


def _key(found: Sequence[Source], columns: Sequence[str], max_length: int) -> str:
    files = [[(file.name, _digest(file)) for file in source.files] for source in found]
    asked = [_VERSION, list(columns), max_length, [source.said for source in found], files]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:32]


def _digest(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise TaskError(f"cannot read {file}: {error.strerror or error}") from error


def _write(found: Sequence[Source], columns: Sequence[str], strict: bool, max_length: int, folder: Path) -> None:
    """Write the folder whole or not at all; where another process was faster, its folder is the same."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        try:
            about = _fill(part / _ROWS, found, columns, strict, max_length)
            (part / _ABOUT).write_text(json.dumps(about), encoding="utf-8")
            if not folder.exists():
                part.rename(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        if _is_there(folder):
            return
        told = error.strerror or error
        raise TaskError(
            f"cannot keep rows in {folder.parent}: {told}; set HF_DATASETS_CACHE to a folder"
        ) from error


def _fill(
    path: Path, found: Sequence[Source], columns: Sequence[str], strict: bool, max_length: int
) -> dict[str, Any]:
    with extra():
        import pyarrow

    digest = hashlib.sha256()
    counting = Counting()
    kept = 0
    schema = pyarrow.schema([(column, pyarrow.string()) for column in columns])
    with pyarrow.OSFile(str(path), "wb") as file, pyarrow.ipc.new_stream(file, schema) as stream:
        for portion in _portions(_checked(found, counting, strict, max_length)):
            kept += len(portion)
            texts = [list(column) for column in zip(*portion, strict=True)]
            for column in texts:
                digest.update("".join(f"{text}\0" for text in column).encode())
            stream.write_batch(pyarrow.record_batch(texts, schema=schema))
    read = counting.faults(kept + counting.faults(0).total)
    return {"faults": asdict(read), "digest": digest.hexdigest()}


def _portions(rows: Iterator[list[str]]) -> Iterator[list[list[str]]]:
    portion: list[list[str]] = []
    letters = 0
    for row in rows:
        portion.append(row)
        letters += sum(map(len, row))
        if len(portion) >= _PORTION or letters >= 1 << 22:
            yield portion
            portion, letters = [], 0
    if portion:
        yield portion


def _checked(found: Sequence[Source], counting: Counting, strict: bool, max_length: int) -> Iterator[list[str]]:
    for source in found:
        for number, values in source.read():
            fault = values if isinstance(values, str) else _fault(values, max_length)
            if not fault:
                yield [value.strip() for value in values]
                continue
            place = f"{source.name}, {source.unit} {number:,}"
            if strict:
                raise _refused(f"{place}: {fault}")
            counting.add(fault, place)


def _fault(values: Sequence[str], max_length: int) -> str:
    for value in values:
        if not value or value.isspace():
            return faults.EMPTY
        if "\0" in value or not _is_unicode(value):
            return faults.BINARY
        if len(value.strip()) > max_length:
            return f"more than {max_length:,} characters"
    return ""


def _is_unicode(value: str) -> bool:
    """Return whether a text can be written at all: JSON can spell half of a pair of surrogates."""
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refused(first: str) -> TaskError:
    return TaskError(f"{first}. Mend it, or let bad rows be left out (without strict)")
