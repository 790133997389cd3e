"""A user's files as one table, mapped into memory, with what was left out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from regard.errors import TaskError
from regard.tasks.contract import Row, Task
from regard.tasks.data.faults import Faults
from regard.tasks.data.sources import sources
from regard.tasks.data.store import stored
from regard.tasks.extra import extra
from regard.tasks.settings import Settings


@dataclass(frozen=True, eq=False)
class Table:
    """Rows with a text in each of their columns.

    Attributes:
        rows: a `datasets.Dataset`, mapped from disk; or rows that are held in memory.
        faults: what was left out.
        said: how columns were found, for people.
        digest: the same for the same rows, whatever files they came from; "" for rows in memory.
        named: of files of text side by side, by column, what tells its file's name from the others: its language;
            several words have dots between them.
    """

    rows: Sequence[Row]
    faults: Faults = field(default_factory=Faults)
    said: str = ""
    digest: str = ""
    named: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)


def read(
    paths: Sequence[Path | str] | Path | str,
    columns: Sequence[str],
    *,
    strict: bool = False,
    max_length: int = 2000,
    named: Mapping[str, str] | None = None,
    cache: Path | None = None,
) -> Table:
    """Return the rows of a user's files.

    Tables are .tsv, .csv, .jsonl (each also with .gz), .parquet, and folders that `datasets` saved by
    `save_to_disk`; several are read one after the other. .tsv and .csv name their columns in the first line; one
    that names none of those asked for and has as many is taken to have them in their order. JSON, Parquet
    and saved data sets may hold columns under "translation".

    Any other files are text side by side, a file for each column: given themselves (train.de train.en), as the
    folder that holds them, or as what their names begin with (`data/train` for data/train.de and data/train.en). A
    column goes to the file that has the column's name between the dots of its own; others go to files named as
    theirs were before (`named`), where all names agree on that, else to what is left, in order. `Table.said` tells.

    Texts are in UTF-8; only a line feed ends a line; white space around a text is taken off, and blank lines
    of tables are passed over. Rows are written to a cache once for each content of the files: in HF_DATASETS_CACHE.

    Args:
        paths: files, folders, beginnings of names.
        columns: names of the columns, all different.
        strict: whether the first bad row is an error rather than left out.
        max_length: of a column, in characters; a row with a longer one is bad.
        named: what `Table.named` is of other files of the same columns, so that these may be in any order.
        cache: another folder for the cache.

    Raises:
        TaskError: a file is missing, empty or damaged, lacks a column, or has not as many lines as the one at its
            side; no row is good; or, under `strict`, one is bad.
    """
    if len(set(columns)) < len(columns):
        raise TaskError(f"expected different columns; got {' and '.join(columns)}")
    given = [paths] if isinstance(paths, Path | str) else paths
    found = sources([Path(path) for path in given], columns, named)
    with extra():
        import datasets
    place = cache or Path(datasets.config.HF_DATASETS_CACHE) / "regard"
    path, faults, digest = stored(found, columns, strict=strict, max_length=max_length, cache=place)
    if faults.rows == faults.total:
        told = faults.told() or "there is none"
        raise TaskError(f"{' and '.join(map(str, given))}: expected a row that can be used; {told}")
    said = "; ".join(source.said for source in found if source.said)
    return Table(datasets.Dataset.from_file(str(path)), faults, said, digest, found[0].named)


def read_for(
    task: Task[Any, Any],
    settings: Settings[Any],
    paths: Sequence[Path | str],
    *,
    strict: bool = False,
    named: Mapping[str, str] | None = None,
) -> Table:
    """Return the rows of a user's files as a task's settings say.

    Args:
        task: says which columns.
        settings: say how long a text may be, and whether the first bad row is an error.
        paths: as `read` takes them.
        strict: whether it is one whatever the settings say.
        named: as `read` takes it.

    Raises:
        TaskError: they cannot be read, or hold no rows that can be used.
    """
    how = settings.data
    columns = task.columns(settings.task)
    return read(paths, columns, strict=strict or how.strict, max_length=how.max_length, named=named)


def check_apart(train: Table, valid: Table) -> None:
    """Refuse to validate on the rows that are trained on.

    Raises:
        TaskError: both tables hold the same rows, whatever files they came from.
    """
    if train.digest and train.digest == valid.digest:
        raise TaskError("expected other rows to validate than to train; got the same ones in both")


def texts(rows: Sequence[Row], columns: Sequence[str]) -> Iterator[str]:
    """Go through the texts of columns, row by row; rows are as a table has them."""
    for start in range(0, len(rows), _PORTION):
        numbers = range(start, min(len(rows), start + _PORTION))
        for row in zip(*_portion(rows, numbers, columns), strict=True):
            yield from row


_PORTION = 1000


def _portion(rows: Any, numbers: range, columns: Sequence[str]) -> list[list[str]]:
    if hasattr(rows, "select"):  # a Dataset, which gives columns faster than rows
        part = rows[numbers]
        return [part[column] for column in columns]
    return [[rows[number][column] for number in numbers] for column in columns]
