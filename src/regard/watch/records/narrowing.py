"""A site with some of its heads and queries only."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from regard.engines.contract import Problem
from regard.engines.statistics import Statistics
from regard.mechanisms.attention import Attention
from regard.mechanisms.masks.bands import Band
from regard.mechanisms.masks.lengths import Padding
from regard.mechanisms.masks.rule import Full, Mask
from regard.mechanisms.modifiers import Bias, Modifier, SoftCap
from regard.mechanisms.scores import TanhSum
from regard.mechanisms.weighing import Softmax
from regard.shapes import Sizes
from regard.watch.kept import Gradient, Kept, without_numbers
from regard.watch.records.chosen import Choice, ChosenBias, ChosenMask, ChosenModifier
from regard.watch.site import Site, statistics_of

_OF_KEYS = ("received", "received_max", "map")


def narrowed(site: Site, heads: Sequence[int] | None, queries: Sequence[int] | None) -> Site:
    """Return a site with some heads and queries, in the order given; None stands for all.

    Statistics of queries are cut; those of keys, and the map, are made anew for the chosen queries, if queries
    and keys were kept.
    """
    if heads is None and queries is None:
        return site
    narrow = _Narrow.of(site.sizes, heads, queries)
    kept = None if site.kept is None else _kept(site.kept, narrow)
    statistics, unkept = narrow.cut(site.statistics), site.unkept
    site = replace(
        site,
        sizes=narrow.sizes,
        kept=kept,
        masses={name: narrow.rows(mass) for name, mass in site.masses.items()},
        places=None if site.places is None else site.places[narrow.choice.queries.to(site.places.device)],
    )
    if queries is None:
        return replace(site, statistics=statistics)
    anew = [name for name in _OF_KEYS if getattr(statistics, name) is not None]
    fresh = Statistics()
    if kept is not None:
        fresh = statistics_of(kept, anew, site.cells, 0)
    elif anew:
        unkept = f"queries were chosen, and no queries and keys were kept to make {', '.join(anew)} anew for them"
    statistics = replace(statistics, **{name: getattr(fresh, name) for name in _OF_KEYS})
    places = narrow.choice.queries + site.start if site.places is None else site.places
    start = int(places[0]) if len(places) else 0
    in_a_row = bool((places == torch.arange(start, start + len(places), device=places.device)).all())
    return replace(site, statistics=statistics, start=start, places=None if in_a_row else places, unkept=unkept)


@dataclass(frozen=True, eq=False)
class _Narrow:
    """How to cut what belongs to a call.

    Attributes:
        choice: the chosen heads and queries.
        all_heads: whether these are all heads, as they stand.
        all_queries: likewise.
    """

    choice: Choice
    all_heads: bool
    all_queries: bool

    @classmethod
    def of(cls, sizes: Sizes, heads: Sequence[int] | None, queries: Sequence[int] | None) -> "_Narrow":
        """Choose; None stands for all."""
        chosen = [
            torch.arange(count) if given is None else torch.tensor(list(given), dtype=torch.long)
            for given, count in ((heads, sizes.heads), (queries, sizes.queries))
        ]
        return cls(Choice(chosen[0], chosen[1], sizes), heads is None, queries is None)

    @property
    def sizes(self) -> Sizes:
        """The sizes of what was chosen; each chosen head has keys of its own."""
        whole, heads = self.choice.sizes, len(self.choice.heads)
        key_heads = whole.key_heads if self.all_heads else heads
        return replace(whole, heads=heads, key_heads=key_heads, queries=len(self.choice.queries))

    def of_heads(self, tensor: Tensor) -> Tensor:
        """Return a tensor (B, H, ...) for the chosen heads."""
        return tensor if self.all_heads else tensor.index_select(1, self.choice.heads.to(tensor.device))

    def of_key_heads(self, tensor: Tensor) -> Tensor:
        """Return a tensor (B, G, ...) with the key head of each chosen head."""
        if self.all_heads:
            return tensor
        return tensor[:, (self.choice.heads // self.choice.sizes.group).to(tensor.device)]

    def rows(self, tensor: Tensor) -> Tensor:
        """Return a tensor (B, H, Nq, ...) for the chosen heads and queries."""
        tensor = self.of_heads(tensor)
        return tensor if self.all_queries else tensor.index_select(2, self.choice.queries.to(tensor.device))

    def cut(self, statistics: Statistics) -> Statistics:
        """Return statistics of the chosen heads, those of queries for the chosen ones."""
        changed: dict[str, object] = {}
        for field in fields(statistics):
            value = getattr(statistics, field.name)
            cut = self.of_heads if field.name in _OF_KEYS else self.rows
            if isinstance(value, Tensor):
                changed[field.name] = cut(value)
            elif value is not None:  # a distance or a map
                inner = {f.name: getattr(value, f.name) for f in fields(value)}
                tensors = {name: cut(each) for name, each in inner.items() if isinstance(each, Tensor)}
                changed[field.name] = replace(value, **tensors)
        return replace(statistics, **changed)  # type: ignore[arg-type]


def _kept(kept: Kept, narrow: _Narrow) -> Kept:
    problem = kept.problem
    if kept.has_values:
        value = narrow.of_key_heads(problem.value)
    else:
        shape = (narrow.sizes.batch, narrow.sizes.key_heads, *problem.value.shape[2:])
        value = without_numbers(problem.value, *shape)
    part = Problem(
        narrow.rows(problem.query), narrow.of_key_heads(problem.key), value, _mechanism(problem.mechanism, narrow)
    )
    gradient = kept.gradient
    if gradient is not None and gradient.output is not None:
        gradient = Gradient(narrow.rows(gradient.output))
    return Kept(
        part,
        narrow.rows(kept.lse),
        has_values=kept.has_values,
        gradient=gradient,
        stretch=kept.stretch if narrow.all_queries else None,
    )


def _mechanism(mechanism: Attention, narrow: _Narrow) -> Attention:
    """Return a mechanism that does to what was chosen what it did within the whole."""
    score, weigh = mechanism.scoring, mechanism.weighing
    if isinstance(score, TanhSum) and score.vector.ndim == 2:
        score = TanhSum(score.vector[narrow.choice.heads.to(score.vector.device)])
    if isinstance(weigh, Softmax) and isinstance(weigh.sink, Tensor) and weigh.sink.ndim:
        weigh = Softmax(weigh.sink[narrow.choice.heads.to(weigh.sink.device)])
    return replace(
        mechanism,
        score=score,
        weigh=weigh,
        mask=_mask(mechanism.rule, narrow),
        modify=tuple(_modifier(each, narrow) for each in mechanism.modifiers),
    )


def _mask(mask: Mask, narrow: _Narrow) -> Mask:
    if isinstance(mask, Full) or (narrow.all_queries and isinstance(mask, Band | Padding)):
        return mask
    return ChosenMask(mask, narrow.choice)


def _modifier(modifier: Modifier, narrow: _Narrow) -> Modifier:
    if isinstance(modifier, SoftCap):
        return modifier
    if isinstance(modifier, Bias):
        return ChosenBias(modifier, narrow.choice)
    return ChosenModifier(modifier, narrow.choice)
