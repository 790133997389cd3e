"""Attention rollout: what reaches chosen tokens through all layers, if attention alone moved information."""

from dataclasses import dataclass

from torch import Tensor

from regard.errors import ShapeError
from regard.watch.chains.head_mean import HeadMean, head_mean
from regard.watch.chains.stack import Seen, stack_of, starts, unit_rows
from regard.watch.paths import Paths
from regard.watch.positions import Positions
from regard.watch.site import Site


def rollout(
    seen: Seen, queries: Positions | None = None, *, residual: float = 0.5, paths: Paths | None = None
) -> Tensor:
    """Follow attention from tokens of the top layer down to the input tokens.

    The result is v^T A_L ... A_1, where v picks a token and A = residual I + (1 - residual) M, M the mean over
    heads of a layer's weights. Each row of A is divided by its sum where that is not 1: a query that sees no key
    passes on only itself, and where a sink takes weight, what is left of attention keeps its proportion to the
    residual. One vector a token goes down through the layers, so memory grows with the length, not its square.

    Args:
        seen: a record of one forward pass, or sites in call order, with rows kept; all of one stack of layers.
        queries: the tokens to start from. Default: all, up to 1,024 of them.
        residual: the share of the residual stream, 0 to 1.
        paths: which sites, as for `Record.select`; an encoder-decoder needs it.

    Returns:
        (B, m, N), for each token how much of each input token reaches it; each row sums to 1, or to 0 for a query
        that sees nothing where residual is 0.

    Raises:
        WatchError: cross-attention or differing lengths among the sites, several passes, or too many tokens.
        NotKeptError: a site kept no rows.
        ShapeError: a position that there is not, or a residual that is no share.

    Source: Abnar and Zuidema 2020, "Quantifying Attention Flow in Transformers", section 3, equation 1.
    """
    sites = stack_of("rollout", seen, paths)
    rows = unit_rows(starts("rollout", queries, sites[-1]), sites[-1])
    for site in reversed(sites):
        layer = Layer.of(site, residual)
        rows = rows * layer.own + layer.weights.left(rows * layer.others)
    return rows.to(sites[-1].kept_for("rollout").lse.dtype)


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer as it mixes tokens: A_ij = own_i I_ij + others_i M_ij, with rows that sum to 1.

    Attributes:
        weights: M.
        own: (B, 1, N).
        others: (B, 1, N).
    """

    weights: HeadMean
    own: Tensor
    others: Tensor

    @classmethod
    def of(cls, site: Site, residual: float) -> "Layer":
        """Return how a site, with the residual stream around it, mixes tokens.

        Raises:
            ShapeError: `residual` is no share.
        """
        if not 0 <= residual <= 1:
            raise ShapeError(f"residual: expected a share from 0 to 1; got {residual}")
        weights = head_mean(site)
        total = residual + (1 - residual) * weights.sums().unsqueeze(1)
        total = total.masked_fill(total == 0, 1.0)
        return cls(weights, residual / total, (1 - residual) / total)
