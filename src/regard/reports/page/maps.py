"""The map of each head: every weight, or the matrix in cells and the strongest weights beside it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from regard.reports.page import codes
from regard.reports.page.arrays import Arrays, pack
from regard.reports.page.budget import Budget
from regard.reports.page.weights import Celled, Strongest, celled, rows, strongest
from regard.watch.site import Site

_THUMBNAIL = 24


@dataclass(frozen=True, eq=False)
class Maps:
    """What the page shows of a site's weights.

    Attributes:
        heads: map, links and rows of each head, rows None.
        thumbnails: (H, rows, columns), one byte a cell.
        links: the strongest weights of each head, where the maps are in cells; else none.
    """

    heads: list[dict[str, Any]]
    thumbnails: NDArray[np.uint8]
    links: list[Strongest]


@dataclass(frozen=True, eq=False)
class Packed:
    """Rows of weights as two compressed planes; the lower one is of weights whose upper byte is at least `fine`."""

    rows: int
    columns: int
    upper: bytes
    lower: bytes
    fine: int


def maps_of(site: Site, item: int, budget: Budget, arrays: Arrays) -> Maps:
    """Return what the page shows of a batch item at a site."""
    if site.kept is not None and budget.full:
        weights = rows(site, item, range(site.sizes.queries))
        heads = [_head(full(packed(each, codes.FINE), arrays)) for each in weights]
        return Maps(heads, codes.thumbnails(weights, _THUMBNAIL), [])
    seen = celled(site, item, None if site.kept is None else budget.cells)
    links = [] if site.kept is None else strongest(site, item, seen, budget.links)
    heads = [_head(_cells(seen, number, arrays)) for number in range(site.sizes.heads)]
    for head, found in zip(heads, links, strict=False):
        head["links"] = _links(found, arrays)
    return Maps(heads, codes.thumbnails(seen.largest, _THUMBNAIL), links)


def packed(weights: Tensor, fine: int) -> Packed:
    """Return some rows of weights (queries, keys) as they stand on the page, with `fine` as in `codes.planes`."""
    upper, lower, fine = codes.planes(weights, fine)
    return Packed(weights.shape[0], weights.shape[1], pack(upper), pack(lower), fine)


def full(weights: Packed, arrays: Arrays) -> dict[str, Any]:
    """Return rows of weights, their planes put among the arrays."""
    return {
        "form": "full",
        "rows": weights.rows,
        "columns": weights.columns,
        "high": arrays.add_packed(weights.upper),
        "low": arrays.add_packed(weights.lower),
        "fine": weights.fine,
    }


def _head(shown: dict[str, Any]) -> dict[str, Any]:
    return {"map": shown, "links": None, "rows": None}


def _cells(seen: Celled, head: int, arrays: Arrays) -> dict[str, Any]:
    mean, largest = seen.mean[head], seen.largest[head]
    return {
        "form": "cells",
        "rows": mean.shape[0],
        "columns": mean.shape[1],
        "queriesACell": seen.query_cell,
        "keysACell": seen.key_cell,
        "mean": arrays.add(codes.one_byte(mean).tobytes()),
        "max": arrays.add(codes.one_byte(largest).tobytes()),
    }


def _links(found: Strongest, arrays: Arrays) -> dict[str, Any]:
    return {
        "count": len(found.weights),
        "queries": arrays.add(found.queries.numpy().astype("<u4").tobytes()),
        "keys": arrays.add(found.keys.numpy().astype("<u4").tobytes()),
        "weights": arrays.add(codes.two_bytes(found.weights).astype("<u2").tobytes()),
    }
