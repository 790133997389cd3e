"""Reading a text with a model that is watched, and the report on it."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

import torch

from regard.cli.check import Check
from regard.cli.effect import Asked, Run, answering, that_matter, told
from regard.cli.model import TextModel, quiet
from regard.cli.words import axis_of
from regard.engines.statistics import STATISTICS
from regard.errors import InputError
from regard.reports.panels import Axis
from regard.reports.report import Report, report
from regard.watch.change.changing import change
from regard.watch.record import Record
from regard.watch.watching import watch

_GENERATED = 64


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
        check: how to check the map that is shown first, if at all.
        asked: heads and words to do without, if any.
        heads_that_matter: whether to knock out each head by itself, to tell which matter.
    """

    text: str
    target: str | None = None
    whole_words: bool = True
    max_tokens: int | None = None
    layer: int | None = None
    head: int | None = None
    check: Check | None = None
    asked: Asked | None = None
    heads_that_matter: bool = False


def read_and_watch(loaded: TextModel, request: Request, say: Callable[[str], None]) -> Report:
    """Run a model over a text and return the report on what its heads attended to.

    Args:
        loaded: the model and its tokenizer.
        request: what it reads and what is asked of that.
        say: told what is being done, for progress.

    Raises:
        InputError: text and model do not fit together, or the model shows no attention.
        ReportError: there is no such layer or head.
    """
    source, inputs = _encoded(loaded, request.text, request.whole_words, request.max_tokens)
    if request.target is not None and not loaded.has_encoder_and_decoder:
        raise InputError(f"--target: expected an encoder-decoder; {loaded.name} has no decoder beside an encoder")
    model = loaded.model if request.asked is None and not request.heads_that_matter else answering(loaded)
    run, said = _shown_run(loaded, model, source, inputs, request, say)
    if not run.seen.sites:
        raise InputError(f"{loaded.name} shows no attention.\n{run.seen.coverage}")
    if request.heads_that_matter:
        said = (*said, that_matter(model, {**inputs, **run.decoder}, run.output, say))
    say("putting words together")
    shown = report(
        run.seen,
        source,
        target=run.target,
        title=f"What {loaded.name} attended to" + ("" if request.asked is None else f", {request.asked}"),
        facts=(*_facts(loaded, run.seen, source, run.target), *said),
        layer=request.layer,
        head=request.head,
    )
    if request.check is None:
        return shown
    told_inputs = {**inputs, **run.decoder, **run.labels}
    found, statement = request.check.of(loaded, told_inputs, source, run.seen, shown.groups, say)
    return replace(shown, facts=(*shown.facts, statement), check=found)


def _shown_run(
    loaded: TextModel,
    model: Any,
    source: Axis,
    inputs: dict[str, Any],
    request: Request,
    say: Callable[[str], None],
) -> tuple[Run, tuple[str, ...]]:
    """Return the run to show, and sentences on what the changes that were asked for do, if any were."""
    want = (*STATISTICS, "rows")
    with torch.no_grad():
        if request.asked is None:
            return _run(loaded, model, inputs, request, want, say), ()
        changes = request.asked.changes(loaded, source)
        before = _run(loaded, model, inputs, request, (), say)
        with change(model, *changes):
            after = _run(loaded, model, inputs, request, want, say)
        return after, told(loaded, before, after, request.target)


def _run(
    loaded: TextModel,
    model: Any,
    inputs: dict[str, Any],
    request: Request,
    want: Collection[str],
    say: Callable[[str], None],
) -> Run:
    """Return one run of the model as it is now."""
    targets: Axis | None = None
    decoder: dict[str, Any] = {}
    labels: dict[str, Any] = {}
    if loaded.has_encoder_and_decoder:
        say("writing the decoder's side")
        targets, decoder, labels = _decoder_side(
            loaded, inputs, request.target, request.whole_words, request.max_tokens
        )
    say("running the model")
    with watch(model, want=want, on_site=lambda site: say(f"looked into {site.name}")) as seen:
        output = model(**inputs, **decoder)
    return Run(seen, output, targets, decoder, labels)


def _encoded(
    loaded: TextModel, text: str, whole_words: bool, max_tokens: int | None, *, as_target: bool = False
) -> tuple[Axis, dict[str, Any]]:
    """Return the words of a text and the model's inputs; some tokenizers write targets in another way."""
    tokenizer = loaded.tokenizer
    options = {} if max_tokens is None else {"truncation": True, "max_length": max_tokens}
    try:
        encoding = tokenizer(
            **{"text_target" if as_target else "text": text},
            return_tensors="pt",
            return_offsets_mapping=tokenizer.is_fast,
            verbose=False,
            **options,
        )
    except (ValueError, OverflowError) as error:
        raise InputError(f"--max-tokens {max_tokens}: too few for this tokenizer ({error})") from error
    count = int(encoding["input_ids"].shape[1])
    special = tokenizer.num_special_tokens_to_add()
    if max_tokens is not None and max_tokens <= special:
        raise InputError(
            f"--max-tokens: expected at least {special + 1} (the tokenizer adds {special}); got {max_tokens}"
        )
    if count == 0:
        side = "--target" if as_target else "the text"
        raise InputError(f"expected at least one token; the tokenizer of {loaded.name} finds none in {side}")
    if loaded.positions is not None and count > loaded.positions:
        raise InputError(
            f"the text has {count} tokens, and {loaded.name} takes {loaded.positions}."
            f" Shorten it, or read its beginning with --max-tokens {loaded.positions}"
        )
    axis = axis_of(encoding, tokenizer, text, whole_words)
    names = {"input_ids", "attention_mask", "token_type_ids"} & set(encoding)
    return axis, {name: encoding[name] for name in names}


def _decoder_side(
    loaded: TextModel, inputs: dict[str, Any], target: str | None, whole_words: bool, max_tokens: int | None
) -> tuple[Axis, dict[str, Any], dict[str, Any]]:
    """Return the words on the decoder's side, shifted right as in training, the inputs for them, and the labels."""
    if target is None:
        room = _GENERATED if loaded.positions is None else min(_GENERATED, max(1, loaded.positions - 2))
        with quiet():
            generated = loaded.model.generate(**inputs, max_new_tokens=room, num_beams=1, do_sample=False)
        target = loaded.tokenizer.decode(generated[0], skip_special_tokens=True)
        if not target.strip():
            raise InputError(
                f"{loaded.name} generates nothing for this text; hand in the decoder's side with --target"
            )
    axis, encoded = _encoded(loaded, target, whole_words, max_tokens, as_target=True)
    start = loaded.model.config.decoder_start_token_id
    if start is None:
        raise InputError(f"{loaded.name} names no token that its decoder starts with (decoder_start_token_id)")
    ids = encoded["input_ids"]
    shifted = torch.cat([ids.new_full((1, 1), start), ids[:, :-1]], 1)
    words = _after_start(axis, str(loaded.tokenizer.convert_ids_to_tokens(start)))
    return words, {"decoder_input_ids": shifted}, {"labels": ids}


def _after_start(axis: Axis, start: str) -> Axis:
    """Return the words of inputs that are shifted by a start token; the last token falls away."""
    kept = axis.groups[:-1]
    count = kept[-1] + 1 if kept else 0
    return Axis(
        words=(start, *axis.words[:count]),
        groups=(0, *(group + 1 for group in kept)),
        special=(True, *axis.special[:count]),
        separators=tuple(place + 1 for place in axis.separators if place < len(kept)),
    )


def _facts(loaded: TextModel, seen: Record, source: Axis, target: Axis | None) -> tuple[str, ...]:
    sides = f"{len(source.words)} words, {len(source.groups)} tokens"
    if target is not None:
        sides += f"; decoder: {len(target.words)} words, {len(target.groups)} tokens"
    heads = sum(site.sizes.heads for site in seen.sites)
    kind = type(loaded.model).__name__
    return (f"{kind}: {len(seen.sites)} attention calls, {heads} heads; {sides}",)
