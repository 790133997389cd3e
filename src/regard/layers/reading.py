"""Queries that read keys and values, those in a cache too: turned by position, and placed in the sequence."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, cast

import torch
from torch import Tensor

from regard.attend import attend, is_led
from regard.engines.partial import Partial
from regard.errors import LayerError
from regard.layers.caches.contract import Cache, Kept, Seats
from regard.layers.placed import placed
from regard.layers.places import Folded, Places
from regard.mechanisms.attention import Attention
from regard.mechanisms.grid import Blocks, Grid
from regard.mechanisms.modifiers import Modifier
from regard.mechanisms.scores import Dot, dot
from regard.mechanisms.weighing import Softmax, softmax
from regard.shapes import Sizes

Rotary = Callable[[Tensor, Tensor], Tensor]


class PositionBias(Protocol):
    """What adds to scores for how far a key stands from its query."""

    def __call__(self, queries: int, keys: int) -> Modifier:
        """Return the modifier of a call whose last query stands at the last key."""


@dataclass(frozen=True, eq=False)
class Reading:
    """Queries, and the keys and values that they may read.

    Attributes:
        query: (B, H, Nq, D).
        kept: what may be read, turned as the queries are.
        places: where both stand in the sequence.
        width: of the heads, where queries and keys are wider; None: D.
    """

    query: Tensor
    kept: Kept
    places: Places
    width: int | None = None

    def attended(self, attention: Attention, position_bias: PositionBias | None) -> Tensor:
        """Return what heads give (B, H, Nq, Dv).

        Args:
            attention: the mechanism, which speaks of the whole sequence.
            position_bias: what is added to its scores, by distance.
        """
        if self.kept.mask is not None:
            attention = attention.masked(attention.rule & self.kept.mask)
        if self.kept.prefix is not None and position_bias is None and self._joins(attention):
            return self._attended_in_parts(attention, self.kept.prefix)
        kept = self.kept.whole
        attention = self.places.mechanism(self._scaled(attention))
        if position_bias is not None:
            bias = self._seated(position_bias(self.query.shape[2], kept.key.shape[2]), kept)
            attention = replace(attention, modify=(*attention.modifiers, bias))
        return attend(self.query, kept.key, kept.value, attention).output

    def _joins(self, attention: Attention) -> bool:
        """Whether parts may be computed by themselves: whoever follows calls sees one, and gradients flow, else."""
        plain = isinstance(attention.weighing, Softmax) and not attention.dropout
        return plain and not is_led() and not (torch.is_grad_enabled() and self.query.requires_grad)

    def _attended_in_parts(self, attention: Attention, prefix: Kept) -> Tensor:
        """Read what items have in common once for all of them, and what each has of its own; join the two."""
        items, heads, queries, width = self.query.shape
        folded = self.query.transpose(0, 1).reshape(1, heads, items * queries, width)
        before = prefix.key.shape[2]
        own_places = torch.arange(before, before + self.kept.key.shape[2], device=self.query.device)
        # A sink counts once: in the part of each item's own.
        common = Folded(self.places.first, queries, items).mechanism(replace(attention, weigh=softmax()))
        own = replace(self.places, keys=own_places).mechanism(attention)
        first = attend(folded, prefix.key, prefix.value, common, want=("lse",))
        second = attend(self.query, self.kept.key, self.kept.value, own, want=("lse",))
        output, lse = (
            part[0].unflatten(1, (items, queries)).transpose(0, 1)
            for part in (first.output, cast("Tensor", first.lse))
        )
        return Partial(output, lse).join(Partial(second.output, cast("Tensor", second.lse))).output

    def _scaled(self, attention: Attention) -> Attention:
        """Return the mechanism with the scale that belongs to the heads' own width."""
        if self.width is None:
            return attention
        if not isinstance(attention.score, Dot):
            raise LayerError(
                "cache: expected scores that are dot products, or one position at a time, as keys have left the"
                f" window; got {attention.scoring.kind}"
            )
        return replace(attention, score=dot(attention.score.scale_for(self.width)))

    def _seated(self, bias: Modifier, kept: Kept) -> Modifier:
        """Return a bias by distance with the distances that there are within the cache."""
        if kept.seats is None or not kept.seats.exceeded(kept.key.shape[2]):
            return bias
        return placed(bias, Seated(kept.seats))


@dataclass(frozen=True)
class Seated:
    """Keys of a call where they stand within a cache, for each query."""

    seats: Seats

    def sizes(self, call: Sizes) -> Sizes:
        """Return the same."""
        return call

    def grid(self, grid: Grid) -> Grid:
        """Return a grid on which sinks stand as near to each query as in the cache."""
        excess = self.seats.excess(grid.sizes.queries, grid.sizes.keys, grid.key.device)
        nearer = torch.where(grid.key < self.seats.sinks, grid.key + excess[grid.query], grid.key)
        return replace(grid, key=nearer, slices=None)

    def blocks(self, blocks: Blocks) -> Blocks | None:
        """Return None: it differs from query to query."""
        return None


def read(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    rotary: Rotary | None,
    positions: Tensor | None,
    cache: Cache | None,
) -> Reading:
    """Return what queries read: their own sequence's keys, and those in the cache, which takes in the new ones.

    Args:
        query: (B, H, N, D), of the next positions.
        key: (B, G, N, D).
        value: (B, G, N, Dv).
        rotary: what queries and keys pass with their positions.
        positions: (N,) or (B, N). Default: those after the cache.
        cache: what is kept of earlier positions.
    """
    first, queries = 0 if cache is None else cache.length, query.shape[2]
    late = rotary is not None and cache is not None and (cache.turns_late or _by_length(rotary))
    if not late:
        query, key = turned(query, key, rotary, first, positions)
    kept = Kept(key, value) if cache is None else cache.extend(key, value)
    reading = Reading(query, kept, Places(first, queries, kept.places))
    if not late or rotary is None:
        return reading
    return (
        _turned_late(reading, rotary, positions)
        if kept.seats is None
        else _turned_by_seats(reading, rotary, kept.seats)
    )


def turned(
    query: Tensor, key: Tensor, rotary: Rotary | None, first: int, positions: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return queries and keys of the same positions after `rotary`; by default they follow the first."""
    if rotary is None:
        return query, key
    if positions is None:
        positions = torch.arange(first, first + query.shape[2], device=query.device)
    return rotary(query, positions), rotary(key, positions)


def _by_length(rotary: Rotary) -> bool:
    """Whether turns depend on the length of the text, so that a key has to be turned anew as it grows."""
    return bool(getattr(rotary, "by_length", False))


def _turned_late(reading: Reading, rotary: Rotary, positions: Tensor | None) -> Reading:
    """Return queries and all kept keys turned by their positions, which count back from the last query's."""
    kept, queries = reading.kept.whole, reading.query.shape[2]
    keys = kept.key.shape[2]
    index = torch.arange(keys, device=kept.key.device)
    if positions is not None and queries:
        index = index + positions[..., -1:] - (keys - 1)
    query, key = rotary(reading.query, index[..., keys - queries :]), rotary(kept.key, index)
    return replace(reading, query=query, kept=replace(kept, key=key))


def _turned_by_seats(reading: Reading, rotary: Rotary, seats: Seats) -> Reading:
    """Return queries and keys turned by where they stand within a cache.

    Of many queries at once the later ones would see the sinks farther away than within the cache. So they are
    turned twice, as seen from the window and from the sinks, and each key answers to one of the two halves.
    """
    query, kept = reading.query, reading.kept
    keys = kept.key.shape[2]
    index = torch.arange(keys, device=query.device)
    own = index[keys - query.shape[2] :]
    key, near = rotary(kept.key, index), rotary(query, own)
    if not seats.exceeded(keys):
        return replace(reading, query=near, kept=replace(kept, key=key))
    far = rotary(query, own.clamp(max=seats.last))
    is_sink = (index < seats.sinks).view(-1, 1)
    key = torch.cat([key.masked_fill(is_sink, 0), key.masked_fill(~is_sink, 0)], -1)
    return replace(reading, query=torch.cat([near, far], -1), kept=replace(kept, key=key), width=query.shape[3])
