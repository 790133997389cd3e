"""How a command ends otherwise than well: interrupted (130), or with a user's mistake (2); each is one message."""

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


def fail(message: str) -> NoReturn:
    """Say what was wrong and end."""
    Console(stderr=True, soft_wrap=True).print(f"regard: {message}", style="red", markup=False, highlight=False)
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
            line = f"regard: interrupted{what_is_left and '; '}{what_is_left}"
            Console(stderr=True, soft_wrap=True).print(line, markup=False, highlight=False)
        raise typer.Exit(130) from None


def _is_interrupt(error: BaseException | None) -> bool:
    """Return whether an error is an interrupt or the wreckage of one: libraries fail as they tidy up after it."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ if error.__suppress_context__ else error.__context__
    return error is not None
