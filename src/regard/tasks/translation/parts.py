"""The tokenizers of both sides, which may be one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from regard.errors import TaskError
from regard.tasks.contract import Row
from regard.tasks.data.read import texts
from regard.tasks.data.tokenizer import Tokenizer
from regard.tasks.translation.settings import TranslationSettings

_JOINT, _SOURCE, _TARGET = "tokenizer.json", "source.tokenizer.json", "target.tokenizer.json"


@dataclass(frozen=True, eq=False)
class Vocabularies:
    """What turns text into numbers, on both sides.

    Attributes:
        source: of what is read.
        target: of what is written; the same object where both sides share one.
    """

    source: Tokenizer
    target: Tokenizer

    @property
    def joint(self) -> bool:
        """Whether both sides share one."""
        return self.source is self.target

    @classmethod
    def fit(cls, rows: Sequence[Row], settings: TranslationSettings) -> Vocabularies:
        """Return tokenizers fitted to rows; one, where the settings say so."""

        def fitted(*columns: str) -> Tokenizer:
            return Tokenizer.fit(
                texts(rows, columns),
                settings.tokenizer,
                settings.vocabulary,
                lower=settings.lower,
                byte_fallback=settings.byte_fallback,
            )

        if settings.joint:
            both = fitted(settings.source, settings.target)
            return cls(both, both)
        return cls(fitted(settings.source), fitted(settings.target))

    def save(self, folder: Path) -> None:
        """Write one file, or two."""
        if self.joint:
            self.source.save(folder / _JOINT)
        else:
            self.source.save(folder / _SOURCE)
            self.target.save(folder / _TARGET)

    @classmethod
    def load(cls, folder: Path) -> Vocabularies:
        """Return what was saved in a folder.

        Raises:
            TaskError: a file is missing or damaged, or there are those of one tokenizer and of two.
        """
        joint = (folder / _JOINT).exists()
        if joint and (folder / _SOURCE).exists():
            raise TaskError(f"{folder}: expected {_JOINT} or {_SOURCE} and {_TARGET}; got both")
        if joint:
            both = Tokenizer.load(folder / _JOINT)
            return cls(both, both)
        return cls(Tokenizer.load(folder / _SOURCE), Tokenizer.load(folder / _TARGET))
