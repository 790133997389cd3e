"""Score modifiers: what happens to a score between being computed and being weighed. They compose in order."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from regard.errors import MechanismError, ShapeError
from regard.mechanisms.grid import Grid
from regard.mechanisms.masks.bands import aligned, offset
from regard.mechanisms.masks.rule import Align
from regard.mechanisms.pointwise import pointwise
from regard.shapes import Sizes, broadcasts


class Modifier(ABC):
    """A pointwise change of scores."""

    @abstractmethod
    def apply(self, S: Tensor, grid: Grid) -> Tensor:
        """Return the changed scores on a grid; what stands in S may be -inf."""

    def check(self, sizes: Sizes) -> None:  # noqa: B027  # most modifiers fit every call
        """Raise where this modifier does not fit a call of these sizes."""

    @property
    @abstractmethod
    def kind(self) -> str:
        """The modifier in a word or two, for people."""


class Bias(Modifier):
    """A modifier that adds a number which does not depend on the score."""

    @abstractmethod
    def on(self, grid: Grid) -> Tensor:
        """Return the numbers to add, broadcastable to the grid."""

    def apply(self, S: Tensor, grid: Grid) -> Tensor:
        """Add."""
        return S + limited(self.on(grid), S.dtype)


@dataclass(frozen=True, eq=False)
class TensorBias(Bias):
    """Adds a tensor that broadcasts to (B, H, Nq, Nk)."""

    tensor: Tensor

    def check(self, sizes: Sizes) -> None:
        """Expect a shape that broadcasts."""
        wanted = (sizes.batch, sizes.heads, sizes.queries, sizes.keys)
        if not broadcasts(self.tensor.shape, wanted):
            raise ShapeError(
                f"bias: expected a shape that broadcasts to (B, H, Nq, Nk) = {wanted};"
                f" got {tuple(self.tensor.shape)}"
            )

    def on(self, grid: Grid) -> Tensor:
        """Read the tensor."""
        return grid.read(self.tensor)

    @property
    def kind(self) -> str:
        """The words."""
        return "bias tensor"


@dataclass(frozen=True, eq=False)
class Alibi(Bias):
    """Subtracts a head's slope times the distance; see `alibi`."""

    slopes: Tensor
    align: Align

    def check(self, sizes: Sizes) -> None:
        """Expect a slope a head."""
        if self.slopes.shape != (sizes.heads,):
            raise ShapeError(f"alibi: expected {sizes.heads} slopes, one a head; got {tuple(self.slopes.shape)}")

    def on(self, grid: Grid) -> Tensor:
        """Multiply the distance by minus the slope."""
        distance = (grid.key - grid.query - offset(self.align, grid.sizes)).abs()
        return -self.slopes.to(distance.device)[grid.head] * distance

    @property
    def kind(self) -> str:
        """The name."""
        return "ALiBi"


@dataclass(frozen=True, eq=False)
class RelativeBuckets(Bias):
    """Adds what a table holds for the bucket of the distance; see `relative_buckets`."""

    table: Tensor
    bidirectional: bool
    max_distance: int
    align: Align

    def check(self, sizes: Sizes) -> None:
        """Expect a column a head."""
        if self.table.shape[1] != sizes.heads:
            raise ShapeError(
                f"relative_buckets: expected a table (buckets, {sizes.heads}), a column a head;"
                f" got {tuple(self.table.shape)}"
            )

    def on(self, grid: Grid) -> Tensor:
        """Look the bucket of each distance up."""
        bucket = self._bucket(grid.key - grid.query - offset(self.align, grid.sizes))
        return self.table.to(bucket.device)[bucket, grid.head]

    def _bucket(self, ahead: Tensor) -> Tensor:
        """Return the bucket of each key place minus query place: near ones their own, far ones by logarithm."""
        buckets = self.table.shape[0]
        if self.bidirectional:
            buckets //= 2
            first, distance = buckets * (ahead > 0).long(), ahead.abs()
        else:
            first, distance = torch.zeros_like(ahead), (-ahead).clamp(min=0)
        own = buckets // 2
        ratio = (distance.clamp(min=1).float() / own).log() / math.log(self.max_distance / own)
        far = (own + (ratio * (buckets - own)).long()).clamp(max=buckets - 1)
        return first + torch.where(distance < own, distance, far)

    @property
    def kind(self) -> str:
        """The words."""
        return "relative buckets"


@dataclass(frozen=True)
class SoftCap(Modifier):
    """Keeps scores between -cap and cap; see `soft_cap`."""

    cap: float

    def apply(self, S: Tensor, grid: Grid) -> Tensor:
        """Squash."""
        return self.cap * torch.tanh(S / self.cap)

    @property
    def kind(self) -> str:
        """The words."""
        return f"soft cap {self.cap:g}"


@dataclass(frozen=True, eq=False)
class ScoreMod(Modifier):
    """Any function `score_mod(score, b, h, q_idx, kv_idx)` of scalars, as torch's FlexAttention takes it."""

    function: Callable[..., Tensor]

    def apply(self, S: Tensor, grid: Grid) -> Tensor:
        """Ask the function at every place, as if one by one."""
        try:
            changed = pointwise(self.function, S, *grid.indices)
        except (AttributeError, ValueError, TypeError, RuntimeError) as wrong:
            raise MechanismError(
                "score_mod: expected a function (score, b, h, q_idx, kv_idx) of tensors that gives a tensor;"
                f" {wrong}"
            ) from wrong
        if not changed.dtype.is_floating_point:
            raise MechanismError(
                f"score_mod: expected a score, a floating number, from {self.kind}; got {changed.dtype}."
                " A function that says who may see whom goes to mask="
            )
        changed = changed.to(S.dtype)
        return changed if changed.shape == S.shape else changed.expand(S.shape)

    @property
    def kind(self) -> str:
        """The function's name."""
        return f"score_mod {getattr(self.function, '__name__', type(self.function).__name__)}"


def alibi(heads: int | Tensor, *, align: Align = "first") -> Bias:
    """A penalty that grows with the distance, `-m |i - j|`, with a slope m of its own for each head.

    Args:
        heads: how many heads, for the paper's slopes 2^(-8/n), 2^(-16/n), ...; or the slopes themselves (H,).
        align: as in `causal`.

    Source: Press et al. 2022, "Train Short, Test Long", section 3; symmetric where keys stand ahead.
    """
    if isinstance(heads, Tensor):
        return Alibi(heads, aligned(align))
    return Alibi(torch.tensor(alibi_slopes(heads)), aligned(align))


def alibi_slopes(heads: int) -> list[float]:
    """Return the slopes; where heads are no power of two, every other one of twice as many fills up."""
    if not isinstance(heads, int) or heads < 1:
        raise MechanismError(f"alibi: expected how many heads, at least 1, or their slopes; got {heads!r}")
    power = 1 << (heads.bit_length() - 1)
    slopes = [2.0 ** (-8.0 * head / power) for head in range(1, power + 1)]
    between = [2.0 ** (-4.0 * head / power) for head in range(1, 2 * power + 1, 2)]
    return slopes + between[: heads - power]


def relative_buckets(
    table: Tensor, *, bidirectional: bool = True, max_distance: int = 128, align: Align = "first"
) -> Bias:
    """A trainable number for each bucket of distances and each head.

    Args:
        table: (buckets, H), as T5's `relative_attention_bias.weight`.
        bidirectional: whether half of the buckets are for keys ahead, as in an encoder.
        max_distance: farther than this, all share the last bucket.
        align: as in `causal`.

    Source: Raffel et al. 2020 (T5), section 2.1.
    """
    least = 4 if bidirectional else 2
    if not isinstance(table, Tensor) or table.ndim != 2 or table.shape[0] < least:
        got = tuple(table.shape) if isinstance(table, Tensor) else type(table).__name__
        raise MechanismError(
            f"relative_buckets: expected a table (buckets, H) of at least {least} buckets; got {got}"
        )
    own = table.shape[0] // (4 if bidirectional else 2)
    if max_distance <= own:
        raise MechanismError(f"relative_buckets: expected max_distance above {own}; got {max_distance}")
    return RelativeBuckets(table, bidirectional, max_distance, aligned(align))


def soft_cap(cap: float) -> Modifier:
    """Keep scores between -cap and cap: `cap * tanh(score / cap)`.

    Source: Gemma Team 2024, "Gemma 2", section 2, logit soft-capping.
    """
    if not (isinstance(cap, int | float) and math.isfinite(cap) and cap > 0):
        raise MechanismError(f"soft_cap: expected a number above 0; got {cap!r}")
    return SoftCap(float(cap))


def limited(bias: Tensor, dtype: torch.dtype) -> Tensor:
    """Return numbers in a data type of perhaps smaller range, in which only -inf becomes -inf."""
    limits = torch.finfo(dtype)
    if not bias.dtype.is_floating_point or torch.finfo(bias.dtype).max <= limits.max:
        return bias.to(dtype)
    return bias.clamp(limits.min, limits.max).to(dtype).masked_fill(bias == -torch.inf, -torch.inf)


def as_modifiers(given: Any) -> tuple[Modifier, ...]:
    """Return modifiers in order: none, one, or a sequence of modifiers, bias tensors and score_mod functions.

    Raises:
        MechanismError: something else.
    """
    if given is None:
        return ()
    several = given if isinstance(given, list | tuple) else (given,)
    return tuple(_as_modifier(each) for each in several)


def _as_modifier(given: Any) -> Modifier:
    if isinstance(given, Modifier):
        return given
    if isinstance(given, Tensor):
        if not given.dtype.is_floating_point:
            raise MechanismError(f"bias: expected floats to add to scores; got {given.dtype}. A mask goes to mask=")
        return TensorBias(given)
    module = getattr(given, "__module__", "") or ""
    if callable(given) and not isinstance(given, type) and not module.startswith("regard.mechanisms."):
        return ScoreMod(given)
    called = f". Did you mean {given.__name__}(...)?" if callable(given) and hasattr(given, "__name__") else ""
    raise MechanismError(
        "modify, bias: expected a modifier such as alibi(heads), a tensor or a function"
        f" score_mod(score, b, h, q_idx, kv_idx); got {type(given).__name__}{called}"
    )
