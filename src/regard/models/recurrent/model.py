"""The recurrent model: an encoder, a decoder, and how the one reads of the other."""

from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from regard.models.embedding import check_tokens
from regard.models.recurrent.alignment import Alignment, aligned
from regard.models.recurrent.encoder import Annotations, RecurrentEncoder
from regard.models.recurrent.input_feeding import InputFeedingDecoder
from regard.models.recurrent.searching import SearchingDecoder


class RecurrentCache:
    """A decoder's state after the tokens so far, in place of the keys and values that attention would keep.

    Attributes:
        state: tensors with the batch first; None before the first token.
        length: how many tokens were read.
    """

    def __init__(self) -> None:
        self.state: tuple[Tensor, ...] | None = None
        self.length = 0

    def reorder(self, items: Tensor) -> None:
        """Keep the states of these items of the batch, in this order."""
        if self.state is not None:
            self.state = tuple(part[items] for part in self.state)


class Recurrent(nn.Module):
    """A recurrent encoder and decoder, and attention between them.

    Args:
        encoder: reads the source.
        decoder: writes the target.
    """

    def __init__(self, encoder: RecurrentEncoder, decoder: SearchingDecoder | InputFeedingDecoder) -> None:
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
            real: (B, N), True where the source has a token, which is at the front.
            padding: as for `decode`.
        """
        return self.decode(target, self.encode(source, real=real), padding=padding)

    def encode(self, tokens: Tensor, *, real: Tensor | None = None) -> Annotations:
        """Return what `decode` reads of a source (B, N)."""
        source: Annotations = self.encoder(tokens, real)
        alignment = cast("Alignment", self.decoder.alignment)
        return replace(source, keys=alignment.keys(source.values).to(source.values.dtype))

    def decode(
        self,
        tokens: Tensor,
        memory: Annotations,
        *,
        cache: list[RecurrentCache] | None = None,
        padding: Tensor | None = None,
    ) -> Tensor:
        """Return logits (B, T, V) of what follows each token.

        Args:
            tokens: (B, T), those after the ones that the cache has seen.
            memory: what `encode` gave.
            cache: what `caches` gave; holds the state afterwards.
            padding: (B,), how many tokens at the start of each item, of the whole target, are no text: the state
                does not change there. Default: none.
        """
        logits: Tensor = self.decoder.head(self._vectors(tokens, memory, cache, padding))
        return logits

    def vectors(
        self, source: Tensor, target: Tensor, *, real: Tensor | None = None, padding: Tensor | None = None
    ) -> Tensor:
        """Return what logits are made of, (B, T, E), for `vocabulary_loss`; arguments as those of a call."""
        return self._vectors(target, self.encode(source, real=real), None, padding)

    @property
    def projection(self) -> tuple[Tensor, Tensor | None]:
        """The weight (V, E) and the bias (V,) that make logits of vectors."""
        return self.decoder.head.weight, self.decoder.head.bias

    def _vectors(
        self, tokens: Tensor, memory: Annotations, cache: list[RecurrentCache] | None, padding: Tensor | None
    ) -> Tensor:
        check_tokens(tokens, self.decoder.embedding.num_embeddings)
        held = RecurrentCache() if cache is None else cache[0]
        state = self.decoder.start(memory) if held.state is None else held.state
        steps = []
        inputs = self.decoder.dropout(self.decoder.embedding(tokens))
        for place, embedded in enumerate(inputs.unbind(1), held.length):
            found, after = self.decoder.step(embedded, state, memory)
            state = after if padding is None else _where(place >= padding, after, state)
            steps.append(found)
        held.state, held.length = state, held.length + tokens.shape[1]
        return self.decoder.finish(torch.stack(steps, 1))

    def caches(self) -> list[RecurrentCache]:
        """Return an empty cache, for decoding step by step."""
        return [RecurrentCache()]


def searching(
    source: int,
    target: int,
    *,
    width: int = 620,
    hidden: int = 1000,
    attention: str | None = "additive",
    alignment: int = 1000,
    readout: int = 500,
    dropout: float = 0.0,
) -> Recurrent:
    """Return "RNNsearch": an encoder that reads both ways, additive attention before each step.

    Args:
        source: how many different tokens the source has.
        target: how many the target has.
        width: width of embeddings.
        hidden: width of states, those of one direction in the encoder.
        attention: words for it, such as "bilinear; sparsemax"; see `aligned`. None: none, for comparison.
        alignment: width of the additive score.
        readout: width after the maxout.
        dropout: probability with which a number of embeddings, annotations and readouts is dropped in training.

    Source: Bahdanau et al. 2015, A.2.3, for the sizes.
    """
    encoder = RecurrentEncoder(source, width, hidden, both_ways=True, dropout=dropout)
    reads = aligned(attention, hidden, 2 * hidden, alignment)
    return Recurrent(encoder, SearchingDecoder(target, width, hidden, 2 * hidden, reads, readout, dropout))


def input_feeding(
    source: int,
    target: int,
    *,
    width: int = 1000,
    layers: int = 4,
    attention: str | None = "bilinear",
    dropout: float = 0.0,
) -> Recurrent:
    """Return stacked LSTMs with bilinear attention after each step, which the next one is fed.

    Args:
        source: how many different tokens the source has.
        target: how many the target has.
        width: width of embeddings and states.
        layers: how many LSTMs stand on one another, in the encoder and in the decoder.
        attention: words for it, such as "dot" or "bilinear; hard"; see `aligned`. None: none, for comparison.
        dropout: probability with which a number that enters an LSTM or the head is dropped in training.

    Source: Luong et al. 2015, section 4.1, for the sizes.
    """
    encoder = RecurrentEncoder(source, width, width, kind=nn.LSTM, layers=layers, dropout=dropout)
    reads = aligned(attention, width, width, width)
    return Recurrent(encoder, InputFeedingDecoder(target, width, width, width, reads, layers, dropout))


def _where(text: Tensor, after: tuple[Tensor, ...], before: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return the states after a step for the items that have text there, and those before it for the others."""
    pairs = zip(after, before, strict=True)
    return tuple(torch.where(text.view(-1, *[1] * (new.ndim - 1)), new, old) for new, old in pairs)
