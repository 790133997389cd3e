"""Reading the rows of a task from a user's files, and telling what was left out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from regard.cli.ending import say
from regard.tasks.contract import Task
from regard.tasks.data.read import Table, read
from regard.tasks.settings import Settings


def read_and_tell(
    task: Task[Any, Any], settings: Settings[Any], paths: Sequence[Path], told: Console, *, strict: bool = False
) -> Table:
    """Return the rows of files; what was taken for what, and what was left out, is told.

    Args:
        task: says which columns.
        settings: say how long a row may be, and whether the first bad one ends it.
        paths: the files.
        told: is told.
        strict: whether the first bad row ends it whatever the settings say.

    Raises:
        TaskError: they cannot be read, or hold no rows that can be used.
    """
    how = settings.data
    table = read(paths, task.columns(settings.task), strict=strict or how.strict, max_length=how.max_length)
    for line in filter(None, (table.said, table.faults.told())):
        say(told, line)
    return table
