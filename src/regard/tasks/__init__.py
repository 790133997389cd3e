"""Tasks: what attention is used for, from a user's file to a scored answer that can be looked into."""

import importlib
from typing import TYPE_CHECKING, Any

from regard.tasks.choose import find_task, task_names
from regard.tasks.contract import Answer, Batch, Features, Parts, Row, Scores, Task, Total
from regard.tasks.extra import extra

if TYPE_CHECKING:
    from regard.tasks.run import Run, load_run
    from regard.tasks.settings import Settings
    from regard.tasks.training.fit import fit
    from regard.tasks.training.folder import RunFolder

# What takes packages of the extra, or seconds, to import is imported when it is asked for.
_LATER = {
    "Run": "regard.tasks.run",
    "RunFolder": "regard.tasks.training.folder",
    "Settings": "regard.tasks.settings",
    "fit": "regard.tasks.training.fit",
    "load_run": "regard.tasks.run",
}

__all__ = [
    "Answer",
    "Batch",
    "Features",
    "Parts",
    "Row",
    "Run",
    "RunFolder",
    "Scores",
    "Settings",
    "Task",
    "Total",
    "find_task",
    "fit",
    "load_run",
    "task_names",
]


def __getattr__(name: str) -> Any:
    """Import what is asked for."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with extra():
        return getattr(importlib.import_module(_LATER[name]), name)
