"""The Transformer: an encoder, and a decoder that attends to what it gives.

Letters: B batch, N source positions, T target positions, E width, V vocabulary.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from regard.layers import (
    Cache,
    Caches,
    DecoderBlock,
    EncoderBlock,
    FeedForward,
    GrowingCache,
    MultiHead,
    make_caches,
)
from regard.layers.blocks import Order
from regard.layers.dropout import Dropout
from regard.layers.multi_head import Mechanism
from regard.layers.positions import Sinusoidal
from regard.layers.projection import project
from regard.mechanisms.attention import Attention
from regard.mechanisms.masks import causal as before
from regard.models.embedding import TextEmbedding, vectors_of
from regard.models.encoder import Encoder
from regard.models.padding import positions_of, real_keys, text_keys


class MakesMechanism(Protocol):
    """What makes the attention of one layer: called once for each, so that layers share no parameters."""

    def __call__(self, *, causal: bool, cross: bool) -> Mechanism:
        """Return it, for a `MultiHead`.

        Args:
            causal: whether the layer writes a target, and so must not see what comes later.
            cross: whether it attends to the source.
        """


@dataclass(frozen=True, eq=False)
class Memory:
    """What a decoder may know of a source.

    Attributes:
        vectors: (B, N, E).
        real: (B, N), True where there is a token; None: everywhere.
    """

    vectors: Tensor
    real: Tensor | None = None


class TargetDecoder(nn.Module):
    """Tokens to logits of what comes after each, in sight of a source.

    Args:
        embedding: tokens to vectors.
        blocks: what these pass, one after another; which earlier tokens one sees, their attention says.
        norm: what they pass last. Default: nothing, as where norms stand after their branches.
        head: vectors to logits. Default: the embedding's own weights.
        scale: what vectors are multiplied by before that.
        bias: whether the logits of the embedding's own weights add a bias.
    """

    def __init__(
        self,
        embedding: TextEmbedding,
        blocks: Iterable[DecoderBlock],
        *,
        norm: nn.Module | None = None,
        head: nn.Linear | None = None,
        scale: float = 1.0,
        bias: bool = False,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.Identity() if norm is None else norm
        self.head = head
        self.scale = scale
        self.bias = nn.Parameter(torch.zeros(embedding.tokens.num_embeddings)) if bias else None

    def forward(
        self, tokens: Tensor, memory: Memory, cache: Caches | None = None, padding: Tensor | None = None
    ) -> Tensor:
        """Return logits (B, T, V); see `Transformer.decode`."""
        return project(self.vectors(tokens, memory, cache, padding), *self.projection)

    @property
    def shares_sources(self) -> bool:
        """Whether several targets in a row may read one source, as beams do."""
        return all(block.source_attention.shares_source for block in self.blocks)  # type: ignore[union-attr]

    @property
    def projection(self) -> tuple[Tensor, Tensor | None]:
        """The weight (V, E) and the bias (V,) that make logits of vectors."""
        return (
            (self.embedding.tokens.weight, self.bias) if self.head is None else (self.head.weight, self.head.bias)
        )

    def vectors(
        self, tokens: Tensor, memory: Memory, cache: Caches | None = None, padding: Tensor | None = None
    ) -> Tensor:
        """Return what logits are made of, (B, T, E); see `Transformer.decode`."""
        before = 0 if cache is None else cache.length
        positions = positions_of(tokens, before, padding)
        x = self.embedding(tokens, positions)  # (B, T, E)
        mask = text_keys(padding, before + tokens.shape[1])
        source_mask = real_keys(memory.real, memory.vectors)
        for number, block in enumerate(self.blocks):
            own, source = (None, None) if cache is None else cache[2 * number : 2 * number + 2]
            x = block(
                x,
                memory.vectors,
                mask=mask,
                source_mask=source_mask,
                positions=positions,
                cache=own,
                source_cache=source,
            )
        scaled: Tensor = self.norm(x) * self.scale
        return scaled


class Transformer(nn.Module):
    """An encoder of a source and a decoder of a target.

    Args:
        encoder: reads the source.
        decoder: writes the target.

    Source: Vaswani et al. 2017, "Attention Is All You Need".
    """

    def __init__(self, encoder: Encoder, decoder: TargetDecoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def forward(
        self, source: Tensor, target: Tensor, *, real: Tensor | None = None, padding: Tensor | None = None
    ) -> Tensor:
        """Return logits (B, T, V) of what follows each token of the target.

        Args:
            source: (B, N).
            target: (B, T), each token given the ones before it.
            real: (B, N), True where the source has a token. Default: everywhere.
            padding: as for `decode`.
        """
        return self.decode(target, self.encode(source, real=real), padding=padding)

    def vectors(
        self, source: Tensor, target: Tensor, *, real: Tensor | None = None, padding: Tensor | None = None
    ) -> Tensor:
        """Return what logits are made of, (B, T, E), for `vocabulary_loss`; arguments as those of a call."""
        return self.decoder.vectors(target, self.encode(source, real=real), padding=padding)

    @property
    def projection(self) -> tuple[Tensor, Tensor | None]:
        """The weight (V, E) and the bias (V,) that make logits of vectors."""
        return self.decoder.projection

    def encode(self, tokens: Tensor, *, real: Tensor | None = None) -> Memory:
        """Return what `decode` reads of a source (B, N), `real` as in a call."""
        return Memory(self.encoder(tokens, real=real), real)

    def decode(
        self, tokens: Tensor, memory: Memory, *, cache: Caches | None = None, padding: Tensor | None = None
    ) -> Tensor:
        """Return logits (B, T, V) of what follows each token.

        Args:
            tokens: (B, T); with a cache, those after the ones it has seen.
            memory: what `encode` gave.
            cache: what `caches` gave; it takes in what these tokens add.
            padding: (B,), how many tokens at the start of each item, of the whole target, are no text. Default:
                none.
        """
        logits: Tensor = self.decoder(tokens, memory, cache, padding)
        return logits

    def decode_vectors(
        self, tokens: Tensor, memory: Memory, *, cache: Caches | None = None, padding: Tensor | None = None
    ) -> Tensor:
        """Return what logits are made of, (B, T, E); arguments as those of `decode`."""
        return self.decoder.vectors(tokens, memory, cache, padding)

    @property
    def shares_sources(self) -> bool:
        """Whether several targets in a row may read one source: a memory of B items, then, serves n B targets."""
        return self.decoder.shares_sources

    def caches(self, kind: Callable[[], Cache] = GrowingCache) -> Caches:
        """Return empty caches for a target, of a kind, two a block: of the target and of the source."""
        return make_caches(self.decoder, kind)


def transformer(
    *,
    vocabulary: int,
    target_vocabulary: int | None = None,
    width: int,
    layers: int,
    heads: int,
    hidden: int,
    decoder_layers: int | None = None,
    decoder_heads: int | None = None,
    decoder_hidden: int | None = None,
    activation: nn.Module | None = None,
    positions: nn.Module | None = None,
    scaled: bool = True,
    bias: bool = False,
    dropout: float = 0.1,
    attention_dropout: float = 0.0,
    order: Order = "post",
    mechanism: MakesMechanism | None = None,
) -> Transformer:
    """Return a Transformer of some size, whose logits are products with the embeddings of the target.

    Args:
        vocabulary: how many different tokens there are.
        target_vocabulary: how many the target has, if its tokens are others. Default: they are the same, and so are
            their embeddings.
        width: E.
        layers: how many blocks the encoder has.
        heads: a block of the encoder.
        hidden: width inside its feed-forward layers.
        decoder_layers: how many blocks the decoder has. Default: as the encoder; so for the next two.
        decoder_heads: a block of the decoder.
        decoder_hidden: width inside its feed-forward layers.
        activation: of feed-forward layers. Default: ReLU.
        positions: what positions become vectors by. Default: `Sinusoidal(width)`.
        scaled: whether embeddings of tokens are multiplied by the square root of E.
        bias: whether logits add a bias.
        dropout: probability with which a number of a branch, or an embedding's, is dropped in training.
        attention_dropout: the same for weights of attention.
        order: whether norms stand after their branches ("post"), or before them and once more at the end ("pre").
        mechanism: makes the attention of each layer, such as `partial(named, "entmax15", heads=4, head_width=32)`.
            Default: softmax over scaled dot products.
    """
    act = nn.ReLU() if activation is None else activation
    makes = _softmax if mechanism is None else mechanism

    def attends(count: int, *, causal: bool = False, cross: bool = False) -> MultiHead:
        made, source = makes(causal=causal, cross=cross), width if cross else None
        return MultiHead(width, count, mechanism=made, dropout=attention_dropout, source_width=source)

    def reads() -> EncoderBlock:
        norms = (nn.LayerNorm(width) for _ in range(2))
        feeds = FeedForward(width, hidden, act)
        return EncoderBlock(attends(heads), feeds, *norms, order=order, drop=Dropout(dropout))

    def writes() -> DecoderBlock:
        count = heads if decoder_heads is None else decoder_heads
        own, source = attends(count, causal=True), attends(count, cross=True)
        feeds = FeedForward(width, hidden if decoder_hidden is None else decoder_hidden, act)
        norms = (nn.LayerNorm(width) for _ in range(3))
        return DecoderBlock(own, source, feeds, *norms, order=order, drop=Dropout(dropout))

    def embeds(tokens: int) -> TextEmbedding:
        return TextEmbedding(
            vectors_of(tokens, width, width**-0.5),
            positions=Sinusoidal(width) if positions is None else positions,
            scale=width**0.5 if scaled else 1.0,
            dropout=dropout,
        )

    embedding = embeds(vocabulary)
    written = embedding if target_vocabulary is None else embeds(target_vocabulary)
    count = layers if decoder_layers is None else decoder_layers
    last, other = (nn.LayerNorm(width) if order == "pre" else None for _ in range(2))
    return Transformer(
        Encoder(embedding, (reads() for _ in range(layers)), norm=last),
        TargetDecoder(written, (writes() for _ in range(count)), norm=other, bias=bias),
    )


def _softmax(*, causal: bool, cross: bool) -> Attention:
    """Return the paper's own attention."""
    return Attention(mask=before() if causal else None)


def transformer_base(vocabulary: int = 37000) -> Transformer:
    """Return the paper's base model: 6 layers of 8 heads, 512 wide; Vaswani et al. 2017, table 3."""
    return transformer(vocabulary=vocabulary, width=512, layers=6, heads=8, hidden=2048)


def transformer_big(vocabulary: int = 37000) -> Transformer:
    """Return the paper's big model: 6 layers of 16 heads, 1024 wide; Vaswani et al. 2017, table 3."""
    return transformer(vocabulary=vocabulary, width=1024, layers=6, heads=16, hidden=4096, dropout=0.3)
