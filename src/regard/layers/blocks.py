"""Blocks: attention and feed-forward layers around a residual stream, put together from finished parts."""

from collections.abc import Callable
from typing import Literal

from torch import Tensor, nn

from regard.errors import LayerError
from regard.layers.caches.contract import Cache
from regard.layers.multi_head import MultiHead
from regard.mechanisms.masks.rule import MaskLike

Order = Literal["pre", "post"]


class Residual(nn.Module):
    """Adds what a branch gives: `x + branch(norm(x))` ("pre") or `norm(x + branch(x))` ("post").

    Args:
        norm: such as `nn.LayerNorm(width)`.
        order: "pre" or "post".
        drop: what a branch passes before it is added, such as dropout or `DropPath`.

    Raises:
        LayerError: another order.

    Source: post: Vaswani et al. 2017; pre: Xiong et al. 2020, "On Layer Normalization in the Transformer
    Architecture".
    """

    def __init__(self, norm: nn.Module, order: Order, drop: nn.Module | None = None) -> None:
        super().__init__()
        if order not in ("pre", "post"):
            raise LayerError(f'order: expected "pre" or "post"; got {order!r}')
        self.norm, self.order = norm, order
        self.drop = nn.Identity() if drop is None else drop

    def forward(self, x: Tensor, branch: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the stream (B, N, E) after a branch."""
        if self.order == "pre":
            after: Tensor = x + self.drop(branch(self.norm(x)))
        else:
            after = self.norm(x + self.drop(branch(x)))
        return after


class EncoderBlock(nn.Module):
    """Attention of a sequence to itself, then a feed-forward layer; with a causal mask also a decoder's block.

    Args:
        attention: a `MultiHead`.
        feed_forward: (B, N, E) -> (B, N, E).
        attention_norm: the norm of attention's branch.
        feed_forward_norm: the norm of the other.
        order: "pre" or "post", whether norms stand before or after their branches.
        drop: what a branch passes before it is added, such as dropout or `DropPath`.
    """

    def __init__(
        self,
        attention: MultiHead,
        feed_forward: nn.Module,
        attention_norm: nn.Module,
        feed_forward_norm: nn.Module,
        *,
        order: Order = "pre",
        drop: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.attention = attention
        self.attention_residual = Residual(attention_norm, order, drop)
        self.feed_forward = feed_forward
        self.feed_forward_residual = Residual(feed_forward_norm, order, drop)

    def forward(
        self,
        x: Tensor,
        *,
        mask: MaskLike | None = None,
        positions: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """Return the stream (B, N, E) after this block; arguments as those of `MultiHead`."""
        x = self.attention_residual(x, lambda y: self.attention(y, mask=mask, positions=positions, cache=cache))
        y: Tensor = self.feed_forward_residual(x, self.feed_forward)
        return y


class DecoderBlock(nn.Module):
    """Attention of a sequence to itself, attention to a source, then a feed-forward layer.

    Args:
        attention: a `MultiHead`.
        source_attention: a `MultiHead` with `source_width`.
        feed_forward: (B, N, E) -> (B, N, E).
        attention_norm: the norm of attention's branch.
        source_norm: the norm of the branch of attention to the source.
        feed_forward_norm: the norm of the last.
        order: "pre" or "post", whether norms stand before or after their branches.
        drop: what a branch passes before it is added, such as dropout or `DropPath`.
    """

    def __init__(
        self,
        attention: MultiHead,
        source_attention: MultiHead,
        feed_forward: nn.Module,
        attention_norm: nn.Module,
        source_norm: nn.Module,
        feed_forward_norm: nn.Module,
        *,
        order: Order = "pre",
        drop: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.attention = attention
        self.attention_residual = Residual(attention_norm, order, drop)
        self.source_attention = source_attention
        self.source_residual = Residual(source_norm, order, drop)
        self.feed_forward = feed_forward
        self.feed_forward_residual = Residual(feed_forward_norm, order, drop)

    def forward(
        self,
        x: Tensor,
        source: Tensor,
        *,
        mask: MaskLike | None = None,
        source_mask: MaskLike | None = None,
        positions: Tensor | None = None,
        cache: Cache | None = None,
        source_cache: Cache | None = None,
    ) -> Tensor:
        """Return the stream (B, N, E) after this block.

        Args:
            x: (B, N, E).
            source: (B, Nk, source_width).
            mask: of attention to itself.
            source_mask: of attention to the source.
            positions: of x.
            cache: of attention to itself.
            source_cache: of attention to the source.
        """
        x = self.attention_residual(x, lambda y: self.attention(y, mask=mask, positions=positions, cache=cache))
        x = self.source_residual(
            x, lambda y: self.source_attention(y, source, mask=source_mask, cache=source_cache)
        )
        y: Tensor = self.feed_forward_residual(x, self.feed_forward)
        return y
