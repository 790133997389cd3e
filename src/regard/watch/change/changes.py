"""What may be changed: heads knocked out or scaled, keys hidden, values swapped, shifted or replaced."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Unpack

import torch
from torch import Tensor

from regard.engines.contract import Problem
from regard.errors import ChangeError
from regard.watch.change.positions import marked
from regard.watch.change.taking_part import mean_over_queries
from regard.watch.change.where import Numbers, Place, Where
from regard.watch.positions import numbers, whole
from regard.watch.relation import first_place
from regard.watch.seams.live import Edit

Kind = Literal["self", "cross"]
Heads = tuple[int, ...] | None


@dataclass(frozen=True, eq=False)
class Change:
    """A change of attention, for `change(model, ...)`.

    Attributes:
        name: what was asked for, in words.
        where: the calls and heads.
        edit: takes a call, whether it is self- or cross-attention, and those of its heads that are meant (None:
            all), to what is to be changed.
    """

    name: str
    where: Where
    edit: Callable[[Problem, Kind, Heads], Edit]

    def __str__(self) -> str:
        return f"{self.name} at {self.where}" if str(self.where) else self.name


def knock_out(heads: Numbers = None, *, by: Literal["zero", "mean"] = "zero", **place: Unpack[Place]) -> Change:
    """Silence heads: what they hand on is 0, or its mean over the queries of the call.

    Args:
        heads: numbers of heads, negative ones from the end. Default: all.
        by: what stands in for a head's output. "mean" leaves padding out: queries that see no key and, in
            self-attention, those that no query sees as a key. It is taken for each batch item and call, so it takes
            in later positions of a causal model too, and in generation with a cache changes nothing in a step of
            one query; the means of other texts are for `change_output`.
        **place: `layers=`, the first whole number in the path of an attention module, one or several; `paths=`,
            how such paths begin ("decoder"), or a function of the path; `kind=`, "self" or "cross". Default: all.

    Raises:
        ChangeError: another `by`, numbers or place than these.

    Source: Michel et al. 2019, "Are Sixteen Heads Really Better than One?", section 2.3 (zero); Wang et al. 2022,
    "Interpretability in the Wild", section 2.1 (mean, there over a set of texts).
    """
    if by not in ("zero", "mean"):
        raise ChangeError(f'by: expected "zero" or "mean"; got {by!r}')
    where = Where.of(heads, place)
    if by == "zero":
        return _on_output("knock_out", torch.zeros_like, where)

    def edit(problem: Problem, kind: Kind, some: Heads) -> Edit:
        return Edit(
            problem.sizes.heads,
            some,
            output=lambda given: mean_over_queries(given, problem, kind).expand_as(given),
        )

    return Change("knock_out by mean", where, edit)


def scale_heads(by: float, heads: Numbers = None, **place: Unpack[Place]) -> Change:
    """Multiply what heads hand on by a number.

    Args:
        by: the factor; 1 changes nothing, 0 knocks out.
        heads: as for `knock_out`.
        **place: as for `knock_out`.

    Raises:
        ChangeError: `by` is no number, or as for `knock_out`.
    """
    if not isinstance(by, int | float):
        raise ChangeError(f"by: expected a number; got {by!r}")
    return _on_output(f"scale_heads by {by:g}", lambda given: given * by, Where.of(heads, place))


def hide(
    keys: int | Iterable[int] | Tensor,
    *,
    queries: int | Iterable[int] | Tensor | None = None,
    heads: Numbers = None,
    **place: Unpack[Place],
) -> Change:
    """Keep queries from seeing keys: their weight goes to the other keys, as a mask would have it.

    A query that is left without any key hands on 0.

    Args:
        keys: positions, negative ones from the end, or booleans (Nk,) or (B, Nk), True = hidden. Positions that a
            call does not have do not count, so one choice fits the steps of a generation.
        queries: from which queries, likewise; with a cache, the last query stands at the last key. Default: all.
        heads: as for `knock_out`.
        **place: as for `knock_out`. Of an encoder-decoder choose one side: positions mean other words on the other.

    Raises:
        ChangeError: positions that are none, or as for `knock_out`; when a call is met, booleans for another batch.

    Source: Geva et al. 2023, "Dissecting Recall of Factual Associations in Auto-Regressive Language Models",
    section 4 (attention knockout).
    """
    hidden_keys = numbers("keys", keys, ChangeError)
    readers = None if queries is None else numbers("queries", queries, ChangeError)

    def edit(problem: Problem, kind: Kind, some: Heads) -> Edit:
        sizes = problem.sizes
        hidden = marked("keys", hidden_keys, sizes.keys, sizes.batch, problem.device)[:, None, None]
        if readers is not None:
            start = first_place(kind, problem)
            reads = marked("queries", readers, start + sizes.queries, sizes.batch, problem.device)
            hidden = hidden & reads[:, None, start:, None]
        return Edit(sizes.heads, some, hidden=hidden)

    return Change("hide", Where.of(heads, place), edit)


def swap_values(places: Mapping[int, int], heads: Numbers = None, **place: Unpack[Place]) -> Change:
    """Let heads read at some keys what stands at others: weights stay, values move.

    Args:
        places: for each key to change, the key whose value it gets; {4: 9, 9: 4} swaps two. Pairs with a position
            that a call does not have do not count.
        heads: as for `knock_out`.
        **place: as for `knock_out`.

    Raises:
        ChangeError: no such places, or as for `knock_out`.
    """
    if not isinstance(places, Mapping):
        raise ChangeError(f"places: expected positions by position, such as {{4: 9, 9: 4}}; got {places!r}")
    keys, sources = (numbers("places", list(each), ChangeError) for each in (places, places.values()))

    def values(given: Tensor) -> Tensor:
        count = given.shape[2]
        order = torch.arange(count)
        there = [(each >= -count) & (each < count) for each in (keys, sources)]
        both = there[0] & there[1]
        order[keys[both]] = sources[both] % max(1, count)
        return given[:, :, order.to(given.device)]

    return _on_values("swap_values", values, Where.of(heads, place))


def shift_values(by: int, heads: Numbers = None, **place: Unpack[Place]) -> Change:
    """Let heads read at each key what stands `by` places before it; the first ones read the first value.

    Args:
        by: how many places; negative ones read what comes after.
        heads: as for `knock_out`.
        **place: as for `knock_out`.

    Raises:
        ChangeError: `by` is no whole number, or as for `knock_out`.
    """
    by = whole("by", by, "places", error=ChangeError)

    def values(given: Tensor) -> Tensor:
        order = torch.arange(given.shape[2], device=given.device) - by
        return given[:, :, order.clamp(0, max(0, given.shape[2] - 1))]

    return _on_values(f"shift_values by {by}", values, Where.of(heads, place))


def change_values(function: Callable[[Tensor], Tensor], heads: Numbers = None, **place: Unpack[Place]) -> Change:
    """Change values by a function.

    Args:
        function: takes a copy of the values, (B, G, Nk, Dv), to the same shape; G is the number of key heads, or
            that of query heads after a change for some heads, and where models write attention out.
        heads: as for `knock_out`.
        **place: as for `knock_out`.

    Raises:
        ChangeError: as for `knock_out`; when a call is met, another shape.
    """
    return _on_values("change_values", _checked("change_values", function), Where.of(heads, place))


def change_output(function: Callable[[Tensor], Tensor], heads: Numbers = None, **place: Unpack[Place]) -> Change:
    """Change what heads hand on by a function, for example to patch in what they handed on in another run.

    Args:
        function: takes a copy of the output, (B, H, Nq, Dv), to the same shape; of what it returns, the chosen
            heads are taken.
        heads: as for `knock_out`.
        **place: as for `knock_out`.

    Raises:
        ChangeError: as for `knock_out`; when a call is met, another shape.
    """
    return _on_output("change_output", _checked("change_output", function), Where.of(heads, place))


def _on_output(name: str, output: Callable[[Tensor], Tensor], where: Where) -> Change:
    return Change(name, where, lambda problem, kind, some: Edit(problem.sizes.heads, some, output=output))


def _on_values(name: str, values: Callable[[Tensor], Tensor], where: Where) -> Change:
    return Change(name, where, lambda problem, kind, some: Edit(problem.sizes.heads, some, values=values))


def _checked(name: str, function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Return a function that gets a copy, so that it may write into it, and is held to the shape."""

    def call(given: Tensor) -> Tensor:
        made: Any = function(given.clone())
        if not isinstance(made, Tensor) or made.shape != given.shape:
            got = tuple(made.shape) if isinstance(made, Tensor) else type(made).__name__
            raise ChangeError(
                f"{name}: expected a function that keeps the shape {tuple(given.shape)}; it made {got}"
            )
        return made.to(given)

    return call
