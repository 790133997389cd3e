"""T5: a Transformer without biases, whose positions are told by what is added to scores.

Letters: E width, D width of a head.
"""

from torch import nn

from regard.layers import DecoderBlock, EncoderBlock, FeedForward, GatedFeedForward, MultiHead
from regard.layers.positions import RelativeBias
from regard.layers.projection import Projection
from regard.mechanisms.attention import Attention
from regard.mechanisms.masks import Mask, causal
from regard.models.embedding import TextEmbedding, vectors_of
from regard.models.encoder import Encoder
from regard.models.transformer import TargetDecoder, Transformer


def t5(
    *,
    vocabulary: int,
    width: int,
    head_width: int,
    layers: int,
    heads: int,
    hidden: int,
    decoder_layers: int | None = None,
    buckets: int = 32,
    farthest: int = 128,
    activation: nn.Module | None = None,
    gated: bool = False,
    tied: bool = True,
    scaled: bool = True,
    eps: float = 1e-6,
    dropout: float = 0.1,
) -> Transformer:
    """Return a T5 of some size: scores are not scaled, and all blocks of a stack add the same to them for distance.

    Args:
        vocabulary: how many different tokens there are.
        width: E.
        head_width: D.
        layers: how many blocks the encoder has.
        heads: a block.
        hidden: width inside feed-forward layers.
        decoder_layers: how many blocks the decoder has. Default: as the encoder.
        buckets: how many kinds of distances are told apart.
        farthest: from here on, all distances are one.
        activation: of feed-forward layers. Default: ReLU.
        gated: whether these have gates, as in T5 1.1.
        tied: whether logits are made with the embedding's own weights.
        scaled: whether vectors are divided by the square root of E before that.
        eps: of norms.
        dropout: probability with which a number of a branch, or an embedding's, a weight of attention or a hidden
            number is dropped in training.

    Source: Raffel et al. 2020, "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer",
    section 2.1; gates: Shazeer 2020.
    """
    act = nn.ReLU() if activation is None else activation

    def attends(mask: Mask | None, bias: RelativeBias | None, source: int | None = None) -> MultiHead:
        return MultiHead(
            width,
            heads,
            head_width=head_width,
            bias=False,
            position_bias=bias,
            mechanism=Attention(scale=1.0, mask=mask),
            dropout=dropout,
            source_width=source,
        )

    def feeds() -> nn.Module:
        kind = GatedFeedForward if gated else FeedForward
        return kind(width, hidden, act, bias=False, dropout=dropout)

    def norm() -> nn.RMSNorm:
        return nn.RMSNorm(width, eps)

    def distances(both_ways: bool) -> RelativeBias:
        return RelativeBias(buckets, farthest, heads, both_ways)

    def reads(bias: RelativeBias) -> EncoderBlock:
        return EncoderBlock(attends(None, bias), feeds(), norm(), norm(), drop=nn.Dropout(dropout))

    def writes(bias: RelativeBias) -> DecoderBlock:
        own, source = attends(causal(), bias), attends(None, None, width)
        return DecoderBlock(own, source, feeds(), norm(), norm(), norm(), drop=nn.Dropout(dropout))

    embedding = TextEmbedding(vectors_of(vocabulary, width, 1.0), dropout=dropout)
    read, written = distances(both_ways=True), distances(both_ways=False)
    count = layers if decoder_layers is None else decoder_layers
    last = nn.Sequential(norm(), nn.Dropout(dropout))
    return Transformer(
        Encoder(embedding, (reads(read) for _ in range(layers)), norm=nn.Sequential(norm(), nn.Dropout(dropout))),
        TargetDecoder(
            embedding,
            (writes(written) for _ in range(count)),
            norm=last,
            head=None if tied else Projection(width, vocabulary, bias=False),
            scale=width**-0.5 if scaled else 1.0,
        ),
    )


def t5_small(vocabulary: int = 32128) -> Transformer:
    """Return T5-small: 6 layers of 8 heads, 512 wide, 60 million parameters."""
    return t5(vocabulary=vocabulary, width=512, head_width=64, layers=6, heads=8, hidden=2048)


def t5_base(vocabulary: int = 32128) -> Transformer:
    """Return T5-base: 12 layers of 12 heads, 768 wide, 220 million parameters."""
    return t5(vocabulary=vocabulary, width=768, head_width=64, layers=12, heads=12, hidden=3072)
