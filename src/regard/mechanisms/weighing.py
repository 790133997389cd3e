"""Weighing: scores to weights; softmax, sparse, each key for itself, or hard, by choosing one key.

A weighing is given complete rows of scores, -inf where a key may not be attended to, and gives the weights; a row
in which nothing is allowed has weights 0.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from regard.errors import MechanismError, ShapeError
from regard.mechanisms.grid import Grid
from regard.mechanisms.random import gumbel
from regard.shapes import Sizes


@dataclass(frozen=True, eq=False)
class Weighed:
    """Weights of complete rows.

    Attributes:
        weights: (..., queries, keys).
        lse: (..., queries), natural log-sum-exp of the scores that softmax normalises, -inf where there are none;
            None where weights are no softmax.
        log_probability: (..., queries), of the chosen key, differentiable; None where nothing is chosen.
        chosen: (..., queries), the chosen key, -1 where there is none.
    """

    weights: Tensor
    lse: Tensor | None = None
    log_probability: Tensor | None = None
    chosen: Tensor | None = None


class Weighing(ABC):
    """Scores to weights, row by row."""

    @abstractmethod
    def weigh(self, S: Tensor, grid: Grid, seed: int | None) -> Weighed:
        """Return the weights of complete rows of scores (..., queries, keys); the seed settles draws."""

    def check(self, sizes: Sizes) -> None:  # noqa: B027  # most weighings fit every call
        """Raise where this weighing does not fit a call of these sizes."""

    @property
    def draws(self) -> bool:
        """Whether chance plays a part."""
        return False

    @property
    @abstractmethod
    def kind(self) -> str:
        """The weighing in a word or two, for people."""


@dataclass(frozen=True, eq=False)
class Softmax(Weighing):
    """`exp(S) / (exp(sink) + sum exp(S))`; see `softmax`."""

    sink: float | Tensor | None = None

    def check(self, sizes: Sizes) -> None:
        """Expect one sink, or one a head."""
        _check_one_a_head("softmax", "sink", self.sink, sizes)

    def weigh(self, S: Tensor, grid: Grid, seed: int | None) -> Weighed:
        """Subtract the largest score, take exponentials, divide by their sum."""
        sink = self.on(grid, S)
        m = S.detach().amax(-1, keepdim=True) if S.shape[-1] else S.new_full((*S.shape[:-1], 1), -torch.inf)
        if sink is not None:
            m = torch.maximum(m, sink.detach())
        m = m.masked_fill(m == -torch.inf, 0.0)
        E = torch.exp(S - m)
        total = E.sum(-1, keepdim=True)
        if sink is not None:
            total = total + torch.exp(sink - m)
        sees_none = total == 0
        P = E / total.masked_fill(sees_none, 1.0)
        lse = (m + total.masked_fill(sees_none, 1.0).log()).masked_fill(sees_none, -torch.inf)
        return Weighed(P, lse.squeeze(-1))

    def on(self, grid: Grid, S: Tensor) -> Tensor | None:
        """Return the sink, with axes that broadcast to (..., queries, 1), or None."""
        if self.sink is None:
            return None
        sink = torch.as_tensor(self.sink, dtype=S.dtype, device=S.device)
        return sink[grid.head] if sink.ndim else sink

    @property
    def kind(self) -> str:
        """The words."""
        return "softmax" if self.sink is None else "softmax with a sink"


@dataclass(frozen=True)
class Entmax(Weighing):
    """`[(alpha - 1) S - tau]_+^(1 / (alpha - 1))`; see `entmax` and `sparsemax`."""

    alpha: float

    def weigh(self, S: Tensor, grid: Grid, seed: int | None) -> Weighed:
        """Find the threshold tau of each row."""
        return Weighed(_Entmax.apply(S, self.alpha))  # type: ignore[no-untyped-call]

    @property
    def kind(self) -> str:
        """The usual name."""
        return "sparsemax" if self.alpha == 2 else f"entmax {self.alpha:g}"


@dataclass(frozen=True, eq=False)
class Sigmoid(Weighing):
    """`1 / (1 + exp(-S - bias))`; see `sigmoid`."""

    bias: float | Tensor | None

    def check(self, sizes: Sizes) -> None:
        """Expect one bias, or one a head."""
        _check_one_a_head("sigmoid", "bias", self.bias, sizes)

    def weigh(self, S: Tensor, grid: Grid, seed: int | None) -> Weighed:
        """Squash each score by itself."""
        bias = -math.log(max(1, grid.sizes.keys)) if self.bias is None else self.bias
        bias = torch.as_tensor(bias, dtype=S.dtype, device=S.device)
        return Weighed(torch.sigmoid(S + (bias[grid.head] if bias.ndim else bias)))

    @property
    def kind(self) -> str:
        """The word."""
        return "sigmoid"


@dataclass(frozen=True)
class TopK(Weighing):
    """Softmax over the k largest scores; see `top_k`."""

    k: int

    def weigh(self, S: Tensor, grid: Grid, seed: int | None) -> Weighed:
        """Forbid what is smaller than the k-th largest score."""
        if S.shape[-1] > 0 and self.k < S.shape[-1]:
            least = S.detach().topk(self.k, dim=-1).values[..., -1:]
            S = S.masked_fill(S.detach() < least, -torch.inf)
        return Weighed(Softmax().weigh(S, grid, seed).weights)

    @property
    def kind(self) -> str:
        """The words."""
        return f"top {self.k}"


@dataclass(frozen=True)
class Hard(Weighing):
    """The whole weight on one key; see `hard`."""

    sample: bool
    straight_through: bool

    def weigh(self, S: Tensor, grid: Grid, seed: int | None) -> Weighed:
        """Choose the largest score, with Gumbel noise added where it is sampled."""
        if not S.shape[-1]:
            nothing = S.new_full(S.shape[:-1], -1, dtype=torch.long)
            return Weighed(S, None, S.new_zeros(S.shape[:-1]), nothing)
        contest = S.detach()
        if self.sample:
            contest = contest + gumbel(seed or 0, grid).to(S)
        chosen = contest.argmax(-1, keepdim=True)
        soft = Softmax().weigh(S, grid, seed)
        sees_none = S.detach().amax(-1, keepdim=True) == -torch.inf
        P = torch.zeros_like(S).scatter(-1, chosen, 1.0).masked_fill(sees_none, 0.0)
        if self.straight_through:
            P = P + (soft.weights - soft.weights.detach())
        assert soft.lse is not None
        sees_none = sees_none.squeeze(-1)
        score = S.gather(-1, chosen).squeeze(-1)
        log_probability = torch.where(sees_none, 0.0, score) - torch.where(sees_none, 0.0, soft.lse)
        place = grid.key.flatten()[chosen.squeeze(-1)].masked_fill(sees_none, -1)
        return Weighed(P, None, log_probability, place)

    @property
    def draws(self) -> bool:
        """Whether the key is sampled."""
        return self.sample

    @property
    def kind(self) -> str:
        """The words."""
        return "hard, sampled" if self.sample else "hard, argmax"


def softmax(sink: float | Tensor | None = None) -> Weighing:
    """Soft attention: weights are exponentials of scores over their sum.

    Args:
        sink: score of an extra key without value, that takes weight which no key deserves: a number, or a tensor ()
            or (H,), trainable. 0 is softmax1. Default: none.

    Source: Vaswani et al. 2017, equation 1; learned sink, OpenAI 2025 (gpt-oss); softmax1, Miller 2023, "Attention
        Is Off By One".
    """
    return Softmax(_number("softmax", "sink", sink))


def sparsemax() -> Weighing:
    """The point of the simplex nearest to the scores; many weights are exactly 0.

    Source: Martins & Astudillo 2016, "From Softmax to Sparsemax", equation 2.
    """
    return Entmax(2.0)


def entmax(alpha: float = 1.5) -> Weighing:
    """Between softmax (alpha to 1) and sparsemax (alpha = 2); weights can be exactly 0.

    Args:
        alpha: above 1, at most 2.

    Source: Peters et al. 2019, "Sparse Sequence-to-Sequence Models", section 3.
    """
    if not (isinstance(alpha, int | float) and 1 < alpha <= 2):
        raise MechanismError(f"entmax: expected alpha above 1 and at most 2; got {alpha!r}. For 1 use softmax()")
    return Entmax(float(alpha))


def sigmoid(bias: float | Tensor | None = None) -> Weighing:
    """Each key weighed for itself; weights need not sum to 1.

    Args:
        bias: added to scores: a number, or a tensor () or (H,), trainable. Default: -log(Nk).

    Source: Ramapuram et al. 2024, "Theory, Analysis, and Best Practices for Sigmoid Self-Attention", section 2.
    """
    return Sigmoid(_number("sigmoid", "bias", bias))


def top_k(k: int) -> Weighing:
    """Softmax over the k largest scores of each query; those that tie with the k-th stay.

    Args:
        k: at least 1.

    Source: Gupta et al. 2021, "Memory-efficient Transformers via Top-k Attention", section 2.
    """
    if not isinstance(k, int) or isinstance(k, bool) or k < 1:
        raise MechanismError(f"top_k: expected a whole number of at least 1; got {k!r}")
    return TopK(k)


def hard(*, sample: bool = False, straight_through: bool = False) -> Weighing:
    """Hard attention: each query attends to one key.

    Args:
        sample: draw the key from the softmax of the scores, by the mechanism's seed; else take the largest score,
            the first of those that tie.
        straight_through: let gradients pass to scores as if the weights were the softmax's. Without it, scores
            learn by `log_probability` alone, as REINFORCE does.

    Source: Xu et al. 2015, "Show, Attend and Tell", section 4.1; sampling by noise, Gumbel 1954; straight-through,
        Bengio et al. 2013.
    """
    return Hard(bool(sample), bool(straight_through))


def _check_one_a_head(weighing: str, name: str, number: float | Tensor | None, sizes: Sizes) -> None:
    if isinstance(number, Tensor) and number.ndim and number.shape != (sizes.heads,):
        raise ShapeError(
            f"{weighing}: expected one {name}, or {sizes.heads}, one a head; got {tuple(number.shape)}"
        )


def _number(weighing: str, name: str, number: Any) -> Any:
    if number is None or isinstance(number, Tensor | int | float):
        return number
    raise MechanismError(f"{weighing}: expected {name} as a number or a tensor, one a head; got {number!r}")


class _Entmax(torch.autograd.Function):
    """Weights by a threshold of each row, with the gradient that holds on the weights' support.

    With z = (alpha - 1) (S - max S) and p = 1 / (alpha - 1) the threshold solves sum (z - tau)_+^p = 1 and lies
    in [-1, 0]. The left side is convex and falls in tau, so Newton's method from -1 rises to the root.
    """

    @staticmethod
    def forward(ctx: Any, S: Tensor, alpha: float) -> Tensor:
        P = _entmax(S, alpha)
        ctx.alpha = alpha
        ctx.save_for_backward(P)
        return P

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (P,) = ctx.saved_tensors
        (dP,) = grads
        support = P > 0
        s = torch.where(support, torch.where(support, P, 1.0) ** (2 - ctx.alpha), 0.0)
        total = s.sum(-1, keepdim=True)
        mean = (s * dP).sum(-1, keepdim=True) / total.masked_fill(total == 0, 1.0)
        return s * (dP - mean), None


# Newton's method is at the root well before; where it is not, the last step is taken as it is.
_STEPS = 50


def _entmax(S: Tensor, alpha: float) -> Tensor:
    if not S.shape[-1]:
        return S.clone()
    power = 1 / (alpha - 1)
    m = S.amax(-1, keepdim=True)
    sees_none = m == -torch.inf
    # What lies more than 1 below the largest is never in the support.
    z = ((S - m.masked_fill(sees_none, 0.0)) * (alpha - 1)).clamp_(min=-1.0)
    tau = torch.full_like(m, -1.0)
    R = torch.empty_like(z)
    for _ in range(_STEPS):
        torch.sub(z, tau, out=R).clamp_(min=0.0)
        slope, value = _powers(R, power)
        step = (value - 1) / (power * slope.clamp(min=torch.finfo(S.dtype).tiny))
        tau = tau + step.clamp_(min=0.0)
        if bool((step <= 4 * torch.finfo(S.dtype).eps).all()):
            break
    torch.sub(z, tau, out=R).clamp_(min=0.0)
    P = R if power == 1 else R.square_() if power == 2 else R.pow_(power)
    return P.div_(P.sum(-1, keepdim=True).clamp_(min=torch.finfo(S.dtype).tiny)).masked_fill_(sees_none, 0.0)


def _powers(R: Tensor, power: float) -> tuple[Tensor, Tensor]:
    """Return the sums of R^(power - 1), over what is above 0, and of R^power along the rows."""
    if power == 1:
        return (R > 0).sum(-1, keepdim=True, dtype=R.dtype), R.sum(-1, keepdim=True)
    if power == 2:
        return R.sum(-1, keepdim=True), torch.linalg.vector_norm(R, dim=-1, keepdim=True).square()
    lower = R.pow(power - 1)
    return lower.sum(-1, keepdim=True), lower.mul_(R).sum(-1, keepdim=True)
