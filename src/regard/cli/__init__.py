"""The command line: one small file per command; a user's mistake ends with one message and exit code 2."""

import io
import sys
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
from regard.cli.usage import Misused, misuse, of_command
from regard.errors import RegardError, WatchError


class _Commands(TyperGroup):
    """The commands; each may be interrupted anywhere, and is named where its options are wrong."""

    def invoke(self, ctx: Any) -> Any:
        with interruptible():
            try:
                return super().invoke(ctx)
            except Misused as error:
                of_command(error, ctx)
                raise


app = typer.Typer(
    cls=_Commands,
    add_completion=False,
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


@app.callback(invoke_without_command=True)
def _about(
    context: typer.Context,
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Attention: look into what a model looks at."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(2)


def main() -> None:
    """Run a command."""
    if sys.stdout is None:
        fail("expected standard output to be open; got a closed one. Send it to a file, or to /dev/null")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show a sign shows another; that is no reason to fail.
            stream.reconfigure(errors="replace")
    try:
        sys.exit(app(prog_name="regard", standalone_mode=False))
    except (RegardError, Misused) as error:
        # What is wrong with the options is the same in all processes.
        if not speaks() and not _is_own(error):
            sys.exit(2)
        fail(str(error) if isinstance(error, RegardError) else misuse(error))
    except OSError as error:
        fail(f"cannot write the output: {error.strerror or error}")


def _is_own(error: Exception) -> bool:
    """Return whether a mistake may be of this process alone: in a document that no other process reads."""
    return isinstance(error, WatchError) or str(error).startswith("--strict")
