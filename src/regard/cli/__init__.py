"""The command line: one small file per command; a user's mistake ends with one message and exit code 2."""

import io
import sys
from importlib.metadata import version
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from regard.cli.look import look
from regard.cli.survey import survey
from regard.errors import RegardError


class _Commands(TyperGroup):
    """The commands; each may be interrupted anywhere."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            Console(stderr=True).print("regard: interrupted")
            raise typer.Exit(130) from None


app = typer.Typer(
    cls=_Commands,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command()(look)
app.command()(survey)


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
        app(standalone_mode=True)
    except RegardError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"cannot write the output: {error.strerror or error}")


def _fail(message: str) -> None:
    Console(stderr=True, soft_wrap=True).print(f"regard: {message}", style="red", markup=False, highlight=False)
    sys.exit(2)
