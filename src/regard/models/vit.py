"""ViT: pictures cut into patches, which are read as tokens are.

Letters: B batch, C channels, N patches, E width.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from regard.errors import ModelError
from regard.layers import EncoderBlock, FeedForward, MultiHead
from regard.layers.drop_path import DropPath


class Patches(nn.Module):
    """Cuts pictures of one size into patches, and makes a vector of each; before them stands a learned one.

    Args:
        height: of pictures, in pixels.
        width: the same; both are multiples of `side`.
        side: of a patch.
        channels: of pictures.
        vector: E.
        dropout: probability with which a number is dropped in training.

    Raises:
        ModelError: the side does not divide height and width.
    """

    def __init__(
        self, height: int, width: int, side: int, channels: int, vector: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if side < 1 or height % side or width % side:
            raise ModelError(f"expected patches that fill the picture; got {height} x {width} pixels by {side}")
        self.size = (channels, height, width)
        self.project = nn.Conv2d(channels, vector, side, stride=side)
        self.first = nn.Parameter(torch.zeros(1, 1, vector))
        self.positions = nn.Parameter(torch.empty(1, 1 + (height // side) * (width // side), vector))
        nn.init.trunc_normal_(self.positions, std=0.02)
        self.dropout = nn.Dropout(dropout)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return vectors (B, 1 + N, E), the learned one first, then patches row by row.

        Args:
            pictures: (B, C, height, width).

        Raises:
            ModelError: pictures of another shape.
        """
        if pictures.ndim != 4 or tuple(pictures.shape[1:]) != self.size:
            expected = ", ".join(str(each) for each in self.size)
            raise ModelError(f"pictures: expected (B, {expected}); got {tuple(pictures.shape)}. Resize them first")
        patches = self.project(pictures).flatten(2).transpose(1, 2)  # (B, N, E)
        x = torch.cat([self.first.expand(len(patches), -1, -1), patches], 1)
        placed: Tensor = self.dropout(x + self.positions)
        return placed


class VisionTransformer(nn.Module):
    """Pictures to vectors of their patches, or to the logits of classes.

    Args:
        patches: pictures to vectors.
        blocks: what these pass, one after another.
        norm: what they pass last.
        pooler: makes one vector of the first, by `pool`. Default: none.
        head: the first vector to logits of classes. Default: none, and a call gives all vectors.

    Source: Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale".
    """

    def __init__(
        self,
        patches: Patches,
        blocks: Iterable[EncoderBlock],
        norm: nn.Module,
        *,
        pooler: nn.Linear | None = None,
        head: nn.Linear | None = None,
    ) -> None:
        super().__init__()
        self.patches = patches
        self.blocks = nn.ModuleList(blocks)
        self.norm = norm
        self.pooler = pooler
        self.head = head

    def forward(self, pictures: Tensor) -> Tensor:
        """Return logits (B, classes) of pictures (B, C, height, width), or without head vectors (B, 1 + N, E)."""
        x = self.vectors(pictures)
        return x if self.head is None else self.head(x[:, 0])

    def vectors(self, pictures: Tensor) -> Tensor:
        """Return the vectors (B, 1 + N, E) of pictures (B, C, height, width), the learned one first."""
        x = self.patches(pictures)  # (B, 1 + N, E)
        for block in self.blocks:
            x = block(x)
        normed: Tensor = self.norm(x)
        return normed

    def pool(self, vectors: Tensor) -> Tensor:
        """Return one vector an item, (B, E), of the first among (B, 1 + N, E); without pooler, that itself."""
        first = vectors[:, 0]
        return first if self.pooler is None else torch.tanh(self.pooler(first))


def vit(
    *,
    size: tuple[int, int],
    patch: int,
    width: int,
    layers: int,
    heads: int,
    hidden: int,
    channels: int = 3,
    classes: int | None = None,
    activation: nn.Module | None = None,
    bias: bool = True,
    eps: float = 1e-6,
    dropout: float = 0.0,
    attention_dropout: float = 0.0,
    drop_path: float = 0.0,
    pooled: bool = False,
) -> VisionTransformer:
    """Return a ViT of some size.

    Args:
        size: of pictures, height and width in pixels.
        patch: the side of a patch.
        width: E.
        layers: how many blocks.
        heads: a block.
        hidden: width inside feed-forward layers.
        channels: of pictures.
        classes: how many are told apart; None: no head.
        activation: of feed-forward layers. Default: GELU.
        bias: whether queries, keys and values add a bias.
        eps: of norms.
        dropout: probability with which a number is dropped in training.
        attention_dropout: the same for weights of attention.
        drop_path: the same for whole branches of the last block, and less in those before.
        pooled: whether there is a pooler.
    """
    act = nn.GELU() if activation is None else activation

    def block(number: int) -> EncoderBlock:
        rate = drop_path * number / max(layers - 1, 1)
        return EncoderBlock(
            MultiHead(width, heads, bias=bias, out_bias=True, dropout=attention_dropout),
            FeedForward(width, hidden, act),
            nn.LayerNorm(width, eps),
            nn.LayerNorm(width, eps),
            drop=nn.Sequential(nn.Dropout(dropout), DropPath(rate)),
        )

    return VisionTransformer(
        Patches(*size, patch, channels, width, dropout),
        (block(number) for number in range(layers)),
        nn.LayerNorm(width, eps),
        pooler=nn.Linear(width, width) if pooled else None,
        head=None if classes is None else nn.Linear(width, classes),
    )


def vit_base(classes: int | None = 1000) -> VisionTransformer:
    """Return ViT-B/16 for pictures of 224 x 224: 12 layers of 12 heads, 768 wide, 86 million parameters."""
    return vit(size=(224, 224), patch=16, width=768, layers=12, heads=12, hidden=3072, classes=classes)
