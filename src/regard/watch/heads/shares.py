"""Where the weight of each head goes: shares on sets of keys, all of them in one pass over a site's queries.

Neighbouring keys are a band along the diagonal; it is made block by block, each block one product of its queries
and the keys around them. Single keys (the first, separators) are columns. What a learned sink takes is
exp(sink - lse). The rest of the matrix is never made, but for tokens that occur more than once (`same_token`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from regard.engines.contract import Problem
from regard.engines.log_weights import LogWeights
from regard.engines.pairs import chunks, subranges
from regard.errors import NotKeptError, ShapeError
from regard.mechanisms.grid import Grid
from regard.mechanisms.weighing import Softmax
from regard.watch.heads.same_token import same_token
from regard.watch.kept import Kept
from regard.watch.site import Site
from regard.watch.visible import visible, visible_in

LOCAL = 4

# Where in the band around a query the neighbours stand.
_BAND = 2 * LOCAL + 1
_NEIGHBOURS = {"previous": LOCAL - 1, "same": LOCAL, "next": LOCAL + 1}

# A block of the band holds this many queries, and a part of a call at most so many numbers.
_HEIGHT = 128
_AT_ONCE = 1 << 22


@dataclass(frozen=True, eq=False)
class Share:
    """The weight on a set of keys, summed over queries; each tensor is (B, H), or (H,) once pooled.

    Only queries that count (real tokens that see any key) and that may see a key of the set enter.

    Attributes:
        weight: sum of the weight on the set.
        even: the same of even attention over all keys that each query may see, and over the sink for the sink.
        queries: how many queries enter.
        counted: how many queries count.
    """

    weight: Tensor
    even: Tensor
    queries: Tensor
    counted: Tensor

    @classmethod
    def of(cls, weight: Tensor, keys: Tensor, seen: Tensor, counted: Tensor) -> "Share":
        """Sum over queries.

        Args:
            weight: (B, H, Nq), weight on the set.
            keys: (B, H, Nq), how many keys of the set each query may see.
            seen: (B, H, Nq), how many keys it may see.
            counted: (B, H, Nq), whether it counts.
        """
        enters = counted & (keys > 0)
        even = (keys / seen.clamp(min=1)).masked_fill(~enters, 0.0)
        sums = (weight.double().masked_fill(~enters, 0.0), even.double(), enters.double(), counted.double())
        return cls(*(each.sum(-1) for each in sums))

    @property
    def pooled(self) -> "Share":
        """All batch items together."""
        return Share(self.weight.sum(0), self.even.sum(0), self.queries.sum(0), self.counted.sum(0))

    @property
    def mean(self) -> Tensor:
        """Mean weight on the set, 0 to 1."""
        return self.weight / self.queries.clamp(min=1)

    @property
    def lift(self) -> Tensor:
        """How far the weight exceeds that of even attention, of what it could at most: 1 for all of it, 0 for even.

        Queries that have no choice, since all that they see is in the set, say nothing and do not enter.
        """
        free = self.queries - self.even
        return torch.where(free > 1e-6, (self.weight - self.even) / free.clamp(min=1e-6), 0.0)

    def told(self, reach: float) -> Tensor:
        """Return the lift, 0 where less than so large a part of the queries that count may see a key of the set."""
        return self.lift.where(self.queries >= reach * self.counted, 0.0)


@dataclass(frozen=True, eq=False)
class Shares:
    """All shares of some batch items of a site.

    Attributes:
        sets: a share for each name: "previous", "same", "next" and "local" (within LOCAL positions) in
            self-attention, "first", "separator", "sink", and "same token" where tokens were given.
        seen: (B, H, Nq), how many keys each query may see.
        counted: (B, H, Nq), which queries count: real tokens that see any key.
    """

    sets: dict[str, Share]
    seen: Tensor
    counted: Tensor


@dataclass(frozen=True, eq=False)
class Marks:
    """What is known of the positions of a call, for each batch item.

    Attributes:
        real: (B, Nq), which queries are real tokens and no padding.
        first: (B,), the first real key.
        separators: (B, Nk), which keys are separators; the first is none.
        tokens: (B, Nk), numbers of the tokens, all different at padding; None where they are not known.
    """

    real: Tensor
    first: Tensor
    separators: Tensor
    tokens: Tensor | None

    @classmethod
    def of(cls, site: Site, separators: Sequence[int] | Tensor, tokens: object, real: object) -> "Marks":
        """Check and spread what was given; see `regard.head_kinds`."""
        sizes, own = site.sizes, site.kind == "self"
        batch, keys = sizes.batch, sizes.keys
        every = torch.ones(batch, keys if own else sizes.queries, dtype=torch.bool)
        given = every if real is None else _spread("real", real, every.shape).bool()
        first = given.long().argmax(-1) if own and keys else torch.zeros(batch, dtype=torch.long)
        marked = _marked(separators, (batch, keys))
        if keys:
            marked[torch.arange(batch), first] = False
        return cls(
            real=given[:, site.start : site.start + sizes.queries] if own else given,
            first=first,
            separators=marked,
            tokens=None if tokens is None or not own else _told_apart(tokens, given),
        )


def measure(site: Site, marks: Marks, items: range) -> Shares:
    """Return the shares of some batch items of a site.

    Raises:
        NotKeptError: the site kept no queries and keys.
    """
    if site.kept is None:
        raise NotKeptError(
            f'kinds of heads: {site.name or "this site"} kept no queries and keys. Watch with want=(..., "rows") to'
            " keep them"
        )
    sizes = site.sizes
    per_item = sizes.heads * (_HEIGHT * (_HEIGHT + _BAND) + sizes.queries * 2 * _BAND)
    with torch.no_grad():
        parts = [_part(site, site.kept, marks, some) for some in subranges(items, _AT_ONCE // max(1, per_item))]
    first = parts[0]
    return Shares(
        sets={name: _joined([part.sets[name] for part in parts]) for name in first.sets},
        seen=torch.cat([part.seen for part in parts]),
        counted=torch.cat([part.counted for part in parts]),
    )


def _joined(shares: Sequence[Share]) -> Share:
    names = ("weight", "even", "queries", "counted")
    return Share(*(torch.cat([getattr(share, name) for share in shares]) for name in names))


def _part(site: Site, kept: Kept, marks: Marks, items: range) -> Shares:
    problem, sizes = kept.problem, site.sizes
    part, device = slice(items.start, items.stop), kept.lse.device
    shape = (len(items), sizes.heads, sizes.queries)
    seen = visible(problem, items).expand(shape)
    counted = (seen > 0) & marks.real[part].to(device).unsqueeze(1)
    weights = LogWeights.of(problem, range(items.start * sizes.heads, items.stop * sizes.heads), kept.lse)

    def share(weight: Tensor, keys: Tensor, among: Tensor = seen) -> Share:
        return Share.of(weight.reshape(shape), keys.expand(shape), among, counted)

    sets = {name: share(*found) for name, found in _columns(weights, marks, items).items()}
    sets["sink"] = share(_on_sink(problem, kept.lse)[part], torch.ones_like(seen), seen + 1)
    if site.kind == "self":
        band, may = _band(weights, items, site.start)
        sets |= {name: share(band[..., at], may[..., at]) for name, at in _NEIGHBOURS.items()}
        sets["local"] = share(band.sum(-1), may.sum(-1))
    if marks.tokens is not None:
        sets["same token"] = share(*same_token(weights, items, marks.tokens.to(device), site.start))
    return Shares(sets, seen, counted)


def _band(weights: LogWeights, items: range, start: int) -> tuple[Tensor, Tensor]:
    """Return the weight (pairs, Nq, _BAND) on the keys around each query, and which of them it may see."""
    problem, sizes = weights.problem, weights.problem.sizes
    band = weights.query.new_zeros((len(weights.pairs), sizes.queries, _BAND))
    may = torch.zeros((len(items), sizes.heads, sizes.queries, _BAND), dtype=torch.bool, device=band.device)
    for queries in chunks(sizes.queries, _HEIGHT):
        low, high = queries.start + start - LOCAL, queries.stop + start + LOCAL
        keys = slice(max(0, low), min(sizes.keys, high))
        if keys.start >= keys.stop:
            continue
        around = (keys.start - low, high - keys.stop)
        if (S := weights.tile(queries, keys)) is not None:
            band[:, queries] = _along(pad(torch.exp2(S), around))
        may[:, :, queries] = _along(pad(visible_in(problem, queries, keys, items), around))
    return band, may


def _along(tile: Tensor) -> Tensor:
    """Return (..., n, _BAND): row i of a tile (..., n, n + 2 LOCAL) from column i on, as a view."""
    return tile.unfold(-1, _BAND, 1).diagonal(dim1=-3, dim2=-2).transpose(-1, -2)


def _columns(weights: LogWeights, marks: Marks, items: range) -> dict[str, tuple[Tensor, Tensor]]:
    """Return weight (pairs, Nq) on the first key and on separators, and how many of them each query may see."""
    problem, sizes = weights.problem, weights.problem.sizes
    part, device = slice(items.start, items.stop), weights.query.device
    member = torch.stack([_one_hot(marks.first[part], sizes.keys), marks.separators[part]], -1)  # (B, Nk, 2)
    keys = member.any(0).any(-1).nonzero().flatten()
    member = member[:, keys].to(device, weights.query.dtype)
    keys = keys.to(device)
    heads = member.repeat_interleave(sizes.heads, 0)
    on: list[Tensor] = []
    may: list[Tensor] = []
    for queries in chunks(sizes.queries, max(1, _AT_ONCE // max(1, len(weights.pairs) * len(keys)))):
        index = torch.arange(queries.start, queries.stop, device=device)
        on.append(torch.exp2(weights.rows(index, keys)) @ heads)
        allowed = visible_in(problem, index, keys, items).to(member.dtype)
        may.append(allowed @ member.unsqueeze(1))
    if not on:
        on, may = [heads.new_zeros((len(weights.pairs), 0, 2))], [heads.new_zeros((len(items), 1, 0, 2))]
    on_keys, may_see = torch.cat(on, 1), torch.cat(may, 2)
    return {name: (on_keys[..., i], may_see[..., i]) for i, name in enumerate(("first", "separator"))}


def _one_hot(places: Tensor, count: int) -> Tensor:
    """Return (B, count), True at each item's place."""
    return torch.arange(count) == places.unsqueeze(-1)


def _on_sink(problem: Problem, lse: Tensor) -> Tensor:
    """Return (B, H, Nq): what a learned sink takes of each query's weight, exp(sink - lse)."""
    weigh = problem.mechanism.weighing
    sink = weigh.on(Grid.whole(problem.sizes, lse.device), lse) if isinstance(weigh, Softmax) else None
    if sink is None:
        return torch.zeros_like(lse)
    return torch.exp((sink.squeeze(-1) if sink.ndim else sink) - lse)


def _spread(name: str, given: object, shape: Sequence[int]) -> Tensor:
    """Return what was given for each position, or for each item and position, as (B, N)."""
    tensor = torch.as_tensor(given).cpu()
    if tensor.shape not in (tuple(shape), tuple(shape[1:])):
        raise ShapeError(
            f"{name}: expected one entry for each of {shape[1]} positions, or {tuple(shape)}; got"
            f" {tuple(tensor.shape)}"
        )
    return tensor.expand(*shape)


def _marked(separators: Sequence[int] | Tensor, shape: tuple[int, int]) -> Tensor:
    """Return (B, Nk) booleans from positions or from booleans."""
    given = torch.as_tensor(separators).cpu()
    if given.dtype == torch.bool:
        return _spread("separators", given, shape).clone()
    places = given.reshape(-1).long()
    if places.numel() and not -shape[1] <= int(places.min()) <= int(places.max()) < shape[1]:
        raise ShapeError(f"separators: expected positions from 0 to {shape[1] - 1}; got {places.tolist()}")
    marked = torch.zeros(shape, dtype=torch.bool)
    marked[:, places] = True
    return marked


def _told_apart(tokens: object, real: Tensor) -> Tensor:
    """Return tokens (B, Nk), with a number of its own, below 0, for each that is padding."""
    spread = _spread("tokens", tokens, real.shape).long()
    numbers = spread - spread.min() if spread.numel() else spread
    return torch.where(real, numbers, -1 - torch.arange(real.shape[1]))
