"""The state of a survey at work: what is found and how far it is, in one file that is replaced in one step."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regard.errors import InputError
from regard.watch.survey.files import read
from regard.watch.survey.findings import TOTALS, Reading, Survey
from regard.watch.survey.processes import Processes
from regard.watch.tally import Tally
from regard.writing import write_whole

# What a finished survey and its reports are called.
OUTPUTS = (TOTALS, "survey.json", "survey.csv", "survey.png", "survey.html")


@dataclass(frozen=True, eq=False)
class State:
    """How far one process is.

    Attributes:
        found: what it found so far.
        chunk: which of the corpus's chunks it works on.
        step: how many steps of that chunk are done.
    """

    found: Survey
    chunk: int
    step: int

    @classmethod
    def new(cls, settings: Mapping[str, Any], processes: Processes) -> "State":
        """Return the state before any work."""
        return cls(Survey(Tally(), Reading(), settings), processes.rank, 0)

    def save(self, path: Path) -> None:
        """Write the state, whole or not at all."""
        write_whole(path, self.found.packed(chunk=self.chunk, step=self.step), InputError)


def state_path(folder: Path, processes: Processes) -> Path:
    """Return where a process keeps its state."""
    return folder / _state_name(processes.rank, processes.size)


def _state_name(rank: int | str, size: int | str) -> str:
    return f"state-{rank}-of-{size}.safetensors"


_STATES = _state_name("*", "*")


def check_folder(folder: Path, *, resume: bool, force: bool) -> None:
    """Raise InputError where a survey cannot be written to a folder, or would overwrite one."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--out: expected a folder; {folder} is a file")
    if resume and force:
        raise InputError("expected --resume or --force, one of the two; got both")
    if resume or force or not folder.is_dir():
        return
    if any(folder.glob(_STATES)):
        raise InputError(f"{folder} holds an unfinished survey: --resume continues it, --force starts anew")
    if there := [name for name in OUTPUTS if (folder / name).exists()]:
        raise InputError(f"{folder} holds {there[0]}: choose another folder, or overwrite it with --force")


def starting_point(folder: Path, settings: Mapping[str, Any], processes: Processes) -> State | Survey:
    """Return the state to continue from, or the survey if it is finished already.

    Raises:
        InputError: what stands there was made with other arguments, of another corpus or model.
    """
    path, states = state_path(folder, processes), set(folder.glob(_STATES))
    finished = Survey.load(folder) if (folder / TOTALS).is_file() else None
    # What a process that was killed while tidying up has left counts no more.
    if finished is not None and not (states and _other(finished.settings, settings)):
        _check_same(finished.settings, settings)
        return finished
    if others := states - set(folder.glob(_state_name("*", processes.size))):
        raise InputError(
            f"--resume: expected as many processes as the survey was begun with; {min(others).name} tells another"
            f" number than {processes.size}"
        )
    if path.is_file():
        found, facts = Survey.unpacked(read(path), str(path))
        _check_same(found.settings, settings)
        return State(found, facts["chunk"], facts["step"])
    return State.new(settings, processes)


def forget(folder: Path) -> None:
    """Remove all states."""
    for path in folder.glob(_STATES):
        path.unlink(missing_ok=True)


def _other(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the names of settings that differ."""
    return [name for name in now if before.get(name) != now[name]]


def _check_same(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    for name in _other(before, now):
        hint = "the files are others than then" if name == "corpus_fingerprint" else ""
        hint = "its weights are others than then" if name == "model_fingerprint" else hint
        said = hint or f"it was {before.get(name)!r}, now {now[name]!r}"
        raise InputError(
            f"--resume: the survey was begun with another {name.split('_fingerprint')[0]} ({said}). Hand in what it"
            " was begun with, or choose another folder"
        )
