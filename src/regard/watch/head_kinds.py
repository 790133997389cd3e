"""What kind of head each head is, by documented rules on where its weight goes.

For every head the share of weight on sets of keys is averaged over the queries that may see a key of the set: on
the previous, the same and the next position, within LOCAL positions to either side, on the first key, on a learned
sink, on separators, and on other positions with the same token; padding and queries that see no key do not count.
A share's lift is how far it exceeds that of even attention, of what it could at most, so that short texts, and
queries of a causal model that see few keys, say only what they can. The first rule that holds names the head:

1. the lift of previous, same, next, first, sink, separator or same token is at least DOMINANT, and at least REACH
   of the queries may see such a key: the one with the largest lift;
2. the lift of the weight within LOCAL positions is at least MOSTLY_LOCAL: "local";
3. relative entropy is at least BROAD: "broad";
4. else "mixed".

Cross-attention has no positions in common, so there only first, sink, separator, broad and mixed are told.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.errors import ShapeError
from regard.watch.heads.shares import LOCAL, Marks, Shares, measure
from regard.watch.positions import whole
from regard.watch.site import Site, site_of

__all__ = ["BROAD", "DOMINANT", "KINDS", "LOCAL", "MOSTLY_LOCAL", "REACH", "Head", "head_kinds"]

DOMINANT = 0.4
REACH = 0.2
MOSTLY_LOCAL = 0.6
BROAD = 0.85

# Told by rule 1; of equal lifts the earlier one names the head.
PLACES = ("previous", "same", "next", "first", "sink", "separator", "same token")
KINDS = (*PLACES, "local", "broad", "mixed")


@dataclass(frozen=True)
class Head:
    """A head, the shares by which it was judged, and how much it is worth reading.

    Attributes:
        site: the site's name.
        head: its number.
        kind: one of KINDS.
        previous, same, next, first, separator, local: mean share of weight, 0 to 1.
        entropy: mean entropy of its queries, in nats.
        relative_entropy: mean of entropy over that of even attention, 0 (one key) to 1 (even), over queries that
            see at least two keys.
        worth: (1 - relative entropy) * (1 - the shares of previous, same, next, first, sink and separator): sharp
            attention that is explained neither by position nor by a sink.
        sink: mean share that a learned sink takes.
        same_token: mean share of weight on other positions with the same token; None where tokens were not given.
        kinds: every kind that rule 1 finds, largest lift first; else the one kind.
    """

    site: str
    head: int
    kind: str
    previous: float
    same: float
    next: float
    first: float
    separator: float
    local: float
    entropy: float
    relative_entropy: float
    worth: float
    sink: float = 0.0
    same_token: float | None = None
    kinds: tuple[str, ...] = ()


def head_kinds(
    site: Site,
    separators: Sequence[int] | Tensor = (),
    item: int | None = 0,
    *,
    tokens: Sequence[int] | Tensor | None = None,
    real: Sequence[bool] | Tensor | None = None,
) -> list[Head]:
    """Return what kind of head each head of a site is.

    Args:
        site: a site that kept entropy, queries and keys.
        separators: positions of separator keys ("[SEP]", end of text), or booleans (Nk,) or (B, Nk); the first key
            counts as first, not as separator.
        item: the batch item; None for all of them together.
        tokens: numbers of the tokens, (Nk,) or (B, Nk), from which "same token" is told in self-attention.
        real: which tokens are real and no padding, (N,) or (B, N), as an attention mask says; of the keys in
            self-attention, of the queries in cross-attention. Default: all.

    Raises:
        WatchError: it is no site.
        NotKeptError: the site kept no entropy, or no queries and keys.
        ShapeError: there is no such item, or what is given does not fit the site's positions.

    Source: rules of thumb after Clark et al. 2019 ("What Does BERT Look At?"), Voita et al. 2019 (positional heads)
    and Xiao et al. 2024 (sinks); `docs/heads.md` says where each threshold comes from.
    """
    site_of("head_kinds", site)
    item = None if item is None else whole("item", item, "the batch's items")
    if item is not None and not 0 <= item < site.sizes.batch:
        raise ShapeError(f"item: expected from 0 to {site.sizes.batch - 1} (the batch); got {item}")
    items = range(site.sizes.batch) if item is None else range(item, item + 1)
    entropy = site.entropy[items.start : items.stop]
    if not items:
        return []
    shares = measure(site, Marks.of(site, separators, tokens, real), items)
    mean, relative = _entropies(entropy, shares)
    pooled = {name: share.pooled for name, share in shares.sets.items()}
    means = {name: share.mean.tolist() for name, share in pooled.items()}
    lifts = {name: share.told(REACH).tolist() for name, share in pooled.items()}
    return [
        _judge(site.name, head, _of(means, head), _of(lifts, head), mean[head], relative[head])
        for head in range(site.sizes.heads)
    ]


def _of(shares: dict[str, list[float]], head: int) -> dict[str, float]:
    """Return what each set says of one head."""
    return {name: each[head] for name, each in shares.items()}


def _judge(
    site: str, head: int, means: dict[str, float], lifts: dict[str, float], entropy: float, relative: float
) -> Head:
    told = [name for name in PLACES if lifts.get(name, 0.0) >= DOMINANT]
    kinds = tuple(sorted(told, key=lambda name: -lifts[name])) or (_by_shape(lifts.get("local", 0.0), relative),)
    placed = {name: means.get(name, 0.0) for name in ("previous", "same", "next", "first", "separator", "sink")}
    return Head(
        site=site,
        head=head,
        kind=kinds[0],
        kinds=kinds,
        entropy=entropy,
        relative_entropy=relative,
        worth=(1 - relative) * (1 - min(1.0, sum(placed.values()))),
        local=means.get("local", 0.0),
        same_token=means.get("same token"),
        **placed,
    )


def _by_shape(local: float, relative_entropy: float) -> str:
    """Return the kind of a head whose weight no single place explains."""
    if local >= MOSTLY_LOCAL:
        return "local"
    return "broad" if relative_entropy >= BROAD else "mixed"


def _entropies(entropy: Tensor, shares: Shares) -> tuple[list[float], list[float]]:
    """Return each head's mean entropy, and its mean relative to even attention, over queries that count."""
    chooses = shares.counted & (shares.seen > 1)
    even = shares.seen.clamp(min=2).to(entropy.dtype).log()
    return _mean(entropy, shares.counted), _mean((entropy / even).clamp(0, 1), chooses)


def _mean(values: Tensor, which: Tensor) -> list[float]:
    """Return each head's mean of values (B, H, Nq) over chosen queries, 0 where there are none."""
    total = torch.where(which, values.double(), 0.0).sum((0, 2))
    return [float(each) for each in total / which.sum((0, 2)).clamp(min=1)]
