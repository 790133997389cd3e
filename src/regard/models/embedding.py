"""Tokens to vectors: embeddings of tokens, of where they stand, and of the segment they belong to."""

import torch
from torch import Tensor, nn

from regard.errors import ModelError
from regard.layers.dropout import Dropout


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
        self.dropout = Dropout(dropout)

    def forward(self, tokens: Tensor, positions: Tensor, segments: Tensor | None = None) -> Tensor:
        """Return vectors (B, N, E).

        Args:
            tokens: (B, N).
            positions: (N,) or (B, N).
            segments: (B, N). Default: all of the first.

        Raises:
            ModelError: a token is none of the vocabulary, or segments are given where there are none.
        """
        check_tokens(tokens, self.tokens.num_embeddings)
        x = self.tokens(tokens)
        x = x if self.scale == 1.0 else x * self.scale
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


def check_tokens(tokens: Tensor, vocabulary: int) -> None:
    """Raise ModelError where tokens are not (B, N), or one is none of the vocabulary.

    On other devices than the CPU, and in compiled code, the vocabulary is left to torch.
    """
    if tokens.ndim != 2 or tokens.is_floating_point() or tokens.dtype == torch.bool:
        raise ModelError(
            f"tokens: expected whole numbers (B, N); got {tokens.dtype} of shape {tuple(tokens.shape)}. For one"
            " text, write tokens[None]"
        )
    if tokens.device.type != "cpu" or not tokens.numel() or torch.compiler.is_compiling():
        return
    least, most = (int(end) for end in tokens.aminmax())
    if least < 0 or most >= vocabulary:
        raise ModelError(
            f"tokens: expected numbers from 0 to {vocabulary - 1}; got {least} to {most}. Take the tokenizer that"
            " the model was made for"
        )
