"""A command that is called with other options than it has: one message, as for every other mistake."""

from typing import Any

import typer

# What typer raises then; it has no public name for it.
Misused: type[Exception] = typer.BadParameter.__mro__[1]


def misuse(error: Any) -> str:
    """Return what was expected, what came, and what to do.

    Args:
        error: a `Misused`.
    """
    command = "regard" if error.ctx is None else error.ctx.command_path
    if type(error).__name__ != "NoSuchOption":
        return f"{error.format_message().rstrip('.')}. See: {command} --help"
    near = f". Did you mean {' or '.join(error.possibilities)}?" if error.possibilities else "."
    takes_text = any(each.name == "text" for each in error.ctx.command.params)
    behind = f'; a text that begins with "-" stands behind "--": {command} ... -- TEXT' if takes_text else ""
    return f"expected an option of {command}; got {error.option_name!r}{near} See: {command} --help{behind}"
