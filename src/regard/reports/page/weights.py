"""What the page shows of a site's weights: rows of queries, the matrix in cells, the strongest ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.engines.log_weights import LogWeights
from regard.reports.build import check_finite
from regard.watch.kept import Kept
from regard.watch.site import Site

# Rows of cells of so many queries together are made again at a time.
_QUERIES_AT_ONCE = 128


@dataclass(frozen=True, eq=False)
class Celled:
    """The matrix of each head in cells.

    Attributes:
        mean: (H, rows, columns), the weight on a cell's keys together, averaged over its queries.
        largest: (H, rows, columns), the largest single weight of a cell.
        query_cell: how many queries a cell spans.
        key_cell: how many keys a cell spans.
    """

    mean: Tensor
    largest: Tensor
    query_cell: int
    key_cell: int


@dataclass(frozen=True, eq=False)
class Strongest:
    """The strongest single weights (n,) of a head, strongest first, with their queries and keys."""

    queries: Tensor
    keys: Tensor
    weights: Tensor


def rows(site: Site, item: int, queries: Sequence[int]) -> Tensor:
    """Return the weights (H, n, Nk) of chosen queries of a batch item."""
    kept, sizes = site.kept_for("rows"), site.sizes
    out = torch.empty((sizes.heads, len(queries), sizes.keys))
    chosen = torch.as_tensor(queries, dtype=torch.long, device=kept.lse.device)
    for heads, places, weights in kept.strips(item, chosen):
        out[heads, places] = weights.to(out)
    check_finite(site, out)
    return out


def celled(site: Site, item: int, cells: int | None) -> Celled:
    """Return the matrix of a batch item in at most so many cells a side; None: the map that the site kept."""
    pooled = site.map(cells)
    spans = torch.full((pooled.mean.shape[-1],), pooled.key_cell)
    if len(spans):
        spans[-1] = site.sizes.keys - pooled.key_cell * (len(spans) - 1)
    mean, largest = (each[item].float().cpu() for each in (pooled.mean, pooled.max))
    check_finite(site, mean, largest)
    return Celled(mean * spans, largest, pooled.query_cell, pooled.key_cell)


@torch.no_grad()
def strongest(site: Site, item: int, seen: Celled, count: int) -> list[Strongest]:
    """Return the strongest weights of each head, at most `count`.

    As many cells as weights are wanted, those with the largest weights, hold them all; these are made again, and
    some between them, since few calls of torch on larger rectangles take less time than many on small ones.
    """
    kept = site.kept_for("links")
    return [
        _of_head(kept, item * site.sizes.heads + head, seen, largest, count)
        for head, largest in enumerate(seen.largest)
    ]


def _of_head(kept: Kept, pair: int, seen: Celled, largest: Tensor, count: int) -> Strongest:
    part = LogWeights.of(kept.problem, range(pair, pair + 1), kept.lse)
    best = largest.flatten().topk(min(count, int((largest > 0).sum()))).indices
    width, sizes, device = max(1, largest.shape[1]), kept.problem.sizes, kept.lse.device
    row, column = best // width, best % width
    strip = row // max(1, _QUERIES_AT_ONCE // max(1, seen.query_cell))
    found = []
    for number in strip.unique():
        here = strip == number
        queries = _span(row[here].unique(), seen.query_cell, sizes.queries).to(device)
        keys = _span(column[here].unique(), seen.key_cell, sizes.keys).to(device)
        weights = torch.exp2(part.rows(queries, keys))[0].flatten()
        top = weights.topk(min(count, len(weights)))
        found.append((queries[top.indices // len(keys)], keys[top.indices % len(keys)], top.values))
    if not found:
        none = torch.zeros(0, dtype=torch.long)
        return Strongest(none, none, torch.zeros(0))
    where_from, where_to, weights = (torch.cat(each).cpu() for each in zip(*found, strict=True))
    order = weights.argsort(descending=True, stable=True)[:count]
    order = order[weights[order] > 0]
    return Strongest(where_from[order], where_to[order], weights[order])


def _span(cells: Tensor, size: int, positions: int) -> Tensor:
    """Return the positions that cells span."""
    spanned = (cells.unsqueeze(-1) * size + torch.arange(size)).flatten()
    return spanned[spanned < positions]
