"""Files written in one step: a process that is killed at any time leaves the old one or the new."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from regard.errors import TaskError


@contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """Open a file to write, which takes its place when all of it is on the disk.

    Raises:
        TaskError: it cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise TaskError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            part.unlink()
