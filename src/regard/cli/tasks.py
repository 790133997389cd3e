"""`regard tasks`: which tasks there are, what each needs and reports, and what can be set."""

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from regard.cli.own_tasks import task_of
from regard.tasks.choose import task_names
from regard.tasks.fields import Field, said
from regard.tasks.settings import settings_of


def tasks(
    task: Annotated[
        str | None, typer.Argument(metavar="[TASK]", help="Show every setting of this task, or module:Class.")
    ] = None,
) -> None:
    """Show which tasks there are, what each needs and what it reports; of one task every setting."""
    console = Console()
    for name in task_names() if task is None else (task,):
        console.print(_about(name))
        if task is not None:
            console.print()
            console.print(_settings(settings_of(task_of(name))))


def _about(name: str) -> Table:
    found = task_of(name)
    metrics = ", ".join(found.metrics)
    return _table([(name, found.about), ("", f"needs: {found.needs}"), ("", f"reports: {metrics}")])


def _settings(fields: Sequence[Field]) -> Table:
    return _table([(f"{field.full}={field.usual}", _meaning(field)) for field in fields])


def _meaning(field: Field) -> str:
    # What is a plain text or number, its default says.
    return field.about if field.kind in (str, int, float, bool) else f"{field.about} ({said(field.kind)})"


def _table(rows: Sequence[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column()
    for row in rows:
        table.add_row(*map(Text, row))
    return table
