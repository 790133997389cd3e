"""Scalings of rotary frequencies, for texts longer than a model was trained on: frozen values."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.errors import LayerError


class RotaryScaling(ABC):
    """A change of the frequencies base^(-2i/d), i = 0 .. d/2 - 1, that rotary positions turn by."""

    @abstractmethod
    def scaled(self, frequencies: Tensor, base: float) -> Tensor:
        """Return the changed frequencies (d/2,)."""

    def at_length(self, frequencies: Tensor, length: Tensor) -> Tensor:
        """Return them for texts of some lengths: (..., d/2) for lengths (..., 1)."""
        return frequencies

    @property
    def by_length(self) -> bool:
        """Whether frequencies depend on the length of the text; then keys must be kept unturned."""
        return False

    @property
    def magnitude(self) -> float:
        """What turned vectors are multiplied by."""
        return 1.0


@dataclass(frozen=True)
class LinearScaling(RotaryScaling):
    """Position interpolation: every frequency divided by `factor`, as if positions stood that much closer.

    Source: Chen et al. 2023, "Extending Context Window of Large Language Models via Positional Interpolation".
    """

    factor: float

    def __post_init__(self) -> None:
        _at_least_one("LinearScaling", factor=self.factor)

    def scaled(self, frequencies: Tensor, base: float) -> Tensor:
        """Divide."""
        return frequencies / self.factor


@dataclass(frozen=True)
class NTKScaling(RotaryScaling):
    """A larger base, `base * factor^(d / (d - 2))`: the lowest frequency is divided by `factor`, the highest stays.

    Source: Peng et al. 2023, "YaRN: Efficient Context Window Extension of Large Language Models", section 3.1,
    "NTK-aware" interpolation.
    """

    factor: float

    def __post_init__(self) -> None:
        _at_least_one("NTKScaling", factor=self.factor)

    def scaled(self, frequencies: Tensor, base: float) -> Tensor:
        """Divide frequency i by factor^(2i / (d - 2))."""
        return frequencies * self.factor ** _exponents(frequencies)


@dataclass(frozen=True)
class DynamicNTKScaling(RotaryScaling):
    """NTK-aware interpolation by as much as the text is too long: nothing changes up to `trained` positions.

    The length of a text is its largest position plus one, for each batch item by itself.

    Args:
        factor: a text of n positions is scaled by `factor * n / trained - (factor - 1)`.
        trained: how many positions the model was trained on.

    Source: Peng et al. 2023 (YaRN), section 3.3, dynamic scaling; with `factor` as open models state it.
    """

    factor: float
    trained: int

    def __post_init__(self) -> None:
        _at_least_one("DynamicNTKScaling", factor=self.factor, trained=self.trained)

    def scaled(self, frequencies: Tensor, base: float) -> Tensor:
        """Change nothing before a length is known."""
        return frequencies

    def at_length(self, frequencies: Tensor, length: Tensor) -> Tensor:
        """Divide frequency i by scale^(2i / (d - 2))."""
        beyond = length.to(frequencies.dtype) / self.trained - 1
        scale = 1 + self.factor * beyond.clamp(min=0)
        return frequencies * scale ** _exponents(frequencies)

    @property
    def by_length(self) -> bool:
        """Yes."""
        return True


@dataclass(frozen=True)
class YarnScaling(RotaryScaling):
    """Low frequencies divided by `factor`, high ones kept, and a ramp over those between; vectors grow a little.

    Args:
        factor: how many times longer texts may be.
        trained: how many positions the model was trained on.
        fast: frequencies that make more turns than this in `trained` positions are kept.
        slow: frequencies that make fewer turns than this are divided by `factor`.
        attention_factor: what turned vectors are multiplied by. Default: the paper's 0.1 ln(factor) + 1.
        magnitudes: where models state them, (numerator, denominator) of the default's 0.1 as `mscale` and
            `mscale_all_dim`.
        whole: whether the ramp begins and ends at whole indices of frequencies.

    Source: Peng et al. 2023 (YaRN), sections 3.2 and 3.4; the ramp is linear in a frequency's index, as in the
    models that were published with the paper.
    """

    factor: float
    trained: int
    fast: float = 32.0
    slow: float = 1.0
    attention_factor: float | None = None
    magnitudes: tuple[float, float] | None = None
    whole: bool = True

    def __post_init__(self) -> None:
        _at_least_one("YarnScaling", factor=self.factor, trained=self.trained)
        if not 0 < self.slow < self.fast:
            raise LayerError(f"YarnScaling: expected 0 < slow < fast; got slow={self.slow}, fast={self.fast}")

    def scaled(self, frequencies: Tensor, base: float) -> Tensor:
        """Divide as far as the ramp has risen."""
        first, last = self._index(self.fast, frequencies, base), self._index(self.slow, frequencies, base)
        if self.whole:
            first, last = math.floor(first), math.ceil(last)
        first, last = max(first, 0), min(last, 2 * len(frequencies) - 1)
        index = torch.arange(len(frequencies), dtype=frequencies.dtype, device=frequencies.device)
        # A ramp of no length is a step.
        ramp = ((index - first) / max(last - first, 0.001)).clamp(0, 1)
        return frequencies * (1 - ramp + ramp / self.factor)

    def _index(self, turns: float, frequencies: Tensor, base: float) -> float:
        """Return at which index, not a whole one, a frequency makes so many turns in `trained` positions."""
        return len(frequencies) * math.log(self.trained / (turns * 2 * math.pi)) / math.log(base)

    @property
    def magnitude(self) -> float:
        """The attention factor."""
        if self.attention_factor is not None:
            return self.attention_factor
        numerator, denominator = self.magnitudes or (1.0, 0.0)
        growth = 0.1 * math.log(self.factor)
        return (numerator * growth + 1) / (denominator * growth + 1)


@dataclass(frozen=True)
class Llama3Scaling(RotaryScaling):
    """Waves longer than `trained / low` divided by `factor`, those shorter than `trained / high` kept.

    Args:
        factor: how many times longer texts may be.
        low: turns in `trained` positions below which a frequency is divided.
        high: turns above which it is kept; between the two, both are mixed.
        trained: how many positions the model was trained on.

    Source: Grattafiori et al. 2024, "The Llama 3 Herd of Models"; the formula is that of the published models.
    """

    factor: float
    low: float
    high: float
    trained: int

    def __post_init__(self) -> None:
        _at_least_one("Llama3Scaling", factor=self.factor, trained=self.trained)
        if not 0 < self.low < self.high:
            raise LayerError(f"Llama3Scaling: expected 0 < low < high; got low={self.low}, high={self.high}")

    def scaled(self, frequencies: Tensor, base: float) -> Tensor:
        """Mix by how many turns a frequency makes."""
        turns = self.trained * frequencies / (2 * math.pi)
        kept = ((turns - self.low) / (self.high - self.low)).clamp(0, 1)
        return frequencies * (kept + (1 - kept) / self.factor)


def _exponents(frequencies: Tensor) -> Tensor:
    """Return -2i / (d - 2): what a base grown by s^(d / (d - 2)) does to frequency i is s to this power."""
    index = torch.arange(len(frequencies), dtype=frequencies.dtype, device=frequencies.device)
    return -index / max(len(frequencies) - 1, 1)


def _at_least_one(name: str, **numbers: float) -> None:
    for argument, number in numbers.items():
        if not 1 <= number < math.inf:
            raise LayerError(f"{name}: expected {argument} as a number of at least 1; got {number!r}")
