"""Kinds of tokenizers, built from the parts of the library `tokenizers`; imported once one is needed."""

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from regard.errors import TaskError
from regard.tasks.data.unigram import unigram_pieces

KINDS = ("bpe", "unigram", "characters", "words")
UNKNOWN = 3
# Names of the special numbers 0 to 3. No piece of a text has a space in it, so none is ever one of them.
NAMES = ("< pad >", "< begin >", "< end >", "< unknown >")
# Names under which the library knows single bytes. They mix letters with other signs, as no piece of a text does.
BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))

_WORDS = r"▁?[\p{L}\p{M}\p{N}]+|▁?[^\p{L}\p{M}\p{N}▁]+|▁"
_LINES = 1000


def fitted(lines: Iterable[str], kind: str, size: int, *, lower: bool, byte_fallback: bool) -> Tokenizer:
    """Return a tokenizer of a kind, fitted to lines.

    Raises:
        TaskError: the lines have no text, the kind does not exist, or the size has no room.
    """
    if kind not in KINDS:
        raise TaskError(f"expected a tokenizer of kind {', '.join(KINDS)}; got {kind!r}")
    if byte_fallback and kind == "words":
        raise TaskError('a tokenizer of words has no pieces to spell with; leave out byte_fallback, or take "bpe"')
    reserved = NAMES + (BYTES if byte_fallback else ())
    if size <= len(reserved):
        raise TaskError(f"expected a tokenizer's size above {len(reserved)}; got {size}")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = _normalizer(lower)
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(_WORDS), "isolated")
    tokenizer.decoder = _decoder(" \N{REPLACEMENT CHARACTER}" if kind == "words" else "\N{REPLACEMENT CHARACTER}")
    seen = _Seen(lines)
    if kind == "unigram":
        pieces = unigram_pieces(seen, tokenizer, size - len(reserved))
        tokenizer.model = models.Unigram([*((name, 0.0) for name in reserved), *pieces], UNKNOWN, byte_fallback)
    else:
        tokenizer.model, trainer = _TRAINED[kind](size, reserved)
        tokenizer.train_from_iterator(seen, trainer=trainer)
    if not seen.text:
        raise TaskError("a tokenizer is fitted to text: expected some; got none")
    return _plain(tokenizer, byte_fallback)


def loaded(text: str, name: str) -> Tokenizer:
    """Return the tokenizer that a file's text describes.

    Raises:
        TaskError: it is none that `fitted` made.
    """
    try:
        tokenizer = Tokenizer.from_str(text)
    except Exception as error:  # the library's own errors are plain exceptions
        raise TaskError(f"{name} is no tokenizer, or is damaged ({error})") from error
    if tuple(tokenizer.id_to_token(number) for number in range(len(NAMES))) != NAMES:
        raise TaskError(f"{name}: expected a tokenizer that was fitted by a task; its special numbers are others")
    return tokenizer


def _bpe(size: int, reserved: tuple[str, ...]) -> tuple[Any, Any]:
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        limit_alphabet=size - len(reserved),
        min_frequency=2,
        special_tokens=list(reserved),
        show_progress=False,
    )
    return models.BPE(unk_token=NAMES[UNKNOWN]), trainer


def _characters(size: int, reserved: tuple[str, ...]) -> tuple[Any, Any]:
    """Pieces that are never merged: the alphabet is added whatever the size, and then there is no room."""
    trainer = trainers.BpeTrainer(
        vocab_size=0, limit_alphabet=size - len(reserved), special_tokens=list(reserved), show_progress=False
    )
    return models.BPE(unk_token=NAMES[UNKNOWN]), trainer


def _words(size: int, reserved: tuple[str, ...]) -> tuple[Any, Any]:
    trainer = trainers.WordLevelTrainer(vocab_size=size, special_tokens=list(reserved), show_progress=False)
    return models.WordLevel(unk_token=NAMES[UNKNOWN]), trainer


_TRAINED: dict[str, Callable[[int, tuple[str, ...]], tuple[Any, Any]]] = {
    "bpe": _bpe,
    "characters": _characters,
    "words": _words,
}


class _Seen:
    """Lines in portions, and whether there was any text in them."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self.text = False

    def __iter__(self) -> Iterator[list[str]]:
        while portion := list(islice(self._lines, _LINES)):
            self.text = self.text or any(portion)
            yield portion


def _normalizer(lower: bool) -> Any:
    steps: list[Any] = [normalizers.Lowercase()] if lower else []
    steps += [normalizers.NFC(), normalizers.Replace("▁", "_"), normalizers.Replace(" ", "▁")]
    return normalizers.Sequence([*steps, normalizers.Prepend("▁")])


def _decoder(unknown: str) -> Any:
    return decoders.Sequence(
        [
            decoders.Replace(NAMES[UNKNOWN], unknown),
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )


def _plain(tokenizer: Tokenizer, byte_fallback: bool) -> Tokenizer:
    """Return the tokenizer without the library's special tokens, which would be found in users' text."""
    content = json.loads(tokenizer.to_str())
    content["added_tokens"] = []
    if byte_fallback:  # which training resets
        content["model"]["byte_fallback"] = True
    return Tokenizer.from_str(json.dumps(content, ensure_ascii=False))
