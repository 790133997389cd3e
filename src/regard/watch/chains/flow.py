"""Attention flow: the most that can stream from a token through all layers to each input token."""

from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from regard.errors import WatchError
from regard.watch.chains.exact import exact
from regard.watch.chains.rollout import Layer
from regard.watch.chains.stack import Seen, stack_of, starts, unit_rows
from regard.watch.paths import Paths
from regard.watch.positions import Positions
from regard.watch.site import Site

# The graph, with an edge for each weight, is built for at most this many tokens.
LONGEST = 512

# Capacities are whole numbers of this part of 1; the largest capacity, 1, must be one of 32 bits.
_UNITS = 1 << 30


def flow(seen: Seen, queries: Positions, *, residual: float = 0.5, paths: Paths | None = None) -> Tensor:
    """Return the maximum flow from tokens of the top layer to each input token.

    Tokens of all layers are the nodes of a graph, and A = residual I + (1 - residual) M, as in `rollout`, are the
    capacities of its edges. Every input token is a problem of its own, solved by Dinic's algorithm on the whole
    matrices, with capacities rounded to 2^-30. There is no way known to solve it without them: which edges are full
    depends on all others. `flow_bound` goes without, at any length.

    Args:
        seen: a record of one forward pass, or sites in call order, with rows kept; all of one stack of layers.
        queries: the tokens to start from.
        residual: the share of the residual stream, 0 to 1.
        paths: which sites, as for `Record.select`; an encoder-decoder needs it.

    Returns:
        (B, m, N), 0 to 1.

    Raises:
        WatchError: more than 512 tokens; cross-attention or differing lengths among the sites; scipy is missing.
        NotKeptError: a site kept no rows.
        ShapeError: a position that there is not, or a residual that is no share.

    Source: Abnar and Zuidema 2020, "Quantifying Attention Flow in Transformers", section 3.
    """
    sites = stack_of("flow", seen, paths)
    count, batch, kept = sites[0].sizes.queries, sites[0].sizes.batch, sites[0].kept_for("flow")
    if count > LONGEST:
        raise WatchError(
            f"flow: expected at most {LONGEST:,} tokens, since it needs whole matrices; got {count:,}. Use"
            " flow_bound(seen, queries) for what no flow exceeds, or rollout(seen, queries)"
        )
    begin = starts("flow", queries, sites[-1])
    solve = _solver()
    A = [_matrix(site, residual) for site in sites]
    out = torch.zeros((batch, len(begin), count), dtype=kept.lse.dtype)
    for item in range(batch):
        graph = _graph([layer[item] for layer in A])
        for row, start in enumerate(begin.tolist()):
            for end in range(count):
                out[item, row, end] = solve(graph, len(A) * count + start, end).flow_value / _UNITS
    return out.to(kept.lse.device)


def flow_bound(seen: Seen, queries: Positions, *, residual: float = 0.5, paths: Paths | None = None) -> Tensor:
    """Return what the maximum flow to each input token does not exceed, without the matrices and at any length.

    Downward through the layers, what reaches token j is at most the sum over i of min(what reached i, A_ij), and at
    most 1, since each edge carries no more than its capacity and each token passes on no more than reached it. With
    one or two layers this is the maximum flow itself; with more it is at least that. `rollout` is a flow too, and a
    loose lower bound.

    Args:
        seen: a record of one forward pass, or sites in call order, with rows kept; all of one stack of layers.
        queries: the tokens to start from.
        residual: the share of the residual stream, 0 to 1.
        paths: which sites, as for `Record.select`; an encoder-decoder needs it.

    Returns:
        (B, m, N), 0 to 1.

    Raises:
        WatchError: cross-attention or differing lengths among the sites, or several passes.
        NotKeptError: a site kept no rows.
        ShapeError: a position that there is not, or a residual that is no share.
    """
    sites = stack_of("flow_bound", seen, paths)
    rows = unit_rows(starts("flow_bound", queries, sites[-1]), sites[-1])
    with exact(rows):
        for site in reversed(sites):
            rows = _at_most(site, Layer.of(site, residual), rows)
    return rows.to(sites[-1].kept_for("flow_bound").lse.dtype)


def _at_most(site: Site, layer: Layer, rows: Tensor) -> Tensor:
    """Return min(1, sum_i min(v_i, A_ij)) for row vectors v (B, m, N)."""
    own, others = layer.own, layer.others
    at_j = others * site.diagonal(0).mean(1, keepdim=True)
    # The diagonal lies in tiles that a mask may leave empty, so the residual's part is added by itself.
    out = torch.minimum(rows, own + at_j) - torch.minimum(rows, at_j)
    for item, queries, keys, M in layer.weights.tiles(whole=True):
        capacity = M * others[item, 0, queries, None].to(M.dtype)
        for row in range(rows.shape[1]):
            reached = rows[item, row, queries, None].to(M.dtype)
            out[item, row, keys] += torch.minimum(reached, capacity).sum(0)
    return out.clamp_(max=1)


def _matrix(site: Site, residual: float) -> Tensor:
    """Return A (B, N, N)."""
    layer = Layer.of(site, residual)
    return torch.diag_embed(layer.own[:, 0]) + layer.others.transpose(1, 2) * layer.weights.dense()


def _graph(layers: list[Tensor]) -> Any:
    """Return the sparse matrix of capacities between nodes, numbered level * N + token from the input up."""
    count, edges, capacities = len(layers[0]), [], []
    for level, A in enumerate(layers):
        whole = (A.double() * _UNITS).round().to("cpu", torch.int32)
        edge = whole.nonzero().T
        edges.append(edge + torch.tensor([[(level + 1) * count], [level * count]]))
        capacities.append(whole[edge[0], edge[1]])
    nodes = (len(layers) + 1) * count
    where = torch.cat(edges, 1).numpy()
    return import_module("scipy.sparse").csr_array((torch.cat(capacities).numpy(), where), shape=(nodes, nodes))


def _solver() -> Any:
    """Return scipy's solver, which is compiled; one in Python takes minutes where this takes a second."""
    try:
        return import_module("scipy.sparse.csgraph").maximum_flow
    except ImportError as error:
        raise WatchError(
            "flow: expected scipy, which solves it; install it with: pip install 'regard[look]'"
        ) from error
