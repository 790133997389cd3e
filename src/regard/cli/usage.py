"""A command that is called with other options than it has: one message, as for every other mistake."""

from pathlib import Path
from typing import Any

import typer

# What typer raises then; it has no public name for it.
Misused: type[Exception] = typer.BadParameter.__mro__[1]


def named_path(text: str) -> Path:
    """Return the path that an option names; a script's empty variable names none, and "" would be this folder."""
    if not text:
        raise typer.BadParameter("expected a name; got ''")
    return Path(text)


def of_command(error: Any, context: Any) -> None:
    """Note whose options are wrong, where typer does not.

    Args:
        error: a `Misused`.
        context: of the group, which knows the command that runs.
    """
    name = context.invoked_subcommand
    if error.ctx is None and name is not None:
        command = context.command.get_command(context, name)
        error.ctx = typer.Context(command, info_name=name, parent=context)


def misuse(error: Any) -> str:
    """Return what was expected, what came, and what to do.

    Args:
        error: a `Misused`.
    """
    command = "regard" if error.ctx is None else error.ctx.command_path
    if error.message.endswith("requires an argument."):
        return f"expected a value after {error.option_name}; got none. See: {command} --help"
    if type(error).__name__ != "NoSuchOption" or error.ctx is None:
        return f"{error.format_message().rstrip('.')}. See: {command} --help"
    near = f". Did you mean {' or '.join(error.possibilities)}?" if error.possibilities else "."
    takes_text = any(each.name == "text" for each in error.ctx.command.params)
    behind = f'; a text that begins with "-" stands behind "--": {command} ... -- TEXT' if takes_text else ""
    return f"expected an option of {command}; got {error.option_name!r}{near} See: {command} --help{behind}"
