"""What a command says, and how it ends otherwise than well: interrupted (130), told to end (143), mistaken (2)."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer
from rich.console import Console


def speaks() -> bool:
    """Return whether this process is to say what all of them would: under `torchrun`, one on each machine does."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


def say(console: Console, line: str, style: str | None = None) -> None:
    """Print a line as it is, however long, brackets and numbers in it being nothing but text."""
    console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)


def fail(message: str) -> NoReturn:
    """Say what was wrong and end."""
    say(Console(stderr=True), f"regard: {message}", style="red")
    sys.exit(2)


# With what programs exit that were told to end.
_TOLD_TO_END = 128 + signal.SIGTERM


@contextmanager
def interruptible(what_is_left: str = "") -> Iterator[None]:
    """Turn an interrupt into one line and exit code 130; where something is left by SIGTERM, say that too.

    Args:
        what_is_left: what the line says beside that.
    """
    try:
        yield
    except BaseException as error:
        told_to_end = isinstance(error, SystemExit) and error.code == _TOLD_TO_END
        if not told_to_end and not _is_interrupt(error):
            raise
        if speaks():
            how = "told to end" if told_to_end else "interrupted"
            say(Console(stderr=True), f"regard: {how}{what_is_left and '; '}{what_is_left}")
        raise typer.Exit(_TOLD_TO_END if told_to_end else 130) from None


def _is_interrupt(error: BaseException | None) -> bool:
    """Return whether an error is an interrupt or the wreckage of one: libraries fail as they tidy up after it."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ if error.__suppress_context__ else error.__context__
    return error is not None
