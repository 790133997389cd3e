"""Which task a name stands for, imported when it is asked for."""

import importlib
from difflib import get_close_matches
from importlib.metadata import entry_points
from typing import Any

from regard.errors import TaskError
from regard.tasks.contract import Task
from regard.tasks.extra import extra

# By name; the module is imported when the task is asked for.
TASKS = {"translation": "regard.tasks.translation:Translation"}
# Packages register tasks of their own under this group of entry points.
GROUP = "regard.tasks"


def task_names() -> tuple[str, ...]:
    """Return the names of all tasks: regard's own, then those that installed packages register."""
    others = sorted({entry.name for entry in entry_points(group=GROUP)} - TASKS.keys())
    return (*TASKS, *others)


def find_task(name: str) -> Task[Any, Any]:
    """Return the task of a name.

    Args:
        name: one of `task_names()`, or "module:Class" for a task that nobody registered.

    Raises:
        TaskError: there is none, or it cannot be imported.
    """
    place = TASKS.get(name) or next((entry.value for entry in entry_points(group=GROUP, name=name)), name)
    if ":" not in place:
        near = get_close_matches(name, task_names(), 1)
        raise TaskError(
            f"expected a task, one of {', '.join(task_names())}, or module:Class of one of your own; got {name!r}"
            + (f". Did you mean {near[0]!r}?" if near else "")
        )
    return _made(name, *place.split(":", 1))


def _made(name: str, module: str, attribute: str) -> Task[Any, Any]:
    with extra():
        try:
            kind = getattr(importlib.import_module(module), attribute)
        except (ModuleNotFoundError, AttributeError) as error:
            if isinstance(error, ModuleNotFoundError) and not f"{module}.".startswith(f"{error.name}."):
                raise
            top = module.partition(".")[0]
            hint = f". Run this where {top}.py lies, or name that folder in PYTHONPATH"
            raise TaskError(
                f"the task {name!r}: expected {attribute} in the module {module}; {error}"
                + (hint if isinstance(error, ModuleNotFoundError) and error.name == top else "")
            ) from error
    if not (isinstance(kind, type) and issubclass(kind, Task)):
        raise TaskError(f"the task {name!r}: expected a class that is a regard.tasks.Task; got {kind!r}")
    return kind()
