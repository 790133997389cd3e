"""`generate` writes texts to their end, `stream` one token after another."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from regard.errors import GenerationError
from regard.models.generation.beam import Beam, search
from regard.models.generation.contract import Caches, Generates, Translates
from regard.models.generation.generated import Generated, Step
from regard.models.generation.reading import Reading, worth_dropping
from regard.models.generation.sampling import Greedy, Takes
from regard.models.generation.stops import Stop, Stops

GREEDY = Greedy()


@torch.no_grad()
def generate(
    model: Generates | Translates,
    tokens: Tensor,
    *,
    length: int,
    sampling: Takes | Beam = GREEDY,
    stop: Stop = (),
    padding: Tensor | None = None,
    memory: Any = None,
    cache: Caches | bool = True,
    chunk: int | None = None,
    fill: int = 0,
) -> Generated:
    """Write on from prompts; the model runs in the mode it is in, so call `eval()` first.

    Args:
        model: anything with `forward(tokens, cache=, padding=)` and `caches()`; for a memory, anything with
            `decode(tokens, memory, cache=)`. `regard.models.generation.contract` says what these return.
        tokens: (B, N), the prompts, N at least 1; for a translation that with which it begins.
        length: how many tokens to write at most, above 0.
        sampling: `Greedy()`, `Sample(...)` or `Beam(...)`. Default: greedy.
        stop: a token's number, a function of what is written so far (B, n) that returns which items (B,) have
            ended, or several of these; the first that applies ends an item. Default: none.
        padding: (B,), how many tokens at the start of each prompt are no text, as `left_padded` makes them.
        memory: what `model.encode(source)` returned.
        cache: True: the model's own, empty; False: none, so that everything is read anew for each token, with the
            same result; or caches that hold what precedes the prompts.
        chunk: read the prompts so many tokens at a time, which takes less memory. Default: at once.
        fill: the token that stands after an item's end, and is fed to the model while others go on.

    Returns:
        The texts, without the prompts and without gradient.

    Raises:
        GenerationError: an argument of the wrong shape or out of its range; or the model's logits choose no token.
    """
    reading, stops = _prepared(model, tokens, length, stop, padding, memory, cache, chunk, fill)
    if isinstance(sampling, Beam):
        return search(reading, reading.after(tokens.long()), sampling, length, stops, fill)
    steps = list(
        _steps(reading, tokens.long(), length, sampling.settled(), stops, fill, drops=_drops(sampling, cache))
    )
    stopped = torch.stack([step.stopped for step in steps], 1)  # (B, T)
    return Generated(
        tokens=torch.stack([step.tokens for step in steps], 1),
        lengths=1 + (~stopped[:, :-1]).sum(1),
        stopped=stopped[:, -1],
        log_probability=torch.stack([step.log_probability for step in steps], 1).sum(1),
    )


def stream(
    model: Generates | Translates,
    tokens: Tensor,
    *,
    length: int,
    sampling: Takes = GREEDY,
    stop: Stop = (),
    padding: Tensor | None = None,
    memory: Any = None,
    cache: Caches | bool = True,
    chunk: int | None = None,
    fill: int = 0,
) -> Iterator[Step]:
    """Yield one step after another, each as soon as its tokens are known; arguments as for `generate`.

    Whoever asks for no further step ends the generation: nothing is computed ahead.

    Raises:
        GenerationError: as for `generate`, at once; beam search, which knows no token before the end.
    """
    if isinstance(sampling, Beam):
        raise GenerationError(
            "sampling: expected Greedy() or Sample(...); got beam search, which knows no token before the end."
            " Call generate"
        )
    reading, stops = _prepared(model, tokens, length, stop, padding, memory, cache, chunk, fill)
    return _steps(reading, tokens.long(), length, sampling.settled(), stops, fill, drops=_drops(sampling, cache))


def _drops(sampling: Takes, cache: Caches | bool) -> bool:
    """Whether items that have ended may be left out: what is drawn depends on places, and given caches are kept."""
    return isinstance(sampling, Greedy) and isinstance(cache, bool)


def _steps(
    reading: Reading, tokens: Tensor, length: int, sampling: Takes, stops: Stops, fill: int, *, drops: bool
) -> Iterator[Step]:
    written = tokens[:, :0]
    stopped = torch.zeros_like(tokens[:, 0], dtype=torch.bool)
    rows = torch.arange(len(tokens), device=tokens.device)  # the items that are read on
    for step in range(length):
        logits = reading.after(tokens[rows])
        some = sampling.take(logits, step)
        chances = logits.gather(1, some.unsqueeze(1)).squeeze(1) - logits.logsumexp(-1)
        taken = torch.full_like(tokens[:, 0], fill).index_copy_(0, rows, some).masked_fill(stopped, fill)
        log_probability = chances.new_zeros(len(tokens)).index_copy_(0, rows, chances).masked_fill(stopped, 0)
        tokens = taken.unsqueeze(1)
        written = torch.cat([written, tokens], 1)
        stopped = stopped | stops.ended(written)
        yield Step(tokens=taken, log_probability=log_probability, stopped=stopped)
        if stopped.all():
            return
        if drops and worth_dropping(stays := ~stopped[rows]):
            kept = stays.nonzero().flatten()
            reading.reorder(kept)
            rows = rows[kept]


def _prepared(
    model: Generates | Translates,
    tokens: Tensor,
    length: int,
    stop: Stop,
    padding: Tensor | None,
    memory: Any,
    cache: Caches | bool,
    chunk: int | None,
    fill: int,
) -> tuple[Reading, Stops]:
    """Return who reads and what ends a text, if the arguments fit together."""
    if tokens.ndim != 2 or tokens.dtype not in (torch.int64, torch.int32) or not tokens.numel():
        raise GenerationError(
            "tokens: expected whole numbers (B, N), at least one item and one token each; got"
            f" {tuple(tokens.shape)} of {tokens.dtype}. A text may begin with the model's token for beginnings"
        )
    for name, number, least in (
        ("length", length, 1),
        ("chunk", 1 if chunk is None else chunk, 1),
        ("fill", fill, 0),
    ):
        if number < least:
            raise GenerationError(f"{name}: expected a whole number, {least} or above; got {number!r}")
    if (memory is not None) != hasattr(model, "decode"):
        raise GenerationError(
            f"memory: expected what {type(model).__name__}.encode(source) returned for a model with an encoder, and"
            f" none for another; got {'none' if memory is None else 'one'}"
        )
    if padding is not None:
        _check_padding(padding, tokens, begins=isinstance(cache, bool))
    return Reading(model, padding, memory, cache, chunk), Stops.of(stop)


def _check_padding(padding: Tensor, tokens: Tensor, begins: bool) -> None:
    if padding.shape != tokens.shape[:1] or padding.dtype not in (torch.int64, torch.int32):
        raise GenerationError(
            f"padding: expected whole numbers ({len(tokens)},), how many tokens at the start of each item are no"
            f" text; got {tuple(padding.shape)} of {padding.dtype}. Of a mask of real tokens, take"
            " (1 - mask).sum(1)"
        )
    if (padding < 0).any() or (begins and (padding >= tokens.shape[1]).any()):
        raise GenerationError(
            f"padding: expected 0 or above, and less than the {tokens.shape[1]} tokens of each item; got"
            f" {padding.tolist()}"
        )
