"""What a command says, and how it ends otherwise than well: interrupted (130), or with a user's mistake (2)."""

import os
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


@contextmanager
def interruptible(what_is_left: str = "") -> Iterator[None]:
    """Turn an interrupt into one line and exit code 130.

    Args:
        what_is_left: what the line says beside that.
    """
    try:
        yield
    except BaseException as error:
        if not _is_interrupt(error):
            raise
        if speaks():
            say(Console(stderr=True), f"regard: interrupted{what_is_left and '; '}{what_is_left}")
        raise typer.Exit(130) from None


def _is_interrupt(error: BaseException | None) -> bool:
    """Return whether an error is an interrupt or the wreckage of one: libraries fail as they tidy up after it."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ if error.__suppress_context__ else error.__context__
    return error is not None
