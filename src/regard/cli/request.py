"""What is asked of one run of `regard look`."""

from dataclasses import dataclass

from regard.cli.check import Check
from regard.cli.effect import Asked


@dataclass(frozen=True)
class Request:
    """What to read and what to show of it.

    Attributes:
        text: what the model reads.
        target: the decoder's side of an encoder-decoder; default: what the model generates.
        whole_words: whether to join the tokens of a word.
        max_tokens: how many tokens to read at most.
        layer: the layer to show first.
        head: the head to show first.
        pins: words whose exact rows are shown of long texts.
        check: how to check the map that is shown first, if at all.
        asked: heads and words to do without, if any.
        beside: whether a run without some heads or words is shown beside the unchanged one.
        heads_that_matter: whether to knock out each head by itself, to tell which matter.
        every_weight: the options that need every weight at hand, by name.
    """

    text: str
    target: str | None = None
    whole_words: bool = True
    max_tokens: int | None = None
    layer: int | None = None
    head: int | None = None
    pins: tuple[str, ...] = ()
    check: Check | None = None
    asked: Asked | None = None
    beside: bool = False
    heads_that_matter: bool = False
    every_weight: tuple[str, ...] = ()
