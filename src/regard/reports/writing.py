"""Files are written whole or not at all."""

import os
from pathlib import Path

from regard.errors import ReportError


def check_writable(path: Path) -> None:
    """Raise ReportError where a file cannot be written, before the work that would fill it."""
    folder = path.resolve().parent
    if path.is_dir():
        raise ReportError(f"expected a file to write to; {path} is a folder")
    if file := next((each for each in (folder, *folder.parents) if each.is_file()), None):
        raise ReportError(f"cannot write {path}: {file} is a file, not a folder")
    if not folder.is_dir():
        raise ReportError(f"cannot write {path}: the folder {folder} does not exist")
    if path.exists() and not os.access(path, os.W_OK):
        raise ReportError(f"cannot write {path}: no permission")
    part = _part(path)
    try:
        # What a system answers about permission is not always what it does.
        part.touch()
        part.unlink()
    except OSError as error:
        raise ReportError(f"cannot write {path}: {error.strerror or error}") from error


def write_whole(path: Path, content: bytes) -> None:
    """Write a file under a passing name beside its place, then move it there.

    Raises:
        ReportError: the path cannot be written.
    """
    check_writable(path)
    part = _part(path)
    try:
        part.write_bytes(content)
        part.replace(path.resolve())
    except OSError as error:
        raise ReportError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)


def _part(path: Path) -> Path:
    """Return the passing name of a file."""
    aim = path.resolve()
    return aim.with_name(f".{aim.name}.{os.getpid()}.part")
