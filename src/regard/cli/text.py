"""Where a command's text comes from: the command line, a file, or standard input."""

import sys
from pathlib import Path

from regard.errors import InputError


def read_text(text: str | None, file: Path | None) -> str:
    """Return the text that was given in exactly one way.

    Args:
        text: the text itself, or "-" for standard input.
        file: a file that holds it, in UTF-8.

    Raises:
        InputError: no text or two, an empty one, a missing file, or one that is not text.
    """
    if text is not None and file is not None:
        raise InputError("expected a text or --file, one of the two; got both")
    if file is not None:
        raw, name = _read_file(file), str(file)
    elif text == "-":
        raw, name = sys.stdin.buffer.read(), "standard input"
    elif text is not None:
        raw, name = text.encode(errors="surrogateescape"), "the text"
    else:
        raise InputError('expected a text, --file or "-" for standard input; got none. See: regard look --help')
    content = _decode(raw, name)
    if not content.strip():
        raise InputError(f"expected some text; {name} is empty")
    return content


def _read_file(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror or error}") from error


def _decode(raw: bytes, name: str) -> str:
    try:
        content = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"expected text in UTF-8; {name} has other bytes at position {error.start}") from error
    if "\0" in content:
        raise InputError(f"expected text; {name} holds binary data")
    return content
