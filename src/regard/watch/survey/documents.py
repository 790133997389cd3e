"""One document of a corpus: its text, and the words that its tokens make up."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, eq=False)
class Words:
    """The words of a tokenized text.

    Attributes:
        labels: the words, in order.
        groups: for each token, the number of its word.
        shown: for each word, whether it has letters and was not added by the tokenizer.
        separators: positions of special tokens but the first.
        spans: where each word begins and ends in the text; empty where the tokenizer does not tell.
        text: the text.
        tokens: the numbers of the tokens, from which "same token" is told; empty where they are not known.
    """

    labels: tuple[str, ...]
    groups: tuple[int, ...]
    shown: tuple[bool, ...]
    separators: tuple[int, ...] = ()
    spans: tuple[tuple[int, int], ...] = ()
    text: str | None = None
    tokens: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Document:
    """A document as a tally takes it in.

    Attributes:
        number: its number in the corpus.
        text: what it says.
        place: where it stands, for people.
        words: the words of its tokens; without them examples show no links.
        target: the words on a decoder's side.
        separators: positions of separator keys ("[SEP]", end of text); default: those of its words.
    """

    number: int
    text: str = ""
    place: str = ""
    words: Words | None = None
    target: Words | None = None
    separators: tuple[int, ...] = ()


def words_of(tokenizer: Any, encoding: Any, text: str) -> Words:
    """Return the words of one encoded text; with a slow tokenizer every token is a word.

    Args:
        tokenizer: the tokenizer.
        encoding: what it returned for one text, without a batch axis.
        text: the text.
    """
    ids = list(encoding["input_ids"])
    added = [token in set(tokenizer.all_special_ids) for token in ids]
    separators = tuple(i for i, special in enumerate(added) if special and i > 0)
    names = tokenizer.convert_ids_to_tokens(ids)
    if "offset_mapping" not in encoding:
        return Words(tuple(names), tuple(range(len(ids))), _shown(names, added), separators, (), text, tuple(ids))
    numbers, offsets = encoding.word_ids(), encoding["offset_mapping"]
    labels: list[str] = []
    specials: list[bool] = []
    spans: list[tuple[int, int]] = []
    groups: list[int] = []
    for i, (start, stop) in enumerate(offsets):
        if i and numbers[i] is not None and numbers[i] == numbers[i - 1]:
            spans[-1] = (spans[-1][0], stop)
            labels[-1] = text[spans[-1][0] : stop].strip() or labels[-1]
        else:
            spans.append((start, stop))
            labels.append(names[i] if added[i] else text[start:stop].strip() or names[i])
            specials.append(added[i])
        groups.append(len(labels) - 1)
    shown = _shown(labels, specials)
    return Words(tuple(labels), tuple(groups), shown, separators, tuple(spans), text, tuple(ids))


def after_start(words: Words, start: str, number: int) -> Words:
    """Return the words of inputs that are shifted by a start token; the last token falls away."""
    kept = words.groups[:-1]
    count = kept[-1] + 1 if kept else 0
    return Words(
        labels=(start, *words.labels[:count]),
        groups=(0, *(group + 1 for group in kept)),
        shown=(False, *words.shown[:count]),
        separators=tuple(place + 1 for place in words.separators if place < len(kept)),
        spans=((0, 0), *words.spans[:count]) if words.spans else (),
        text=words.text,
        tokens=(number, *words.tokens[:-1]),
    )


def _shown(labels: Sequence[str], special: Sequence[bool]) -> tuple[bool, ...]:
    return tuple(not s and any(map(str.isalnum, label)) for label, s in zip(labels, special, strict=True))
