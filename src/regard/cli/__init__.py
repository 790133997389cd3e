"""The command line: one small file per command; a user's mistake ends with one message and exit code 2."""

import io
import sys
from contextlib import nullcontext, redirect_stderr
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from regard.cli.ending import fail, interruptible, speaks
from regard.cli.evaluate import evaluate
from regard.cli.look import look
from regard.cli.predict import predict
from regard.cli.survey import survey
from regard.cli.tasks import tasks
from regard.cli.train import train
from regard.errors import RegardError, WatchError


class _Commands(TyperGroup):
    """The commands; each may be interrupted anywhere."""

    def invoke(self, ctx: Any) -> Any:
        with interruptible():
            return super().invoke(ctx)


app = typer.Typer(
    cls=_Commands,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
# A text without quotes, or a second file, comes as more arguments, of which these say more than "unexpected".
_more = {"allow_extra_args": True}
app.command(context_settings=_more)(look)
app.command()(survey)
app.command()(tasks)
app.command(context_settings=_more)(train)
app.command(context_settings=_more)(evaluate)
app.command(context_settings=_more)(predict)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"regard {version('regard')}")
        raise typer.Exit


@app.callback()
def _about(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Attention: look into what a model looks at."""


def main() -> None:
    """Run a command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show a sign shows another; that is no reason to fail.
            stream.reconfigure(errors="replace")
    try:
        # What is wrong with the options, typer says; that is the same in all processes.
        with nullcontext() if speaks() else redirect_stderr(io.StringIO()):
            app(standalone_mode=True)
    except RegardError as error:
        if not speaks() and not _is_own(error):
            sys.exit(2)
        fail(str(error))
    except OSError as error:
        fail(f"cannot write the output: {error.strerror or error}")


def _is_own(error: RegardError) -> bool:
    """Return whether a mistake may be of this process alone: in a document that no other process reads."""
    return isinstance(error, WatchError) or str(error).startswith("--strict")
