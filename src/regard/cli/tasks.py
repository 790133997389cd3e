"""`regard tasks`: which tasks there are, what each needs and reports, and what can be set."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from regard.cli.own_tasks import task_of
from regard.tasks.choose import task_names
from regard.tasks.contract import Task
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
            console.print(_settings(task_of(name)))


def _about(name: str) -> Table:
    found = task_of(name)
    metrics = ", ".join(found.metrics)
    return _table([(name, found.about), ("", f"needs: {found.needs}"), ("", f"reports: {metrics}")])


def _settings(task: Task[Any, Any]) -> Table:
    changed = task.defaults_without_files()
    return _table([(f"{field.full}={field.usual}", _meaning(field, changed)) for field in settings_of(task)])


def _meaning(field: Field, changed: Mapping[str, Any]) -> str:
    """Return what a setting means, what it may be, and what it is where a task takes its own data."""
    own = replace(field, default=changed.get(field.full, changed.get(field.name, field.default))).usual
    notes = [
        # What is a plain text or number, its default says.
        "" if field.kind in (str, int, float, bool) else said(field.kind),
        "" if own == field.usual else f"without files {own}",
    ]
    told = "; ".join(filter(None, notes))
    return f"{field.about} ({told})" if told else field.about


def _table(rows: Sequence[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column()
    for row in rows:
        table.add_row(*map(Text, row))
    return table
