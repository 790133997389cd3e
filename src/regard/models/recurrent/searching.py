"""The decoder that attends before each step."""

import torch
from torch import Tensor, nn

from regard.models.recurrent.encoder import Annotations


class SearchingDecoder(nn.Module):
    """Attends with the state before each step, and reads what it found in the step: "RNNsearch".

        c = attention(s', h),  s = GRU([y', c], s'),  logits = W maxout(U s' + V y' + C c)

    The reset gate of torch's GRU applies after the product with the state, that of the paper before.

    Args:
        vocabulary: how many different tokens there are.
        width: width of their embeddings.
        hidden: S.
        annotation_width: A.
        alignment: how a state chooses what it reads.
        readout: width after the maxout, each the larger of two.
        dropout: probability with which a number of embeddings and after the maxout is dropped in training.

    Source: Bahdanau et al. 2015, A.2.2.
    """

    def __init__(
        self,
        vocabulary: int,
        width: int,
        hidden: int,
        annotation_width: int,
        alignment: nn.Module,
        readout: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.first = nn.Linear(annotation_width, hidden)
        self.alignment = alignment
        self.cell = nn.GRUCell(width + annotation_width, hidden)
        self.readout = nn.Linear(hidden + width + annotation_width, 2 * readout)
        self.head = nn.Linear(readout, vocabulary)
        self.dropout = nn.Dropout(dropout)

    def start(self, source: Annotations) -> tuple[Tensor, ...]:
        """Return the state before the first token, made of the summary (B, S)."""
        return (torch.tanh(self.first(source.summary)),)

    def step(
        self, embedded: Tensor, state: tuple[Tensor, ...], source: Annotations
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return what `finish` makes vectors of, (B, S + width + A), and the next state."""
        (before,) = state
        context = self.alignment(before, source)  # (B, A)
        after = self.cell(torch.cat([embedded, context], -1), before)
        return torch.cat([before, embedded, context], -1), (after,)

    def finish(self, found: Tensor) -> Tensor:
        """Return what logits are made of (B, T, readout), for what all steps found."""
        pairs: Tensor = self.readout(found).unflatten(-1, (-1, 2))
        dropped: Tensor = self.dropout(pairs.amax(-1))
        return dropped
