"""Exact rows of chosen queries: those that were asked for, and beside them as many as a page has room for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from regard.reports.build import Section, queries_of
from regard.reports.page.arrays import Arrays
from regard.reports.page.budget import PAGE
from regard.reports.page.maps import Maps, full, packed
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
    most = max((len(each.offered) for each in sites), default=0)
    for offers in range(most, -1, -1):
        found = [_packed_rows(each, offers) for each in sites]
        size = sum(len(plane) for heads in found for _, planes in heads for plane in planes)
        if not offers or arrays.size + size <= PAGE:
            for each, heads in zip(sites, found, strict=True):
                _put(each, each.queries(offers), heads, arrays)
            return


def _packed_rows(each: Pinned, offers: int) -> list[tuple[Tensor, tuple[bytes, bytes]]]:
    queries = each.queries(offers)
    weights = rows(each.site, each.item, queries) if queries else ()
    return [(head, packed(head, FINE)) for head in weights]


def _put(each: Pinned, queries: list[int], found: list[tuple[Tensor, tuple[bytes, bytes]]], arrays: Arrays) -> None:
    for head, (weights, planes) in zip(each.heads, found, strict=False):
        head["rows"] = {"queries": queries, "weights": full(weights, *planes, FINE, arrays)}
