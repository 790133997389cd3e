"""Exact rows of chosen queries: those that were asked for, and beside them as many as a page has room for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from regard.reports.build import Section, queries_of
from regard.reports.page.arrays import Arrays
from regard.reports.page.budget import PAGE
from regard.reports.page.maps import Maps, Packed, full, packed
from regard.reports.page.weights import rows
from regard.watch.site import Site

# A row has few weights of 1 % and more; weights of 0.02 % and more get two bytes.
FINE = 4


@dataclass(frozen=True, eq=False)
class Pinned:
    """A site whose maps are in cells, and queries whose rows may stand beside them.

    Attributes:
        site: the site.
        item: the batch item.
        heads: the heads as they stand in the index.
        asked: the queries that were asked for.
        offered: further ones, the most useful first.
    """

    site: Site
    item: int
    heads: list[dict[str, Any]]
    asked: tuple[int, ...]
    offered: tuple[int, ...]

    def queries(self, offers: int) -> list[int]:
        """Return the queries that were asked for, and some of those offered."""
        return sorted({*self.asked, *self.offered[:offers]})


def pinned(section: Section, maps: Sequence[Maps], pins: Sequence[int | str]) -> Iterator[Pinned]:
    """Go through the sites of a section whose maps are in cells.

    Offered are the last query, and that of the strongest weight of the head that is shown first.
    """
    layer, head = section.shown
    links = maps[layer].links
    strong = links[head].queries[:1].tolist() if links else []
    last = [len(section.queries.groups) - 1] if section.queries.groups else []
    offered = tuple(dict.fromkeys([*last, *strong]))
    asked = tuple(query for pin in pins for query in queries_of(section.queries, pin))
    for site, each in zip(section.sites, maps, strict=True):
        if each.links:
            yield Pinned(site, section.item, each.heads, asked, offered)


def add_rows(sites: Sequence[Pinned], arrays: Arrays) -> None:
    """Put the rows of as many queries as there is room for into the index; those asked for in any case."""
    for offers in range(max((len(each.offered) for each in sites), default=0), -1, -1):
        found = [_packed_rows(each, offers) for each in sites]
        size = sum(len(head.upper) + len(head.lower) for heads in found for head in heads)
        if not offers or arrays.size + size <= PAGE:
            break
    for each, heads in zip(sites, found, strict=True):
        for head, weights in zip(each.heads, heads, strict=bool(heads)):
            head["rows"] = {"queries": each.queries(offers), "weights": full(weights, arrays)}


def _packed_rows(each: Pinned, offers: int) -> list[Packed]:
    """Return the rows of each head; none where there are no queries."""
    queries = each.queries(offers)
    return [packed(head, FINE) for head in rows(each.site, each.item, queries)] if queries else []
