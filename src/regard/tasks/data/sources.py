"""Which files a user means, and which of their columns."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from regard.errors import TaskError
from regard.tasks.data.parallel import parallel
from regard.tasks.data.records import (
    comma_fields,
    format_of,
    is_saved,
    json_lines,
    parquet,
    saved,
    separated,
    tab_fields,
)
from regard.tasks.data.source import Source

_TABLES: dict[str, Callable[[Path, Sequence[str]], Source]] = {
    ".tsv": partial(separated, fields=tab_fields),
    ".csv": partial(separated, fields=comma_fields),
    ".jsonl": json_lines,
    ".parquet": parquet,
}


def sources(paths: Sequence[Path], columns: Sequence[str], named: Mapping[str, str] | None = None) -> list[Source]:
    """Return what is to be read, one after the other.

    Args:
        paths: files, folders, beginnings of names.
        columns: names of the columns.
        named: what the names of other files of the same columns said.

    Raises:
        TaskError: a file is missing or given twice, or the files do not hold the columns.
    """
    if not paths:
        raise TaskError("expected a file of data; got none")
    files = [file for path in paths for file in _files(path)]
    for place, file in enumerate(files):
        if file.resolve() in [other.resolve() for other in files[:place]]:
            raise TaskError(f"{file} is given twice; expected different files")
        if not file.is_dir() and not file.stat().st_size:
            raise TaskError(f"{file} is empty; expected rows with {' and '.join(columns)}")
    tables = [file for file in files if format_of(file) in _TABLES or file.is_dir()]
    if not tables:
        return [parallel(files, columns, named=named, ordered=len(files) == len(paths))]
    if other := [file for file in files if file not in tables]:
        raise TaskError(f"expected tables, or files of text side by side; got {tables[0]} with {other[0]}")
    return [saved(file, columns) if file.is_dir() else _TABLES[format_of(file)](file, columns) for file in tables]


def _files(path: Path) -> list[Path]:
    """Return the files that a path stands for: itself, those in a folder, or those that begin so."""
    if path.is_file() or (path.is_dir() and is_saved(path)):
        return [path]
    if path.is_dir():
        return _in_folder(path)
    near = path.parent.iterdir() if path.parent.is_dir() else ()
    beginning = sorted(each for each in near if each.name.startswith(f"{path.name}.") and each.is_file())
    if not beginning:
        raise TaskError(f"there is no file {path}")
    return beginning


def _in_folder(folder: Path) -> list[Path]:
    found = sorted(each for each in folder.iterdir() if each.is_file() and not each.name.startswith("."))
    if not found:
        raise TaskError(f"the folder {folder} holds no files; expected a table, or files of text side by side")
    tables = [each for each in found if format_of(each) in _TABLES]
    if len(found) == 1 or not tables:
        return found
    named = ", ".join(each.name for each in found[:4]) + (", ..." if len(found) > 4 else "")
    raise TaskError(f"the folder {folder} holds several files ({named}); give the one that is meant")
