"""The task of translation, put together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

from torch import nn

from regard.reports.report import Report
from regard.tasks.alignments import Pair
from regard.tasks.contract import Answer, Batch, Features, Row, Scores, Task, Total
from regard.tasks.faithful import Removal
from regard.tasks.translation.aligning import aligned
from regard.tasks.translation.answering import answered
from regard.tasks.translation.batches import SOURCE, TARGET, batched, loss_of
from regard.tasks.translation.building import Translator, built
from regard.tasks.translation.dates import date_rows
from regard.tasks.translation.forced import ended
from regard.tasks.translation.looking import looked
from regard.tasks.translation.parts import Vocabularies
from regard.tasks.translation.removing import removal_of
from regard.tasks.translation.scoring import METRICS, scored
from regard.tasks.translation.settings import TranslationSettings

# Settings that differ where dates are learned, letter by letter: distances tell the parts of a date apart, and with
# scores that know them a third of the examples is enough.
_FOR_DATES: dict[str, Any] = {
    "task.tokenizer": "characters",
    "task.width": 128,
    "task.layers": 2,
    "task.hidden": 256,
    "task.dropout": 0.0,
    "task.attention": "dot; relative_buckets",
    "task.beam": 1,
    "task.bleu_words": "char",
    "training.updates": 800,
    "training.batch_tokens": 2048,
    "training.rate": 3e-3,
    "training.warmup": 150,
    "training.schedule": "linear",
    "training.label_smoothing": 0.05,
    "training.check_every": 400,
}


class Translation(Task[TranslationSettings, Vocabularies]):
    """Lines of one language to lines of another; where no file is given, dates of many languages to ISO dates."""

    name: ClassVar[str] = "translation"
    about: ClassVar[str] = "Translates lines of text, and shows which words were read for each that was written."
    needs: ClassVar[str] = (
        "Pairs of lines, columns source and target; without a file it learns to write dates in ISO form."
    )
    metrics: ClassVar[tuple[str, ...]] = METRICS
    settings: ClassVar[type[Any]] = TranslationSettings

    def columns(self, settings: TranslationSettings) -> tuple[str, ...]:
        """Return the column that is read and the one that is written."""
        return settings.source, settings.target

    def own_rows(self, settings: TranslationSettings, seed: int) -> tuple[Sequence[Row], Sequence[Row]] | None:
        """Return dates in many languages and forms, and the same dates in ISO form."""
        names = {"source": settings.source, "target": settings.target}

        def renamed(rows: Sequence[Row]) -> list[Row]:
            return [{names[name]: text for name, text in row.items()} for row in rows]

        train, valid = date_rows(seed)
        return renamed(train), renamed(valid)

    def defaults_without_files(self) -> dict[str, Any]:
        """Return settings of a small model of characters, for dates."""
        return dict(_FOR_DATES)

    def attention_setting(self, settings: TranslationSettings) -> str:
        """Return how each side attends to itself; recurrent models attend to the source alone."""
        return "attention" if settings.model == "transformer" else "source_attention"

    def fit(self, rows: Sequence[Row], settings: TranslationSettings) -> Vocabularies:
        """Return tokenizers of both sides."""
        return Vocabularies.fit(rows, settings)

    def load_parts(self, folder: Path) -> Vocabularies:
        """Return the tokenizers saved in a folder."""
        return Vocabularies.load(folder)

    def features(self, row: Row, parts: Vocabularies, settings: TranslationSettings) -> Features:
        """Return each side's numbers with the end behind them; the target's where there is one."""
        sides = ((SOURCE, settings.source, parts.source), (TARGET, settings.target, parts.target))
        return {side: ended(tokenizer.encode(row[column])) for side, column, tokenizer in sides if column in row}

    def size(self, features: Features) -> int:
        """Return how many tokens the longer side has."""
        return max(map(len, features.values()))

    def build(self, parts: Vocabularies, settings: TranslationSettings) -> nn.Module:
        """Return the model that the settings name."""
        return built(parts, settings)

    def batch(self, items: Sequence[Features], parts: Vocabularies) -> Batch:
        """Return both sides, padded."""
        return batched(items)

    def loss(self, model: nn.Module, batch: Batch, label_smoothing: float) -> Total:
        """Return the cross entropy of every token of the targets."""
        return loss_of(cast("Translator", model), batch, label_smoothing)

    def asked(self, line: str, settings: TranslationSettings) -> Row:
        """Return a line as a source."""
        return {settings.source: line}

    def answer(
        self, model: nn.Module, items: Sequence[Features], parts: Vocabularies, settings: TranslationSettings
    ) -> list[Answer]:
        """Return translations."""
        return answered(cast("Translator", model), items, parts, settings)

    def score(self, answers: Sequence[Answer], rows: Sequence[Row], settings: TranslationSettings) -> Scores:
        """Return BLEU, chrF and how many translations are exactly right, each from 0 to 100."""
        return scored([answer.text for answer in answers], [row[settings.target] for row in rows], settings)

    def look(
        self, model: nn.Module, row: Row, answer: Answer, parts: Vocabularies, settings: TranslationSettings
    ) -> Report:
        """Return which words were read for each that was written."""
        return looked(model, self.features(row, parts, settings)[SOURCE], answer, parts)

    def align(
        self, model: nn.Module, rows: Sequence[Row], parts: Vocabularies, settings: TranslationSettings
    ) -> list[frozenset[Pair]]:
        """Return which words of each pair of lines belong together, for `alignment_error_rate`."""
        return aligned(model, rows, parts, settings)

    def removal(
        self, model: nn.Module, row: Row, answer: Answer, parts: Vocabularies, settings: TranslationSettings
    ) -> Removal | None:
        """Return what it takes to remove words of a source, for `faithful`; None where there are none."""
        return removal_of(model, self.features(row, parts, settings)[SOURCE], answer, parts)
