"""Beam search: the most probable whole text, as far as a few unfinished texts at a time can find it."""

import math
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from regard.errors import GenerationError
from regard.models.generation.ended import Ended, Parts, taken
from regard.models.generation.generated import Generated
from regard.models.generation.reading import Reading, worth_dropping
from regard.models.generation.stops import Stops


@dataclass(frozen=True)
class Beam:
    """Keep the best `width` unfinished texts of each item at every step, and the best `width` that have ended.

    A text of n tokens with log-probability s has the score s / ((offset + n) / (offset + 1)) ** length_penalty.
    A text that ends counts if it is among the `width` best continuations of its step; the last step ends all.

    Args:
        width: how many. Default: 4.
        length_penalty: above 0 favours longer texts, 0 has no effect. Default: 0.6.
        offset: 5 as in the paper; 0 divides by n ** length_penalty, as other libraries do. Default: 5.
        early: whether an item is done as soon as `width` texts have ended. Default: it is done when no unfinished
            text can reach a better score than those that are wanted, however it goes on.
        wanted: how many texts of each item are returned, the best that have ended; fewer are found sooner, and are
            the same. Default: `width`.

    Raises:
        GenerationError: a number out of its range.

    Source: Wu et al. 2016, "Google's Neural Machine Translation System", equation 14; numbers as in Vaswani et al.
    2017, "Attention Is All You Need".
    """

    width: int = 4
    length_penalty: float = 0.6
    offset: float = 5.0
    early: bool = False
    wanted: int | None = None

    def __post_init__(self) -> None:
        if self.width < 1:
            raise GenerationError(f"width: expected a whole number above 0; got {self.width!r}")
        if self.wanted is not None and not 1 <= self.wanted <= self.width:
            raise GenerationError(f"wanted: expected 1 to {self.width}, the width; got {self.wanted!r}")
        if not math.isfinite(self.length_penalty):
            raise GenerationError(f"length_penalty: expected a number; got {self.length_penalty!r}")
        if not 0 <= self.offset < math.inf:
            raise GenerationError(f"offset: expected 0 or above; got {self.offset!r}")

    @property
    def kept(self) -> int:
        """How many texts that have ended are kept: those that are wanted, or as many as are to be counted."""
        return self.width if self.early or self.wanted is None else self.wanted

    def divisor(self, length: int) -> float:
        """Return by what the log-probability of a text of so many tokens is divided."""
        return math.pow((self.offset + length) / (self.offset + 1), self.length_penalty)

    def bound(self, score: Tensor, length: int, most: Tensor) -> Tensor:
        """Return the best score that unfinished texts of this length can reach: all further tokens certain.

        Args:
            score: the sums of log-probabilities.
            length: the texts' now.
            most: the divisors of the greatest lengths.
        """
        return score / (most if self.length_penalty > 0 else self.divisor(length + 1))


def search(reading: Reading, tokens: Tensor, beam: Beam, lengths: Tensor, stops: Stops, fill: int) -> Generated:
    """Return the best text of each item, and all that have ended.

    Args:
        reading: which has not read the prompts yet.
        tokens: (B, N), the prompts.
        beam: how to search.
        lengths: (B,), how many tokens a text of each item has at most, above 0.
        stops: which texts end earlier.
        fill: the token that stands after a text's end.
    """
    items, width, kept = len(tokens), beam.width, beam.kept
    take = partial(_likeliest, count=width * (1 + max(1, len(stops))))
    best, word = (each.repeat_interleave(width, 0) for each in reading.after(tokens, take))
    reading.fan_out(items, width, tokens.device)
    first = torch.arange(0, items * width, width, device=tokens.device)[:, None]  # (B, 1), each item's first beam
    written = first.new_empty(items, width, 0)
    sums = best.new_full((items, width), -torch.inf)
    sums[:, 0] = 0  # all beams are the prompt yet, and only one of them may go on
    ended = Ended.now(written[:, :0], sums[:, :0].bool(), sums[:, :0], sums[:, :0])
    goes_on = torch.ones_like(first, dtype=torch.bool)  # (B, 1), whether more texts may count
    most = min(take.keywords["count"], width * best.shape[1])
    lengths = lengths.unsqueeze(1)
    divisors = sums.new_tensor([[beam.divisor(each)] for each in lengths.flatten().tolist()])
    rows, parts = torch.arange(items, device=tokens.device), Parts()
    for count in range(1, int(lengths.max()) + 1):
        # What is among the best of all is among the best of its own beam, and those few are soon added and sorted.
        every = (sums.unsqueeze(-1) + best.view(len(sums), width, -1)).flatten(1)
        sums, place = every.topk(most, 1)  # (B, most)
        source, word = place // best.shape[-1], word.view(len(place), -1).gather(1, place)
        written = torch.cat([taken(written, source), word.unsqueeze(-1)], -1)  # (B, most, count)
        stopped = stops.ended(written.flatten(0, 1)).view_as(sums)
        over = stopped | (lengths <= count)
        score = (sums / beam.divisor(count)).masked_fill(~(over & goes_on), -torch.inf)
        new = Ended.now(*(each[:, :width] for each in (written, stopped, sums, score)))
        ended = ended.grown(fill).best(new, kept)
        sums, place = sums.masked_fill(over, -torch.inf).topk(width, 1)  # (B, width)
        source, written = source.gather(1, place), taken(written, place)
        goes_on &= beam.bound(sums[:, :1], count, divisors) > ended.worst
        if beam.early:
            goes_on &= ended.worst.isneginf()
        if not goes_on.any():
            break
        if worth_dropping(goes_on):
            stays, over = (where.flatten().nonzero().flatten() for where in (goes_on, ~goes_on))
            parts.add(rows[over], ended.of(over))
            reading.reorder((first + source)[stays].flatten())
            lengths, divisors = lengths[stays], divisors[stays]
            rows, written, goes_on, sums, ended = (
                rows[stays],
                written[stays],
                goes_on[stays],
                sums[stays],
                ended.of(stays),
            )
            first = first[: len(stays)]
        else:
            reading.reorder((first + source).flatten(), alike=True)
        best, word = reading.after(written[..., -1:].flatten(0, 1), take)
    parts.add(rows, ended)
    return parts.joined(fill).first(beam.wanted).result(fill)


def _likeliest(logits: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return log-probabilities (B, W) of so many likeliest tokens, or all, best first, and the tokens."""
    best, word = logits.log_softmax(-1).topk(min(count, logits.shape[1]), -1)
    return best, word
