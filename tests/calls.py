"""One call of torch's attention, watched: its tensors, and the site that comes of it."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from regard import Site, watch


def qkv(
    batch: int = 2,
    heads: int = 3,
    queries: int = 9,
    keys: int | None = None,
    width: int = 8,
    *,
    key_heads: int | None = None,
    value_width: int | None = None,
    dtype: torch.dtype = torch.float32,
    requires_grad: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return random queries, keys and values."""
    keys, key_heads = queries if keys is None else keys, key_heads or heads
    q = torch.randn(batch, heads, queries, width)
    k = torch.randn(batch, key_heads, keys, width)
    v = torch.randn(batch, key_heads, keys, value_width or width)
    q, k, v = (t.to(dtype).requires_grad_(requires_grad) for t in (q, k, v))
    return q, k, v


def see(q: Tensor, k: Tensor, v: Tensor, watching: dict[str, Any] | None = None, **call: Any) -> Site:
    """Return the site of one call of torch's attention."""
    with watch(**(watching or {})) as seen:
        F.scaled_dot_product_attention(q, k, v, **call)
    (site,) = seen
    return site


def see_scores(scores: Tensor, **watching: Any) -> Site:
    """Return the site of a call whose scores (H, Nq, Nk) are given: they are the queries, each key is one-hot."""
    keys = torch.eye(scores.shape[-1]).expand(scores.shape[0], -1, -1)[None]
    return see(scores[None], keys, keys, watching, scale=1.0)
