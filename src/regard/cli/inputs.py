"""A text as a model takes it: its words, the numbers of its tokens, and the decoder's side where there is one."""

from typing import Any

import torch

from regard.cli.model import TextModel, quiet
from regard.cli.request import Request
from regard.cli.words import axis_of
from regard.errors import InputError
from regard.reports.panels import Axis
from regard.watch.survey.reader import taken_by

_GENERATED = 64


def encoded(loaded: TextModel, request: Request) -> tuple[Axis, dict[str, Any]]:
    """Return the words of the text and what the model takes in for them.

    Raises:
        InputError: the text has no token, or more than the model takes, or a decoder's side is given to a model
            that has none.
    """
    if request.target is not None and not loaded.has_encoder_and_decoder:
        raise InputError(f"--target: expected an encoder-decoder; {loaded.name} has no decoder beside an encoder")
    return _encoded(loaded, request.text, request)


def written(
    loaded: TextModel, inputs: dict[str, Any], request: Request
) -> tuple[str | None, Axis | None, dict[str, Any], dict[str, Any]]:
    """Return the decoder's text, its words, shifted right as in training, the inputs for them, and the labels.

    They are those of the target, or of what the model writes; none where it has no encoder beside a decoder.

    Raises:
        InputError: the model writes nothing, or the target does not fit it.
    """
    if not loaded.has_encoder_and_decoder:
        return None, None, {}, {}
    target = _generated(loaded, inputs) if request.target is None else request.target
    axis, tokens = _encoded(loaded, target, request, as_target=True)
    start = loaded.model.config.decoder_start_token_id
    if start is None:
        raise InputError(f"{loaded.name} names no token that its decoder starts with (decoder_start_token_id)")
    ids = tokens["input_ids"]
    shifted = torch.cat([ids.new_full((1, 1), start), ids[:, :-1]], 1)
    words = _after_start(axis, str(loaded.tokenizer.convert_ids_to_tokens(start)))
    return target, words, {"decoder_input_ids": shifted}, {"labels": ids}


def told_tokens(loaded: TextModel, text: str, read: int, request: Request, *, as_target: bool = False) -> str:
    """Return how many tokens of a text are read, and of how many where its end is cut off."""
    # Only a text that fills all the room there is can be cut off; others are not taken apart twice.
    if read != request.max_tokens:
        return f"{read} tokens"
    side = "text_target" if as_target else "text"
    there = len(loaded.tokenizer(**{side: text}, verbose=False)["input_ids"])
    return f"{read} tokens" if there == read else f"the first {read} of {there} tokens"


def _encoded(
    loaded: TextModel, text: str, request: Request, *, as_target: bool = False
) -> tuple[Axis, dict[str, Any]]:
    """Return the words of a text and the model's inputs; some tokenizers write targets in another way."""
    tokenizer, most = loaded.tokenizer, request.max_tokens
    options = {} if most is None else {"truncation": True, "max_length": most}
    try:
        encoding = tokenizer(
            **{"text_target" if as_target else "text": text},
            return_tensors="pt",
            verbose=False,
            **options,
        )
    except (ValueError, OverflowError) as error:
        raise InputError(f"--max-tokens {most}: too few for this tokenizer ({error})") from error
    count = int(encoding["input_ids"].shape[1])
    special = tokenizer.num_special_tokens_to_add()
    if most is not None and most <= special:
        raise InputError(
            f"--max-tokens: expected at least {special + 1} (the tokenizer adds {special}); got {most}"
        )
    if count == 0:
        side = "--target" if as_target else "the text"
        raise InputError(f"expected at least one token; the tokenizer of {loaded.name} finds none in {side}")
    if loaded.positions is not None and count > loaded.positions:
        raise InputError(
            f"the text has {count} tokens, and {loaded.name} takes {loaded.positions}."
            f" Shorten it, or read its beginning with --max-tokens {loaded.positions}"
        )
    inputs = {name: encoding[name] for name in taken_by(loaded.model, encoding)}
    return axis_of(encoding, tokenizer, text, request.whole_words), inputs


def _generated(loaded: TextModel, inputs: dict[str, Any]) -> str:
    room = _GENERATED if loaded.positions is None else min(_GENERATED, max(1, loaded.positions - 2))
    with quiet():
        ids = loaded.model.generate(**inputs, max_new_tokens=room, num_beams=1, do_sample=False)
    target: str = loaded.tokenizer.decode(ids[0], skip_special_tokens=True)
    if not target.strip():
        raise InputError(f"{loaded.name} generates nothing for this text; hand in the decoder's side with --target")
    return target


def _after_start(axis: Axis, start: str) -> Axis:
    """Return the words of inputs that are shifted by a start token; the last token falls away."""
    kept = axis.groups[:-1]
    count = kept[-1] + 1 if kept else 0
    shifted = Axis(
        words=axis.words[:count],
        groups=kept,
        special=axis.special[:count],
        separators=tuple(place for place in axis.separators if place < len(kept)),
        tokens=axis.tokens[:-1],
    )
    return Axis((start,), (0,), (True,)) + shifted
