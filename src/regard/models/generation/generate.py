"""`generate` writes texts to their end, `stream` one token after another."""

from collections.abc import Iterator
from functools import partial
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
    length: int | Tensor,
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
        length: how many tokens to write at most, above 0: a number, or one an item (B,).
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
    reading, stops, lengths = _prepared(model, tokens, length, stop, padding, memory, cache, chunk, fill)
    if isinstance(sampling, Beam):
        return search(reading, tokens.long(), sampling, lengths, stops, fill)
    steps = list(
        _steps(reading, tokens.long(), lengths, sampling.settled(), stops, fill, drops=_drops(sampling, cache))
    )
    ended = torch.stack([step.ended for step in steps], 1)  # (B, T)
    return Generated(
        tokens=torch.stack([step.tokens for step in steps], 1),
        lengths=1 + (~ended[:, :-1]).sum(1),
        stopped=steps[-1].stopped,
        log_probability=torch.stack([step.log_probability for step in steps], 1).sum(1),
    )


def stream(
    model: Generates | Translates,
    tokens: Tensor,
    *,
    length: int | Tensor,
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
    reading, stops, lengths = _prepared(model, tokens, length, stop, padding, memory, cache, chunk, fill)
    return _steps(reading, tokens.long(), lengths, sampling.settled(), stops, fill, drops=_drops(sampling, cache))


def _drops(sampling: Takes, cache: Caches | bool) -> bool:
    """Whether items that have ended may be left out: what is drawn depends on places, and given caches are kept."""
    return isinstance(sampling, Greedy) and isinstance(cache, bool)


def _steps(
    reading: Reading, tokens: Tensor, lengths: Tensor, sampling: Takes, stops: Stops, fill: int, *, drops: bool
) -> Iterator[Step]:
    written = tokens[:, :0]
    stopped = ended = torch.zeros_like(tokens[:, 0], dtype=torch.bool)
    rows = torch.arange(len(tokens), device=tokens.device)  # the items that are read on
    for step in range(int(lengths.max())):
        some, chances = reading.after(
            tokens[rows], partial(_taken, sampling, step), each=isinstance(sampling, Greedy)
        )
        taken = torch.full_like(tokens[:, 0], fill).index_copy_(0, rows, some).masked_fill(ended, fill)
        log_probability = chances.new_zeros(len(tokens)).index_copy_(0, rows, chances).masked_fill(ended, 0)
        tokens = taken.unsqueeze(1)
        written = torch.cat([written, tokens], 1)
        stopped = stopped | (stops.ended(written) & ~ended)
        ended = stopped | (lengths <= step + 1)
        yield Step(tokens=taken, log_probability=log_probability, stopped=stopped, ended=ended)
        if ended.all():
            return
        if drops and worth_dropping(stays := ~ended[rows]):
            kept = stays.nonzero().flatten()
            reading.reorder(kept)
            rows = rows[kept]


def _taken(sampling: Takes, step: int, logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return a token (B,) of each item's logits (B, V), and its log-probability."""
    some = sampling.take(logits, step)
    return some, logits.log_softmax(-1).gather(1, some.unsqueeze(1)).squeeze(1)


def _prepared(
    model: Generates | Translates,
    tokens: Tensor,
    length: int | Tensor,
    stop: Stop,
    padding: Tensor | None,
    memory: Any,
    cache: Caches | bool,
    chunk: int | None,
    fill: int,
) -> tuple[Reading, Stops, Tensor]:
    """Return who reads, what ends a text, and its greatest length (B,), if the arguments fit together."""
    if tokens.ndim != 2 or tokens.dtype not in (torch.int64, torch.int32) or not tokens.numel():
        raise GenerationError(
            "tokens: expected whole numbers (B, N), at least one item and one token each; got"
            f" {tuple(tokens.shape)} of {tokens.dtype}. A text may begin with the model's token for beginnings"
        )
    for name, number, least in (
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
    if cache is True and not hasattr(model, "caches"):
        raise GenerationError(
            "model: expected one that says what comes next: forward(tokens, cache=, padding=) and caches(); got"
            f" {type(model).__name__}, which has no caches()"
        )
    lengths = _lengths(length, tokens)
    return Reading(model, padding, memory, cache, chunk), Stops.of(stop), lengths


def _lengths(length: int | Tensor, tokens: Tensor) -> Tensor:
    """Return how many tokens each item (B,) may have."""
    given = torch.as_tensor(length, device=tokens.device)
    whole = given.dtype in (torch.int64, torch.int32)
    if not whole or given.shape not in ((), tokens.shape[:1]) or (given < 1).any():
        raise GenerationError(
            f"length: expected a whole number, 1 or above; got {length!r}. A tensor has one for each item,"
            f" ({len(tokens)},)"
        )
    return given.long().expand(len(tokens))


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
