"""Updates of models that learn to translate, and the batches they are made with."""

from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch.optim import Optimizer

from benchmarks.measure import own_peak_megabytes
from benchmarks.translators.contract import Learns
from benchmarks.translators.corpus import Corpus
from regard.tasks import Batch, Run, RunFolder, Settings, find_task
from regard.tasks.data.batches import TokenBatches
from regard.tasks.data.tokenizer import END, PAD
from regard.tasks.training.settings import TrainingSettings
from regard.tasks.translation.batches import TARGET

BATCHES = 4


def fresh(rows: Corpus, settings: Settings[Any]) -> tuple[Run, list[Batch]]:
    """Return a run that learned nothing yet, and batches as training makes them."""
    task = find_task("translation")
    parts = task.fit(rows.train, settings.task)
    torch.manual_seed(0)
    run = Run(task, settings, parts, task.build(parts, settings.task), RunFolder(Path()))
    features = [task.features(row, parts, settings.task) for row in rows.train]
    tokens = TokenBatches(
        [task.size(each) for each in features], settings.training.batch_tokens, settings.training.seed
    )
    return run, [task.batch([features[row] for row in batch], parts) for batch in islice(tokens, BATCHES)]


def updating(learner: Learns, batches: Sequence[Batch], training: TrainingSettings) -> Callable[[], None]:
    """Return updates with batches, one after the other."""
    optimizer = learner.optimizer(training)
    prepared = [(learner.prepare(batch), count_of(batch)) for batch in batches]

    def run() -> None:
        learner.model.train()
        for batch, count in prepared:
            update(learner, optimizer, batch, count, training.label_smoothing)

    return run


def update(learner: Learns, optimizer: Optimizer, batch: object, count: int, smoothing: float) -> None:
    """Make one update."""
    optimizer.zero_grad(set_to_none=True)
    (learner.loss(batch, smoothing) / count).backward()
    optimizer.step()


def risen(learner: Learns, batches: Sequence[Batch], training: TrainingSettings) -> float:
    """Return by how many megabytes the peak of this process rises in updates with batches, after a tiny one."""
    tiny = {
        side: torch.cat([tokens[:2, :3], torch.full_like(tokens[:2, :1], END)], 1)
        for side, tokens in batches[0].items()
    }
    updating(learner, [tiny], training)()
    before = own_peak_megabytes()
    updating(learner, batches, training)()
    return own_peak_megabytes() - before


def count_of(batch: Batch) -> int:
    """Return how many tokens are learned."""
    return int((batch[TARGET][:, 1:] != PAD).sum())
