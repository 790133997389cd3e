"""What a task is: how rows become numbers, numbers a loss, and a model's output an answer with a score."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

from torch import Tensor, nn

if TYPE_CHECKING:
    from regard.reports.report import Report

# One line of data, by column.
Row = Mapping[str, Any]
# What a row becomes for the model: lists of numbers by name.
Features = dict[str, list[int]]
# Rows put together for the model.
Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Total:
    """A loss that is not yet divided, so that parts of a batch add up to the whole.

    Attributes:
        sum: (), the loss summed over what is counted; has a gradient.
        count: what it is to be divided by: how many tokens, or rows.
    """

    sum: Tensor
    count: float


@dataclass(frozen=True)
class Answer:
    """What a model answers to one row.

    Attributes:
        text: what is printed.
        log_probability: of the answer under the model, where it has one.
        tokens: the answer in the model's own numbers; empty where a user wrote the text.
    """

    text: str
    log_probability: float | None = None
    tokens: tuple[int, ...] = ()


@dataclass(frozen=True)
class Scores:
    """What answers are worth.

    Attributes:
        values: each metric's number, in its usual unit (BLEU from 0 to 100), higher being better.
        signatures: what is published beside a metric's number, where its field has that: sacreBLEU's, for example.
    """

    values: dict[str, float]
    signatures: dict[str, str] = field(default_factory=dict)


class Parts(Protocol):
    """What is fitted to the training side beside the model: tokenizers, names of classes."""

    def save(self, folder: Path) -> None:
        """Write the parts into a folder, where the task's `load_parts` finds them."""


S = TypeVar("S")
P = TypeVar("P", bound=Parts)


class Task(ABC, Generic[S, P]):
    """One use of attention; it has no state of its own.

    Attributes:
        name: one word, as on the command line.
        about: one sentence that says what is learned.
        needs: one sentence that says which data it takes.
        metrics: names of its scores; the first one decides which weights are the best.
        settings: a frozen dataclass with defaults: sizes of the model, attention, decoding.
    """

    name: ClassVar[str]
    about: ClassVar[str]
    needs: ClassVar[str]
    metrics: ClassVar[tuple[str, ...]]
    settings: ClassVar[type[Any]]

    @abstractmethod
    def columns(self, settings: S) -> tuple[str, ...]:
        """Return the columns of text that a row must have: first the one that is asked, as examples show it."""

    def own_rows(self, settings: S, seed: int) -> tuple[Sequence[Row], Sequence[Row]] | None:
        """Return rows to train and to validate where no file is given, or None: the task needs files.

        Args:
            settings: the task's.
            seed: what they are drawn from; the same seed gives the same rows, as training that goes on needs.
        """
        return None

    def defaults_without_files(self) -> dict[str, Any]:
        """Return settings that differ where no file is given, such as {"training.updates": 1500}."""
        return {}

    def attention_setting(self, settings: S) -> str:
        """Return the name of the setting, where it has one, that `--attention` stands for."""
        return "attention"

    @abstractmethod
    def fit(self, rows: Sequence[Row], settings: S) -> P:
        """Return the parts, fitted to the rows of the training side alone; they are saved, then loaded for use."""

    @abstractmethod
    def load_parts(self, folder: Path) -> P:
        """Return the parts that were saved in a folder."""

    @abstractmethod
    def features(self, row: Row, parts: P, settings: S) -> Features:
        """Return a row as numbers: under each name a list of whole ones, for a label too, which is a list of one.

        All rows of a file have the same names; one that `asked` made may lack those of the answer.
        """

    @abstractmethod
    def size(self, features: Features) -> int:
        """Return how many tokens a row costs in a batch: those of its longest side."""

    @abstractmethod
    def build(self, parts: P, settings: S) -> nn.Module:
        """Return the model, its weights fresh from torch's generator."""

    @abstractmethod
    def batch(self, items: Sequence[Features], parts: P) -> Batch:
        """Return rows as one batch on the CPU, padded to one length; `loss` and `answer` tell the padding apart.

        Args:
            items: features, of rows of a file or of what was asked.
            parts: what was fitted.
        """

    @abstractmethod
    def loss(self, model: nn.Module, batch: Batch, label_smoothing: float) -> Total:
        """Return the loss of a batch, summed over what is counted, padding left out, and that count.

        What it draws comes from torch's generator, so that training can go on with the same bits.

        Args:
            model: as `build` made it, in training, where the batch is.
            batch: as `batch` made it, on the model's device.
            label_smoothing: what `torch.nn.functional.cross_entropy` calls so; a loss that knows none leaves it.
        """

    @abstractmethod
    def asked(self, line: str, settings: S) -> Row:
        """Return a line of the user's as a row that has no answer yet."""

    @abstractmethod
    def answer(self, model: nn.Module, items: Sequence[Features], parts: P, settings: S) -> list[Answer]:
        """Return the answers to one batch of rows, in order; the model is in evaluation, without gradients.

        Args:
            model: on any device, to which this brings what `batch` makes.
            items: features of rows of like size.
            parts: what was fitted.
            settings: the task's.
        """

    @abstractmethod
    def score(self, answers: Sequence[Answer], rows: Sequence[Row], settings: S) -> Scores:
        """Return what answers are worth beside the rows with the right ones: a number for each of `metrics`."""

    @abstractmethod
    def look(self, model: nn.Module, row: Row, answer: Answer, parts: P, settings: S) -> Report:
        """Return what the model attended to for this answer.

        Args:
            model: in evaluation, on any device.
            row: what was asked.
            answer: what it answered; one without tokens and log-probability is a text that a user gave.
            parts: what was fitted.
            settings: the task's.
        """
