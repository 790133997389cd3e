"""A check: the loss and the scores of the validation side."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from regard.errors import TaskError
from regard.tasks.contract import Answer, Batch, Parts, Row, Scores, Task
from regard.tasks.data.batches import ordered
from regard.tasks.training.examples import Examples
from regard.tasks.training.precision import precision
from regard.tasks.training.processes import Processes
from regard.tasks.training.randomness import seed
from regard.tasks.training.settings import TrainingSettings


@dataclass(frozen=True)
class Checked:
    """What a check found.

    Attributes:
        loss: per token, or row, without label smoothing.
        scores: of the answers.
        worth: the higher the better: the task's first metric, or the negative loss where it has none.
    """

    loss: float
    scores: Scores
    worth: float

    @property
    def values(self) -> dict[str, float]:
        """The loss and the scores, by name."""
        return {"valid_loss": self.loss, **self.scores.values}


class Check:
    """The validation side, and how a model does on it; all processes share the work and get the same result."""

    def __init__(
        self,
        task: Task[Any, Any],
        parts: Parts,
        own: Any,
        settings: TrainingSettings,
        examples: Examples,
        rows: Sequence[Row],
        processes: Processes,
    ) -> None:
        """Prepare the checks.

        Args:
            task: answers and scores.
            parts: of the task.
            own: the task's own settings.
            settings: of training.
            examples: the rows as numbers.
            rows: as they were read.
            processes: who share the work.
        """
        self._task, self._parts, self._own = task, parts, own
        self._settings, self._examples, self._processes = settings, examples, processes
        count = min(settings.check_rows or len(examples), len(examples))
        # Spread over the whole side, which may be sorted.
        self._numbers = np.linspace(0, len(examples) - 1, count).round().astype(np.int64)
        self._rows = [rows[int(number)] for number in self._numbers]

    def run(self, model: nn.Module, device: torch.device) -> Checked:
        """Return how a model does; it is left in the mode in which it came.

        Raises:
            TaskError: the loss is not finite, or the scores lack a metric that the task names.
        """
        with evaluating(model), precision(self._settings, device), torch.no_grad():
            # Those who sample when they answer do so alike at every check.
            seed(self._settings.seed, device)
            loss = finite(self._loss(model, device), "on the validation side")
            scores = self._task.score(self._answers(model), self._rows, self._own)
        missing = [name for name in self._task.metrics if name not in scores.values]
        if missing:
            raise TaskError(f"the task {self._task.name}: expected a score for {missing[0]!r}; got {scores.values}")
        return Checked(loss, scores, scores.values[self._task.metrics[0]] if self._task.metrics else -loss)

    def _loss(self, model: nn.Module, device: torch.device) -> float:
        total = count = 0.0
        for rows in self._mine(self._examples.sizes):
            batch = to_device(self._task.batch(self._examples.take(rows), self._parts), device)
            loss = self._task.loss(model, batch, 0.0)
            total += float(loss.sum)
            count += loss.count
        total, count = self._processes.sums([total, count])
        return total / max(count, 1.0)

    def _answers(self, model: nn.Module) -> list[Answer]:
        found: dict[int, Answer] = {}
        for places in self._mine(self._examples.sizes[self._numbers]):
            items = self._examples.take(self._numbers[places])
            answers = self._task.answer(model, items, self._parts, self._own)
            found |= dict(zip(places.tolist(), answers, strict=True))
        everyone = {place: answer for part in self._processes.gathered(found) for place, answer in part.items()}
        return [everyone[place] for place in range(len(self._numbers))]

    def _mine(self, sizes: Any) -> Iterator[Any]:
        """Yield this process's share of the batches."""
        batches, _ = ordered(sizes, self._settings.batch_tokens)
        yield from batches[self._processes.rank :: self._processes.size]


def finite(loss: float, where: str) -> float:
    """Return a loss, if training did not go astray.

    Raises:
        TaskError: the loss is no finite number.
    """
    if math.isfinite(loss):
        return loss
    raise TaskError(
        f"the loss is {loss} {where}: training went astray. Choose a lower training.rate, a longer "
        "training.warmup, or training.clip=1, and begin anew with --force"
    )


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model into the mode in which nothing is dropped, and back, module by module."""
    before = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training


def to_device(batch: Batch, device: torch.device) -> dict[str, Tensor]:
    """Return a batch on a device."""
    return {name: tensor.to(device) for name, tensor in batch.items()}
