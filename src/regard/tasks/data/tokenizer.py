"""Text as numbers and back, by a tokenizer that is fitted to lines and kept in a file."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from regard.errors import TaskError
from regard.tasks.extra import extra
from regard.watch.words import Axis
from regard.writing import written_whole

if TYPE_CHECKING:
    import tokenizers

# Numbers that mean the same in every tokenizer.
PAD, BEGIN, END, UNKNOWN = range(4)
# How they are shown to people.
SIGNS = {PAD: "<pad>", BEGIN: "<begin>", END: "<end>", UNKNOWN: "\N{REPLACEMENT CHARACTER}"}

Kind = Literal["bpe", "unigram", "characters", "words"]

_SPACE = "▁"


class Tokenizer:
    """Turns text into numbers and back.

    Text is brought to Unicode's form C (and to lower case, if asked for) and cut before spaces and where letters
    and digits meet other signs; no piece crosses a cut. The space before a word belongs to its first piece, as "▁",
    so that decoding gives back the text as it was; a "▁" in the text itself becomes "_". Numbers 0 to 3 are
    padding, begin, end and unknown; none of the first three is ever read from a text, whatever it spells.
    """

    def __init__(self, model: tokenizers.Tokenizer) -> None:
        self._model = model

    @classmethod
    def fit(
        cls,
        lines: Iterable[str],
        kind: Kind = "bpe",
        size: int = 8000,
        *,
        lower: bool = False,
        byte_fallback: bool = False,
    ) -> Tokenizer:
        """Return a tokenizer fitted to lines; the same lines give the same one.

        Args:
            lines: the text; read once, and never held as a whole.
            kind: "bpe" (Sennrich et al. 2016), "unigram" (Kudo 2018), "characters" or "words".
            size: how many numbers there are at most, the four special ones counted; fewer where the lines do not
                have so many pieces. The most frequent characters (words, for "words") are kept.
            lower: whether text is brought to lower case.
            byte_fallback: whether a character that is not known is spelled as its bytes, for which 256 numbers are
                set aside, rather than lost as unknown. Not for "words".

        Raises:
            TaskError: the lines have no text, the kind does not exist, or the size has no room.
        """
        with extra():
            from regard.tasks.data.kinds import fitted
        return cls(fitted(lines, kind, size, lower=lower, byte_fallback=byte_fallback))

    @classmethod
    def load(cls, path: Path) -> Tokenizer:
        """Return the tokenizer that was saved in a file.

        Raises:
            TaskError: the file is missing, damaged, or none that this class wrote.
        """
        with extra():
            from regard.tasks.data.kinds import loaded
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise TaskError(f"cannot read the tokenizer {path}: {error}") from error
        return cls(loaded(text, str(path)))

    def save(self, path: Path) -> None:
        """Write the tokenizer as a file that the library `tokenizers` reads too (tokenizer.json)."""
        with written_whole(path, TaskError) as file:
            file.write(self._model.to_str(pretty=True).encode())

    @property
    def size(self) -> int:
        """How many numbers there are."""
        return self._model.get_vocab_size()

    def encode(self, text: str) -> list[int]:
        """Return a text as numbers, without begin and end."""
        numbers: list[int] = self._model.encode(text).ids
        return numbers

    def decode(self, numbers: Iterable[int]) -> str:
        """Return numbers as text; padding, begin and end are left out, and what is unknown becomes "�"."""
        kept = [number for number in map(int, numbers) if number not in (PAD, BEGIN, END)]
        text: str = self._model.decode(kept, skip_special_tokens=False)
        return text

    def pieces(self, numbers: Iterable[int]) -> list[str]:
        """Return the pieces that numbers stand for, one each, "▁" being a space before; special ones by signs."""
        return [SIGNS[number] if number in SIGNS else self._piece(number) for number in map(int, numbers)]

    def _piece(self, number: int) -> str:
        piece = self._model.id_to_token(number)
        if piece is None:
            raise TaskError(f"expected numbers from 0 to {self.size - 1}; got {number}")
        return piece

    def axis(self, numbers: Sequence[int]) -> Axis:
        """Return the words that numbers spell, with the numbers that belong to each, as reports take them."""
        whole = type(self._model.model).__name__ == "WordLevel"
        return _axis([int(number) for number in numbers], self.pieces(numbers), whole)


def _axis(numbers: Sequence[int], pieces: Sequence[str], whole: bool) -> Axis:
    """Return the words of pieces: a new one begins at "▁" and where letters, digits and other signs meet.

    Args:
        numbers: what was decoded.
        pieces: what they stand for.
        whole: whether each piece is a word.
    """
    words: list[str] = []
    groups: list[int] = []
    special: list[bool] = []
    last = ""  # what the word has been of so far; "" where nothing tells
    for number, piece in zip(numbers, pieces, strict=True):
        alone = number in (PAD, BEGIN, END)
        text = piece.removeprefix(_SPACE)
        first = "" if alone or number == UNKNOWN or _is_byte(piece) else _sort(text[:1])
        parts = "" not in (first, last) and first != last
        if not words or whole or alone or special[-1] or piece.startswith(_SPACE) or parts:
            words.append("")
            special.append(alone)
            last = ""
        words[-1] += text
        groups.append(len(words) - 1)
        last = _sort(text[-1:]) if first else last
    return Axis(
        words=tuple(word or _SPACE for word in words),
        groups=tuple(groups),
        special=tuple(special),
        separators=tuple(place for place, number in enumerate(numbers) if number == END),
        tokens=tuple(piece.removeprefix(_SPACE) or piece for piece in pieces),
    )


def _is_byte(piece: str) -> bool:
    return len(piece) == 6 and piece.startswith("<0x")


def _sort(letter: str) -> str:
    """Return whether a letter is one, a digit, or another sign; "" for none."""
    category = unicodedata.category(letter)[0] if letter else ""
    return {"": "", "L": "letter", "M": "letter", "N": "digit"}.get(category, "sign")
