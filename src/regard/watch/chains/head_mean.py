"""The mean over heads of a site's weights, or of a function of them, as a matrix that acts and is never built."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor

from regard.engines.log_weights import LogWeights
from regard.engines.observe import PREPARED
from regard.engines.pairs import chunks, subranges
from regard.errors import ShapeError, WantError, WatchError
from regard.watch.chains.exact import exact
from regard.watch.chains.norms import value_norms
from regard.watch.chains.rules import GradientTimesWeights, KeyFactors, Rule, Weights
from regard.watch.kept import Kept
from regard.watch.positions import Positions, positions
from regard.watch.site import DENSE_LIMIT, Site, site_of

# A tile holds at most this many weights, this many keys wide.
TILE = 1 << 20
KEY_TILE = 512

Of = Literal["weights", "value norms", "gradient", "positive gradient"]


@dataclass(frozen=True, eq=False)
class HeadMean:
    """The matrix M (B, Nq, Nk) = mean over heads of f(P), where f works on each weight by itself.

    Each product makes the weights again, tile by tile, and sums in float64. Memory grows with the length only.

    Attributes:
        kept: what the site kept.
        rule: f.
        shares: (H,), each head's share in the mean; 0 for heads that are left out.
    """

    kept: Kept
    rule: Rule
    shares: Tensor

    def left(self, rows: Tensor) -> Tensor:
        """Return x M (B, m, Nk), in float64, for m row vectors.

        Args:
            rows: (B, m, Nq).
        """
        sizes = self.kept.problem.sizes
        _expect("left", rows, (sizes.batch, -1, sizes.queries))
        out = rows.new_zeros((sizes.batch, rows.shape[1], sizes.keys), dtype=torch.float64)
        with exact(self.kept.lse):
            for item, queries, keys, M in self.tiles():
                out[item, :, keys] += rows[item, :, queries].to(M.dtype) @ M
        return out

    def right(self, columns: Tensor) -> Tensor:
        """Return M y (B, Nq, m), in float64, for m column vectors.

        Args:
            columns: (B, Nk, m).
        """
        sizes = self.kept.problem.sizes
        _expect("right", columns, (sizes.batch, sizes.keys, -1))
        out = columns.new_zeros((sizes.batch, sizes.queries, columns.shape[2]), dtype=torch.float64)
        with exact(self.kept.lse):
            for item, queries, keys, M in self.tiles():
                out[item, queries] += M @ columns[item, keys].to(M.dtype)
        return out

    def sums(self) -> Tensor:
        """Return the sum (B, Nq) of each row, in float64."""
        sizes, lse = self.kept.problem.sizes, self.kept.lse
        # Fused kernels give a query that sees no key 0 for its log-sum-exp, or -inf.
        all_see = not bool(((lse == 0) | (lse == -torch.inf)).any())
        if isinstance(self.rule, Weights) and self.kept.problem.sums_to_one and all_see:
            return lse.new_ones((sizes.batch, sizes.queries), dtype=torch.float64)
        return self.right(lse.new_ones((sizes.batch, sizes.keys, 1))).squeeze(-1)

    def dense(self) -> Tensor:
        """Return M itself (B, Nq, Nk), in the data type of the weights.

        Raises:
            WatchError: it would hold more than DENSE_LIMIT numbers.
        """
        sizes = self.kept.problem.sizes
        count = sizes.batch * sizes.queries * sizes.keys
        if count > DENSE_LIMIT:
            raise WatchError(
                f"dense: expected at most {DENSE_LIMIT:,} numbers; got {count:,}. Use left(x) and right(y), which"
                " multiply without building it"
            )
        out = self.kept.lse.new_zeros((sizes.batch, sizes.queries, sizes.keys))
        with exact(self.kept.lse):
            for item, queries, keys, M in self.tiles():
                out[item, queries, keys] += M
        return out

    def tiles(self, *, whole: bool = False) -> Iterator[tuple[int, slice, slice, Tensor]]:
        """Go through tiles (batch item, queries, keys, share in M); where several are of one place, M is their sum.

        Args:
            whole: give each place only once, with all heads in it; takes memory for all heads' queries and keys.
        """
        problem, heads = self.kept.problem, self.kept.problem.sizes.heads
        sizes = problem.sizes
        if not sizes.pairs:
            return
        at_once = heads if whole else min(heads, max(1, PREPARED // (sizes.width * max(sizes.queries, sizes.keys))))
        height = max(1, TILE // (at_once * min(sizes.keys, KEY_TILE)))
        for item in range(sizes.batch):
            for pairs in subranges(range(item * heads, (item + 1) * heads), at_once):
                shares = self.shares[pairs.start - item * heads : pairs.stop - item * heads]
                if not bool(shares.any()):
                    continue
                weights = LogWeights.of(problem, pairs, self.kept.lse)
                function = self.rule.on(pairs, sizes)
                for queries in chunks(sizes.queries, height):
                    for keys in chunks(sizes.keys, KEY_TILE):
                        S = weights.tile(queries, keys)
                        if S is not None:
                            F = function(S.exp2_(), queries, keys)
                            yield item, queries, keys, torch.tensordot(shares.to(F.dtype), F, 1)


def head_mean(site: Site, of: Of = "weights", heads: Positions | None = None) -> HeadMean:
    """Return the mean over heads of a site's weights, or of a function of them, as a matrix that is never built.

    Args:
        site: a site that kept its rows.
        of: "weights", P; "value norms", P times the norm of each key's value (Kobayashi et al. 2020); "gradient",
            P times the gradient of P; "positive gradient", that where it is above 0 and 0 elsewhere (Chefer et al.
            2021, equation 5). Gradients are those of what `backward()` was called on.
        heads: which heads. Default: all.

    Returns:
        A matrix M (B, Nq, Nk) with `left(x)`, `right(y)`, `sums()` and, for small ones, `dense()`.

    Raises:
        NotKeptError: the site did not keep what it takes.
        ShapeError: a head that the site does not have, or none.
        WatchError: it is no site, or gradients were asked for and no backward pass has come by or weights were
            dropped.
        WantError: an unknown `of`.
    """
    kept = site_of("head_mean", site).kept_for("head_mean")
    if of not in get_args(Of):
        raise WantError(f"of: expected one of {', '.join(get_args(Of))}; got {of!r}")
    makers: dict[str, Callable[[], Rule]] = {
        "weights": Weights,
        "value norms": lambda: KeyFactors(value_norms(site)),
        "gradient": partial(_with_gradient, site, positive=False),
        "positive gradient": partial(_with_gradient, site, positive=True),
    }
    return HeadMean(kept, makers[of](), _shares(site, heads))


def _with_gradient(site: Site, *, positive: bool) -> Rule:
    if site.dropout:
        raise WatchError(
            f"gradient: {site.name or 'this site'} dropped weights with probability {site.dropout}, so that their"
            " gradients are not known. Run the model without dropout, as after model.eval()"
        )
    return GradientTimesWeights(site.values, site.gradient, positive)


def _shares(site: Site, heads: Positions | None) -> Tensor:
    """Return each head's share (H,) in a mean over some of them."""
    count = site.sizes.heads
    chosen = positions("heads", slice(None) if heads is None else heads, count, what="numbers").unique()
    if count and not len(chosen):
        raise ShapeError(f"heads: expected numbers from 0 to {count - 1}, at least one; got none")
    shares = torch.zeros(count, dtype=torch.float64, device=site.kept_for("heads").lse.device)
    shares[chosen.to(shares.device)] = 1 / max(1, len(chosen))
    return shares


def _expect(asked: str, given: Tensor, shape: tuple[int, int, int]) -> None:
    """Raise unless a tensor has a shape, -1 standing for any size."""
    if given.ndim != 3 or any(want not in (-1, have) for have, want in zip(given.shape, shape, strict=True)):
        named = tuple("m" if size == -1 else size for size in shape)
        raise ShapeError(f"{asked}: expected a tensor of shape {named}; got {tuple(given.shape)}")
