"""How the next token is taken from its logits, one at a time: the most probable one, or one that is drawn."""

from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import pad

from regard.errors import GenerationError
from regard.mechanisms.grid import Grid
from regard.mechanisms.random import gumbel, new_seed
from regard.shapes import Sizes


class Takes(Protocol):
    """A way to take one token after another."""

    def settled(self) -> "Takes":
        """Return the same way, with nothing left to chance."""

    def take(self, logits: Tensor, step: int) -> Tensor:
        """Return a token (B,) for each item's logits (B, V), at a step that is counted from 0."""


@dataclass(frozen=True)
class Greedy:
    """Take the most probable token; the first of equals."""

    def settled(self) -> "Greedy":
        """Return itself."""
        return self

    def take(self, logits: Tensor, step: int) -> Tensor:
        """Return the places of the largest logits (B,)."""
        return logits.argmax(-1)


@dataclass(frozen=True)
class Sample:
    """Draw a token by its probability, softmax(logits / temperature), of the tokens that are left in.

    What is drawn depends on the seed, the item's place in the batch, the step and the logits, and on nothing else:
    with a cache and without, alone or with more items after it, it is the same.

    Args:
        temperature: above 0; below 1 sharpens, above 1 flattens. Default: 1.
        top_k: leave in the so many most probable tokens (Fan et al. 2018). Default: all.
        top_p: leave in the smallest number of the most probable tokens whose probabilities, after temperature and
            `top_k`, add up to at least this, above 0 to 1 (Holtzman et al. 2020, "nucleus"). Default: all.
        seed: a whole number, to draw the same again. Default: drawn anew each time by torch's own generator.

    Raises:
        GenerationError: a number out of its range.

    Source: Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration"; Fan et al. 2018, "Hierarchical
    Neural Story Generation".
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.temperature < float("inf"):
            raise GenerationError(
                f"temperature: expected a number above 0; got {self.temperature!r}. For the most probable token at"
                " every step, take Greedy()"
            )
        if self.top_k is not None and self.top_k < 1:
            raise GenerationError(f"top_k: expected a whole number above 0, or None for all; got {self.top_k!r}")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise GenerationError(f"top_p: expected a number above 0, at most 1; got {self.top_p!r}")

    def settled(self) -> "Sample":
        """Return the same with a seed."""
        return replace(self, seed=new_seed()) if self.seed is None else self

    def take(self, logits: Tensor, step: int) -> Tensor:
        """Return a draw (B,), as the token whose logit with Gumbel noise added is the largest."""
        seed = new_seed() if self.seed is None else self.seed
        items, tokens = logits.shape
        sizes = Sizes.of(step + 1, tokens, items)
        now = Grid.rectangle(slice(step, step + 1), slice(0, tokens), sizes, logits.device)
        return (self.remaining(logits) + gumbel(seed, now).view(items, tokens)).argmax(-1)

    def remaining(self, logits: Tensor) -> Tensor:
        """Return logits (B, V) after temperature, 0 for the largest and -inf for tokens that are left out."""
        logits = (logits - logits.amax(-1, keepdim=True)).double() / self.temperature
        if self.top_k is not None and self.top_k < logits.shape[-1]:
            least = logits.topk(self.top_k, -1).values[:, -1:]
            logits = logits.masked_fill(logits < least, -torch.inf)
        if self.top_p is not None:
            ordered, order = logits.sort(dim=-1, descending=True, stable=True)
            before = pad(ordered.softmax(-1).cumsum(-1)[:, :-1], (1, 0))  # of all more probable tokens together
            enough = torch.empty_like(before, dtype=torch.bool).scatter_(-1, order, before >= self.top_p)
            logits = logits.masked_fill(enough, -torch.inf)
        return logits
