"""What may be changed: heads knocked out or scaled, keys hidden, values swapped, shifted or replaced."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Unpack

import torch
from torch import Tensor

from regard.engines.contract import Problem
from regard.errors import ChangeError
from regard.watch.change.where import Numbers, Place, Where
from regard.watch.seams.live import Edit


@dataclass(frozen=True, eq=False)
class Change:
    """A change of attention, for `change(model, ...)`.

    Attributes:
        name: what was asked for, in words.
        where: the calls and heads.
        edit: takes a call, and those of its heads that are meant (None: all), to what is to be changed.
    """

    name: str
    where: Where
    edit: Callable[[Problem, tuple[int, ...] | None], Edit]

    def __str__(self) -> str:
        return f"{self.name} at {self.where}" if str(self.where) else self.name


def knock_out(heads: Numbers = None, *, by: Literal["zero", "mean"] = "zero", **place: Unpack[Place]) -> Change:
    """Silence heads: what they hand on is 0, or the mean over the queries of the call.

    Args:
        heads: numbers of heads. Default: all.
        by: what stands in for a head's output.
        **place: `layers=`, the first whole number in the path of an attention module, one or several; `paths=`,
            how such paths begin ("decoder"), or a function of the path; `kind=`, "self" or "cross". Default: all.

    Source: Michel et al. 2019, "Are Sixteen Heads Really Better than One?", section 2.3 (zero); Wang et al. 2022,
    "Interpretability in the Wild", section 2.1 (mean).
    """
    if by not in ("zero", "mean"):
        raise ChangeError(f'by: expected "zero" or "mean"; got {by!r}')

    def output(given: Tensor) -> Tensor:
        return torch.zeros_like(given) if by == "zero" else given.mean(2, keepdim=True).expand_as(given)

    return _on_output("knock_out", output, Where.of(heads, place))


def scale_heads(by: float, heads: Numbers = None, **place: Unpack[Place]) -> Change:
    """Multiply what heads hand on by a number.

    Args:
        by: the factor; 1 changes nothing, 0 knocks out.
        heads: as for `knock_out`.
        **place: as for `knock_out`.
    """
    return _on_output(f"scale_heads by {by:g}", lambda given: given * by, Where.of(heads, place))


def hide(
    keys: int | Sequence[int] | Tensor,
    *,
    queries: int | Sequence[int] | None = None,
    heads: Numbers = None,
    **place: Unpack[Place],
) -> Change:
    """Keep queries from seeing keys: their weight goes to the other keys, as a mask would have it.

    Args:
        keys: positions, or booleans (Nk,) or (B, Nk), True = hidden. Positions that a call does not have do not
            count, so one choice fits the steps of a generation.
        queries: from which queries, by position. Default: from all.
        heads: as for `knock_out`.
        **place: as for `knock_out`. Of an encoder-decoder choose one side: positions mean other words on the other.
    """
    chosen = torch.as_tensor([keys] if isinstance(keys, int) else keys)
    readers = None if queries is None else torch.as_tensor([queries] if isinstance(queries, int) else queries)

    def edit(problem: Problem, some: tuple[int, ...] | None) -> Edit:
        hidden = _marked(chosen, problem.sizes.keys, problem.device)[:, None, None]
        if readers is not None:
            start = max(0, problem.sizes.keys - problem.sizes.queries)
            from_here = _marked(readers, problem.sizes.queries + start, problem.device)
            hidden = hidden & from_here[:, None, start:, None]
        return Edit(heads=some, hidden=hidden)

    return Change("hide", Where.of(heads, place), edit)


def swap_values(places: Mapping[int, int], heads: Numbers = None, **place: Unpack[Place]) -> Change:
    """Let heads read at some keys what stands at others: weights stay, values move.

    Args:
        places: for each key to change, the key whose value it gets; {4: 9, 9: 4} swaps two.
        heads: as for `knock_out`.
        **place: as for `knock_out`.
    """

    def values(given: Tensor) -> Tensor:
        order = torch.arange(given.shape[2], device=given.device)
        for key, source in places.items():
            if key < len(order) and source < len(order):
                order[key] = source
        return given[:, :, order]

    return _on_values("swap_values", values, Where.of(heads, place))


def shift_values(by: int, heads: Numbers = None, **place: Unpack[Place]) -> Change:
    """Let heads read at each key what stands `by` places before it; the first ones read the first value.

    Args:
        by: how many places; negative ones read what comes after.
        heads: as for `knock_out`.
        **place: as for `knock_out`.
    """

    def values(given: Tensor) -> Tensor:
        order = torch.arange(given.shape[2], device=given.device) - by
        return given[:, :, order.clamp(0, max(0, given.shape[2] - 1))]

    return _on_values(f"shift_values by {by}", values, Where.of(heads, place))


def change_values(function: Callable[[Tensor], Tensor], heads: Numbers = None, **place: Unpack[Place]) -> Change:
    """Change values by a function, (B, G, Nk, Dv) to the same shape; heads and place as for `knock_out`."""
    return _on_values("change_values", function, Where.of(heads, place))


def change_output(function: Callable[[Tensor], Tensor], heads: Numbers = None, **place: Unpack[Place]) -> Change:
    """Change what heads hand on by a function, (B, H, Nq, Dv) to the same shape, to patch in another run's say.

    Heads and place as for `knock_out`; of what the function returns, the chosen heads are taken.
    """
    return _on_output("change_output", _checked("change_output", function), Where.of(heads, place))


def _on_output(name: str, output: Callable[[Tensor], Tensor], where: Where) -> Change:
    return Change(name, where, lambda problem, some: Edit(heads=some, output=output))


def _on_values(name: str, function: Callable[[Tensor], Tensor], where: Where) -> Change:
    return Change(name, where, lambda problem, some: Edit(heads=some, values=_checked(name, function)))


def _checked(name: str, function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def call(given: Tensor) -> Tensor:
        made: Any = function(given)
        if not isinstance(made, Tensor) or made.shape != given.shape:
            got = tuple(made.shape) if isinstance(made, Tensor) else type(made).__name__
            raise ChangeError(
                f"{name}: expected a function that keeps the shape {tuple(given.shape)}; it made {got}"
            )
        return made

    return call


def _marked(positions: Tensor, count: int, device: torch.device) -> Tensor:
    """Return (1 or B, count): whether each position is one of some; those beyond do not count."""
    if positions.dtype == torch.bool:
        rows = positions.reshape(-1, positions.shape[-1]).to(device)
        marked = torch.zeros(rows.shape[0], count, dtype=torch.bool, device=device)
        width = min(count, rows.shape[1])
        marked[:, :width] = rows[:, :width]
        return marked
    marked = torch.zeros(1, count, dtype=torch.bool, device=device)
    positions = positions.reshape(-1).long()
    marked[0, positions[(positions >= -count) & (positions < count)].to(device)] = True
    return marked
