"""The recurrent encoder: tokens to annotations, one vector a position.

Letters of this folder: B batch, N source positions, T target positions, A width of annotations, S width of the
decoder's state, K width of what states are compared with.
"""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from regard.errors import ModelError
from regard.models.embedding import check_tokens


@dataclass(frozen=True, eq=False)
class Annotations:
    """What a recurrent encoder says of a source.

    Attributes:
        values: (B, N, A), a vector a position.
        keys: (B, N, K), what queries are compared with.
        summary: (B, A), one vector for all of it: the last step of each direction.
        state: the last step's states (B, layers, hidden), of the first direction last in the source; one tensor for
            a GRU, two for an LSTM.
        real: (B, N), True where there is a token; None: everywhere.
    """

    values: Tensor
    keys: Tensor
    summary: Tensor
    state: tuple[Tensor, ...]
    real: Tensor | None


class RecurrentEncoder(nn.Module):
    """Reads tokens one after another, in one direction or both.

    Args:
        vocabulary: how many different tokens there are.
        width: width of their embeddings.
        hidden: width of the state of a direction.
        kind: `nn.GRU` or `nn.LSTM`.
        layers: how many layers stand on one another.
        both_ways: whether a second network reads from the end, so that A is 2 `hidden` rather than `hidden`.
        dropout: probability with which a number of embeddings, between layers and of annotations is dropped in
            training.
    """

    def __init__(
        self,
        vocabulary: int,
        width: int,
        hidden: int,
        *,
        kind: type[nn.GRU] | type[nn.LSTM] = nn.GRU,
        layers: int = 1,
        both_ways: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        between = dropout if layers > 1 else 0.0
        self.network = kind(width, hidden, layers, batch_first=True, bidirectional=both_ways, dropout=between)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, real: Tensor | None = None) -> Annotations:
        """Return the annotations of tokens (B, N), whose keys are the values.

        Args:
            tokens: (B, N).
            real: (B, N), True where there is a token, which is at the front; each item has one at least.

        Raises:
            ModelError: a token is none of the vocabulary, or an item has no token.
        """
        check_tokens(tokens, self.embedding.num_embeddings)
        embedded = self.dropout(self.embedding(tokens))  # (B, N, width)
        if real is None:
            values, state = self.network(embedded)
        else:
            lengths = _lengths(real)
            packed, state = self.network(pack_padded_sequence(embedded, lengths, True, enforce_sorted=False))
            values, _ = pad_packed_sequence(packed, batch_first=True, total_length=tokens.shape[1])
        values = self.dropout(values)
        states = state if isinstance(state, tuple) else (state,)
        ways = 2 if self.network.bidirectional else 1
        summary = states[0][-ways:].transpose(0, 1).flatten(1)  # (B, A)
        return Annotations(values, values, summary, tuple(part.transpose(0, 1) for part in states), real)


def _lengths(real: Tensor) -> Tensor:
    """Return how many tokens each item has, on the CPU, where packing wants them."""
    lengths = real.sum(1).cpu()
    if (lengths == 0).any():
        raise ModelError("real: expected at least one token an item; got an item without. Leave empty items out")
    return lengths
