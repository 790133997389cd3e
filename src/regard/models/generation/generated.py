"""What a generation gives: the tokens that were written, how they ended and how probable they are."""

from dataclasses import dataclass
from typing import Optional

from torch import Tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class Generated:
    """The texts that were written to a batch of prompts.

    Attributes:
        tokens: (B, T), without the prompts; `fill` after the end of an item that is shorter than others.
        lengths: (B,), how many tokens of each item are its own, the one that ended it included.
        stopped: (B,), whether a stop rule ended it, rather than the greatest length.
        log_probability: (B,), the sum over its tokens of the natural logarithms of the model's own probabilities,
            before temperature and what else sampling does to them.
        score: (B,), that by which beam search puts texts in order; else None.
        beams: of beam search, the best that ended, in order: the same fields with one more axis (B, wanted, ...).
            Where there are fewer texts than wanted, the last ones have length 0 and score -inf. Else None.
    """

    tokens: Tensor
    lengths: Tensor
    stopped: Tensor
    log_probability: Tensor
    score: Tensor | None = None
    beams: Optional["Generated"] = None

    def lists(self) -> list[list[int]]:
        """Return each item's tokens, without what fills up shorter ones."""
        return [row[:n] for row, n in zip(self.tokens.tolist(), self.lengths.tolist(), strict=True)]


@dataclass(frozen=True, eq=False, kw_only=True)
class Step:
    """One token more of each item.

    Attributes:
        tokens: (B,); `fill` for items that have ended before.
        log_probability: (B,), of these tokens, by the model's own probabilities; 0 for items that have ended.
        stopped: (B,), which items a stop rule has ended, with this token or before.
        ended: (B,), which items have ended, by a rule or at their greatest length.
    """

    tokens: Tensor
    log_probability: Tensor
    stopped: Tensor
    ended: Tensor
