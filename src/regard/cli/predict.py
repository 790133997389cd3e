"""`regard predict`: what a trained run answers, one line for each line, and what it attended to."""

import os
import sys
from functools import lru_cache, partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from regard.cli.ending import interruptible, say
from regard.cli.lines import lines_of
from regard.cli.memory import enough_memory
from regard.cli.own_tasks import see_folder
from regard.cli.usage import named_path
from regard.errors import InputError
from regard.reports.report import format_of
from regard.reports.writing import check_writable
from regard.tasks.run import load_run

# Lines that are answered together at most, when they have all arrived; they are sorted by length for that.
_TOGETHER = 256


def predict(
    context: typer.Context,
    run: Annotated[Path, typer.Argument(help="The folder that regard train wrote.")],
    text: Annotated[
        str | None, typer.Argument(help='The text, behind -- if it begins with "-"; or "-" for standard input.')
    ] = None,
    file: Annotated[Path | None, typer.Option(help="Answer each line of this file, UTF-8.")] = None,
    look: Annotated[
        Path | None,
        typer.Option(
            parser=named_path, metavar="FILE", help="Write what was attended to: .html, .png, .svg, .pdf or .json."
        ),
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="--look: show how the model reads this answer, rather than its own.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(metavar="RUN", help="--look: show the same text by this run beside it.")
    ] = None,
) -> None:
    """Answer a text, a file or standard input: one line for each line, in their order, as they come."""
    if context.args:
        raise InputError(f"expected one text; got also {' '.join(context.args)!r}: put the text in quotes")
    lines = lines_of(text, file, _TOGETHER)
    asked = _asked(text, look, target=target, against=against)
    progress = Console(stderr=True)
    # What is answered and then shown is told of once.
    told = lru_cache(1)(partial(say, progress))
    if text is not None and _is_file(text):
        say(progress, f"{text} is a file: to answer its lines, write --file {text}")
    with interruptible(), enough_memory("give shorter lines"):
        see_folder()
        with progress.status("loading the run"):
            loaded = load_run(run)
            other = None if against is None else load_run(against)
        for some in lines:
            for answer in loaded.predict(some, told=told):
                sys.stdout.write(" ".join(answer.text.splitlines()) + "\n")
            sys.stdout.flush()
        if look is not None:
            given = None if target is None else _typed(target)
            shown = loaded.look(asked, given, told=told)
            (shown if other is None else shown.beside(other.look(asked, given, told=told))).save(look)
            say(progress, f"wrote {look}")


def _asked(text: str | None, look: Path | None, **options: object) -> str:
    """Return the one line that is looked into, once it is certain that this can be written."""
    if look is None:
        for name, given in options.items():
            if given is not None:
                raise InputError(f"--{name}: expected --look too, as it changes what that shows")
        return ""
    format_of(look)
    check_writable(look)
    if text is None or text == "-" or "\n" in text.strip("\n") or not text.strip():
        raise InputError(
            "--look: expected one line of text beside it, such as: regard predict RUN TEXT --look a.html"
        )
    return _typed(text.strip("\n"))


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # too long for a name, or none that a system takes
        return False


def _typed(text: str) -> str:
    """Return an argument as UTF-8 has it, whatever the encoding by which Python read it."""
    return os.fsencode(text).decode(errors="surrogateescape")
