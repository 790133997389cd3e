"""From a tokenizer's output to the words that a report shows."""

from typing import Any

from regard.reports.panels import Axis


def axis_of(encoding: Any, tokenizer: Any, text: str, whole_words: bool) -> Axis:
    """Return the words of one encoded text.

    Args:
        encoding: what the tokenizer returned for one text, with offsets where it has them.
        tokenizer: the tokenizer.
        text: the text.
        whole_words: whether to join the tokens of a word; needs a fast tokenizer, else tokens are shown.
    """
    ids = encoding["input_ids"][0].tolist()
    special_ids = set(tokenizer.all_special_ids)
    special = [token in special_ids for token in ids]
    separators = tuple(i for i, is_special in enumerate(special) if is_special and i > 0)
    if not getattr(tokenizer, "is_fast", False):
        names = tokenizer.convert_ids_to_tokens(ids)
        return Axis(tuple(names), tuple(range(len(ids))), tuple(special), separators)
    pieces = [
        _piece(tokenizer, token, is_special, text, span)
        for token, is_special, span in zip(ids, special, encoding["offset_mapping"][0].tolist(), strict=True)
    ]
    if not whole_words:
        return Axis(tuple(pieces), tuple(range(len(ids))), tuple(special), separators)
    return _joined(encoding, ids, pieces, special, separators, text)


def _piece(tokenizer: Any, token: int, special: bool, text: str, span: list[int]) -> str:
    piece = "" if special else text[span[0] : span[1]].strip()
    return piece or str(tokenizer.convert_ids_to_tokens(token))


def _joined(
    encoding: Any,
    ids: list[int],
    pieces: list[str],
    special: list[bool],
    separators: tuple[int, ...],
    text: str,
) -> Axis:
    spans = encoding["offset_mapping"][0].tolist()
    numbers = encoding.word_ids(0)
    words: list[str] = []
    specials: list[bool] = []
    groups: list[int] = []
    start = 0
    for i in range(len(ids)):
        if i and numbers[i] is not None and numbers[i] == numbers[i - 1]:
            words[-1] = text[start : spans[i][1]].strip() or words[-1]
        else:
            start = spans[i][0]
            words.append(pieces[i])
            specials.append(special[i])
        groups.append(len(words) - 1)
    return Axis(tuple(words), tuple(groups), tuple(specials), separators)
