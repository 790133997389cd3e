"""The mechanism: one frozen value that says which attention is meant."""

from collections.abc import Callable, Sequence
from dataclasses import InitVar, dataclass
from typing import Any

from torch import Tensor

from regard.errors import MechanismError
from regard.mechanisms.masks.convert import as_mask
from regard.mechanisms.masks.rule import Full, Mask
from regard.mechanisms.modifiers import Modifier, as_modifiers
from regard.mechanisms.scores import Dot, Score
from regard.mechanisms.weighing import Softmax, Weighing


@dataclass(frozen=True, eq=False, kw_only=True)
class Attention:
    """Attention: scores, modified and masked, weighed, and the weights applied to values.

    By default softmax attention over scaled dot products, `softmax(scale * Q K^T + bias) V`.

    Attributes:
        score: how well a key answers a query: `dot()`, `additive(...)`, `bilinear(...)`, `cosine(...)`; in its
            place `scale=` may be given, the factor on dot products. Default: `dot()`, with 1 / sqrt(D).
        modify: what happens to scores, in order: a modifier (`soft_cap(50.0)`), a function
            `score_mod(score, b, h, q_idx, kv_idx)`, or a sequence of these. What is given as `bias=` is added
            after that, and stands last here: a tensor that broadcasts to (B, H, Nq, Nk), trainable or not,
            `alibi(heads)`, `relative_buckets(table)`, or a sequence of these.
        mask: who may see whom: a mask, a boolean tensor (True = may attend), a float tensor (added, -inf = may not
            attend), a function `mask_mod(b, h, q_idx, kv_idx)` or torch's `BlockMask`. Default: everyone.
        weigh: scores to weights: `softmax()`, `sparsemax()`, `entmax()`, `sigmoid()`, `top_k(k)`, `hard()`.
            Default: `softmax()`.
        dropout: probability with which a weight is dropped, the others growing by 1 / (1 - dropout).
        seed: what settles dropout and sampling. Default: drawn by torch's generator at each call.

    Source: Vaswani et al. 2017, "Attention Is All You Need", equation 1.
    """

    score: Score | None = None
    scale: InitVar[float | None] = None
    modify: Modifier | Callable[..., Tensor] | Sequence[Any] | None = None
    bias: InitVar[Modifier | Tensor | Sequence[Any] | None] = None
    mask: Mask | Tensor | Callable[..., Tensor] | None = None
    weigh: Weighing | None = None
    dropout: float = 0.0
    seed: int | None = None

    def __post_init__(self, scale: float | None, bias: Modifier | Tensor | Sequence[Any] | None) -> None:
        if scale is not None and self.score is not None:
            raise MechanismError("expected score= or scale=, not both; write score=dot(scale)")
        object.__setattr__(self, "score", Dot(scale) if self.score is None else self.score)
        if not isinstance(self.score, Score):
            raise MechanismError(f"score: expected one such as dot(); got {type(self.score).__name__}")
        object.__setattr__(self, "modify", (*as_modifiers(self.modify), *as_modifiers(bias)))
        object.__setattr__(self, "mask", as_mask(self.mask))
        object.__setattr__(self, "weigh", Softmax() if self.weigh is None else self.weigh)
        if not isinstance(self.weigh, Weighing):
            raise MechanismError(f"weigh: expected one such as softmax(); got {type(self.weigh).__name__}")
        if not (isinstance(self.dropout, int | float) and 0 <= self.dropout <= 1):
            raise MechanismError(f"dropout: expected a probability from 0 to 1; got {self.dropout!r}")
        if self.seed is not None and (not isinstance(self.seed, int) or isinstance(self.seed, bool)):
            raise MechanismError(f"seed: expected a whole number or None; got {self.seed!r}")

    @property
    def rule(self) -> Mask:
        """The mask as a rule, whatever it was given as."""
        return self.mask  # type: ignore[return-value]

    def masked(self, mask: Mask) -> "Attention":
        """Return the same attention with another mask, of which nothing has to be checked anew."""
        if mask is self.mask:
            return self
        other = object.__new__(type(self))
        vars(other).update(vars(self), mask=mask)
        return other

    @property
    def scoring(self) -> Score:
        """The score, whatever it was given as."""
        return self.score  # type: ignore[return-value]

    @property
    def weighing(self) -> Weighing:
        """The way from scores to weights."""
        return self.weigh  # type: ignore[return-value]

    @property
    def modifiers(self) -> tuple[Modifier, ...]:
        """What happens to scores in order, biases last."""
        return self.modify  # type: ignore[return-value]

    @property
    def draws(self) -> bool:
        """Whether chance plays a part."""
        return self.weighing.draws or self.dropout > 0

    @property
    def is_plain(self) -> bool:
        """Whether it is softmax over scaled dot products and nothing else, whatever the mask."""
        plain = isinstance(self.weigh, Softmax) and self.weigh.sink is None and not self.dropout
        return plain and isinstance(self.score, Dot) and len(self.modifiers) == 0

    def __str__(self) -> str:
        parts = [self.scoring.kind, *(each.kind for each in self.modifiers)]
        parts += [] if isinstance(self.rule, Full) else [self.rule.kind]
        parts += [self.weighing.kind] + ([f"dropout {self.dropout:g}"] if self.dropout else [])
        return "; ".join(parts)
