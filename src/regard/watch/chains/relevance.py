"""Relevance of tokens to an output, from attention and its gradients, through self- and cross-attention."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.errors import WatchError
from regard.watch.chains.head_mean import HeadMean, head_mean
from regard.watch.chains.stack import (
    CHOOSE,
    Seen,
    chosen_sites,
    expect_alike,
    expect_one_pass,
    starts,
    unit_rows,
)
from regard.watch.paths import Paths
from regard.watch.positions import Positions
from regard.watch.record import Record
from regard.watch.site import Site


@dataclass(frozen=True, eq=False)
class Relevance:
    """How relevant each token was to chosen ones.

    Attributes:
        tokens: (B, m, N), of the tokens of the chosen ones' own text (R^tt of the paper); at least 1 at the chosen
            token itself, which the residual stream carries.
        source: (B, m, Ns), of the source's tokens (R^ts) in a model with cross-attention, else None.
    """

    tokens: Tensor
    source: Tensor | None


def relevance(seen: Seen, queries: Positions | None = None, *, paths: Paths | None = None) -> Relevance:
    """Say how relevant input tokens were to what was differentiated, as seen from chosen tokens of the last layer.

    Watch with want=("gradients",), call `backward()` on the output in question (one logit, say), and start from the
    token at which it stands. With Abar the mean over heads of the positive part of P times its gradient (equation
    5), self-attention adds Abar R to every R (6, 7), and cross-attention, with the Rs of both sides normalised (8,
    9), adds Rbar_tt^T Abar Rbar_ss to R_ts (10); R_st and what it adds (11) are 0 where the source does not attend
    to the target. Where all relevance of a row is 0, equation 9 divides by 0; here it stays 0. Only vectors are
    kept, so memory grows with the length and not with its square.

    The encoder's sites are those before the self-attention that the first cross-attention follows; without any, the
    source is what the decoder attends to.

    Args:
        seen: a record of one forward pass, or sites in call order, with gradients kept: of one stack of layers, or
            of an encoder and a decoder.
        queries: positions in the last layer. Default: all, up to 1,024 of them.
        paths: which sites, as for `Record.select`.

    Raises:
        WatchError: no backward pass has come by, weights were dropped, lengths do not fit together, several passes,
            or too many tokens.
        NotKeptError: a site kept no gradients.
        ShapeError: a position that there is not.

    Source: Chefer, Gur and Wolf 2021, "Generic Attention-Model Explainability for Interpreting Bi-Modal and
        Encoder-Decoder Transformers", equations 3 to 11.
    """
    sites = chosen_sites("relevance", seen, paths)
    if isinstance(seen, Record):
        expect_one_pass("relevance", sites)
    encoder, decoder = _sides(sites)
    own = [site for site in decoder if site.kind == "self"]
    _expect_fitting(encoder, decoder)
    last = decoder[-1]
    rows = unit_rows(starts("relevance", queries, last), last)
    at, tokens = _down(decoder, rows)
    dtype = last.kept_for("relevance").lse.dtype
    if len(own) == len(decoder):
        return Relevance((rows + tokens).to(dtype), None)
    source = _through(_positive(encoder), _across(decoder, at))
    return Relevance((rows + tokens).to(dtype), source.to(dtype))


def _sides(sites: list[Site]) -> tuple[list[Site], list[Site]]:
    """Return the sites of the source's stack and those of the stack to explain; there may be no source."""
    crosses = [place for place, site in enumerate(sites) if site.kind == "cross"]
    start = max(0, crosses[0] - 1) if crosses else 0
    return sites[:start], sites[start:]


def _expect_fitting(encoder: Sequence[Site], decoder: Sequence[Site]) -> None:
    """Raise unless lengths are those of one stack, or of an encoder and a decoder that attends to it."""
    crosses = [site for site in decoder if site.kind == "cross"]
    expect_alike("relevance", [site for site in decoder if site.kind == "self"])
    expect_alike("relevance", encoder)
    sources = {site.sizes.keys for site in (*encoder, *crosses)}
    targets = {site.sizes.queries for site in decoder}
    if len(targets) > 1 or (crosses and len(sources) > 1):
        raise WatchError(
            "relevance: expected layers over one text, or an encoder and then a decoder that attends to it; got"
            f" source lengths {sorted(sources)} and target lengths {sorted(targets)}. {CHOOSE}"
        )


def _positive(sites: Sequence[Site]) -> list[HeadMean]:
    return [head_mean(site, "positive gradient") for site in sites]


# R = (I + A_L) ... (I + A_1) is kept as R - I = D throughout: gradients can be so small that adding them to I would
# lose them, and equation 8 asks for D.


def _through(layers: Sequence[HeadMean], rows: Tensor) -> Tensor:
    """Return x Rbar (equations 8 and 9) for row vectors x (B, m, N): x + (x / S) D with S the row sums of D."""
    ones = rows.new_ones((rows.shape[0], rows.shape[2], 1))
    added = torch.zeros_like(ones)
    for layer in layers:
        added = added + layer.right(ones + added)
    scaled = _over(rows, added.transpose(1, 2))
    moved = torch.zeros_like(rows)
    for layer in reversed(layers):
        moved = moved + layer.left(scaled + moved)
    return rows + moved


def _down(decoder: Sequence[Site], rows: Tensor) -> tuple[list[Tensor], Tensor]:
    """Take rows v down a stack: return v (I + A_L) ... (I + A_l+1) for each cross-attention, and v D."""
    moved, at = torch.zeros_like(rows), []
    for site in reversed(decoder):
        if site.kind == "cross":
            at.append(rows + moved)
        else:
            moved = moved + head_mean(site, "positive gradient").left(rows + moved)
    return at[::-1], moved


def _across(decoder: Sequence[Site], at: Sequence[Tensor]) -> Tensor:
    """Return the sum over cross-attentions c of u_c Rbar_tt^T Abar_c, with u_c what reaches it from above.

    u Rbar^T is (Rbar u^T)^T, and Rbar u = u + D u / S: columns go up the stack, all u and the ones that give S
    together, so that each layer's weights are made once.
    """
    wide = at[0].shape[1]
    ones = at[0].new_ones((at[0].shape[0], at[0].shape[2], 1))
    columns = torch.cat([ones, *(u.transpose(1, 2) for u in at)], -1)
    moved, done, across = torch.zeros_like(columns), 0, []
    for site in decoder:
        layer = head_mean(site, "positive gradient")
        if site.kind == "self":
            moved = moved + layer.right(columns + moved)
            continue
        part = slice(1 + done * wide, 1 + (done + 1) * wide)
        mixed = columns[..., part] + _over(moved[..., part], moved[..., :1])
        across.append(layer.left(mixed.transpose(1, 2)))
        done += 1
    return torch.stack(across).sum(0)


def _over(numerator: Tensor, total: Tensor) -> Tensor:
    """Return a quotient, 0 where the total is 0."""
    return (numerator / total.masked_fill(total == 0, 1.0)).masked_fill(total == 0, 0.0)
