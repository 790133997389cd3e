"""What the benchmark of translation asks of each who takes part."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from torch import Tensor, nn
from torch.optim import Optimizer

from regard.tasks.contract import Batch
from regard.tasks.training.settings import TrainingSettings

# Sources and translations, as the numbers of tokens, batch by batch.
Texts = Sequence[Sequence[int]]


class AbsentError(Exception):
    """A library that is not installed, or has no such model."""


class Translates(Protocol):
    """Who translates."""

    def translate(self, batches: Sequence[Texts], beam: int) -> list[list[int]]:
        """Return translations of batches, one after the other, without begin and end."""


class Learns(Translates, Protocol):
    """Who learns, too."""

    model: nn.Module

    def prepare(self, batch: Batch) -> object:
        """Return a batch in the form that its own data come in."""

    def loss(self, prepared: object, smoothing: float) -> Tensor:
        """Return the loss of all tokens of a batch, summed."""

    def optimizer(self, training: TrainingSettings) -> Optimizer:
        """Return Adam, as the library makes it."""


def renamed(weights: Mapping[str, Tensor], names: Iterable[tuple[str, str]]) -> dict[str, Tensor]:
    """Return weights under other names: each part of a name, one after the other, replaced."""
    found = {}
    for name, tensor in weights.items():
        for ours, theirs in names:
            name = name.replace(ours, theirs)
        found[name] = tensor
    return found


def until(numbers: Iterable[int], end: int) -> list[int]:
    """Return what stands before the end."""
    kept = []
    for number in numbers:
        if number == end:
            break
        kept.append(number)
    return kept
