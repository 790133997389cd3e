"""Attention as the length of what it moves: weights times the norms of transformed values."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from regard.engines.observe import observe
from regard.engines.pairs import chunks
from regard.errors import ShapeError
from regard.watch.chains.head_mean import HeadMean, head_mean, kept_of
from regard.watch.chains.norms import value_norms
from regard.watch.chains.rules import KeyFactors
from regard.watch.positions import Positions
from regard.watch.site import Site

# How many weights are made at a time.
_AT_ONCE = 1 << 20


@dataclass(frozen=True, eq=False)
class ValueWeighted:
    """The norms ||P_ij f(x_j)|| = P_ij ||f(x_j)|| of a site, per batch item and head.

    Attributes:
        site: the site.
        norms: (B, H, Nk), ||f(x_j)|| as each head reads it.
    """

    site: Site
    norms: Tensor

    @property
    def received(self) -> Tensor:
        """What each key gives to all queries together, (B, H, Nk)."""
        kept = kept_of(self.site, "received")
        sums = self.site.statistics.received
        if sums is None:
            sums = observe(kept.problem, kept.lse, ("received",)).received
        assert sums is not None
        return sums * self.norms

    def rows(self, queries: Positions) -> Tensor:
        """Return P_ij ||f(x_j)|| (B, H, m, Nk) for m chosen queries."""
        return self.site.rows(queries) * self.norms.unsqueeze(2)

    @torch.no_grad()
    def joined(self, query_groups: Sequence[int] | Tensor, key_groups: Sequence[int] | Tensor) -> Tensor:
        """Return (B, H, query groups, key groups): summed over a group's keys, averaged over a group's queries.

        Args:
            query_groups: (Nq,) number of each query's group, from 0; -1 for none.
            key_groups: (Nk,) number of each key's group, from 0; -1 for none.
        """
        sizes = self.site.sizes
        groups = [
            torch.as_tensor(each, dtype=torch.long, device=self.norms.device) for each in (query_groups, key_groups)
        ]
        if [tuple(each.shape) for each in groups] != [(sizes.queries,), (sizes.keys,)]:
            raise ShapeError(
                f"joined: expected a group for each of {sizes.queries} queries and {sizes.keys} keys; got"
                f" {tuple(groups[0].shape)} and {tuple(groups[1].shape)}"
            )
        # Whatever is in no group goes to one more at the end, which is left out of the result.
        ends = [int(each.max()) + 1 if each.numel() else 0 for each in groups]
        rows, columns = (each.masked_fill(each < 0, end) for each, end in zip(groups, ends, strict=True))
        out = self.norms.new_zeros((sizes.batch, sizes.heads, ends[0] + 1, ends[1] + 1))
        at_once = _AT_ONCE // max(1, sizes.batch * sizes.heads * sizes.keys)
        for queries in chunks(sizes.queries, at_once):
            weighted = self.rows(range(queries.start, queries.stop))
            summed = out.new_zeros((*weighted.shape[:3], ends[1] + 1)).index_add_(-1, columns, weighted)
            out.index_add_(2, rows[queries], summed)
        members = torch.bincount(rows, minlength=ends[0] + 1).clamp(min=1)
        return (out / members.unsqueeze(-1))[:, :, :-1, :-1]

    def head_mean(self, heads: Positions | None = None) -> HeadMean:
        """Return the mean over heads as a matrix that is never built, with `left`, `right`, `sums` and `dense`."""
        return replace(head_mean(self.site, heads=heads), rule=KeyFactors(self.norms))


def value_weighted(site: Site, output: Tensor | nn.Module | None = None) -> ValueWeighted:
    """Weigh attention by how long the vectors are that it moves: ||P_ij f(x_j)||, with f(x) = (x W_V + b_V) W_O.

    A head may put much weight on a key whose value is next to nothing, as on separators and first tokens.

    Args:
        site: a site that kept its values.
        output: the projection that follows the heads, of which each head has its slice of rows: W_O (H * Dv, width)
            as it stands in x W_O, an `nn.Linear`, or GPT-2's `Conv1D`. Its bias plays no part. Default: none, for
            the norms of the values themselves.

    Returns:
        `received`, `rows(queries)`, `joined(query_groups, key_groups)` and `head_mean()`.

    Raises:
        NotKeptError: the site did not keep its values.
        ShapeError: the projection does not take H * Dv numbers.

    Source: Kobayashi et al. 2020, "Attention is Not Only a Weight: Analyzing Transformers with Vector Norms",
        section 3.
    """
    return ValueWeighted(site, value_norms(site, output))
