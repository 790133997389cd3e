"""A model that reads texts as they grow, with its caches or without."""

from collections.abc import Callable, Iterator
from inspect import signature
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from regard.attend import is_led
from regard.errors import GenerationError
from regard.layers.projection import project
from regard.mechanisms.walk import with_tensors
from regard.models.generation.contract import Caches, Generates, Projects, Translates
from regard.shapes import compute_dtype

# How many logits are made and read at a time, so that they stay in the cache, and their memory is soon used again.
AT_ONCE = 1 << 21

T = TypeVar("T")
Take = Callable[[Tensor], tuple[Tensor, ...]]


class Reading:
    """What a model has read of a batch of texts.

    Args:
        model: one that generates, or, with a memory, one that translates.
        padding: (B,), how many tokens at the start of each item are no text, or None.
        memory: what the model's `encode` returned, or None.
        cache: caches to go on with; True: the model's own, empty; False: none, so that all is read anew each time.
        chunk: how many tokens are read at a time, at most; None: all.
    """

    def __init__(
        self,
        model: Generates | Translates,
        padding: Tensor | None,
        memory: Any,
        cache: Caches | bool,
        chunk: int | None,
    ) -> None:
        self._model = model
        self._padding = padding
        self._memory = memory
        self._cache = (model.caches() if cache else None) if isinstance(cache, bool) else cache
        self._chunk = chunk
        self._enough = {"last": True} if memory is None and _gives_last(model) else {}
        self._projects = memory is not None and _projects(model)
        self._projection = cast(Projects, model).projection if self._projects else None
        self._beams = 1  # how many texts in a row read one source
        self._read: Tensor | None = None

    @torch.no_grad()
    def after(self, tokens: Tensor, take: Take, *, each: bool = True) -> tuple[Tensor, ...]:
        """Read more tokens (B, N), and return what is taken of the logits of what comes after the last of them.

        Args:
            tokens: those after the ones read before.
            take: of the logits (B', V) of some items, in order, gives tensors (B', ...).
            each: whether it asks of each item by itself; if not, it is given all at once.

        Raises:
            GenerationError: the model's logits are of another shape, or no token can be chosen by them.
        """
        if self._cache is None:
            tokens = tokens if self._read is None else torch.cat([self._read, tokens], 1)
            self._read = tokens
        found = tokens.new_empty(0)
        for part in self._parts(tokens):
            found = self._found(part)
        last = _last(found, len(tokens))
        words = last.shape[1] if self._projection is None else len(self._projection[0])
        rows = max(1, AT_ONCE // words) if each else len(last)
        taken = [take(self._logits(last[start : start + rows], start)) for start in range(0, len(last), rows)]
        return taken[0] if len(taken) == 1 else tuple(map(torch.cat, zip(*taken, strict=True)))

    def fan_out(self, items: int, beams: int, device: torch.device) -> None:
        """Go on with each item as several beams in a row, which share what is known of the source if the model can.

        Whoever follows calls sees each beam read its source by itself.
        """
        copies = torch.arange(items, device=device).repeat_interleave(beams)
        if self._projects and getattr(self._model, "shares_sources", False) and not is_led():
            self.reorder(copies, alike=True)
            self._padding = _chosen(self._padding, copies)
            self._beams = beams
        else:
            self.reorder(copies)

    def reorder(self, items: Tensor, *, alike: bool = False) -> None:
        """Go on with these items (B',) of the batch, in this order; some may come twice, others not at all.

        Args:
            items: (B',).
            alike: whether each is one of the same prompt and source as what stood in its place, as where beams of a
                text change places; then all that is known of these stays.
        """
        sources = items[:: self._beams] // self._beams
        self._read = _chosen(self._read, items)
        if not alike:
            self._padding, self._memory = _chosen(self._padding, items), _chosen(self._memory, sources)
        for cache in self._cache or ():
            if not getattr(cache, "of_source", False):
                cache.reorder(items)
            elif not alike:
                cache.reorder(sources)

    def _parts(self, tokens: Tensor) -> Iterator[Tensor]:
        """Yield tokens in the pieces in which they are read; without a cache there is but one."""
        whole = self._chunk is None or self._cache is None
        yield from tokens.split(tokens.shape[1] if whole else self._chunk, 1)

    def _found(self, tokens: Tensor) -> Tensor:
        """Return logits (B, N, V), or what they are made of, (B, N, E)."""
        if self._memory is None:
            return cast(Generates, self._model)(tokens, cache=self._cache, padding=self._padding, **self._enough)
        # Prompts of translations are rarely padded, and their models need not know of it.
        named: dict[str, Any] = {} if self._padding is None else {"padding": self._padding}
        model = cast(Projects, self._model)
        decode = model.decode if self._projection is None else model.decode_vectors
        return decode(tokens, self._memory, cache=self._cache, **named)

    def _logits(self, last: Tensor, first: int) -> Tensor:
        """Return logits (B', V) of items from the first on, in at least single precision, if a token is chosen."""
        logits = last if self._projection is None else project(last, *self._projection)
        logits = logits.to(compute_dtype(logits.dtype))
        odd = (~logits.amax(-1).isfinite()).nonzero().flatten()
        if len(odd):
            raise GenerationError(
                "expected logits of which the largest is a number; got NaN, infinity or -inf throughout for items"
                f" {(odd + first).tolist()}. Look for NaN in the model's parameters, and for data types too narrow"
                " for its activations"
            )
        return logits


def worth_dropping(stays: Tensor) -> bool:
    """Whether so few items (B,) go on that it pays to leave out the others, for which what is kept is copied."""
    return int(stays.sum()) <= 3 * len(stays) // 4


def _gives_last(model: object) -> bool:
    """Whether a model can leave out the logits of all tokens but the last, which nobody reads here."""
    try:
        return "last" in signature(getattr(model, "forward", model)).parameters  # type: ignore[arg-type]
    except (TypeError, ValueError):  # some callables have no signature
        return False


def _projects(model: object) -> bool:
    """Whether a model's `decode` projects what its `decode_vectors` gives: one that overrides either may not."""
    kinds = [
        next((kind for kind in type(model).__mro__ if name in vars(kind)), None)
        for name in ("decode", "decode_vectors")
    ]
    return kinds[1] is not None and kinds[0] is kinds[1]


def _chosen(value: T, items: Tensor) -> T:
    """Return some items of all tensors in a value."""
    return with_tensors(value, lambda tensor: tensor[items.to(tensor.device)])


def _last(found: Tensor, items: int) -> Tensor:
    """Return what a model gave for the last token (B, V), if it is of the right shape."""
    if found.ndim != 3 or found.shape[0] != items or not found.shape[1:].numel():
        raise GenerationError(
            f"expected logits (B, N, V) from the model, {items} items of them; got {tuple(found.shape)}"
        )
    return found[:, -1]
