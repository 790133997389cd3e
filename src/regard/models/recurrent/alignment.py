"""How a decoder's state chooses what it reads of a source: by an additive score, a bilinear one, or not at all."""

from typing import Protocol

import torch
from torch import Tensor, nn

from regard.attend import attend
from regard.mechanisms.attention import Attention
from regard.mechanisms.masks.tensors import TensorMask
from regard.mechanisms.scores import TanhSum, bilinear
from regard.models.recurrent.encoder import Annotations


class Alignment(Protocol):
    """How a decoder's state chooses what it reads of a source."""

    def keys(self, values: Tensor) -> Tensor:
        """Return what states are compared with, (B, N, K), for annotations (B, N, A)."""

    def __call__(self, state: Tensor, source: Annotations) -> Tensor:
        """Return what a state (B, S) reads, (B, A)."""


class AdditiveAlignment(nn.Module):
    """Softmax over `v^T tanh(W s + U h)` for a state s and annotations h.

    Args:
        state_width: S.
        annotation_width: A.
        width: width of the sum.

    Source: Bahdanau et al. 2015, "Neural Machine Translation by Jointly Learning to Align and Translate", A.1.2.
    """

    is_cross_attention = True  # told to who watches

    def __init__(self, state_width: int, annotation_width: int, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(state_width, width, bias=False)
        self.key = nn.Linear(annotation_width, width, bias=False)
        self.vector = nn.Parameter(torch.empty(width).uniform_(-(width**-0.5), width**-0.5))

    def keys(self, values: Tensor) -> Tensor:
        """Return the annotations projected, once for all steps."""
        projected: Tensor = self.key(values)
        return projected

    def forward(self, state: Tensor, source: Annotations) -> Tensor:
        """Return what a state (B, S) reads, (B, A)."""
        return _read(self.query(state), source, Attention(score=TanhSum(self.vector), mask=_mask(source)))


class BilinearAlignment(nn.Module):
    """Softmax over `s^T W h` for a state s and annotations h, "general" in the paper.

    Args:
        state_width: S.
        annotation_width: A.

    Source: Luong et al. 2015, "Effective Approaches to Attention-based Neural Machine Translation", equation 8.
    """

    is_cross_attention = True  # told to who watches

    def __init__(self, state_width: int, annotation_width: int) -> None:
        super().__init__()
        bound = annotation_width**-0.5
        self.weight = nn.Parameter(torch.empty(state_width, annotation_width).uniform_(-bound, bound))

    def keys(self, values: Tensor) -> Tensor:
        """Return the annotations."""
        return values

    def forward(self, state: Tensor, source: Annotations) -> Tensor:
        """Return what a state (B, S) reads, (B, A)."""
        return _read(state, source, Attention(score=bilinear(self.weight), mask=_mask(source)))


class NoAlignment(nn.Module):
    """No attention, for comparison: every state reads the same summary of the source.

    Source: Cho et al. 2014, "Learning Phrase Representations using RNN Encoder-Decoder", section 2.2.
    """

    def keys(self, values: Tensor) -> Tensor:
        """Return the annotations, which nothing is compared with."""
        return values

    def forward(self, state: Tensor, source: Annotations) -> Tensor:
        """Return the summary (B, A)."""
        return source.summary


def _mask(source: Annotations) -> TensorMask | None:
    return None if source.real is None else TensorMask(source.real[:, None, None])


def _read(query: Tensor, source: Annotations, mechanism: Attention) -> Tensor:
    """Return what one query an item (B, K) reads of the annotations, (B, A)."""
    keys, values = source.keys[:, None], source.values[:, None]  # (B, 1, N, K), (B, 1, N, A)
    return attend(query[:, None, None], keys, values, mechanism).output[:, 0, 0]
