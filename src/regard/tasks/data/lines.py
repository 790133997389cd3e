"""Lines of files of text, plain or packed, one at a time and never longer than memory can hold."""

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path

from regard.errors import TaskError

# A longer line is told as too long rather than read.
LONGEST = 16 << 20

_MARK = b"\xef\xbb\xbf"  # with which some programs begin files in UTF-8


def packed(path: Path) -> bool:
    """Return whether a file's name says that it is packed by gzip."""
    return path.suffix.lower() == ".gz"


def raw_lines(path: Path) -> Iterator[bytes | None]:
    """Go through the lines of a file without their ends (a line feed alone ends one); None: one that is too long.

    Raises:
        TaskError: the file cannot be read, or ends in the middle of what was packed.
    """
    number = 0
    try:
        with _opened(path) as file:
            for number, line in enumerate(_bounded(file), 1):
                yield line.removeprefix(_MARK) if number == 1 and line is not None else line
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise TaskError(
            f"{path} is damaged or ends early: it cannot be unpacked after line {number:,} ({error}); get it again"
        ) from error
    except OSError as error:
        raise TaskError(f"cannot read {path}: {error.strerror or error}") from error


def _opened(path: Path) -> gzip.GzipFile | io.BufferedReader:
    return gzip.open(path) if packed(path) else path.open("rb")


def _bounded(file: gzip.GzipFile | io.BufferedReader) -> Iterator[bytes | None]:
    while line := file.readline(LONGEST):
        if len(line) < LONGEST or line.endswith(b"\n"):
            yield line.removesuffix(b"\n").removesuffix(b"\r")
            continue
        while (rest := file.readline(LONGEST)) and not rest.endswith(b"\n"):
            pass
        yield None
