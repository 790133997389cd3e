"""How a decoder's state chooses what it reads of a source: by a score and a way of weighing, or not at all."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor, nn

from regard.attend import PLAIN, attend
from regard.errors import LayerError
from regard.layers.holding import Held
from regard.layers.named import Said
from regard.layers.naming.scores import Heads
from regard.mechanisms.attention import Attention
from regard.mechanisms.masks.tensors import TensorMask
from regard.mechanisms.scores import Score, TanhSum, bilinear, dot
from regard.models.recurrent.encoder import Annotations


class Alignment(Protocol):
    """How a decoder's state chooses what it reads of a source."""

    def keys(self, values: Tensor) -> Tensor:
        """Return what states are compared with, (B, N, K), for annotations (B, N, A)."""

    def __call__(self, state: Tensor, source: Annotations) -> Tensor:
        """Return what a state (B, S) reads, (B, A)."""


class _Scored(nn.Module):
    """Reads by a score; what is done with scores, a mechanism says.

    Args:
        mechanism: its weighing, modifiers and dropout; the score is the alignment's.
    """

    is_cross_attention = True  # told to who watches

    def __init__(self, mechanism: Attention) -> None:
        super().__init__()
        self.mechanism = Held(mechanism)

    def keys(self, values: Tensor) -> Tensor:
        """Return the annotations."""
        return values

    def read(self, query: Tensor, source: Annotations, score: Score) -> Tensor:
        """Return what one query an item (B, K) reads of the annotations, (B, A), in the annotations' data type."""
        mask = None if source.real is None else TensorMask(source.real[:, None, None])
        mechanism = replace(self.mechanism(query), score=score, mask=mask)
        keys, values = source.keys[:, None], source.values[:, None]  # (B, 1, N, K), (B, 1, N, A)
        # Under autocast a query may come in another type than the annotations, which are many more numbers.
        query = query[:, None, None].to(values.dtype)
        return attend(query, keys, values, mechanism).output[:, 0, 0]


class AdditiveAlignment(_Scored):
    """By `v^T tanh(W s + U h)` for a state s and annotations h.

    Args:
        state_width: S.
        annotation_width: A.
        width: width of the sum.
        mechanism: what is done with scores. Default: softmax.

    Source: Bahdanau et al. 2015, "Neural Machine Translation by Jointly Learning to Align and Translate", A.1.2.
    """

    def __init__(self, state_width: int, annotation_width: int, width: int, mechanism: Attention = PLAIN) -> None:
        super().__init__(mechanism)
        self.query = nn.Linear(state_width, width, bias=False)
        self.key = nn.Linear(annotation_width, width, bias=False)
        self.vector = nn.Parameter(torch.empty(width).uniform_(-(width**-0.5), width**-0.5))

    def keys(self, values: Tensor) -> Tensor:
        """Return the annotations projected, once for all steps."""
        projected: Tensor = self.key(values)
        return projected

    def forward(self, state: Tensor, source: Annotations) -> Tensor:
        """Return what a state (B, S) reads, (B, A)."""
        return self.read(self.query(state), source, TanhSum(self.vector))


class BilinearAlignment(_Scored):
    """By `s^T W h` for a state s and annotations h, "general" in the paper.

    Args:
        state_width: S.
        annotation_width: A.
        mechanism: what is done with scores. Default: softmax.

    Source: Luong et al. 2015, "Effective Approaches to Attention-based Neural Machine Translation", equation 8.
    """

    def __init__(self, state_width: int, annotation_width: int, mechanism: Attention = PLAIN) -> None:
        super().__init__(mechanism)
        bound = annotation_width**-0.5
        self.weight = nn.Parameter(torch.empty(state_width, annotation_width).uniform_(-bound, bound))

    def forward(self, state: Tensor, source: Annotations) -> Tensor:
        """Return what a state (B, S) reads, (B, A)."""
        return self.read(state, source, bilinear(self.weight))


class DotAlignment(_Scored):
    """By `scale * s^T h` for a state s and annotations h, which are projected where their widths differ.

    Args:
        state_width: S.
        annotation_width: A.
        mechanism: what is done with scores. Default: softmax.
        scale: a factor. Default: 1, as in the paper.

    Source: Luong et al. 2015, equation 8, "dot".
    """

    def __init__(
        self, state_width: int, annotation_width: int, mechanism: Attention = PLAIN, scale: float = 1.0
    ) -> None:
        super().__init__(mechanism)
        alike = state_width == annotation_width
        self.key = nn.Identity() if alike else nn.Linear(annotation_width, state_width, bias=False)
        self.score = dot(scale)

    def keys(self, values: Tensor) -> Tensor:
        """Return the annotations as wide as states, once for all steps."""
        projected: Tensor = self.key(values)
        return projected

    def forward(self, state: Tensor, source: Annotations) -> Tensor:
        """Return what a state (B, S) reads, (B, A)."""
        return self.read(state, source, self.score)


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


@dataclass(frozen=True)
class Widths:
    """For what an alignment is made.

    Attributes:
        state: S.
        annotation: A.
        sum: width of an additive score of which no width is said.
        mechanism: what is done with scores.
    """

    state: int
    annotation: int
    sum: int
    mechanism: Attention


def aligned(words: str | None, state_width: int, annotation_width: int, width: int) -> nn.Module:
    """Return an alignment by words.

    Args:
        words: a score (additive, bilinear or dot; default: additive) and what `named` takes beside one in attention
            to a source, such as "bilinear; sparsemax"; "none" or None: no attention, for comparison.
        state_width: S.
        annotation_width: A.
        width: of an additive score of which no width is said.

    Raises:
        LayerError: words that are not known, or have no meaning here.
    """
    if words is None or words == "none":
        return NoAlignment()
    said = Said.read(words)
    if "linear" in said.words:
        raise LayerError(
            f"{words}: expected a score, additive, bilinear or dot; one query at a time reads of a source, and a"
            " state in place of its annotations would be no alignment"
        )
    beside = {kind: several for kind, several in said.words.items() if kind != "score"}
    heads = Heads(1, 1, state_width, state_width, causal=False)
    mechanism = replace(said, words=beside).attention(heads, cross=True)
    widths = Widths(state_width, annotation_width, width, mechanism)
    (score,) = said.words.get("score") or Said.read("additive").words["score"]
    if score.name not in _ALIGNMENTS:
        raise LayerError(f"{score.text}: expected a score out of {', '.join(_ALIGNMENTS)}, or none at all")
    return score.make(_ALIGNMENTS[score.name], widths)


def _additive(widths: Widths, width: int | None = None) -> nn.Module:
    hidden = widths.sum if width is None else width
    if not isinstance(hidden, int) or hidden < 1:
        raise LayerError(f"expected a width of at least 1; got {hidden!r}")
    return AdditiveAlignment(widths.state, widths.annotation, hidden, widths.mechanism)


def _bilinear(widths: Widths) -> nn.Module:
    return BilinearAlignment(widths.state, widths.annotation, widths.mechanism)


def _dot(widths: Widths, scale: float = 1.0) -> nn.Module:
    return DotAlignment(widths.state, widths.annotation, widths.mechanism, scale)


_ALIGNMENTS: dict[str, Callable[..., nn.Module]] = {"additive": _additive, "bilinear": _bilinear, "dot": _dot}
