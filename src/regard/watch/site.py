"""A site: one attention call of a model, and all that is known of its weights."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import torch
from torch import Tensor

from regard.engines.observe import observe
from regard.engines.statistics import Distance, PooledMap, Statistics
from regard.errors import NotKeptError, ShapeError, WatchError
from regard.shapes import Sizes
from regard.watch.kept import Kept, TopKeys
from regard.watch.positions import Positions, positions, whole

# `weights()` gives a matrix of at most this many numbers (256 MB in float32).
DENSE_LIMIT = 1 << 26

Kind = Literal["self", "cross"]
T = TypeVar("T")


@dataclass(frozen=True, eq=False, repr=False)
class Site:
    """One attention call that was watched. All statistics are exact and per batch item and head.

    Attributes:
        path: the module's path in the model, "" for the model itself.
        call: the how-manieth call of this module, from 0.
        kind: "self" or "cross".
        start: the key at which the first query stands; above 0 where a cache holds earlier keys.
        sizes: batch, heads, key_heads, queries, keys, width, value_width.
        mask: the mask in words.
        engine: what computed the call ("flash_attention", "math", "fast path", or an engine of regard).
        dropout: with what probability weights were dropped; the statistics are of the weights before that.
        dtype: data type of the queries.
        places: (Nq,) the key at which each query stands, where chosen queries do not stand one after another.
        unkept: why something was not kept, where it was not for want of asking.
    """

    path: str
    call: int
    kind: Kind
    start: int
    sizes: Sizes
    mask: str
    engine: str
    dropout: float
    dtype: torch.dtype
    statistics: Statistics
    masses: Mapping[str, Tensor]
    kept: Kept | None
    cells: int
    places: Tensor | None = None
    unkept: str = ""

    def __repr__(self) -> str:
        s = self.sizes
        dropped = f", weights before dropout {self.dropout}" if self.dropout else ""
        return (
            f"{self.name or '(no module)'}: {self.kind}, {s.batch} x {s.heads} heads, {s.queries} queries,"
            f" {s.keys} keys, {self.mask}, {self.engine}{dropped}"
        )

    @property
    def name(self) -> str:
        """The path, with the call's number where it is not the first."""
        return self.path if self.call == 0 else f"{self.path}#{self.call}"

    @property
    def entropy(self) -> Tensor:
        """Entropy (B, H, Nq) of each query's weights, in nats."""
        return self._have("entropy", self.statistics.entropy)

    @property
    def received(self) -> Tensor:
        """Weight (B, H, Nk) that each key receives, summed over queries."""
        return self._have("received", self.statistics.received)

    @property
    def received_max(self) -> Tensor:
        """Largest weight (B, H, Nk) that any query gives to each key."""
        return self._have("received_max", self.statistics.received_max)

    @property
    def distance(self) -> Distance:
        """Where each query looks relative to itself: mean and spread, (B, H, Nq) each, in positions.

        In self-attention with fewer queries than keys, as with a cache, the last query stands at the last key.
        """
        return self._have("distance", self.statistics.distance)

    @property
    def first(self) -> Tensor:
        """Weight (B, H, Nq) on key 0."""
        return self._have("first", self.statistics.first)

    def map(self, cells: int | None = None) -> PooledMap:
        """Return the matrix of weights pooled to at most `cells` rows and columns (default: as watched)."""
        cells = None if cells is None else whole("map", cells, "cells", 1)
        if cells is None or (cells == self.cells and self.statistics.map is not None):
            return self._have("map", self.statistics.map)
        kept = self.kept_for(f"map(cells={cells})")
        pooled = observe(kept.problem, kept.lse, ("map",), cells=cells).map
        return self._have("map", pooled)

    def top(self, k: int) -> TopKeys:
        """Return the k keys that each query attends to most, and their weights, (B, H, Nq, k) each."""
        k = whole("top", k, "keys", 1)
        return self.kept_for(f"top({k})").top(k)

    def mass(self, keys: str | Positions) -> Tensor:
        """Return the weight (B, H, Nq) that each query puts on a set of keys together.

        Args:
            keys: positions (one named twice counts once), a slice, a boolean for each key, or the name of a set
                that was given to `watch(sets=...)`.
        """
        if isinstance(keys, str):
            if keys not in self.masses:
                known = ", ".join(self.masses) or "none"
                raise NotKeptError(f"mass: expected the name of a watched set ({known}); got {keys!r}")
            return self.masses[keys]
        kept = self.kept_for("mass")
        return kept.mass(positions("mass", keys, self.sizes.keys).to(kept.lse.device))

    def rows(self, queries: Positions) -> Tensor:
        """Return the exact weights (B, H, n, Nk) of n chosen queries on all keys."""
        kept = self.kept_for("rows")
        return kept.rows(positions("rows", queries, self.sizes.queries).to(kept.lse.device))

    def diagonal(self, offset: int) -> Tensor:
        """Return the weight (B, H, n) of each query on the key `offset` places after it, where there is one."""
        kept, sizes, offset = self.kept_for("diagonal"), self.sizes, whole("diagonal", offset, "places")
        queries = torch.arange(sizes.queries, device=kept.lse.device)
        keys = (queries + self.start if self.places is None else self.places) + offset
        inside = (keys >= 0) & (keys < sizes.keys)
        return kept.along(queries[inside], keys[inside])

    def joined(
        self,
        query_groups: Sequence[int] | Tensor,
        key_groups: Sequence[int] | Tensor,
        factors: Tensor | None = None,
    ) -> Tensor:
        """Return the weights (B, H, query groups, key groups) between groups of positions, as of words.

        The weight on a group is the sum over its keys, that of a group the mean over its queries.

        Args:
            query_groups: (Nq,) number of each query's group, from 0; -1 for none.
            key_groups: (Nk,) number of each key's group, from 0; -1 for none.
            factors: (B, H, Nk) what weights on each key are multiplied by first. Default: 1.
        """
        queries, keys = (torch.as_tensor(g, dtype=torch.long) for g in (query_groups, key_groups))
        if queries.shape != (self.sizes.queries,) or keys.shape != (self.sizes.keys,):
            raise ShapeError(
                f"joined: expected a group for each of {self.sizes.queries} queries and {self.sizes.keys} keys;"
                f" got {tuple(queries.shape)} and {tuple(keys.shape)}"
            )
        return self.kept_for("joined").joined(queries, keys, factors)

    @property
    def values(self) -> Tensor:
        """Values (B, G, Nk, Dv), where they were kept."""
        kept = self.kept_for("values")
        return self._have("values", kept.problem.value if kept.has_values else None)

    @property
    def gradient(self) -> Tensor:
        """Gradient (B, H, Nq, Dv) of the call's output, where it was kept and a backward pass has come by.

        Raises:
            NotKeptError: it was not asked for.
            WatchError: no backward pass has reached the call.
        """
        holder = self._have("gradients", self.kept_for("gradients").gradient)
        if holder.output is None:
            raise WatchError(
                f"gradients: none has reached {self.name or 'this site'}. Run the model with gradients enabled, its"
                " fused fast path and checkpointing off, and call backward() on what came out"
            )
        return holder.output

    def visible(self) -> Tensor:
        """Return how many keys each query may see, (B, H, Nq).

        Keys that a model hides by adding -10,000 or less, as by the smallest number of a data type, do not count.
        """
        return self.kept_for("visible").visible()

    def weights(self) -> Tensor:
        """Return the whole matrix of weights (B, H, Nq, Nk), where it is small enough.

        Raises:
            WatchError: it would hold more than DENSE_LIMIT numbers.
            NotKeptError: queries and keys were not kept.
        """
        if self.sizes.pairs > DENSE_LIMIT:
            shape = (self.sizes.batch, self.sizes.heads, self.sizes.queries, self.sizes.keys)
            raise WatchError(
                f"weights: expected at most {DENSE_LIMIT:,} numbers; {shape} are {self.sizes.pairs:,}"
                f" ({self.sizes.pairs * 4 / 1e9:,.1f} GB). Use rows(queries) for exact rows, top(k) for the"
                " strongest keys or map(cells) for the whole at lower resolution"
            )
        return self.rows(range(self.sizes.queries))

    def _have(self, name: str, value: T | None) -> T:
        if value is None:
            advice = f'Watch with want=(..., "{name}") to keep it'
            note = f". Note: {self.unkept}" if self.unkept else ""
            raise NotKeptError(f"{name}: not kept at {self.name or 'this site'}. {advice}{note}")
        return value

    def kept_for(self, asked: str) -> Kept:
        """Return what was kept.

        Args:
            asked: what it is wanted for, in a word.

        Raises:
            NotKeptError: nothing was.
        """
        if self.kept is None:
            advice = f"The reason: {self.unkept}" if self.unkept else 'Watch with want=(..., "rows") to keep them'
            raise NotKeptError(
                f"{asked}: {self.name or 'this site'} kept no queries and keys ({self.sizes.queries} queries,"
                f" {self.sizes.keys} keys). {advice}"
            )
        return self.kept


def site_of(asked: str, given: object) -> Site:
    """Return what was given, if it is a site.

    Args:
        asked: who asks, for the message.
        given: what should be a site.

    Raises:
        WatchError: it is none.
    """
    if not isinstance(given, Site):
        raise WatchError(
            f"{asked}: expected a site, as seen[0] or seen[path] is in a record seen; got {type(given).__name__}"
        )
    return given


def statistics_of(kept: Kept, want: Collection[str], cells: int, start: int) -> Statistics:
    """Return statistics of a call, distances counted from the key at which each query stands.

    Args:
        kept: the call.
        want: names of statistics.
        cells: maps have at most this many rows and columns.
        start: the key at which the first query stands.
    """
    statistics = observe(kept.problem, kept.lse, want, cells=cells)
    if statistics.distance is None or not start:
        return statistics
    return replace(statistics, distance=replace(statistics.distance, mean=statistics.distance.mean - start))
