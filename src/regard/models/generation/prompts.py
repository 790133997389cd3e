"""Prompts of different lengths as one batch."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from regard.errors import GenerationError


def left_padded(texts: Sequence[Sequence[int]], fill: int = 0) -> tuple[Tensor, Tensor]:
    """Return the tokens (B, N) of texts that end together, and how many at the start of each are no text (B,).

    Args:
        texts: token numbers, at least one a text.
        fill: what stands before shorter texts; the model is told to overlook it.

    Raises:
        GenerationError: no text, or one without tokens.
    """
    if not texts or not all(len(text) for text in texts):
        raise GenerationError(
            f"texts: expected at least one, each of at least one token; got {len(texts)}, of lengths"
            f" {[len(text) for text in texts]}. A text may begin with the model's token for beginnings"
        )
    rows = [torch.tensor([int(token) for token in text]) for text in texts]
    tokens = pad_sequence(rows, batch_first=True, padding_value=fill, padding_side="left")
    return tokens, torch.tensor([tokens.shape[1] - len(row) for row in rows])
