"""Files that people name: whether they can be written is said before the work that would fill them."""

import os
from pathlib import Path

from regard.errors import ReportError
from regard.writing import passing_name, resolved, write_whole


def check_writable(path: Path) -> None:
    """Raise ReportError where a file cannot be written, before the work that would fill it."""
    aim = resolved(path, ReportError)
    folder = aim.parent
    if aim.is_dir():
        raise ReportError(f"expected a file to write to; {path} is a folder")
    if file := next((each for each in (folder, *folder.parents) if each.is_file()), None):
        raise ReportError(f"cannot write {path}: {file} is a file, not a folder")
    if not folder.is_dir():
        raise ReportError(f"cannot write {path}: the folder {folder} does not exist")
    if path.exists() and not os.access(path, os.W_OK):
        raise ReportError(f"cannot write {path}: no permission")
    if path.exists() and not path.is_file():
        return
    part = passing_name(aim)
    try:
        # What a system answers about permission is not always what it does.
        part.touch()
        part.unlink()
    except OSError as error:
        raise ReportError(f"cannot write {path}: {error.strerror or error}") from error


def write_report(path: Path, content: bytes) -> None:
    """Write a file in one step.

    Raises:
        ReportError: the path cannot be written.
    """
    check_writable(path)
    write_whole(path, content, ReportError)
