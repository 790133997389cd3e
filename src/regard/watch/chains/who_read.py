"""Who read this: the heads and queries that attended most to chosen words, patches or seconds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from regard.errors import ShapeError, WatchError
from regard.watch.chains.stack import CHOOSE, Seen, chosen_sites
from regard.watch.paths import Paths
from regard.watch.positions import Positions, positions, whole
from regard.watch.site import Site


@dataclass(frozen=True)
class Reading:
    """How much a head, or one of its queries, attended to chosen keys.

    Attributes:
        weight: of a query, its weight on the keys together, 0 to 1; of a head, the mean of that over its queries.
        keys: the name of the chosen keys, "" for a set without one.
        site: the site's name.
        head: the head's number.
        query: the query's number at its site, as `rows(query)` takes it; None for the head as a whole.
        item: the batch item.
    """

    weight: float
    keys: str
    site: str
    head: int
    query: int | None
    item: int

    def __str__(self) -> str:
        query = "" if self.query is None else f", query {self.query}"
        of = f"  of {self.keys}" if self.keys else ""
        return f"{self.weight:.4f}  {self.site or '(no module)'}, item {self.item}, head {self.head}{query}{of}"


@dataclass(frozen=True)
class Readers:
    """Who read chosen keys; prints as text.

    Attributes:
        queries: the queries that put most weight on them, strongest first, one set of keys after another.
        heads: the heads whose queries put most weight on them on average, likewise.
    """

    queries: tuple[Reading, ...]
    heads: tuple[Reading, ...]

    def __str__(self) -> str:
        lines = ["queries that read most", *(f"  {each}" for each in self.queries)]
        return "\n".join(
            [*lines, "heads that read most, mean of their queries", *(f"  {each}" for each in self.heads)]
        )


def who_read(
    seen: Seen, keys: Positions | Mapping[str, Positions], k: int = 10, *, paths: Paths | None = None
) -> Readers:
    """Find the queries and heads that attended most to chosen keys, over all sites.

    Weights are exact, each query's summed over the keys. Only weights on the chosen keys are made, and of each site
    only the k largest sums are kept.

    Args:
        seen: a record or sites, with rows kept. Keys must mean the same at all of them: choose where a model has
            cross-attention, which reads another text than self-attention.
        keys: positions of keys (a word, a patch, a second), each counted once, or several such sets by name.
            Positions that a site does not have yet, as during generation, do not count there.
        k: how many queries, and how many heads, to name of each set; those without any weight are not named.
        paths: which sites, as for `Record.select`.

    Returns:
        `queries` and `heads`, records that print as a list.

    Raises:
        ShapeError: k below 1, or positions that no site has.
        WatchError: there are both self-attention and cross-attention, or no sites.
        NotKeptError: a site kept no rows.
    """
    k = whole("k", k, "readers", 1)
    sites = chosen_sites("who_read", seen, paths)
    if len({site.kind for site in sites}) > 1:
        raise WatchError(f"who_read: expected sites that read one text; got self- and cross-attention. {CHOOSE}")
    queries: list[Reading] = []
    heads: list[Reading] = []
    for name, chosen in (keys if isinstance(keys, Mapping) else {"": keys}).items():
        of_queries: list[Reading] = []
        of_heads: list[Reading] = []
        for site, places in zip(sites, _at_each(name, chosen, sites), strict=True):
            mass = site.kept_for("who_read").mass(places)
            of_queries = _strongest([*of_queries, *_most(name, site, mass, k)], k)
            average = mass.double().mean(-1, keepdim=True) if site.sizes.queries else mass
            of_heads = _strongest([*of_heads, *_most(name, site, average, k, whole=True)], k)
        queries, heads = queries + of_queries, heads + of_heads
    return Readers(tuple(queries), tuple(heads))


def _most(name: str, site: Site, mass: Tensor, k: int, *, whole: bool = False) -> list[Reading]:
    """Return the k largest of (B, H, queries) masses, where `whole` says that heads stand for all their queries."""
    best = mass.flatten().topk(min(k, mass.numel()))
    found = []
    for weight, place in zip(best.values.tolist(), best.indices.tolist(), strict=True):
        row, query = divmod(place, mass.shape[2])
        item, head = divmod(row, mass.shape[1])
        if weight > 0:
            found.append(Reading(weight, name, site.name, head, None if whole else query, item))
    return found


def _strongest(readings: list[Reading], k: int) -> list[Reading]:
    """Return the k readings of most weight; of equal ones, those that came first."""
    return sorted(readings, key=lambda reading: -reading.weight)[:k]


def _at_each(name: str, keys: Positions, sites: Sequence[Site]) -> list[Tensor]:
    """Return those of chosen positions that each site has.

    Raises:
        ShapeError: they are no positions, negative, or beyond those of every site.
    """
    most = max(site.sizes.keys for site in sites)
    asked = f"who_read: keys {name!r}" if name else "who_read: keys"
    index = positions(asked, keys, most, from_end=False)
    if not len(index):
        raise ShapeError(f"{asked}: expected positions from 0 to {most - 1}, at least one; got none")
    return [index[index < site.sizes.keys].to(site.kept_for("who_read").lse.device) for site in sites]
