"""The documents that show a head best: kept by value, with an excerpt and the strongest links between words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from regard.watch.site import Site
from regard.watch.survey.documents import Document, Words

# How many examples are kept of each head and share, and how many links of each.
EXAMPLES = 3
LINKS = 5

_BEFORE, _AFTER = 80, 120
_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Link:
    """The weight between two words of a document: summed over the key's tokens, averaged over the query's."""

    query: str
    key: str
    weight: float


@dataclass(frozen=True)
class Example:
    """A document that shows a head.

    Attributes:
        value: the head's share or worth in it, in steps of 2^-32.
        document: its number in the corpus.
        place: where it stands.
        excerpt: the text around the strongest link.
        links: the strongest links, strongest first.
    """

    value: int
    document: int
    place: str
    excerpt: str
    links: tuple[Link, ...] = ()

    @classmethod
    def from_plain(cls, content: dict[str, Any]) -> "Example":
        """Return what `asdict` made plain."""
        return cls(**{**content, "links": tuple(Link(**link) for link in content["links"])})

    def plain(self) -> dict[str, Any]:
        """Return the example as what JSON can hold."""
        return {**vars(self), "links": [vars(link) for link in self.links]}


# For each head, its best examples.
Best = tuple[tuple[Example, ...], ...]


def best_of(one: Best, other: Best) -> Best:
    """Return the best examples of both: by value, then by document, so that order does not matter."""
    return tuple(
        tuple(sorted(a + b, key=lambda e: (-e.value, e.document, e.place, e.excerpt))[:EXAMPLES])
        for a, b in zip(one, other, strict=True)
    )


def may_enter(best: tuple[Example, ...], value: int, document: int) -> bool:
    """Whether a document with this value would be among the best."""
    return len(best) < EXAMPLES or (-value, document) < (-best[-1].value, best[-1].document)


def links_of(site: Site, item: int, document: Document) -> list[list[tuple[int, Link]]]:
    """Return for each head its strongest links, and at which query word each begins.

    Special tokens, words without letters, and links of a word to itself are left out.
    """
    queries, keys = query_words(site, document), key_words(site, document)
    if queries is None or keys is None:
        return [[] for _ in range(site.sizes.heads)]
    best: list[list[tuple[float, int, int]]] = [[] for _ in range(site.sizes.heads)]
    step = max(1, _AT_ONCE // (site.sizes.heads * site.sizes.batch * max(1, site.sizes.keys)))
    for chunk in _runs(queries.groups, step):
        rows = site.rows(chunk)[item].cpu().float()
        by_key = _added(rows, torch.tensor(keys.groups), len(keys.labels), 2)
        words, where, counts = torch.tensor([queries.groups[i] for i in chunk]).unique(
            return_inverse=True, return_counts=True
        )
        weights = _added(by_key, where, len(words), 1) / counts[:, None]
        numbers = words.tolist()
        weights[:, [i for i, n in enumerate(numbers) if not queries.shown[n]]] = 0
        weights[:, :, [n for n, shown in enumerate(keys.shown) if not shown]] = 0
        if queries is keys:
            weights[:, range(len(numbers)), numbers] = 0
        for head, found in enumerate(_strongest(weights, numbers)):
            best[head] = sorted(best[head] + found, key=lambda link: (-link[0], link[1], link[2]))[:LINKS]
    return [
        [(q, Link(queries.labels[q], keys.labels[k], round(weight, 4))) for weight, q, k in links] for links in best
    ]


def excerpt_of(document: Document, words: Words | None, word: int | None) -> str:
    """Return the text around a word, or its beginning."""
    text = document.text if words is None or words.text is None else words.text
    middle = 0 if words is None or word is None or not words.spans else words.spans[word][0]
    start, stop = max(0, middle - _BEFORE), min(len(text), max(middle, _BEFORE) + _AFTER)
    if start:
        start = text.find(" ", start, middle) + 1 or start  # not in the middle of a word
    shown = " ".join(text[start:stop].split())
    return f"{'… ' if start else ''}{shown}{' …' if stop < len(text) else ''}"


def query_words(site: Site, document: Document) -> Words | None:
    """Return the words that attend at a site; None where they are not given or do not fit."""
    on_target = site.kind == "cross" or (document.target is not None and "decoder" in site.path)
    return _fitting(document.target if on_target else document.words, site.sizes.queries)


def key_words(site: Site, document: Document) -> Words | None:
    """Return the words that are attended to at a site; None where they are not given or do not fit."""
    return _fitting(document.words, site.sizes.keys) if site.kind == "cross" else query_words(site, document)


def _fitting(words: Words | None, tokens: int) -> Words | None:
    return words if words is not None and len(words.groups) == tokens else None


def _runs(groups: Sequence[int], step: int) -> list[range]:
    """Cut tokens into runs of about `step` that do not part a word."""
    runs, start = [], 0
    for i in range(1, len(groups) + 1):
        if i == len(groups) or (i - start >= step and groups[i] != groups[i - 1]):
            runs.append(range(start, i))
            start = i
    return runs


def _added(weights: Tensor, groups: Tensor, count: int, axis: int) -> Tensor:
    """Return weights summed over the positions of each group along an axis."""
    shape = [*weights.shape]
    shape[axis] = count
    return weights.new_zeros(shape).index_add_(axis, groups, weights)


def _strongest(weights: Tensor, numbers: Sequence[int]) -> list[list[tuple[float, int, int]]]:
    """Return the largest of (H, words, words) for each head as (weight, query word, key word)."""
    width = weights.shape[-1]
    top = weights.flatten(1).topk(min(LINKS, weights[0].numel()), -1)
    return [
        [(w, numbers[place // width], place % width) for w, place in zip(row, places, strict=True) if w > 0]
        for row, places in zip(top.values.tolist(), top.indices.tolist(), strict=True)
    ]
