"""The texts that have ended in a beam search, best first."""

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from regard.models.generation.generated import Generated


@dataclass(frozen=True, eq=False)
class Ended:
    """Some texts of each item (B, K); a score of -inf means that there is none at this place.

    Attributes:
        tokens: (B, K, n), filled up after a text's end.
        lengths: (B, K).
        stopped: (B, K), whether a stop rule ended it.
        log_probability: (B, K).
        score: (B, K).
    """

    tokens: Tensor
    lengths: Tensor
    stopped: Tensor
    log_probability: Tensor
    score: Tensor

    @classmethod
    def now(cls, tokens: Tensor, stopped: Tensor, log_probability: Tensor, score: Tensor) -> "Ended":
        """Return texts that fill all of their tokens (B, K, n)."""
        return cls(
            tokens, torch.full_like(score, tokens.shape[-1], dtype=torch.long), stopped, log_probability, score
        )

    @property
    def worst(self) -> Tensor:
        """The lowest score (B, 1), of texts in order."""
        return self.score[:, -1:]

    def grown(self, fill: int) -> "Ended":
        """Return the same with room for one token more."""
        return Ended(
            pad(self.tokens, (0, 1), value=fill), self.lengths, self.stopped, self.log_probability, self.score
        )

    def best(self, other: "Ended", count: int) -> "Ended":
        """Return so many of both with the best scores, in order."""
        both = [torch.cat([getattr(each, field.name) for each in (self, other)], 1) for field in fields(self)]
        place = both[-1].topk(count, 1).indices
        return Ended(*(taken(each, place) for each in both))

    def first(self, count: int | None) -> "Ended":
        """Return so many of each item, or all."""
        return Ended(*(getattr(self, field.name)[:, :count] for field in fields(self)))

    def of(self, items: Tensor) -> "Ended":
        """Return those of some items."""
        return Ended(*(getattr(self, field.name)[items] for field in fields(self)))

    def result(self, fill: int) -> Generated:
        """Return the best text of each item, all of them beside it; places without a text are emptied."""
        none = self.score.isneginf()
        lengths = self.lengths.masked_fill(none, 0)
        longest, first = int(lengths.max()), int(lengths[:, 0].max())
        tokens = self.tokens.masked_fill(none.unsqueeze(-1), fill)[..., :longest]
        stopped = self.stopped & ~none
        log_probability = self.log_probability.masked_fill(none, -torch.inf)
        return Generated(
            tokens=tokens[:, 0, :first],
            lengths=lengths[:, 0],
            stopped=stopped[:, 0],
            log_probability=log_probability[:, 0],
            score=self.score[:, 0],
            beams=Generated(
                tokens=tokens, lengths=lengths, stopped=stopped, log_probability=log_probability, score=self.score
            ),
        )


class Parts:
    """The texts of items whose search ended earlier and later."""

    def __init__(self) -> None:
        self._rows: list[Tensor] = []
        self._ended: list[Ended] = []

    def add(self, rows: Tensor, ended: Ended) -> None:
        """Take in the texts of items, whose numbers are given."""
        self._rows.append(rows)
        self._ended.append(ended)

    def joined(self, fill: int) -> Ended:
        """Return the texts of all items, in the order of their numbers."""
        order = torch.cat(self._rows).argsort()
        longest = max(part.tokens.shape[-1] for part in self._ended)
        equal = [
            replace(part, tokens=pad(part.tokens, (0, longest - part.tokens.shape[-1]), value=fill))
            for part in self._ended
        ]
        return Ended(*(torch.cat([getattr(part, field.name) for part in equal])[order] for field in fields(Ended)))


def taken(tensor: Tensor, place: Tensor) -> Tensor:
    """Return some of each item's texts (B, M, ...), by their places (B, M)."""
    return tensor.take_along_dim(place.view(*place.shape, *(1,) * (tensor.ndim - 2)), 1)
