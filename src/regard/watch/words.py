"""The words of a text, and which of a model's positions belong to each: so that words can be asked for by name."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

from regard.errors import RecordError
from regard.watch.segments import Segment, shifted

# What tokenizers add: "[CLS]", "<s>", "<|endoftext|>".
_SPECIAL = re.compile(r"\[[A-Z_0-9]+\]|<[^<>\s]+>")
# How tokenizers mark the start of a word: byte-level BPE, SentencePiece; or the rest of one: WordPiece.
_STARTS, _GOES_ON = ("Ġ", "▁"), "##"


@dataclass(frozen=True, eq=False)
class Axis:
    """The words along one side of a map; two of them are added where a model reads one after the other.

    Attributes:
        words: labels, in order.
        groups: for each token of the model, the number of its word.
        special: for each word, whether it is one that the tokenizer added ("[CLS]", "</s>").
        separators: positions of tokens that separate or end texts.
        tokens: labels of the tokens; none where they are those of their words.
        segments: stretches of positions that are no text, such as the patches of a picture.
    """

    words: tuple[str, ...]
    groups: tuple[int, ...]
    special: tuple[bool, ...]
    separators: tuple[int, ...] = ()
    tokens: tuple[str, ...] = ()
    segments: tuple[Segment, ...] = ()

    def __add__(self, other: "Axis") -> "Axis":
        """Return the positions of this axis with those of another behind them."""
        if not isinstance(other, Axis):
            return NotImplemented
        words, positions = len(self.words), len(self.groups)
        named = self.tokens or other.tokens
        return Axis(
            words=self.words + other.words,
            groups=self.groups + tuple(_behind(group, words) for group in other.groups),
            special=self.special + other.special,
            separators=self.separators + tuple(place + positions for place in other.separators),
            tokens=self.labels + other.labels if named else (),
            segments=self.segments + tuple(shifted(segment, positions) for segment in other.segments),
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """A label for each token: its own, or that of its word."""
        return self.tokens or tuple(self.words[group] if group >= 0 else "" for group in self.groups)

    def positions(self, word: str) -> list[int]:
        """Return the positions of every token of a word, wherever it stands.

        Raises:
            RecordError: there is no such word.
        """
        numbers = {number for number, each in enumerate(self.words) if each == word}
        if not numbers:
            raise RecordError(f"expected one of the words {', '.join(map(repr, self.words))}; got {word!r}")
        return [place for place, number in enumerate(self.groups) if number in numbers]


def _behind(group: int, words: int) -> int:
    """Return a word's number behind so many words; none stays none."""
    return group + words if group >= 0 else group


def words(tokens: Any, text: str | None = None, *, item: int = 0) -> Axis:
    """Return the words of a text with the positions of their tokens.

    Args:
        tokens: what a fast tokenizer of Hugging Face's returned; or the tokens themselves, one a position. Those
            that go on with a word are known by their marks ("##ing"; or no "Ġ" or "▁" where others have one).
        text: the text that the tokenizer was given, for words as they are written there. Default: the tokens
            of a word put together.
        item: which text of the batch.

    Raises:
        RecordError: `tokens` is none of these.
    """
    if isinstance(tokens, Axis):
        return tokens
    if callable(getattr(tokens, "word_ids", None)):
        return _of_encoding(tokens, text, item)
    if isinstance(tokens, str) or not isinstance(tokens, Sequence) or not all(isinstance(t, str) for t in tokens):
        raise RecordError(
            f"words: expected tokens, or the encoding of a fast tokenizer; got {type(tokens).__name__}"
        )
    return _of_tokens(list(tokens))


def _of_encoding(encoding: Any, text: str | None, item: int) -> Axis:
    try:
        tokens, numbers, texts = encoding.tokens(item), encoding.word_ids(item), encoding.sequence_ids(item)
    except (ValueError, IndexError) as wrong:  # a tokenizer in Python knows no words
        raise RecordError(f"words: expected item {item} of a fast tokenizer's encoding; {wrong}") from wrong
    starts = accumulate(token.startswith(_STARTS) for token in tokens)
    keys = [
        None if number is None else (number, of, start)
        for number, of, start in zip(numbers, texts, starts, strict=True)
    ]
    axis = _grouped(tokens, keys, [number is None for number in numbers])
    if text is None or any(of for of in texts):
        return axis
    return _as_written(axis, text, [encoding.token_to_chars(item, place) for place in range(len(tokens))])


def _as_written(axis: Axis, text: str, spans: Sequence[Any]) -> Axis:
    """Return the axis with labels as they stand in the text, wherever something stands there."""

    def written(first: int, last: int) -> str:
        known = spans[first] is not None and spans[last] is not None
        return text[spans[first].start : spans[last].end].strip() if known else ""

    groups = axis.groups
    firsts = [place for place, group in enumerate(groups) if not place or group != groups[place - 1]]
    lasts = [place - 1 for place in (*firsts[1:], len(groups))]
    return replace(
        axis,
        words=tuple(
            written(first, last) or label for first, last, label in zip(firsts, lasts, axis.words, strict=True)
        ),
        tokens=tuple(written(place, place) or label for place, label in enumerate(axis.labels)),
    )


def _of_tokens(tokens: list[str]) -> Axis:
    special = [bool(_SPECIAL.fullmatch(token)) for token in tokens]
    marked = any(token.startswith(_STARTS) for token in tokens)
    keys: list[object] = []
    number = 0
    for place, token in enumerate(tokens):
        begins = not token.startswith(_GOES_ON) and not (marked and not token.startswith(_STARTS))
        if begins or place == 0 or special[place] or special[place - 1]:
            number += 1
        keys.append(number)
    return _grouped(tokens, keys, special)


def _grouped(tokens: list[str], keys: Sequence[object], special: list[bool]) -> Axis:
    """Return neighbouring tokens with the same key as words; a key of None stands alone."""
    labels: list[str] = []
    pieces: list[str] = []
    groups: list[int] = []
    flags: list[bool] = []
    for place, (token, key) in enumerate(zip(tokens, keys, strict=True)):
        plain = token if special[place] else _plain(token)
        pieces.append(plain or token)
        if place and key is not None and key == keys[place - 1]:
            labels[-1] += plain
        else:
            labels.append(plain or token)
            flags.append(special[place])
        groups.append(len(labels) - 1)
    separators = tuple(place for place, is_special in enumerate(special) if is_special and place)
    return Axis(tuple(labels), tuple(groups), tuple(flags), separators, tuple(pieces))


def _plain(token: str) -> str:
    """Return a token without its mark."""
    return token.removeprefix(_GOES_ON).lstrip("".join(_STARTS)) if len(token) > 1 else token
