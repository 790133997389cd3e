"""Tokens to vectors: embeddings of tokens, of where they stand, and of the segment they belong to."""

from torch import Tensor, nn

from regard.errors import ModelError


class TextEmbedding(nn.Module):
    """The sum of what a token, its position and its segment are embedded as, normed.

    Args:
        tokens: a vector a token.
        positions: what positions (N,) or (B, N) become vectors by. Default: nothing is added for them.
        segments: how many segments there are; 0: nothing is added for them.
        scale: what embeddings of tokens are multiplied by.
        norm: what the sum passes. Default: nothing.
        dropout: probability with which a number is dropped in training.
    """

    def __init__(
        self,
        tokens: nn.Embedding,
        *,
        positions: nn.Module | None = None,
        segments: int = 0,
        scale: float = 1.0,
        norm: nn.Module | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.tokens = tokens
        self.positions = positions
        self.segments = vectors_of(segments, tokens.embedding_dim) if segments else None
        self.scale = scale
        self.norm = nn.Identity() if norm is None else norm
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, positions: Tensor, segments: Tensor | None = None) -> Tensor:
        """Return vectors (B, N, E).

        Args:
            tokens: (B, N).
            positions: (N,) or (B, N).
            segments: (B, N). Default: all of the first.

        Raises:
            ModelError: tokens are not (B, N), or segments are given where there are none.
        """
        if tokens.ndim != 2:
            raise ModelError(
                f"tokens: expected (B, N); got {tuple(tokens.shape)}. For one text, write tokens[None]"
            )
        x = self.tokens(tokens) * self.scale
        if self.positions is not None:
            x = x + self.positions(positions)
        if self.segments is not None:
            x = x + (self.segments.weight[0] if segments is None else self.segments(segments))
        elif segments is not None:
            raise ModelError("segments: expected none, as this model tells none apart; leave them out")
        normed: Tensor = self.dropout(self.norm(x))
        return normed


def vectors_of(count: int, width: int, deviation: float = 0.02) -> nn.Embedding:
    """Return as many vectors, drawn with a standard deviation, which is 0.02 in BERT, GPT-2 and Llama."""
    vectors = nn.Embedding(count, width)
    nn.init.normal_(vectors.weight, std=deviation)
    return vectors
