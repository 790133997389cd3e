"""A run's folder: what lies in it, who may write there, and when it may be emptied."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from regard.errors import TaskError
from regard.tasks.training.processes import processes
from regard.writing import write_whole

# A folder that holds this file is a run's; it goes last when the folder is emptied.
_MARK = "run.json"
_LOCK = ".lock"
# All that stands in a run's folder beside the mark.
_CONTENT = ("config.yaml", "parts", "model.safetensors", "metrics.csv", "tensorboard", "checkpoints", "report.html")


class RunFolder:
    """Where a run's files lie.

    Attributes:
        path: the folder.
        config: the settings.
        parts: a folder with what the task fitted: tokenizers, for example.
        weights: those of the best check, or averaged.
        report: what the best weights attend to in one row.
        checkpoints: a folder with what it takes to resume.
        last: the state after the last check, or where training was interrupted.
        best: the state after the best check.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.config = self.path / "config.yaml"
        self.parts = self.path / "parts"
        self.weights = self.path / "model.safetensors"
        self.report = self.path / "report.html"
        self.checkpoints = self.path / "checkpoints"
        self.last = self.checkpoints / "last.pt"
        self.best = self.checkpoints / "best.pt"
        self.resuming = False
        self._lock: FileLock | None = None

    @classmethod
    def take(cls, path: str | Path, *, resume: bool = False, force: bool = False) -> "RunFolder":
        """Return a folder to train in, which is locked until it is closed: use it as a context.

        Where several processes train together, only the first takes it.

        Args:
            path: the folder; it is made where there is none.
            resume: whether the run in it goes on.
            force: whether the run in it is deleted.

        Raises:
            TaskError: it is not empty and neither `resume` nor `force` is said, it is no run's where one is said,
                another training is at work in it, or it cannot be written.
        """
        folder = cls(path)
        folder.resuming = resume
        if not processes().first:
            return folder
        if resume and force:
            raise TaskError("expected resume or force; got both: one goes on with a run, the other deletes it")
        try:
            if resume and not folder.path.is_dir():
                raise TaskError(
                    f"expected a run's folder to resume; {folder.path} does not exist. Leave out --resume"
                )
            if folder.path.is_file():
                raise TaskError(f"expected a folder; {folder.path} is a file: choose another name")
            folder.path.mkdir(parents=True, exist_ok=True)
            locked_before = (folder.path / _LOCK).exists()
            folder._take_lock()
            try:
                folder._admit(resume, force)
                folder._begin()
            except BaseException:
                if not locked_before:
                    _delete(folder.path / _LOCK)
                folder.close()
                raise
        except OSError as error:
            raise TaskError(f"cannot write {folder.path}: {error.strerror or error}") from error
        return folder

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let others train in it."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    @property
    def facts(self) -> dict[str, Any]:
        """What was noted of the run: what it was trained on, and how it ended.

        Raises:
            TaskError: the folder is no run's.
        """
        try:
            facts = json.loads((self.path / _MARK).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise TaskError(
                f"expected a run's folder, as regard train makes it; {self.path} has no {_MARK} that can be read"
            ) from error
        return facts if isinstance(facts, dict) else {}

    @property
    def has_learned(self) -> bool:
        """Whether training came to save anything."""
        return any(each.exists() for each in (self.last, self.best, self.weights))

    def note(self, **facts: Any) -> None:
        """Note facts of the run, beside those that are there."""
        content = json.dumps({**self.facts, **facts}, indent=1, ensure_ascii=False)
        write_whole(self.path / _MARK, f"{content}\n".encode(), TaskError)

    def save_parts(self, save: Callable[[Path], None]) -> None:
        """Let a task write its parts, all of them or none."""
        part = self.path / ".parts.part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        save(part)
        part.replace(self.parts)

    def _take_lock(self) -> None:
        """Lock the folder; the lock of a process that ended, however it did, is gone with it."""
        lock = FileLock(self.path / _LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise TaskError(
                f"{self.path}: another training is at work in this folder; wait, or choose another"
            ) from error
        self._lock = lock

    def _there(self) -> list[str]:
        """Return the names in the folder but those that pass."""
        return sorted(each.name for each in self.path.iterdir() if each.name != _LOCK and not _is_part(each.name))

    def _admit(self, resume: bool, force: bool) -> None:
        there = self._there()
        if not there:
            self.resuming = False
        elif resume:
            _ = self.facts
        # Where training never came to save anything, as after a mistake in the settings, nothing is lost.
        elif force or (_MARK in there and not self.has_learned):
            self._empty(there)
        else:
            what = "a run" if _MARK in there else f"other things ({', '.join(there[:3])})"
            then = "resume it with --resume, delete it with --force, or " if _MARK in there else ""
            raise TaskError(f"expected an empty folder; {self.path} holds {what}: {then}choose another folder")

    def _empty(self, there: list[str]) -> None:
        """Delete a run, and nothing else."""
        if _MARK not in there:
            raise TaskError(
                f"force deletes a run; {self.path} holds none, but {', '.join(there[:3])}: choose another folder"
            )
        strange = [name for name in there if name not in (_MARK, *_CONTENT)]
        if strange:
            raise TaskError(
                f"force deletes what belongs to a run; {self.path} also holds {', '.join(strange[:3])}: "
                "move that, or choose another folder"
            )
        for name in (*_CONTENT, _MARK):
            _delete(self.path / name)

    def _begin(self) -> None:
        unfinished = [part for part in self.path.glob(".*.part") if _is_part(part.name)]
        for part in (*unfinished, *self.checkpoints.glob(".*.part")):
            _delete(part)
        if not (self.path / _MARK).exists():
            write_whole(self.path / _MARK, b"{}\n", TaskError)
        self.checkpoints.mkdir(exist_ok=True)


def _is_part(name: str) -> bool:
    """Whether a name is that of a file of a run that was not written to its end: .run.json.0123abcd.part."""
    return any(re.fullmatch(rf"\.{re.escape(own)}(\.[0-9a-f]+)?\.part", name) for own in (_MARK, *_CONTENT))


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
