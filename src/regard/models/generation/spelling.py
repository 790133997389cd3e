"""Text out of tokens while they are being written."""

from collections.abc import Iterable, Iterator

from regard.errors import GenerationError
from regard.models.generation.generated import Step
from regard.models.generation.stops import Decode

UNFINISHED = "\N{REPLACEMENT CHARACTER}"


def spelled(steps: Iterable[Step], decode: Decode, item: int = 0) -> Iterator[str]:
    """Yield the text of one item in pieces, each as soon as it is known; together they are its whole text.

    A character that takes several tokens is held back until it is whole.

    Args:
        steps: what `stream` returned.
        decode: text of token numbers, such as a tokenizer's `decode`.
        item: which item of the batch.

    Raises:
        GenerationError: the text of more tokens does not begin with that of fewer.
    """
    tokens: list[int] = []
    text = told = ""
    for step in steps:
        tokens.append(int(step.tokens[item]))
        text = decode(tokens)
        if not text.endswith(UNFINISHED):
            yield from _rest(told, text)
            told = text
        if step.ended[item]:
            break
    yield from _rest(told, text)


def _rest(told: str, text: str) -> Iterator[str]:
    if not text.startswith(told):
        raise GenerationError(
            f"decode: expected the text of more tokens to begin with that of fewer, {told!r}; got {text!r}. Turn"
            " off what tidies up text afterwards, such as clean_up_tokenization_spaces"
        )
    if len(text) > len(told):
        yield text[len(told) :]
