"""Reading the rows of a task from a user's files, and telling what was left out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from regard.cli.ending import say
from regard.tasks.contract import Task
from regard.tasks.data.read import Table, read_for
from regard.tasks.settings import Settings


def read_and_tell(
    task: Task[Any, Any],
    settings: Settings[Any],
    paths: Sequence[Path],
    told: Console,
    *,
    strict: bool = False,
    named: Mapping[str, str] | None = None,
) -> Table:
    """Return the rows of files; what was taken for what, and what was left out, is told.

    Args:
        task: says which columns.
        settings: say how long a row may be, and whether the first bad one ends it.
        paths: the files.
        told: is told.
        strict: whether the first bad row ends it whatever the settings say.
        named: what the names of other files of the same columns said.

    Raises:
        TaskError: they cannot be read, or hold no rows that can be used.
    """
    table = read_for(task, settings, paths, strict=strict, named=named)
    for line in filter(None, (table.said, table.faults.told())):
        say(told, line)
    return table
