"""The decoder that attends after each step."""

import torch
from torch import Tensor, nn

from regard.models.recurrent.encoder import Annotations


class InputFeedingDecoder(nn.Module):
    """Attends with the state after each step, and feeds what came of it into the next: "input feeding".

        s = LSTM([y', a'], s'),  c = attention(s, h),  a = tanh(W [c, s]),  logits = V a

    Args:
        vocabulary: how many different tokens there are.
        width: width of their embeddings.
        hidden: S, which is the encoder's too, as its states are where the decoder starts.
        annotation_width: A.
        alignment: how a state chooses what it reads.
        layers: how many LSTM cells stand on one another, as many as in the encoder.
        dropout: probability with which a number of embeddings, between cells and before the head is dropped in
            training.

    Source: Luong et al. 2015, sections 3.1 and 3.3.
    """

    def __init__(
        self,
        vocabulary: int,
        width: int,
        hidden: int,
        annotation_width: int,
        alignment: nn.Module,
        layers: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.alignment = alignment
        widths = [width + hidden, *[hidden] * (layers - 1)]
        self.cells = nn.ModuleList([nn.LSTMCell(each, hidden) for each in widths])
        self.combine = nn.Linear(annotation_width + hidden, hidden, bias=False)
        self.head = nn.Linear(hidden, vocabulary, bias=False)
        self.dropout = nn.Dropout(dropout)

    def start(self, source: Annotations) -> tuple[Tensor, ...]:
        """Return the encoder's last states, and zeros as what was fed: (B, layers, S) twice, (B, S)."""
        states, cells = source.state
        return states, cells, torch.zeros_like(states[:, 0])

    def step(
        self, embedded: Tensor, state: tuple[Tensor, ...], source: Annotations
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return what logits are made of (B, S), and the next state."""
        hidden, cells, fed = state
        x = torch.cat([embedded, fed], -1)
        after = []
        for layer, cell in enumerate(self.cells):
            x = self.dropout(x) if layer else x
            x, kept = cell(x, (hidden[:, layer], cells[:, layer]))
            after.append((x, kept))
        found = torch.tanh(self.combine(torch.cat([self.alignment(x, source), x], -1)))  # (B, S)
        states, kept_cells = (torch.stack(parts, 1) for parts in zip(*after, strict=True))
        return found, (states, kept_cells, found)

    def finish(self, found: Tensor) -> Tensor:
        """Return what logits are made of (B, T, S), for what all steps found."""
        dropped: Tensor = self.dropout(found)
        return dropped
