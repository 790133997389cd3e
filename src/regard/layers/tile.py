"""Attention of some queries over one block of keys, many at a time: output, log-sum-exp, a share of the gradient.

The CPU's fused kernel gives and takes log-sum-exps. Elsewhere the same is said in matrix products.
"""

from torch import Tensor

from regard.engines.kernel import call_kernel, call_kernel_backward
from regard.shapes import compute_dtype


def tile(query: Tensor, key: Tensor, value: Tensor, added: Tensor | None, scale: float) -> tuple[Tensor, Tensor]:
    """Return output (T, R, Nq, D) and log-sum-exp (T, R, Nq).

    Args:
        query: (T, R, Nq, D).
        key: (T, 1, Nk, D).
        value: (T, 1, Nk, D).
        added: (T, 1, Nq, Nk), added to the scores, or None.
        scale: factor on the dot products.
    """
    if query.device.type != "cpu":
        return by_products(query, key, value, added, scale)
    output, lse = call_kernel(query, key, value, added, False, scale)
    assert lse is not None
    return output, lse


def tile_backward(
    d_output: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    output: Tensor,
    lse: Tensor,
    added: Tensor | None,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return a tile's share of the gradients, given output and log-sum-exp of these queries over all of their keys.

    Args:
        d_output: (T, R, Nq, D), gradient of the output.
        query: as for `tile`, as the next two.
        key: (T, 1, Nk, D).
        value: (T, 1, Nk, D).
        output: (T, R, Nq, D).
        lse: (T, R, Nq).
        added: as for `tile`.
        scale: factor on the dot products.
    """
    given = (d_output, query, key, value, output, lse, added, scale)
    return (call_kernel_backward if query.device.type == "cpu" else by_products_backward)(*given)


def by_products(
    query: Tensor, key: Tensor, value: Tensor, added: Tensor | None, scale: float
) -> tuple[Tensor, Tensor]:
    """Return what `tile` does, on any device."""
    S = _scores(query, key, added, scale)
    lse = S.logsumexp(-1)
    return (S - lse.unsqueeze(-1)).exp().to(value.dtype) @ value, lse


def by_products_backward(
    d_output: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    output: Tensor,
    lse: Tensor,
    added: Tensor | None,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what `tile_backward` does, on any device."""
    P = (_scores(query, key, added, scale) - lse.unsqueeze(-1)).exp()
    d_scores = P * (d_output @ value.mT - (d_output * output).sum(-1, keepdim=True)) * scale
    d_scores, P = d_scores.to(query.dtype), P.to(query.dtype)
    d_key, d_value = ((left.mT @ right).sum(1, keepdim=True) for left, right in ((d_scores, query), (P, d_output)))
    return d_scores @ key, d_key, d_value


def _scores(query: Tensor, key: Tensor, added: Tensor | None, scale: float) -> Tensor:
    S = (query @ key.mT).to(compute_dtype(query.dtype)) * scale
    return S if added is None else S + added
