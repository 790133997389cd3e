"""From a tokenizer's output to the words that a report shows, and words that are asked for by name."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from regard.errors import InputError
from regard.reports.panels import Axis
from regard.watch.words import words

# How many words a message lists.
_LISTED = 40


def axis_of(encoding: Any, tokenizer: Any, text: str, whole_words: bool) -> Axis:
    """Return the words of one encoded text.

    Args:
        encoding: what the tokenizer returned for one text.
        tokenizer: the tokenizer.
        text: the text.
        whole_words: whether to join the tokens of a word.
    """
    ids = encoding["input_ids"][0].tolist()
    fast = getattr(tokenizer, "is_fast", False)
    axis = words(encoding if fast else tokenizer.convert_ids_to_tokens(ids), text)
    added = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    special = [token in added for token in ids]
    if not whole_words:
        axis = replace(axis, words=axis.labels, groups=tuple(range(len(ids))), tokens=())
    return replace(
        axis,
        special=_of_words(axis, special),
        separators=tuple(place for place, is_special in enumerate(special) if is_special and place),
    )


def check_words(option: str, asked: Sequence[str], *axes: Axis) -> None:
    """Check that words stand in a text.

    Raises:
        InputError: one does not.
    """
    there = dict.fromkeys(
        word for axis in axes for word, special in zip(axis.words, axis.special, strict=True) if not special
    )
    if missing := [word for word in asked if word not in there]:
        listed = ", ".join(list(there)[:_LISTED]) + (", ..." if len(there) > _LISTED else "")
        raise InputError(f"{option}: expected words of the text ({listed}); got {', '.join(missing)}")


def _of_words(axis: Axis, special: Sequence[bool]) -> tuple[bool, ...]:
    """Return for each word whether its tokens are special."""
    numbers = {group for group, is_special in zip(axis.groups, special, strict=True) if is_special}
    return tuple(number in numbers for number in range(len(axis.words)))
