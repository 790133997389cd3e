"""What an engine is: it says why it cannot compute a problem, what memory it takes, and computes it."""

from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor

from regard.engines.partial import Partial
from regard.errors import MechanismError
from regard.mechanisms.attention import Attention
from regard.mechanisms.grid import Grid
from regard.mechanisms.masks.bands import Band
from regard.mechanisms.masks.rule import Full, Mask, sum_of_added
from regard.mechanisms.modifiers import Bias, limited
from regard.mechanisms.random import new_seed
from regard.mechanisms.scores import Dot, TanhSum
from regard.mechanisms.walk import tensors_in
from regard.mechanisms.weighing import Softmax
from regard.shapes import Sizes, check


@dataclass(frozen=True, eq=False)
class Problem:
    """One call: query (B, H, Nq, D), key (B, G, Nk, D), value (B, G, Nk, Dv) and the mechanism.

    Making one checks that the parts fit together. The score is a prepared one, and what is left to chance has its
    seed; `Problem.of` sees to both. `sizes` are those of the tensors.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    mechanism: Attention
    sizes: Sizes = field(init=False)

    def __post_init__(self) -> None:
        if not isinstance(self.mechanism.score, Dot | TanhSum):
            raise MechanismError(f"expected a prepared score; got {self.mechanism.scoring.kind}. Use Problem.of")
        sizes = check(self.query, self.key, self.value)
        object.__setattr__(self, "sizes", sizes)
        self.mask.check(sizes)
        self.mechanism.weighing.check(sizes)
        for modifier in self.mechanism.modifiers:
            modifier.check(sizes)

    @classmethod
    def of(cls, query: Tensor, key: Tensor, value: Tensor, mechanism: Attention) -> "Problem":
        """Apply the projections of the score, and draw a seed where one is needed and none is given."""
        if not isinstance(mechanism.score, Dot | TanhSum):
            query, key, mechanism = _prepared(query, key, mechanism)
        if mechanism.draws and mechanism.seed is None:
            mechanism = replace(mechanism, seed=new_seed())
        return cls(query, key, value, mechanism)

    @property
    def mask(self) -> Mask:
        """Who may see whom."""
        return self.mechanism.rule

    @property
    def score(self) -> Dot | TanhSum:
        """The prepared score."""
        return self.mechanism.score  # type: ignore[return-value]

    @property
    def scale(self) -> float:
        """The factor on the dot products; 1 for scores that are none."""
        score = self.score
        return score.scale_for(self.sizes.width) if isinstance(score, Dot) else 1.0

    @property
    def device(self) -> torch.device:
        """Where the tensors lie."""
        return self.query.device

    @property
    def is_softmax(self) -> bool:
        """Whether the weights are exponentials of scores over a sum."""
        return isinstance(self.mechanism.weighing, Softmax)

    @property
    def sums_to_one(self) -> bool:
        """Whether the weights of a query that sees a key sum to 1."""
        return isinstance(self.mechanism.weighing, Softmax) and self.mechanism.weighing.sink is None

    @property
    def is_dot_and_bias(self) -> bool:
        """Whether scores are dot products to which something is added, or nothing."""
        return isinstance(self.score, Dot) and all(isinstance(each, Bias) for each in self.mechanism.modifiers)

    @property
    def adds(self) -> bool:
        """Whether something is added to scores."""
        return self.mask.adds or bool(self.mechanism.modifiers)

    def added(self, grid: Grid, dtype: torch.dtype) -> Tensor | None:
        """Return what is added to the scaled scores on a grid, in a data type; finite numbers stay finite.

        Only for a problem of which `is_dot_and_bias` is true.
        """
        total = self.added_by_mask(grid, dtype)
        for modifier in self.mechanism.modifiers:
            if isinstance(modifier, Bias):
                bias = limited(modifier.on(grid), dtype)
                total = bias if total is None else sum_of_added(total, bias)
        return total

    def added_by_mask(self, grid: Grid, dtype: torch.dtype) -> Tensor | None:
        """Return what the mask adds to the scores on a grid, in a data type; finite numbers stay finite."""
        bias = self.mask.bias(grid)
        return None if bias is None else limited(bias, dtype)

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        """The tensors in the mechanism of which a gradient is asked, each once."""
        if not torch.is_grad_enabled() or self.is_plain:
            return ()
        return tuple({id(t): t for t in tensors_in(self.mechanism) if t.requires_grad}.values())

    @property
    def is_plain(self) -> bool:
        """Whether a glance tells that it is softmax over scaled dots, and that the mechanism holds no tensor."""
        return self.mechanism.is_plain and isinstance(self.mask, Full | Band)

    @property
    def wants_grad(self) -> bool:
        """Whether a gradient is asked of query, key or value."""
        asked = self.query.requires_grad or self.key.requires_grad or self.value.requires_grad
        return asked and torch.is_grad_enabled()

    def nothing(self) -> "Computed":
        """Return attention over no keys, from which gradients (of 0) flow back all the same."""
        partial = Partial.nothing(self.sizes, self.query)
        output = partial.output
        if self.wants_grad:
            everything = torch.ones((), dtype=torch.bool, device=self.device)
            output = output + sum(t.masked_fill(everything, 0.0).sum() for t in (self.query, self.key, self.value))
        return Computed(output, partial.lse)

    def dense_bytes(self) -> int:
        """Return the size of one full matrix of scores."""
        return self.sizes.pairs * (8 if self.query.dtype == torch.float64 else 4)


def _prepared(query: Tensor, key: Tensor, mechanism: Attention) -> tuple[Tensor, Tensor, Attention]:
    """Apply a score's projections; NaN and infinity pass by them, lest they spoil the gradients of weights."""
    bad = [~torch.isfinite(vectors).all(-1, keepdim=True) for vectors in (query, key)]
    clean = [vectors.masked_fill(which, 0.0) for vectors, which in zip((query, key), bad, strict=True)]
    query, key, score = mechanism.scoring.prepared(*clean)
    query, key = (vectors.masked_fill(which, torch.nan) for vectors, which in zip((query, key), bad, strict=True))
    return query, key, replace(mechanism, score=score)


@dataclass(frozen=True, eq=False)
class Computed:
    """What an engine gives.

    Attributes:
        output: (B, H, Nq, Dv), differentiable.
        lse: (B, H, Nq), natural log-sum-exp of the scores and the sink, without gradient; None where weights are no
            softmax, or where the engine does not give it.
        log_probability: (B, H, Nq), of the chosen key, differentiable; None where nothing is chosen.
        chosen: (B, H, Nq), the chosen key, -1 where there is none; None where nothing is chosen.
    """

    output: Tensor
    lse: Tensor | None = None
    log_probability: Tensor | None = None
    chosen: Tensor | None = None


class Engine(Protocol):
    """A way to compute a problem."""

    name: str

    def against(self, problem: Problem) -> list[str]:
        """Return the reasons why this engine cannot compute the problem; none means it can."""
        ...

    def unasked(self, problem: Problem) -> list[str]:
        """Return the reasons why "auto" prefers an engine after this one though this one can."""
        ...

    def memory(self, problem: Problem) -> int:
        """Return the bytes that the forward pass needs beside inputs and output, an estimate."""
        ...

    def run(self, problem: Problem) -> Computed:
        """Compute the problem; only called where `against` is empty."""
        ...
