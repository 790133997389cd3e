"""Files written in one step: a process that is killed at any time leaves the old one or the new."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from shutil import copymode
from typing import BinaryIO

from regard.errors import RegardError


@contextmanager
def written_whole(path: Path, fault: type[RegardError]) -> Iterator[BinaryIO]:
    """Open a file to write, which takes its place, and the old one's permissions, when all of it is on the disk.

    Links are followed; what is there and is no file, such as a pipe, is written to as it is.

    Args:
        path: its place.
        fault: the error that says that it cannot be written.
    """
    aim = resolved(path, fault)
    try:
        if aim.exists() and not aim.is_file():
            with aim.open("wb") as file:
                yield file
        else:
            yield from _replaced(aim)
    except OSError as error:
        raise fault(f"cannot write {path}: {error.strerror or error}") from error


def _replaced(aim: Path) -> Iterator[BinaryIO]:
    """Yield a file that is closed, and put in its place, when it goes on."""
    part = passing_name(aim)
    try:
        with part.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if aim.exists():
            copymode(aim, part)
        part.replace(aim)
    finally:
        with suppress(OSError):
            part.unlink()


def resolved(path: Path, fault: type[RegardError]) -> Path:
    """Return the place that links lead to; arguments as for `written_whole`."""
    try:
        aim = path.resolve()
        aim.exists()
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, or a name that no file can have
        raise fault(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from error
    return aim


def write_whole(path: Path, content: bytes, fault: type[RegardError]) -> None:
    """Write a file's content in one step; arguments as for `written_whole`."""
    with written_whole(path, fault) as file:
        file.write(content)


def passing_name(path: Path) -> Path:
    """Return a name beside its place under which a file is written, which no other thread or process has."""
    return path.with_name(f".{path.name[-60:]}.{token_hex(4)}.part")  # 60 letters are 240 bytes at most, of 255
