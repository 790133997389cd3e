"""GPT-2 and Llama: decoders, in which every token sees those before it, and says which comes next.

Letters: B batch, N positions, E width, V vocabulary.
"""

from collections.abc import Callable, Iterable
from functools import partial

from torch import Tensor, nn

from regard.layers import (
    Cache,
    Caches,
    EncoderBlock,
    FeedForward,
    GatedFeedForward,
    GrowingCache,
    MultiHead,
    make_caches,
)
from regard.layers.positions import Learned, Rotary
from regard.layers.projection import Projection, project
from regard.mechanisms.attention import Attention
from regard.mechanisms.masks import causal, window
from regard.models.embedding import TextEmbedding, vectors_of
from regard.models.padding import positions_of, text_keys


class Decoder(nn.Module):
    """Tokens to logits of what comes after each.

    Args:
        embedding: tokens to vectors.
        blocks: what these pass, one after another; whom a token sees, their attention says.
        norm: what they pass last.
        head: vectors to logits. Default: the embedding's own weights.

    Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners" (GPT-2); Touvron et al. 2023,
    "LLaMA: Open and Efficient Foundation Language Models".
    """

    def __init__(
        self,
        embedding: TextEmbedding,
        blocks: Iterable[EncoderBlock],
        norm: nn.Module,
        head: nn.Linear | None = None,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.blocks = nn.ModuleList(blocks)
        self.norm = norm
        self.head = head

    def forward(
        self, tokens: Tensor, *, cache: Caches | None = None, padding: Tensor | None = None, last: bool = False
    ) -> Tensor:
        """Return logits (B, N, V) of the token after each place.

        Args:
            tokens: (B, N); with a cache, those after the ones it has seen.
            cache: what `caches` gave; it takes in what these tokens add.
            padding: (B,), how many tokens at the start of each item, of the whole text, are no text: nobody attends
                to them, and positions count from the first after them. Default: none.
            last: whether logits of the token after the last place are enough, (B, 1, V).
        """
        x = self.vectors(tokens, cache=cache, padding=padding)
        x = x[:, -1:] if last else x
        return project(x, self.embedding.tokens.weight) if self.head is None else self.head(x)

    def vectors(self, tokens: Tensor, *, cache: Caches | None = None, padding: Tensor | None = None) -> Tensor:
        """Return a vector a token, (B, N, E), which logits are made of; arguments as those of a call."""
        before = 0 if cache is None else cache.length
        positions = positions_of(tokens, before, padding)
        x = self.embedding(tokens, positions)  # (B, N, E)
        mask = text_keys(padding, before + tokens.shape[1])
        for number, block in enumerate(self.blocks):
            x = block(x, mask=mask, positions=positions, cache=None if cache is None else cache[number])
        normed: Tensor = self.norm(x)
        return normed

    def caches(self, kind: Callable[[], Cache] = GrowingCache) -> Caches:
        """Return empty caches, one a block, of a kind."""
        return make_caches(self, kind)


def gpt2(
    *,
    vocabulary: int,
    width: int,
    layers: int,
    heads: int,
    hidden: int | None = None,
    positions: int = 1024,
    activation: nn.Module | None = None,
    eps: float = 1e-5,
    dropout: float = 0.1,
    embedding_dropout: float = 0.1,
    attention_dropout: float = 0.1,
    tied: bool = True,
) -> Decoder:
    """Return a GPT-2 of some size.

    Args:
        vocabulary: how many different tokens there are.
        width: E.
        layers: how many blocks.
        heads: a block.
        hidden: width inside feed-forward layers. Default: 4 E.
        positions: how many tokens a text has at most.
        activation: of feed-forward layers. Default: GELU by tanh.
        eps: of norms.
        dropout: probability with which a number of a branch is dropped in training.
        embedding_dropout: the same for embeddings.
        attention_dropout: the same for weights of attention.
        tied: whether logits are made with the embedding's own weights.
    """
    act = nn.GELU(approximate="tanh") if activation is None else activation

    def block() -> EncoderBlock:
        return EncoderBlock(
            MultiHead(width, heads, mechanism=Attention(mask=causal()), dropout=attention_dropout),
            FeedForward(width, 4 * width if hidden is None else hidden, act),
            nn.LayerNorm(width, eps),
            nn.LayerNorm(width, eps),
            drop=nn.Dropout(dropout),
        )

    embedding = TextEmbedding(
        vectors_of(vocabulary, width), positions=Learned(positions, width), dropout=embedding_dropout
    )
    head = None if tied else Projection(width, vocabulary, bias=False)
    return Decoder(embedding, (block() for _ in range(layers)), nn.LayerNorm(width, eps), head)


def gpt2_small(vocabulary: int = 50257) -> Decoder:
    """Return the smallest GPT-2: 12 layers of 12 heads, 768 wide, 124 million parameters."""
    return gpt2(vocabulary=vocabulary, width=768, layers=12, heads=12)


def llama(
    *,
    vocabulary: int,
    width: int,
    layers: int,
    heads: int,
    hidden: int,
    rotary: nn.Module,
    key_heads: int | None = None,
    head_width: int | None = None,
    norm: Callable[[int], nn.Module] = nn.RMSNorm,
    activation: nn.Module | None = None,
    bias: bool = False,
    out_bias: bool = False,
    feed_forward_bias: bool = False,
    head_norms: bool = False,
    windows: Iterable[int | None] | None = None,
    attention_dropout: float = 0.0,
    tied: bool = False,
) -> Decoder:
    """Return a Llama of some size, or one of its relatives, which differ in numbers and few choices.

    Args:
        vocabulary: how many different tokens there are.
        width: E.
        layers: how many blocks.
        heads: query heads a block.
        hidden: width inside feed-forward layers.
        rotary: what tells queries and keys their positions, such as `Rotary(width // heads)`.
        key_heads: heads of keys and values. Default: `heads`.
        head_width: width of a head. Default: width / heads.
        norm: makes a norm of a width.
        activation: of the gates of feed-forward layers. Default: SiLU.
        bias: whether projections to queries, keys and values add a bias, as in Qwen2.
        out_bias: whether the projection after attention does.
        feed_forward_bias: whether those of feed-forward layers do.
        head_norms: whether queries and keys pass norms of their own, as in Qwen3.
        windows: of each block, how many tokens one sees, itself among them, as in Mistral; None: all before it.
        attention_dropout: probability with which a weight of attention is dropped in training.
        tied: whether logits are made with the embedding's own weights.
    """
    act = nn.SiLU() if activation is None else activation
    of_head = width // heads if head_width is None else head_width

    def block(seen: int | None) -> EncoderBlock:
        mask = causal() if seen is None else causal() & window(seen - 1)
        attention = MultiHead(
            width,
            heads,
            key_heads=key_heads,
            head_width=of_head,
            bias=bias,
            out_bias=out_bias,
            query_norm=norm(of_head) if head_norms else None,
            key_norm=norm(of_head) if head_norms else None,
            rotary=rotary,
            mechanism=Attention(mask=mask),
            dropout=attention_dropout,
        )
        feed_forward = GatedFeedForward(width, hidden, act, bias=feed_forward_bias)
        return EncoderBlock(attention, feed_forward, norm(width), norm(width))

    blocks = (block(seen) for seen in ([None] * layers if windows is None else windows))
    head = None if tied else Projection(width, vocabulary, bias=False)
    return Decoder(TextEmbedding(vectors_of(vocabulary, width)), blocks, norm(width), head)


def llama_tiny(vocabulary: int = 32000) -> Decoder:
    """Return a small Llama: 22 layers of 32 heads on 4 key heads, 2048 wide, 1.1 billion parameters.

    Source: Zhang et al. 2024, "TinyLlama: An Open-Source Small Language Model", table 1.
    """
    return llama(
        vocabulary=vocabulary,
        width=2048,
        layers=22,
        heads=32,
        key_heads=4,
        hidden=5632,
        rotary=Rotary(64),
        norm=partial(nn.RMSNorm, eps=1e-5),
    )
