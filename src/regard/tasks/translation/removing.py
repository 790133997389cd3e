"""Words of a source removed while the translation stays: which ones attention highlights, and what they change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from regard.tasks.contract import Answer
from regard.tasks.data.tokenizer import BEGIN
from regard.tasks.faithful import OWN, Removal
from regard.tasks.translation.batches import padded, real_of
from regard.tasks.translation.forced import cross_sites, ended, own_layer, watched
from regard.tasks.translation.parts import Vocabularies
from regard.watch.site import Site

if TYPE_CHECKING:
    from regard.tasks.translation.building import Translator


def removal_of(model: Any, source: Sequence[int], answer: Answer, parts: Vocabularies) -> Removal | None:
    """Return what it takes to remove words of a source, or None where it has no word.

    The answer is the mean log-probability of the translation's tokens, its end included, given what is left.

    Args:
        model: the model, in evaluation.
        source: numbers of the source, its end included.
        answer: the translation that is kept.
        parts: the tokenizers.

    Raises:
        TaskError: its attention to the source cannot be looked into.
    """
    tokens = list(answer.tokens) or parts.target.encode(answer.text)
    axis = parts.source.axis(source)
    # Of every token of the source the unit it belongs to; none for its end, which stays.
    words = [word for word, special in enumerate(axis.special) if not special]
    unit_of_word = {word: unit for unit, word in enumerate(words)}
    units = [unit_of_word.get(word) for word in axis.groups]
    if not unit_of_word:
        return None
    record = watched(model, [source], [tokens])
    sites = cross_sites(record)
    own = own_layer(record)[1]
    scores = {OWN: _received([own], units)}
    if len(sites) > 1:
        scores["all layers"] = _received(sites, units)

    def answered(keep: Tensor) -> Tensor:
        sources = [
            [number for number, unit in zip(source, units, strict=True) if unit is None or kept[unit]]
            for kept in keep.tolist()
        ]
        return log_probability(model, sources, tokens)

    return Removal(len(unit_of_word), answered, scores)


def log_probability(model: Translator, sources: Sequence[Sequence[int]], target: Sequence[int]) -> Tensor:
    """Return the mean log-probability of a translation's tokens and its end, for each of several sources (B,).

    Args:
        model: the model, in evaluation.
        sources: numbers of each source, its end included.
        target: numbers of the translation, without begin and end.
    """
    weight, bias = model.projection
    source = padded(sources).to(weight.device)
    wanted = torch.tensor([ended(target)], device=weight.device).expand(len(sources), -1)
    given = torch.cat([torch.full_like(wanted[:, :1], BEGIN), wanted[:, :-1]], 1)
    with torch.no_grad():
        logits = F.linear(model.vectors(source, given, real=real_of(source)), weight, bias)
        return -F.cross_entropy(logits.transpose(1, 2), wanted, reduction="none").mean(1)


def _received(sites: Sequence[Site], units: Sequence[int | None]) -> Tensor:
    """Return the weight that units receive from all queries, mean over heads and layers."""
    weight = torch.stack([site.weights()[0].float().mean(0).sum(0).cpu() for site in sites]).mean(0)
    places = [place for place, unit in enumerate(units) if unit is not None]
    chosen = torch.tensor([unit for unit in units if unit is not None])
    return weight.new_zeros(int(chosen.max()) + 1).index_add_(0, chosen, weight[places])
