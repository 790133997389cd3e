"""The models of translation, from settings and vocabularies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor, nn

from regard.layers import MultiHead, named
from regard.layers.multi_head import Mechanism
from regard.models import Transformer, input_feeding, searching, transformer
from regard.models.recurrent.model import Recurrent
from regard.tasks.translation.parts import Vocabularies
from regard.tasks.translation.settings import TranslationSettings, said_by


class Translator(Protocol):
    """What the task asks of a model."""

    def vectors(self, source: Tensor, target: Tensor, *, real: Tensor | None = None) -> Tensor:
        """Return what logits are made of, (B, T, E)."""

    @property
    def projection(self) -> tuple[Tensor, Tensor | None]:
        """The weight (V, E) and the bias (V,) that make logits of them."""

    def encode(self, tokens: Tensor, *, real: Tensor | None = None) -> Any:
        """Return what `decode` reads of a source (B, N)."""

    def decode(self, tokens: Tensor, memory: Any, *, cache: Any = None) -> Tensor:
        """Return logits (B, T, V)."""

    def caches(self) -> Sequence[Any]:
        """Return empty caches."""


def built(parts: Vocabularies, settings: TranslationSettings) -> Transformer | Recurrent:
    """Return a model with fresh weights.

    Raises:
        TaskError: words for attention that have no meaning there.
    """
    if settings.model != "transformer":
        with said_by("task.source_attention"):
            return _recurrent(parts, settings)
    with said_by("task.attention, task.source_attention"):
        return _transformer(parts, settings)


def _transformer(parts: Vocabularies, settings: TranslationSettings) -> Transformer:
    def makes(*, causal: bool, cross: bool) -> Mechanism:
        words = settings.reads_source_by if cross else settings.attention
        heads, width = settings.heads, settings.width // settings.heads
        with said_by("task.source_attention" if cross else "task.attention"):
            return named(words, heads=heads, head_width=width, causal=causal, cross=cross)

    model = transformer(
        vocabulary=parts.source.size,
        target_vocabulary=None if parts.joint else parts.target.size,
        width=settings.width,
        layers=settings.layers,
        heads=settings.heads,
        hidden=settings.hidden,
        dropout=settings.dropout,
        attention_dropout=settings.attention_dropout,
        order=settings.order,
        mechanism=makes,
    )
    _start(model)
    return model


def _start(model: Transformer) -> None:
    """Draw the weights anew: torch's own start is narrower, and for these models a slower one.

    Source: Glorot and Bengio 2010, equation 16; query, key and value start as one matrix (3E, E), as in torch's
    own module.
    """
    for part in model.modules():
        if isinstance(part, nn.Linear):
            nn.init.xavier_uniform_(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
    for part in model.modules():
        if isinstance(part, MultiHead):
            for projection in (part.query, part.key, part.value):
                nn.init.xavier_uniform_(projection.weight, gain=0.5**0.5)


def _recurrent(parts: Vocabularies, settings: TranslationSettings) -> Recurrent:
    sizes = parts.source.size, parts.target.size
    width, reads, dropout = settings.width, settings.reads_source_by, settings.dropout
    if settings.model == "searching":
        return searching(
            *sizes,
            width=settings.embedding or width,
            hidden=width,
            alignment=width,
            readout=width,
            attention=reads,
            dropout=dropout,
        )
    return input_feeding(*sizes, width=width, layers=settings.layers, attention=reads, dropout=dropout)
