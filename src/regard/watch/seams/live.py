"""An attention call that is about to run, whatever it came through, and what may be changed in it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from regard.engines.contract import Problem
from regard.mechanisms.masks.tensors import TensorMask
from regard.watch.calls import Call


@dataclass(frozen=True, eq=False)
class Edit:
    """A change of one call.

    Attributes:
        heads: the heads that it is for; None for all.
        hidden: booleans that broadcast to (B, 1, Nq, Nk), True where the query is not to see the key.
        values: takes values (B, G, Nk, Dv) to others of that shape.
        output: takes the output (B, H, Nq, Dv) to another of that shape.
    """

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
        """Return the call with keys hidden: booleans that broadcast to (B, 1, Nq, Nk).

        Raises:
            ChangeError: what computes the call takes no such mask.
        """
        ...

    def with_values(self, change: Callable[[Tensor], Tensor]) -> "Live":
        """Return the call with its values (B, G, Nk, Dv) changed."""
        ...

    def run(self) -> Any:
        """Run it as the model would."""
        ...

    def output(self, result: Any) -> Tensor:
        """Return the output (B, H, Nq, Dv) in what the call returned."""
        ...

    def with_output(self, result: Any, output: Tensor) -> Any:
        """Return what the call returned, with another output (B, H, Nq, Dv)."""
        ...

    def problem(self) -> Problem:
        """Return the call as a problem."""
        ...

    def seen(self, result: Any, edits: Sequence[Edit]) -> Call:
        """Return the call as it was seen, once it has run with some edits."""
        ...


def run_edited(live: Live, edits: Sequence[Edit]) -> Any:
    """Run a call with edits, the first one applied last to the output; a call without any runs as it is."""
    if not edits:
        return live.run()
    edit, rest = edits[0], edits[1:]
    changed = live if edit.hidden is None else live.hiding(edit.hidden)
    changed = changed if edit.values is None else changed.with_values(edit.values)
    result = run_edited(changed, rest)
    output = live.output(result)
    output = output if edit.output is None else edit.output(output)
    if edit.heads is not None:
        plain = result if changed is live else run_edited(live, rest)
        output = torch.where(_chosen(edit.heads, output), output, live.output(plain))
    return live.with_output(result, output)


def as_edited(call: Call, edits: Sequence[Edit]) -> Call:
    """Return a call with the keys hidden that its edits hid; its log-sum-exp is then no longer known."""
    for edit in edits:
        if edit.hidden is not None:
            mask = call.problem.mask & TensorMask(shown(edit, call.problem))
            mechanism = replace(call.problem.mechanism, mask=mask)
            call = replace(call, problem=replace(call.problem, mechanism=mechanism), lse=None)
    return call


def shown(edit: Edit, problem: Problem) -> Tensor:
    """Return what an edit leaves to be seen: booleans that broadcast to (B, H, Nq, Nk)."""
    hidden = torch.as_tensor(edit.hidden, device=problem.device)
    if edit.heads is None:
        return ~hidden
    return ~(hidden & _chosen(edit.heads, problem.query))


def _chosen(heads: tuple[int, ...], like: Tensor) -> Tensor:
    """Return (1, H, 1, 1): whether each head is one of some."""
    chosen = torch.zeros(like.shape[1], dtype=torch.bool, device=like.device)
    chosen[list(heads)] = True
    return chosen.view(1, -1, 1, 1)
