"""Turns of the positions that came last, since all layers of a model ask for those of one tensor."""

import weakref
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Turns = tuple[Tensor, Tensor]


class _Known(NamedTuple):
    positions: "weakref.ref[Tensor]"
    rates: Tensor
    state: tuple[int, int]
    turns: Turns


class LastTurns:
    """Remembers turns until their positions are gone, or written into; a copy of it remembers nothing."""

    def __init__(self) -> None:
        self._known: _Known | None = None

    def __reduce__(self) -> tuple[type["LastTurns"], tuple[()]]:
        return LastTurns, ()

    def of(self, positions: Tensor, rates: Tensor, make: Callable[[Tensor], Turns]) -> Turns:
        """Return what is made of positions, or what was made of them last.

        Args:
            positions: any, the same tensor perhaps as at the last call.
            rates: what else turns depend on.
            make: positions to turns.
        """
        if torch.compiler.is_compiling() or torch.is_inference_mode_enabled() or not _tracked(positions, rates):
            return make(positions)
        state = (rates._version, positions._version)
        known = self._known
        if known is not None and known.positions() is positions and known.rates is rates and known.state == state:
            return known.turns
        turns = make(positions)
        self._known = _Known(weakref.ref(positions, self._forget), rates, state, turns)
        return turns

    def _forget(self, gone: "weakref.ref[Tensor]") -> None:
        if self._known is not None and self._known.positions is gone:
            self._known = None


def _tracked(positions: Tensor, rates: Tensor) -> bool:
    """Whether torch would tell of a change in place, and turns are plain numbers."""
    return not (positions.requires_grad or positions.is_inference() or rates.is_inference())
