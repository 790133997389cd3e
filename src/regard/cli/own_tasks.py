"""Tasks that users write: a module in the folder where the command runs can be named."""

import sys
from pathlib import Path
from typing import Any

from regard.tasks.choose import find_task
from regard.tasks.contract import Task


def see_folder() -> None:
    """Let modules of the folder where the command runs be imported, after all others."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)


def task_of(name: str) -> Task[Any, Any]:
    """Return the task of a name, or of module:Class, which may lie where the command runs.

    Raises:
        TaskError: there is none.
    """
    see_folder()
    return find_task(name)
