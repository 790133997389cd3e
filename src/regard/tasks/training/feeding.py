"""Batches for training, begun at any update."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from regard.tasks.contract import Batch, Parts, Task
from regard.tasks.data.batches import TokenBatches
from regard.tasks.training.examples import Examples
from regard.tasks.training.processes import Processes
from regard.tasks.training.settings import TrainingSettings


class Portion(NamedTuple):
    """One process's part of a batch.

    Attributes:
        batch: rows put together.
        tokens: how many they cost, without padding.
        counts: whether they count; where a batch has fewer rows than there are processes, one without a row gets
            somebody else's, since processes compute in step.
    """

    batch: Batch
    tokens: int
    counts: bool


class Feed:
    """The portions of one process, endless, in an order that depends on the seed alone."""

    def __init__(
        self,
        task: Task[Any, Any],
        parts: Parts,
        examples: Examples,
        settings: TrainingSettings,
        processes: Processes,
        update: int,
    ) -> None:
        """Prepare the portions.

        Args:
            task: puts rows together.
            parts: of the task.
            examples: the rows.
            settings: how many tokens a batch has, how many batches an update, and the seed.
            processes: which share of each batch is this one's.
            update: how many updates were made already.
        """
        self._task, self._parts, self._examples = task, parts, examples
        self._batches = TokenBatches(
            examples.sizes,
            settings.batch_tokens,
            settings.seed,
            rank=processes.rank,
            world=processes.size,
            first=update * settings.accumulate,
        )

    def __iter__(self) -> Iterator[Portion]:
        for rows in self._batches:
            numbers = rows if len(rows) else [0]
            batch = self._task.batch(self._examples.take(numbers), self._parts)
            yield Portion(batch, int(self._examples.sizes[rows].sum()), len(rows) > 0)
