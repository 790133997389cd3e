"""A run: what was learned, asked, scored and looked into."""

from __future__ import annotations

import reprlib
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from regard.errors import TaskError
from regard.tasks.choose import find_task
from regard.tasks.contract import Answer, Parts, Row, Scores, Task
from regard.tasks.data.batches import ordered
from regard.tasks.data.read import read_for
from regard.tasks.fields import fields_of
from regard.tasks.settings import Settings, name_in
from regard.tasks.training.folder import RunFolder
from regard.tasks.training.weights import put_weights, read_weights

if TYPE_CHECKING:
    from regard.reports.report import Report

# How many lines are read before they are answered together.
WINDOW = 512
# How many tokens are answered together: without gradients there is room for more than training has.
_TOGETHER = 16_384


@dataclass(frozen=True)
class Run:
    """A trained model with what belongs to it.

    Attributes:
        task: what was learned.
        settings: of the run.
        parts: what the task fitted.
        model: in eval mode, with the best weights.
        folder: where it was trained.
    """

    task: Task[Any, Any]
    settings: Settings[Any]
    parts: Parts
    model: nn.Module
    folder: RunFolder

    @property
    def named(self) -> dict[str, str]:
        """What the names of the files that it was trained on said, by column: {"source": "en", "target": "de"}."""
        return dict(self.folder.facts.get("named") or {})

    def line_of(self, row: Row) -> str:
        """Return the line by which a user would ask a row."""
        return str(row[self.task.columns(self.settings.task)[0]])

    def predict(
        self, lines: Iterable[str], window: int = WINDOW, *, told: Callable[[str], None] = warnings.warn
    ) -> Iterator[Answer]:
        """Yield the answer to each line, in order; an empty line gets an empty answer.

        Of a line of more than `data.max_length` letters, as no row of the training had, the first ones are read.

        Args:
            lines: read as the answers are taken, never all at once.
            window: how many lines are read, sorted by length and answered together.
            told: is told of each line that is cut.

        Raises:
            TaskError: the window is of no line, or a line is no text that can be written.
        """
        if window < 1:
            raise TaskError(f"window: expected at least 1 line; got {window}")
        lines = (self._cut(line, told) for line in lines)
        while some := list(islice(lines, window)):
            asked = [self.task.asked(line, self.settings.task) for line in some if line.strip()]
            answers = iter(self.answers(asked))
            for line in some:
                yield next(answers) if line.strip() else Answer("")

    def evaluate(self, paths: Sequence[Path | str]) -> Scores:
        """Return the scores on files; those side by side are taken as in training where their names agree.

        Which was taken for which side is not told here, but by `said` of what `read` returns, given `named`.

        Raises:
            TaskError: they cannot be read, or hold no rows that can be used.
        """
        return self.score(read_for(self.task, self.settings, paths, named=self.named).rows)

    def score(self, rows: Sequence[Row], window: int = WINDOW) -> Scores:
        """Return the scores on rows."""
        answers: list[Answer] = []
        for start in range(0, len(rows), window):
            answers += self.answers([rows[number] for number in range(start, min(start + window, len(rows)))])
        return self.task.score(answers, rows, self.settings.task)

    def look(self, line: str, target: str | None = None, *, told: Callable[[str], None] = warnings.warn) -> Report:
        """Return what the model attends to as it answers, under a title that names the run and its attention.

        Args:
            line: what is asked; cut as by `predict`.
            target: another answer than the model's own; cut likewise.
            told: is told where one is cut.

        Raises:
            TaskError: the line is empty, or it or the answer is no text that can be written.
        """
        if not line.strip():
            raise TaskError("look: expected a line of text; got an empty one")
        row = self.task.asked(self._cut(line, told), self.settings.task)
        answer = self.answers([row])[0] if target is None else Answer(self._cut(target, told))
        shown = self.task.look(self.model, row, answer, self.parts, self.settings.task)
        return replace(shown, title=f"{shown.title} ({self.called})")

    @property
    def called(self) -> str:
        """The folder's name and words for attention: "de-en, attention=dot, source_attention=entmax15".

        Beside the setting that `--attention` stands for, those of attention are told that are not as usual.
        """
        own = self.settings.task
        chosen = self.task.attention_setting(own)
        told = [
            f"{each.name}={value}"
            for each in fields_of("task", type(own))
            if isinstance(value := getattr(own, each.name), str) and each.name.endswith("attention")
            if each.name == chosen or value != each.default
        ]
        return ", ".join([self.folder.path.resolve().name, *told])

    def answers(self, rows: Sequence[Row]) -> list[Answer]:
        """Return the answers to rows, in their order, computed in batches by length."""
        items = [self.task.features(row, self.parts, self.settings.task) for row in rows]
        sizes = np.array([self.task.size(each) for each in items], dtype=np.int64)
        # A task with a setting `beam` reads each row so many times at once.
        batches, back = ordered(sizes, max(1, _TOGETHER // getattr(self.settings.task, "beam", 1)))
        found: list[Answer] = []
        with torch.inference_mode():
            for batch in batches:
                found += self.task.answer(
                    self.model, [items[number] for number in batch], self.parts, self.settings.task
                )
        return [found[place] for place in back]

    def _cut(self, text: str, told: Callable[[str], None]) -> str:
        """Return a text as rows of the training are: without white space around it, cut to as many letters."""
        text = text.strip()
        most = self.settings.data.max_length
        if len(text) > most:
            told(
                f"{reprlib.repr(text)} has more than {most:,} letters (data.max_length): only the first are read."
                " Give it in several lines"
            )
        return _checked(text[:most])


def _checked(text: str) -> str:
    """Return a text, if it is one: halves of signs are what becomes of bytes that are not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise TaskError(f"expected text in UTF-8; got half of a sign at position {error.start}") from error
    return text


def load_run(folder: Path | str, device: torch.device | str = "cpu") -> Run:
    """Return a run that was trained, or is being trained, with the best weights so far.

    Args:
        folder: of the run.
        device: where its model computes.

    Raises:
        TaskError: it is no run's folder, it is damaged, its task is not to be found, or no weights were saved yet.
    """
    run = RunFolder(folder)
    if not run.config.exists():
        raise TaskError(f"expected a run's folder, as regard train makes it; {run.path} has no {run.config.name}")
    if not run.weights.exists():
        raise TaskError(
            f"{run.path}: no weights are there: they are written at the first check, or where training is"
            " interrupted. Train again with --resume"
        )
    if not run.parts.is_dir():
        raise TaskError(
            f"{run.path}: expected {run.parts.name}, a folder with what the task made of its rows; it is gone."
            " Train again with --force, or in another folder"
        )
    task = find_task(name_in(run.config))
    settings: Settings[Any] = Settings.read(task, run.config)
    parts = task.load_parts(run.parts)
    with torch.random.fork_rng([]):
        model = task.build(parts, settings.task)
    put_weights(model, read_weights(run.weights), run.weights)
    return Run(task, settings, parts, model.to(device).eval(), run)
