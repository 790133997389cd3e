"""BERT: an encoder in which every token sees every other, and the head that it is trained with.

Letters: B batch, N positions, E width, V vocabulary.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from regard.layers import EncoderBlock, FeedForward, MultiHead
from regard.layers.positions import Learned
from regard.models.embedding import TextEmbedding, vectors_of
from regard.models.padding import positions_of, real_keys


class Encoder(nn.Module):
    """Tokens to vectors, each made in sight of all.

    Args:
        embedding: tokens to vectors.
        blocks: what these pass, one after another.
        norm: what they pass last. Default: nothing, as where norms stand after their branches.
        pooler: makes one vector of the first token's, by `pool`. Default: none.

    Source: Devlin et al. 2019, "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding".
    """

    def __init__(
        self,
        embedding: TextEmbedding,
        blocks: Iterable[EncoderBlock],
        *,
        norm: nn.Module | None = None,
        pooler: nn.Linear | None = None,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.Identity() if norm is None else norm
        self.pooler = pooler

    def forward(self, tokens: Tensor, *, real: Tensor | None = None, segments: Tensor | None = None) -> Tensor:
        """Return a vector a token, (B, N, E).

        Args:
            tokens: (B, N).
            real: (B, N), True where there is a token; nobody attends to the others. Default: everywhere.
            segments: (B, N), which of two texts a token belongs to. Default: all to the first.
        """
        x = self.embedding(tokens, positions_of(tokens, 0, None), segments)  # (B, N, E)
        mask = real_keys(real, tokens)
        for block in self.blocks:
            x = block(x, mask=mask)
        normed: Tensor = self.norm(x)
        return normed

    def pool(self, vectors: Tensor) -> Tensor:
        """Return one vector an item, (B, E), of the first token's among (B, N, E); without pooler, that itself."""
        first = vectors[:, 0]
        return first if self.pooler is None else torch.tanh(self.pooler(first))


class MaskedLanguageModel(nn.Module):
    """An encoder that guesses tokens which were hidden from it.

    Args:
        encoder: tokens to vectors.
        activation: of the layer between vectors and guesses.
        eps: of its norm.
    """

    def __init__(self, encoder: Encoder, activation: nn.Module, eps: float = 1e-12) -> None:
        super().__init__()
        vocabulary, width = encoder.embedding.tokens.weight.shape
        self.encoder = encoder
        self.head = nn.Sequential(nn.Linear(width, width), activation, nn.LayerNorm(width, eps))
        self.bias = nn.Parameter(torch.zeros(vocabulary))

    def forward(self, tokens: Tensor, *, real: Tensor | None = None, segments: Tensor | None = None) -> Tensor:
        """Return logits (B, N, V) of the token at each place; arguments as those of `Encoder`."""
        x = self.head(self.encoder(tokens, real=real, segments=segments))  # (B, N, E)
        return nn.functional.linear(x, self.encoder.embedding.tokens.weight, self.bias)


def bert(
    *,
    vocabulary: int,
    width: int,
    layers: int,
    heads: int,
    hidden: int,
    positions: int = 512,
    segments: int = 2,
    activation: nn.Module | None = None,
    eps: float = 1e-12,
    dropout: float = 0.1,
    attention_dropout: float = 0.1,
    pooled: bool = True,
) -> Encoder:
    """Return a BERT of some size.

    Args:
        vocabulary: how many different tokens there are.
        width: E.
        layers: how many blocks.
        heads: a block.
        hidden: width inside feed-forward layers.
        positions: how many tokens a text has at most.
        segments: how many texts are told apart.
        activation: of feed-forward layers. Default: GELU.
        eps: of norms.
        dropout: probability with which a number is dropped in training.
        attention_dropout: the same for weights of attention.
        pooled: whether there is a pooler.
    """
    act = nn.GELU() if activation is None else activation

    def block() -> EncoderBlock:
        return EncoderBlock(
            MultiHead(width, heads, dropout=attention_dropout),
            FeedForward(width, hidden, act),
            nn.LayerNorm(width, eps),
            nn.LayerNorm(width, eps),
            order="post",
            drop=nn.Dropout(dropout),
        )

    embedding = TextEmbedding(
        vectors_of(vocabulary, width),
        positions=Learned(positions, width),
        segments=segments,
        norm=nn.LayerNorm(width, eps),
        dropout=dropout,
    )
    pooler = nn.Linear(width, width) if pooled else None
    return Encoder(embedding, (block() for _ in range(layers)), pooler=pooler)


def bert_base(vocabulary: int = 30522) -> Encoder:
    """Return BERT-base: 12 layers of 12 heads, 768 wide, 110 million parameters."""
    return bert(vocabulary=vocabulary, width=768, layers=12, heads=12, hidden=3072)


def bert_large(vocabulary: int = 30522) -> Encoder:
    """Return BERT-large: 24 layers of 16 heads, 1024 wide, 340 million parameters."""
    return bert(vocabulary=vocabulary, width=1024, layers=24, heads=16, hidden=4096)
