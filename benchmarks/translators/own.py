"""regard as its tasks train and answer."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from benchmarks.translators.contract import Texts
from regard.tasks import Batch, Run
from regard.tasks.training.optimizer import make_optimizer
from regard.tasks.training.precision import precision
from regard.tasks.training.settings import TrainingSettings
from regard.tasks.translation.batches import SOURCE
from regard.tasks.translation.settings import TranslationSettings


class Own:
    """A run of regard."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.model: nn.Module = run.model

    def prepare(self, batch: Batch) -> object:
        """Return the batch."""
        return batch

    def loss(self, prepared: object, smoothing: float) -> Tensor:
        """Return the task's loss."""
        with precision(self._run.settings.training, torch.device("cpu")):
            loss: Tensor = self._run.task.loss(self.model, cast(Batch, prepared), smoothing).sum
        return loss

    def optimizer(self, training: TrainingSettings) -> Optimizer:
        """Return the optimizer of training."""
        return make_optimizer(self.model, training)

    def translate(self, batches: Sequence[Texts], beam: int) -> list[list[int]]:
        """Return the task's answers; their texts are made too."""
        settings: TranslationSettings = replace(self._run.settings.task, beam=beam)
        found: list[list[int]] = []
        with torch.inference_mode():
            for batch in batches:
                items: Any = [{SOURCE: list(source)} for source in batch]
                answers = self._run.task.answer(self.model, items, self._run.parts, settings)
                found += [list(answer.tokens) for answer in answers]
        return found
