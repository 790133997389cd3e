"""An attention call that is about to run, whatever it came through, and what may be changed in it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from regard.engines.contract import Problem
from regard.watch.calls import Call


@dataclass(frozen=True, eq=False)
class Edit:
    """A change of one call.

    Attributes:
        count: how many query heads the call has.
        heads: the heads that it is for; None for all.
        hidden: booleans that broadcast to (B, 1, Nq, Nk), True where the query is not to see the key.
        values: takes values (B, G, Nk, Dv) to others of that shape.
        output: takes the output (B, H, Nq, Dv) to another of that shape.
    """

    count: int
    heads: tuple[int, ...] | None = None
    hidden: Tensor | None = None
    values: Callable[[Tensor], Tensor] | None = None
    output: Callable[[Tensor], Tensor] | None = None


class Live(Protocol):
    """A call that is about to run."""

    @property
    def tensors(self) -> Sequence[Tensor]:
        """What it computes with."""
        ...

    def hiding(self, hidden: Tensor) -> "Live":
        """Return the call with keys hidden: booleans that broadcast to (B, H, Nq, Nk), with four axes.

        Raises:
            ChangeError: what computes the call takes no such mask.
        """
        ...

    def with_values(self, change: Callable[[Tensor], Tensor]) -> "Live":
        """Return the call with its values (B, G, Nk, Dv) changed; they may become (B, H, Nk, Dv)."""
        ...

    def run(self) -> Any:
        """Run it as the model would."""
        ...

    def output(self, result: Any) -> Tensor:
        """Return the output (B, H, Nq, Dv) in what the call returned."""
        ...

    def with_output(self, result: Any, output: Tensor) -> Any:
        """Return what the model expects: what the call returned, with another output (B, H, Nq, Dv)."""
        ...

    def problem(self) -> Problem:
        """Return the call as a problem."""
        ...

    def seen(self, result: Any) -> Call:
        """Return the call as it was seen, once it has run and returned this."""
        ...


def edited(live: Live, edits: Sequence[Edit]) -> Live:
    """Return a call with keys hidden and values changed as edits ask for; what they do to outputs comes later."""
    for edit in edits:
        if edit.hidden is not None:
            hidden = edit.hidden
            live = live.hiding(hidden if edit.heads is None else hidden & _chosen(edit, hidden))
        if edit.values is not None:
            live = live.with_values(_each(edit, edit.values))
    return live


def finished(live: Live, result: Any, edits: Sequence[Edit]) -> Any:
    """Return what a call with edits hands to the model, once it has returned a result."""
    if not edits:
        return result
    output = live.output(result)
    for edit in edits:
        if edit.output is not None:
            made = edit.output(output)
            output = made if edit.heads is None else torch.where(_chosen(edit, made), made, output)
    return live.with_output(result, output)


def _each(edit: Edit, function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Return what changes values; where it is for some heads only, every query head gets values of its own."""
    if edit.heads is None:
        return function

    def change(given: Tensor) -> Tensor:
        made, plain = (each.repeat_interleave(edit.count // given.shape[1], 1) for each in (function(given), given))
        return torch.where(_chosen(edit, given), made, plain)

    return change


def _chosen(edit: Edit, like: Tensor) -> Tensor:
    """Return (1, H, 1, 1): whether each head is one of those of an edit."""
    chosen = torch.zeros(edit.count, dtype=torch.bool, device=like.device)
    chosen[list(edit.heads or ())] = True
    return chosen.view(1, -1, 1, 1)
