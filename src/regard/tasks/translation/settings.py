"""The settings of translation: columns, model, attention, vocabulary, decoding, scoring."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from regard.errors import LayerError, TaskError
from regard.layers.named import Said

Model = Literal["transformer", "searching", "input_feeding"]
# What sacreBLEU calls its ways to cut a text into words, as far as they need no further package.
Words = Literal["13a", "intl", "zh", "char", "none"]

# Of lengths as they occur, powers up to this one are numbers.
_STEEPEST = 10
_USUAL = {"transformer": "dot", "searching": "additive", "input_feeding": "bilinear"}


@dataclass(frozen=True)
class TranslationSettings:
    """How translation is learned, answered and scored.

    Attributes:
        source: the column that is read.
        target: the column that is written.
        model: transformer (Vaswani et al. 2017), searching (recurrent, attention before each step; Bahdanau et al.
            2015) or input_feeding (recurrent, attention after each step; Luong et al. 2015).
        width: of vectors between layers; of recurrent states.
        embedding: width of the embeddings of searching; 0: as its states.
        layers: how many blocks encoder and decoder have each; of input_feeding, how many LSTMs.
        heads: how many a block of the Transformer has.
        hidden: width within the Transformer's feed-forward layers.
        order: whether norms stand before ("pre") or after ("post") the Transformer's branches.
        dropout: probability with which a number of a branch or an embedding is dropped in training.
        attention_dropout: the same for weights of the Transformer's attention.
        attention: words for the Transformer's attention of each side to itself, such as "dot; alibi" or "linear".
        source_attention: words for attention to the source, such as "entmax15"; "none" for recurrent models, to
            compare; "usual": dot for transformer, additive for searching, bilinear for input_feeding.
        tokenizer: bpe, unigram, characters or words.
        vocabulary: how many different tokens there are at most, of each tokenizer.
        joint: whether source and target share one tokenizer, and in the Transformer one embedding.
        lower: whether text is brought to lower case.
        byte_fallback: whether characters unseen in training are spelled as bytes rather than lost.
        beam: how many translations are followed at a time; 1: the most probable token each time.
        length_penalty: above 0 favours longer translations in beam search.
        longest: how many tokens a translation has at most.
        per_token: how many of them for each token of the source, 10 more being free.
        bleu_words: how BLEU cuts text into words: 13a, intl, zh, char, or none for text that is cut already.
        score_lower: whether BLEU and chrF disregard case; so they do where `lower` is set.
    """

    source: str = "source"
    target: str = "target"
    model: Model = "transformer"
    width: int = 256
    embedding: int = 0
    layers: int = 4
    heads: int = 4
    hidden: int = 1024
    order: Literal["pre", "post"] = "pre"
    dropout: float = 0.1
    attention_dropout: float = 0.0
    attention: str = "dot"
    source_attention: str = "usual"
    tokenizer: Literal["bpe", "unigram", "characters", "words"] = "bpe"
    vocabulary: int = 8000
    joint: bool = True
    lower: bool = False
    byte_fallback: bool = False
    beam: int = 5
    length_penalty: float = 0.6
    longest: int = 256
    per_token: float = 3.0
    bleu_words: Words = "13a"
    score_lower: bool = False

    def __post_init__(self) -> None:
        _check_columns(self)
        for name in ("width", "layers", "heads", "hidden", "vocabulary", "beam", "longest"):
            if getattr(self, name) < 1:
                raise TaskError(f"task.{name}: expected at least 1; got {getattr(self, name)}")
        for name in ("dropout", "attention_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise TaskError(f"task.{name}: expected from 0 to below 1; got {getattr(self, name)}")
        for name in ("per_token", "embedding"):
            if not 0 <= getattr(self, name) < math.inf:
                raise TaskError(f"task.{name}: expected a finite number, 0 or above; got {getattr(self, name)}")
        if abs(self.length_penalty) > _STEEPEST:
            raise TaskError(
                f"task.length_penalty: expected from -{_STEEPEST} to {_STEEPEST}; got {self.length_penalty}"
            )
        _check_tokenizer(self)
        if self.embedding and self.model != "searching":
            raise TaskError(
                f"task.embedding: it is for model=searching; embeddings of {self.model} are as wide as task.width"
            )
        _check_words(self)
        if self.model == "transformer":
            _check_transformer(self)
        else:
            _check_recurrent(self)

    @property
    def reads_source_by(self) -> str:
        """Words for attention to the source, with "usual" resolved."""
        return _USUAL[self.model] if self.source_attention == "usual" else self.source_attention

    def length(self, source: int) -> int:
        """Return how many tokens a translation of so many has at most."""
        return max(1, min(self.longest, int(10 + self.per_token * source)))


def _check_columns(settings: TranslationSettings) -> None:
    if not settings.source or settings.source == settings.target:
        raise TaskError(
            f"task.source, task.target: expected two columns; got {settings.source!r} and {settings.target!r}. Say"
            " which column is read and which is written"
        )


def _check_tokenizer(settings: TranslationSettings) -> None:
    if settings.byte_fallback and settings.tokenizer == "words":
        raise TaskError(
            "task.byte_fallback: tokenizer=words has no pieces to spell with; leave it out, or take bpe"
        )
    special = 260 if settings.byte_fallback else 4
    if settings.vocabulary <= special:
        reason = " and bytes" if settings.byte_fallback else ""
        raise TaskError(
            f"task.vocabulary: expected more than {special} tokens, which special ones{reason} take; got"
            f" {settings.vocabulary}"
        )


def _check_words(settings: TranslationSettings) -> None:
    """Raise where a word for attention is unknown: else it would be told when all rows are read."""
    for name in ("attention", "source_attention"):
        words = getattr(settings, name)
        if words not in ("usual", "none"):
            with said_by(f"task.{name}"):
                Said.read(words)


@contextmanager
def said_by(setting: str) -> Iterator[None]:
    """Say which setting's words for attention have no meaning."""
    try:
        yield
    except LayerError as error:
        raise TaskError(f"{setting}: {error}") from error


def _check_transformer(settings: TranslationSettings) -> None:
    if settings.width % settings.heads:
        raise TaskError(
            f"task.width: expected a multiple of task.heads; got {settings.width} and {settings.heads} heads"
        )
    if settings.source_attention == "none":
        raise TaskError(
            'task.source_attention: "none" is for recurrent models, to compare; a Transformer reads its source by'
            " attention alone. Take model=searching or model=input_feeding"
        )


def _check_recurrent(settings: TranslationSettings) -> None:
    if settings.attention != TranslationSettings.attention:
        raise TaskError(
            f"task.attention: {settings.model} is recurrent and has no attention of a side to itself; got"
            f" {settings.attention!r}. Attention to the source is chosen by task.source_attention"
        )
    if settings.attention_dropout:
        raise TaskError(
            "task.attention_dropout: it is the Transformer's; for a recurrent model write it with the attention, as"
            ' in source_attention="additive; dropout(0.1)"'
        )
