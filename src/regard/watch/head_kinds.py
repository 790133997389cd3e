"""What kind of head each head is, by documented rules on where its weight goes.

For every head of a self-attention site the following shares are averaged over queries: the weight on the previous,
the same and the next position, on the first key, on separators, and within LOCAL positions to either side; and
entropy relative to that of even attention over the keys that a query may see. The first rule that holds names the
head:

1. the largest of previous, same, next, first and separator is at least DOMINANT: that one;
2. the weight within LOCAL positions is at least MOSTLY_LOCAL: "local";
3. relative entropy is at least BROAD: "broad";
4. else "mixed".

Cross-attention has no positions in common, so there only first, separator, broad and mixed are told.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from regard.watch.site import Site

LOCAL = 4
DOMINANT = 0.4
MOSTLY_LOCAL = 0.6
BROAD = 0.85

KINDS = ("previous", "same", "next", "first", "separator", "local", "broad", "mixed")


@dataclass(frozen=True)
class Head:
    """A head, the shares by which it was judged, and how much it is worth reading.

    Attributes:
        site: the site's name.
        head: its number.
        kind: one of KINDS.
        previous, same, next, first, separator, local: mean share of weight, 0 to 1.
        entropy: mean entropy of its queries, in nats.
        relative_entropy: mean of entropy over that of even attention, 0 (one key) to 1 (even).
        worth: (1 - relative entropy) * (1 - the shares of previous, same, next, first and separator): sharp
            attention that is explained neither by position nor by a sink.
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


def head_kinds(site: Site, separators: Sequence[int] = (), item: int = 0) -> list[Head]:
    """Return what kind of head each head of a site is, for one batch item.

    Args:
        site: a site that kept queries and keys.
        separators: positions of separator keys ("[SEP]", end of text); key 0 counts as first, not as separator.
        item: the batch item.
    """
    own = site.kind == "self"
    shares = {
        "previous": _on_diagonal(site, -1, item, own),
        "same": _on_diagonal(site, 0, item, own),
        "next": _on_diagonal(site, 1, item, own),
        "first": site.mass([0])[item].mean(-1) if site.sizes.keys else _none(site),
        "separator": site.mass([s for s in separators if s > 0])[item].mean(-1),
        "local": _near(site, item, own),
    }
    entropy = site.entropy[item]
    relative = (entropy / _even(site, item).clamp(min=1e-9)).clamp(0, 1).mean(-1)
    return [
        _judge(
            site,
            head,
            {name: float(share[head]) for name, share in shares.items()},
            entropy,
            float(relative[head]),
        )
        for head in range(site.sizes.heads)
    ]


def _judge(site: Site, head: int, shares: dict[str, float], entropy: Tensor, relative: float) -> Head:
    named = {name: shares[name] for name in ("previous", "same", "next", "first", "separator")}
    largest = max(named, key=lambda name: named[name])
    if named[largest] >= DOMINANT:
        kind = largest
    elif shares["local"] >= MOSTLY_LOCAL:
        kind = "local"
    else:
        kind = "broad" if relative >= BROAD else "mixed"
    explained = min(1.0, sum(named.values()))
    return Head(
        site=site.name,
        head=head,
        kind=kind,
        entropy=float(entropy[head].mean()),
        relative_entropy=relative,
        worth=(1 - relative) * (1 - explained),
        **shares,
    )


def _none(site: Site) -> Tensor:
    return site.entropy.new_zeros(site.sizes.heads)


def _on_diagonal(site: Site, offset: int, item: int, own: bool) -> Tensor:
    """Return the mean weight of each head on the key at an offset, over queries that have such a key."""
    share = site.diagonal(offset)[item] if own else None
    return _none(site) if share is None or share.shape[-1] == 0 else share.mean(-1)


def _near(site: Site, item: int, own: bool) -> Tensor:
    """Return the mean weight of each head within LOCAL positions; 0 where that would be all there is."""
    if not own or site.sizes.keys <= 2 * LOCAL + 1:
        return _none(site)
    return sum((site.diagonal(o)[item].sum(-1) for o in range(-LOCAL, LOCAL + 1)), _none(site)) / site.sizes.queries


def _even(site: Site, item: int) -> Tensor:
    """Return (H, Nq): the entropy of even attention over the keys that each query may see."""
    seen = site.visible()[item]
    return seen.float().log().masked_fill(seen <= 1, math.inf)
