"""The loss of a vocabulary's logits, without ever holding them all: a few rows at a time, gradient included.

Letters: n rows, E width, V vocabulary.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from regard.errors import ModelError, ShapeError
from regard.shapes import compute_dtype

# How many logits are held at a time: what the caches take, and rows enough for fast matrix products, as measured.
ELEMENTS = 1 << 22

# Logits times this are those to the base 2.
_BASE = 1 / math.log(2)


def vocabulary_loss(
    vectors: Tensor,
    weight: Tensor,
    target: Tensor,
    bias: Tensor | None = None,
    label_smoothing: float = 0.0,
    ignore: int | None = None,
) -> Tensor:
    """Return the sum of the cross entropies of `vectors @ weight.T + bias`, logits that are never all held.

    A few rows of logits are made, read for the loss and its gradient, and dropped. The gradients of vectors, weight
    and bias are kept, so that a backward pass costs next to nothing; there is no gradient of the gradient.

    Args:
        vectors: (..., E).
        weight: (V, E).
        target: (...), numbers of the right ones.
        bias: (V,). Default: none.
        label_smoothing: the share of the target's probability that is spread evenly over all V.
        ignore: the target of rows that do not count; NaN in them reaches nothing. Default: all count.

    Returns:
        A scalar, float64 for float64 vectors, else float32. Matrix products are in the vectors' data type, or
        autocast's; what they are summed up in is not.

    Raises:
        ShapeError: the tensors do not fit together.
        ModelError: a target is none of the vocabulary (on the CPU), or `label_smoothing` is no share.
    """
    if not 0 <= label_smoothing <= 1:
        raise ModelError(f"label_smoothing: expected a number from 0 to 1; got {label_smoothing!r}")
    _check_shapes(vectors, weight, target, bias)
    rows = None if ignore is None else (target.flatten() != ignore).nonzero().flatten()
    wanted = target.flatten() if rows is None else target.flatten()[rows]
    _check_target(wanted, len(weight))
    kind = vectors.device.type
    product = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else vectors.dtype
    walk = _Walk(wanted, rows, label_smoothing, product, torch.is_grad_enabled())
    loss: Tensor = _Loss.apply(walk, vectors.flatten(0, -2), weight, bias)  # type: ignore[no-untyped-call]
    return loss


class _Loss(torch.autograd.Function):
    """Computes loss and gradients at once, and hands out the gradients when they are asked for."""

    @staticmethod
    def forward(ctx: Any, walk: "_Walk", vectors: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        with torch.autocast(vectors.device.type, enabled=False):
            loss, gradients = walk(vectors, weight, bias)
        ctx.save_for_backward(*gradients)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return None, *(None if each is None else each * grad.to(each.dtype) for each in ctx.saved_tensors)


@dataclass(frozen=True, eq=False)
class _Walk:
    """One walk over blocks of rows.

    With logits L, P = softmax(L), target t and smoothing s, a row's loss is lse(L) - (1 - s) L[t] - s mean(L), and
    its gradient P - (1 - s) [t] - s / V. What is not P takes one vector a row, so logits are touched for their
    maximum, exponentials and sum alone; they are made for the base 2, torch's fastest exponential on the CPU.

    Attributes:
        target: (n,).
        rows: (n,), which of the vectors these belong to; None: all.
        smoothing: s.
        product: the data type of matrix products.
        differentiable: whether gradients are computed.
    """

    target: Tensor
    rows: Tensor | None
    smoothing: float
    product: torch.dtype
    differentiable: bool

    def __call__(
        self, vectors: Tensor, weight: Tensor, bias: Tensor | None
    ) -> tuple[Tensor, tuple[Tensor | None, ...]]:
        """Return the loss, and the gradients of vectors, weight and bias, if they are wanted."""
        exact = compute_dtype(vectors.dtype)
        x, w = (vectors if self.rows is None else vectors[self.rows]).to(exact), weight.to(exact)
        b = None if bias is None else bias.to(exact)
        even = x @ w.mean(0) + (0 if b is None else b.mean())  # (n,), the mean of each row's logits
        loss = -self.smoothing * even.sum()
        d_x = torch.empty_like(x) if self.differentiable else None
        d_w = torch.zeros_like(w) if self.differentiable else None
        d_b = torch.zeros_like(b) if self.differentiable and b is not None else None
        multiplied = w.to(self.product)
        height = min(max(1, ELEMENTS // len(w)), len(x))
        held = x.new_empty((height, len(w)), dtype=self.product)
        for start in range(0, len(x), max(1, height)):
            part = slice(start, start + height)
            logits = torch.mm((x[part] * _BASE).to(self.product), multiplied.T, out=held[: len(x) - start])
            powers = logits.to(exact)
            if b is not None:
                powers += b * _BASE
            right = powers.gather(1, self.target[part, None])
            most = powers.amax(1, keepdim=True)
            total = powers.sub_(most).exp2_().sum(1, keepdim=True)  # (rows, 1)
            loss += ((most + total.log2() - (1 - self.smoothing) * right) / _BASE).sum()
            if d_x is None or d_w is None:
                continue
            shares = powers.to(self.product)
            d_x[part] = (shares @ multiplied) / total
            _add_product(d_w, shares.T, x[part] / total)
            if d_b is not None:
                d_b += (powers / total).sum(0)
        if d_x is None or d_w is None:
            return loss, (None, None, None)
        self._subtract(x, w, d_x, d_w, d_b)
        return loss, (
            self._placed(d_x, vectors),
            d_w.to(weight.dtype),
            None if bias is None or d_b is None else d_b.to(bias.dtype),
        )

    def _subtract(self, x: Tensor, w: Tensor, d_x: Tensor, d_w: Tensor, d_b: Tensor | None) -> None:
        """Subtract from the gradients what the right ones, and all alike, should have had."""
        share = 1 - self.smoothing
        d_x.sub_(w[self.target], alpha=share).sub_(w.mean(0), alpha=self.smoothing)
        d_w.index_add_(0, self.target, x, alpha=-share).sub_(x.sum(0), alpha=self.smoothing / len(w))
        if d_b is not None:
            ones = torch.ones_like(x[:, 0])
            d_b.index_add_(0, self.target, ones, alpha=-share).sub_(len(x) * self.smoothing / len(w))

    def _placed(self, d_x: Tensor, vectors: Tensor) -> Tensor:
        """Return the gradient of all vectors, 0 where they do not count."""
        d_x = d_x.to(vectors.dtype)
        return d_x if self.rows is None else torch.zeros_like(vectors).index_copy_(0, self.rows, d_x)


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Add a matrix product, in the data type of its left side, to a sum in its own."""
    if left.dtype == total.dtype:
        total.addmm_(left, right)
    else:
        total += left @ right.to(left.dtype)


def _check_shapes(vectors: Tensor, weight: Tensor, target: Tensor, bias: Tensor | None) -> None:
    fits = weight.ndim == 2 and vectors.ndim > 1 and vectors.shape == (*target.shape, weight.shape[1])
    if not fits or (bias is not None and bias.shape != weight.shape[:1]):
        shapes = [None if each is None else tuple(each.shape) for each in (vectors, weight, target, bias)]
        raise ShapeError(
            "expected vectors (..., E), weight (V, E), target (...) and bias (V,) or none; got"
            f" {', '.join(map(str, shapes))}"
        )


def _check_target(target: Tensor, vocabulary: int) -> None:
    if target.device.type != "cpu" or not target.numel():
        return
    least, most = (int(end) for end in target.aminmax())
    if least < 0 or most >= vocabulary:
        raise ModelError(f"target: expected numbers from 0 to {vocabulary - 1}, or `ignore`; got {least} to {most}")
