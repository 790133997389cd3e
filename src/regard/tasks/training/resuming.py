"""What stands in a run's folder before the first update; and whether a training goes on as it began."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from regard.errors import TaskError
from regard.tasks.contract import Row, Task
from regard.tasks.settings import SECTIONS, Settings
from regard.tasks.training.folder import RunFolder
from regard.tasks.training.settings import MAY_CHANGE
from regard.tasks.training.state import State, read_state
from regard.tasks.training.weights import read_weights, write_weights


def begin(task: Task[Any, Any], settings: Settings[Any], train: Sequence[Row], folder: RunFolder) -> None:
    """Write a run's settings and parts; where it goes on, see that the settings are those it began with.

    Raises:
        TaskError: they are not, what it takes to go on is gone, or there are no rows to fit the parts to.
    """
    if folder.resuming and folder.has_learned:
        states = folder.last.exists() or folder.best.exists()
        for there, name in ((folder.config.exists(), folder.config.name), (states, "checkpoints/last.pt")):
            if not there:
                raise TaskError(
                    f"{folder.path}: expected {name}, without which it cannot go on; it is gone. "
                    "Begin anew with --force, which deletes what was learned, or in another folder"
                )
    if folder.resuming and folder.config.exists():
        stored: Settings[Any] = Settings.read(task, folder.config)
        if differences := differing(stored, settings):
            raise TaskError(
                f"{folder.path}: expected the settings it began with; got {differences}. "
                "Leave that out, go on with what its config.yaml says, or train in another folder"
            )
    if not folder.parts.exists():
        if not len(train):
            raise TaskError("expected rows to train on; got none")
        folder.save_parts(task.fit(train, settings.task).save)
    settings.write(folder.config)
    folder.note(finished=None)


def compare(folder: RunFolder, **digests: str | None) -> None:
    """Note what a run learns from and is checked on; where it goes on, see that it is the same.

    Raises:
        TaskError: it is not.
    """
    for side, digest in digests.items():
        if folder.resuming and folder.facts.get(side, digest) != digest:
            raise TaskError(
                f"{folder.path}: expected the rows of the {side} side that it began with; got others. "
                "Resume with the same files, or train in another folder"
            )
    folder.note(**digests)


def stored_state(folder: RunFolder) -> tuple[State, dict[str, Any], dict[str, Any]] | None:
    """Return the state, weights and optimizer's state with which a training goes on, or None: it begins.

    Where the last is gone, it is that of the best check.
    """
    if not (folder.resuming and folder.has_learned):
        return None
    return read_state(folder.last if folder.last.exists() else folder.best)


def mend_weights(folder: RunFolder) -> None:
    """Where a training goes on whose best weights are lost or damaged, take them from the state of the best check.

    Raises:
        TaskError: that is lost or damaged too.
    """
    if not (folder.resuming and folder.best.exists()):
        return
    try:
        read_weights(folder.weights)
    except TaskError:
        write_weights(folder.weights, read_state(folder.best)[1])


def differing(stored: Settings[Any], given: Settings[Any]) -> str:
    """Return the first setting that would change what was learned before, with both values, or ""."""
    for section in SECTIONS:
        before, now = getattr(stored, section), getattr(given, section)
        for field in fields(before):
            old, new = getattr(before, field.name), getattr(now, field.name)
            if old != new and not (section == "training" and field.name in MAY_CHANGE):
                return f"{section}.{field.name}={new!r} rather than {old!r}"
    return ""
