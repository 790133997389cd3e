"""A model that reads texts as they grow, with its caches or without."""

from collections.abc import Iterator
from inspect import signature
from typing import Any, cast

import torch
from torch import Tensor

from regard.errors import GenerationError
from regard.mechanisms.walk import with_tensors
from regard.models.generation.contract import Caches, Generates, Translates
from regard.shapes import compute_dtype


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
        self._read: Tensor | None = None

    @torch.no_grad()
    def after(self, tokens: Tensor) -> Tensor:
        """Read more tokens (B, N), and return the logits (B, V) of what comes after the last of them.

        Raises:
            GenerationError: the model's logits are of another shape, or no token can be chosen by them.
        """
        if self._cache is None:
            tokens = tokens if self._read is None else torch.cat([self._read, tokens], 1)
            self._read = tokens
        logits = tokens.new_empty(0)
        for part in self._parts(tokens):
            logits = self._logits(part)
        return _last(logits, tokens)

    def reorder(self, items: Tensor, *, alike: bool = False) -> None:
        """Go on with these items (B',) of the batch, in this order; some may come twice, others not at all.

        Args:
            items: (B',).
            alike: whether each is one of the same prompt and source as what stood in its place, as where beams of a
                text change places; then all that is known of these stays.
        """

        def chosen(tensor: Tensor) -> Tensor:
            return tensor[items.to(tensor.device)]

        self._read = with_tensors(self._read, chosen)
        if not alike:
            self._padding, self._memory = with_tensors((self._padding, self._memory), chosen)
        for cache in self._cache or ():
            if not (alike and getattr(cache, "of_source", False)):
                cache.reorder(items)

    def _parts(self, tokens: Tensor) -> Iterator[Tensor]:
        """Yield tokens in the pieces in which they are read; without a cache there is but one."""
        whole = self._chunk is None or self._cache is None
        yield from tokens.split(tokens.shape[1] if whole else self._chunk, 1)

    def _logits(self, tokens: Tensor) -> Tensor:
        if self._memory is None:
            return cast(Generates, self._model)(tokens, cache=self._cache, padding=self._padding, **self._enough)
        # Prompts of translations are rarely padded, and their models need not know of it.
        named: dict[str, Any] = {} if self._padding is None else {"padding": self._padding}
        return cast(Translates, self._model).decode(tokens, self._memory, cache=self._cache, **named)


def worth_dropping(stays: Tensor) -> bool:
    """Whether so few items (B,) go on that it pays to leave out the others, for which what is kept is copied."""
    return int(stays.sum()) <= 3 * len(stays) // 4


def _gives_last(model: object) -> bool:
    """Whether a model can leave out the logits of all tokens but the last, which nobody reads here."""
    try:
        return "last" in signature(getattr(model, "forward", model)).parameters  # type: ignore[arg-type]
    except (TypeError, ValueError):  # some callables have no signature
        return False


def _last(logits: Tensor, tokens: Tensor) -> Tensor:
    """Return the logits after the last token, in at least single precision, if a token can be chosen by them."""
    if logits.ndim != 3 or logits.shape[0] != tokens.shape[0] or not logits.shape[1:].numel():
        raise GenerationError(
            f"expected logits (B, N, V) from the model, {tokens.shape[0]} items of them; got {tuple(logits.shape)}"
        )
    last = logits[:, -1].to(compute_dtype(logits.dtype))
    odd = (~last.amax(-1).isfinite()).nonzero().flatten().tolist()
    if odd:
        raise GenerationError(
            f"expected logits of which the largest is a number; got NaN, infinity or -inf throughout for items"
            f" {odd}. Look for NaN in the model's parameters, and for data types too narrow for its activations"
        )
    return last
