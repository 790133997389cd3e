"""Lines of text as they come: those that have arrived are handed on, without waiting for more."""

import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from queue import Queue
from typing import Any

from regard.errors import InputError

# Bytes that are read at once at most.
_PIECE = 1 << 16
# Pieces that are read ahead at most.
_AHEAD = 16
# Bytes of a line that are kept; what is longer is cut to far fewer letters by whoever answers it.
_KEPT = 1 << 24


def lines_of(text: str | None, file: Path | None, most: int) -> Iterator[list[str]]:
    """Yield the lines of what was given in exactly one way, as many as have arrived together.

    Args:
        text: the text itself, or "-" for standard input.
        file: a file, UTF-8.
        most: lines that are handed on together at most.

    Raises:
        InputError: no text or two, or a file that cannot be read.
    """
    if (text is None) == (file is None):
        got = "none" if text is None else "both"
        raise InputError(
            f'expected a text, --file, or "-" for standard input; got {got}. See: regard predict --help'
        )
    if file is not None:
        try:
            return _closing(file.open("rb", buffering=0), str(file), most)
        except OSError as error:
            raise InputError(f"cannot read {file}: {error.strerror or error}") from error
    if text == "-":
        if sys.stdin is None:
            raise InputError("expected standard input to be open; got a closed one")
        # Past the buffer, whose lock a thread that waits would hold when the program ends.
        stream = sys.stdin.buffer
        return arrived(getattr(stream, "raw", stream), "standard input", most)
    return _windows((text or "").removesuffix("\n").encode(errors="surrogateescape").split(b"\n"), "the text", most)


def arrived(stream: Any, name: str, most: int) -> Iterator[list[str]]:
    """Yield the lines of a stream of bytes, those that have arrived together.

    Args:
        stream: what is read, in a thread of its own.
        name: what messages call it.
        most: lines that are handed on together at most.

    Raises:
        InputError: it cannot be read, or holds bytes that are not UTF-8.
    """
    pieces: Queue[bytes] = Queue(_AHEAD)
    failed: list[Exception] = []
    threading.Thread(target=_read, args=(stream, pieces, failed), daemon=True).start()
    number, rest, ended = 1, b"", False
    while not ended:
        # The first is waited for, others are taken if they are there.
        got = [pieces.get()]
        while not pieces.empty():
            got.append(pieces.get())
        *lines, rest = b"".join([rest, *got]).split(b"\n")
        # With one byte more, which says whether a sign is cut in two.
        rest = rest[: _KEPT + 1]
        # Nothing is what comes at the end, where the last line may lack its break.
        ended = not got[-1]
        lines += [rest] if ended and rest else []
        yield from _windows(lines, name, most, number)
        number += len(lines)
    for error in failed:
        raise InputError(f"cannot read {name}: {getattr(error, 'strerror', None) or error}") from error


def _kept(line: bytes) -> bytes:
    """Return a line without what is too much of it, cut where a sign begins, which may have four bytes."""
    end = _KEPT
    while len(line) > end > _KEPT - 3 and line[end] & 0xC0 == 0x80:
        end -= 1
    return line[:end]


def _closing(stream: Any, name: str, most: int) -> Iterator[list[str]]:
    with stream:
        yield from arrived(stream, name, most)


def _read(stream: Any, pieces: "Queue[bytes]", failed: list[Exception]) -> None:
    """Hand on what a stream gives, and nothing at its end."""
    piece = None
    while piece != b"":
        try:
            piece = stream.read(_PIECE) or b""
        # The latter is what a file raises that was closed, since what was read ahead is not wanted any more.
        except (OSError, ValueError) as error:
            failed.append(error)
            piece = b""
        pieces.put(piece)


def _windows(lines: Sequence[bytes], name: str, most: int, number: int = 1) -> Iterator[list[str]]:
    """Yield lines as text, so many at a time; the good ones before one that is bad."""
    for first in range(0, len(lines), most):
        good: list[str] = []
        for line in lines[first : first + most]:
            try:
                # Some programs write a mark in front of a whole file.
                text = _kept(line).decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                yield good
                told = f"line {number} of {name} has other bytes at position {error.start}"
                raise InputError(f"expected text in UTF-8; {told}") from error
            good.append(text.removesuffix("\r"))
            number += 1
        yield good
