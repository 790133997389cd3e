"""The content of a report as plain data: what the terminal, the picture and the page show, and nothing of how."""

from dataclasses import dataclass

from torch import Tensor

from regard.watch.head_kinds import Head
from regard.watch.words import Axis as Axis


@dataclass(frozen=True, eq=False)
class HeadPanel:
    """One head.

    Attributes:
        layer: its layer.
        head: its number.
        facts: its kind and shares.
        weights: (query words, key words); the weight on a word is summed over its tokens, that of a word averaged.
        entropy: (Nq,) by query token, in nats.
        received: (Nk,) by key token, summed over queries.
        name: what it is called where it is none of the model's heads.
    """

    layer: int
    head: int
    facts: Head
    weights: Tensor
    entropy: Tensor
    received: Tensor
    name: str | None = None

    @property
    def title(self) -> str:
        """The head in a few words."""
        return f"layer {self.layer}, {self.name or f'head {self.head}'} ({self.facts.kind})"


@dataclass(frozen=True, eq=False)
class GroupPanel:
    """All layers of one sort of attention over the same words.

    Attributes:
        name: "self-attention", "decoder self-attention" or "cross-attention".
        queries: words that attend.
        keys: words that are attended to.
        layers: the heads of each layer.
        shown: the head to show first.
    """

    name: str
    queries: Axis
    keys: Axis
    layers: tuple[tuple[HeadPanel, ...], ...]
    shown: HeadPanel

    @property
    def heads(self) -> list[HeadPanel]:
        """All heads, layer by layer."""
        return [head for layer in self.layers for head in layer]


@dataclass(frozen=True, eq=False)
class Link:
    """A strong weight between two words of a head."""

    query: str
    key: str
    weight: float


def strongest_links(group: GroupPanel, head: HeadPanel, count: int) -> list[Link]:
    """Return the largest weights of a head between two different words, special ones and punctuation left out."""
    weights = head.weights.clone()
    weights[_without_letters(group.queries)] = 0
    weights[:, _without_letters(group.keys)] = 0
    if group.queries is group.keys:
        weights.fill_diagonal_(0)
    best = weights.flatten().topk(min(count, weights.numel()))
    width = max(1, weights.shape[1])
    return [
        Link(group.queries.words[place // width], group.keys.words[place % width], weight)
        for place, weight in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        if weight > 0
    ]


def _without_letters(words: Axis) -> list[int]:
    pairs = zip(words.words, words.special, strict=True)
    return [i for i, (word, special) in enumerate(pairs) if special or not any(map(str.isalnum, word))]
