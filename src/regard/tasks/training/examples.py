"""Rows as numbers, kept flat in files that are mapped into memory and vanish with the process."""

import hashlib
import reprlib
from array import array
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from regard.errors import TaskError
from regard.tasks.contract import Features, Row

# How many numbers are held before they go to the file.
_HELD = 1 << 17


class Examples:
    """The features of rows, by number; they take disk rather than memory.

    Attributes:
        sizes: (rows,), what each costs in a batch.
        digest: a name of their content, the same for the same features.
    """

    def __init__(
        self,
        rows: Iterable[Row],
        features: Callable[[Row], Features],
        size: Callable[[Features], int],
        folder: Path,
    ) -> None:
        sizes = array("q")
        with ExitStack() as files:
            columns: dict[str, _Column] = {}
            for row in rows:
                each = features(row)
                if not columns:
                    columns = {name: _Column(files.enter_context(TemporaryFile(dir=folder))) for name in each}
                if each.keys() != columns.keys():
                    raise TaskError(
                        f"expected the features {', '.join(columns)} of every row; got {', '.join(each)}"
                    )
                for name, numbers in each.items():
                    _add(columns[name], name, numbers)
                sizes.append(size(each))
            # The maps outlive the files' names and their being closed.
            self._columns = {name: column.done() for name, column in columns.items()}
        self.sizes: NDArray[np.int64] = np.array(sizes, dtype=np.int64)
        digest = hashlib.blake2b(digest_size=16)
        for name, column in sorted(columns.items()):
            digest.update(f"{name} {column.digest()}".encode())
        self.digest = digest.hexdigest()

    def __len__(self) -> int:
        return len(self.sizes)

    def take(self, numbers: Sequence[int] | NDArray[Any]) -> list[Features]:
        """Return the features of rows, in the order of their numbers."""
        return [
            {name: flat[ends[number] : ends[number + 1]].tolist() for name, (flat, ends) in self._columns.items()}
            for number in numbers
        ]


def _add(column: "_Column", name: str, numbers: Sequence[int]) -> None:
    try:
        column.add(numbers)
    except (TypeError, OverflowError):
        raise TaskError(
            f"features: expected a list of whole numbers as {name!r}, a list of one for a label; got"
            f" {reprlib.repr(numbers)}"
        ) from None


class _Column:
    """One kind of features: all numbers behind one another, and where each row's end."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._held = array("q")
        self._ends = array("q", [0])
        self._digest = hashlib.blake2b(digest_size=16)

    def add(self, numbers: Sequence[int]) -> None:
        self._held.extend(numbers)
        self._ends.append(self._ends[-1] + len(numbers))
        if len(self._held) >= _HELD:
            self._flush()

    def done(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        self._flush()
        self._file.flush()
        ends = np.array(self._ends, dtype=np.int64)
        self._digest.update(ends.tobytes())
        flat = np.memmap(self._file, np.int64, "r").view(np.ndarray) if ends[-1] else np.empty(0, np.int64)
        return flat, ends

    def digest(self) -> str:
        return self._digest.hexdigest()

    def _flush(self) -> None:
        content = self._held.tobytes()
        self._digest.update(content)
        self._file.write(content)
        self._held = array("q")
