"""The command line: one small file per command; a user's mistake ends with one message and exit code 2."""

import sys

import typer
from rich.console import Console

from regard.cli.look import look
from regard.errors import RegardError

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)
app.command()(look)


@app.callback()
def _about() -> None:
    """Attention: look into what a model looks at."""


def main() -> None:
    """Run a command."""
    try:
        app(standalone_mode=True)
    except RegardError as error:
        Console(stderr=True, soft_wrap=True).print(f"regard: {error}", style="red", markup=False, highlight=False)
        sys.exit(2)
