"""Scores, modifiers and weighings by words, with fresh parameters for those that learn, one set a head."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from regard.errors import LayerError
from regard.mechanisms import modifiers, scores, weighing
from regard.mechanisms.modifiers import Bias
from regard.mechanisms.scores import Cosine, Dot, Score
from regard.mechanisms.weighing import Weighing


@dataclass(frozen=True)
class Heads:
    """The heads of a layer, for which parameters are made.

    Attributes:
        count: query heads.
        keys: key heads.
        width: of queries and keys.
        input: width of the layer's input.
        causal: whether nobody sees ahead.
    """

    count: int
    keys: int
    width: int
    input: int
    causal: bool


@dataclass(frozen=True, eq=False)
class LearnedCosine(Score):
    """`cos(q, k) / temperature` with a learned temperature a head, kept above 0 by its logarithm.

    Attributes:
        log_temperature: (H,).

    Source: Liu et al. 2022, "Swin Transformer V2", equation 2.
    """

    log_temperature: Tensor

    def prepared(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor, Dot]:
        """Divide queries and keys by their lengths, and queries by the temperature."""
        return Cosine(self.log_temperature.exp()).prepared(query, key)

    @property
    def kind(self) -> str:
        """The word."""
        return "cosine"


def dot(heads: Heads, scale: float | None = None) -> Score:
    """Return the scaled dot product."""
    return scores.dot(scale)


def cosine(heads: Heads, temperature: float | None = None) -> Score:
    """Return the cosine over a temperature: this one, or one a head that is learned, from 0.1 on."""
    if temperature is not None:
        return scores.cosine(temperature)
    return LearnedCosine(nn.Parameter(torch.full((heads.count,), 0.1).log()))


def bilinear(heads: Heads) -> Score:
    """Return the bilinear score with a matrix a head, scaled so that fresh ones give scores as dot products do."""
    weight = torch.randn(heads.count, heads.width, heads.width) * heads.width**-0.5
    return scores.bilinear(nn.Parameter(weight), scale=heads.width**-0.5)


def additive(heads: Heads, width: int | None = None) -> Score:
    """Return the additive score with a network a head, as wide as the head where no width is given."""
    hidden = heads.width if width is None else width
    if not isinstance(hidden, int) or hidden < 1:
        raise LayerError(f"expected a width of at least 1; got {hidden!r}")
    of_queries, of_keys = (
        _even(count, hidden, heads.width, within=heads.width) for count in (heads.count, heads.keys)
    )
    return scores.additive(of_queries, of_keys, _even(heads.count, hidden, within=hidden))


def alibi(heads: Heads) -> Bias:
    """Return ALiBi with the paper's slopes."""
    return modifiers.alibi(heads.count)


def relative_buckets(heads: Heads, buckets: int = 32, max_distance: int = 128) -> Bias:
    """Return T5's relative buckets with a table that is learned, from 0 on."""
    table = nn.Parameter(torch.zeros(buckets, heads.count))
    return modifiers.relative_buckets(table, bidirectional=not heads.causal, max_distance=max_distance)


def entmax15(heads: Heads) -> Weighing:
    """Return entmax with alpha 1.5."""
    return weighing.entmax(1.5)


def sigmoid(heads: Heads, bias: float | None = None) -> Weighing:
    """Return the sigmoid with this bias, or one a head that is learned, from -3 on.

    The library's default would depend on how many keys there are, and so on padding and on a cache.
    """
    return weighing.sigmoid(nn.Parameter(torch.full((heads.count,), -3.0)) if bias is None else bias)


def hard(heads: Heads, sample: bool = False, straight_through: bool = True) -> Weighing:
    """Return hard attention that learns: gradients pass to scores as if the weights were the softmax's."""
    if not straight_through:
        raise LayerError(
            "expected straight_through=True: in a layer nobody reads the log-probability of the chosen key, and"
            " scores would learn nothing without it"
        )
    return weighing.hard(sample=sample, straight_through=True)


def _even(*shape: int, within: int) -> nn.Parameter:
    """Return a parameter drawn evenly around 0, as `nn.Linear` draws its weights."""
    return nn.Parameter(torch.empty(shape).uniform_(-(within**-0.5), within**-0.5))


SCORES = {"dot": dot, "cosine": cosine, "bilinear": bilinear, "additive": additive}
# Those without context take the library's own arguments.
WEIGHINGS = {
    "softmax": lambda heads, sink=None: weighing.softmax(sink),
    "sparsemax": lambda heads: weighing.sparsemax(),
    "entmax": lambda heads, alpha=1.5: weighing.entmax(alpha),
    "entmax15": entmax15,
    "sigmoid": sigmoid,
    "top_k": lambda heads, k: weighing.top_k(k),
    "hard": hard,
}
MODIFIERS = {"soft_cap": lambda heads, cap: modifiers.soft_cap(cap)}
BIASES = {"alibi": alibi, "relative_buckets": relative_buckets}
