"""Files written in one step: a process that is killed at any time leaves the old one or the new."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from regard.errors import RegardError


@contextmanager
def written_whole(path: Path, fault: type[RegardError]) -> Iterator[BinaryIO]:
    """Open a file to write, which takes its place when all of it is on the disk; links are followed.

    Args:
        path: its place.
        fault: the error that says that it cannot be written.
    """
    part = passing_name(path)
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path.resolve())
    except OSError as error:
        raise fault(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            part.unlink()


def write_whole(path: Path, content: bytes, fault: type[RegardError]) -> None:
    """Write a file's content in one step; arguments as for `written_whole`."""
    with written_whole(path, fault) as file:
        file.write(content)


def passing_name(path: Path) -> Path:
    """Return the name beside its place under which a file is written."""
    aim = path.resolve()
    return aim.with_name(f".{aim.name}.{os.getpid()}.part")
