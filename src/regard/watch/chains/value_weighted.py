"""Attention as the length of what it moves: weights times the norms of transformed values."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor, nn

from regard.engines.observe import observe
from regard.watch.chains.head_mean import HeadMean, head_mean
from regard.watch.chains.norms import value_norms
from regard.watch.chains.rules import KeyFactors
from regard.watch.positions import Positions
from regard.watch.site import Site, site_of


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
        kept = self.site.kept_for("received")
        sums = self.site.statistics.received
        if sums is None:
            sums = observe(kept.problem, kept.lse, ("received",)).received
        assert sums is not None
        return sums * self.norms

    def rows(self, queries: Positions) -> Tensor:
        """Return P_ij ||f(x_j)|| (B, H, m, Nk) for m chosen queries."""
        return self.site.rows(queries) * self.norms.unsqueeze(2)

    def joined(self, query_groups: Sequence[int] | Tensor, key_groups: Sequence[int] | Tensor) -> Tensor:
        """Return (B, H, query groups, key groups): summed over a group's keys, averaged over a group's queries.

        Args:
            query_groups: (Nq,) number of each query's group, from 0; -1 for none.
            key_groups: (Nk,) number of each key's group, from 0; -1 for none.
        """
        return self.site.joined(query_groups, key_groups, self.norms)

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
        WatchError: it is no site.
        NotKeptError: the site did not keep its values.
        ShapeError: the projection does not take H * Dv numbers.

    Source: Kobayashi et al. 2020, "Attention is Not Only a Weight: Analyzing Transformers with Vector Norms",
        section 3.
    """
    return ValueWeighted(site_of("value_weighted", site), value_norms(site, output))
