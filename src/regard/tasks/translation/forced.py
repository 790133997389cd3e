"""A pass over a given translation, watched: which positions of the source were read as each token was written."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from regard.errors import TaskError
from regard.tasks.data.tokenizer import BEGIN, END
from regard.tasks.translation.batches import padded, real_of
from regard.watch.record import Record
from regard.watch.site import Site
from regard.watch.watching import watch


def watched(model: nn.Module, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]) -> Record:
    """Return what a model attends to while it writes given translations.

    Args:
        model: the model, in evaluation.
        sources: numbers of each source, its end included.
        targets: numbers of each translation, without begin and end. Query i is where token i is written, the last
            one where the end is.
    """
    device = next(model.parameters()).device
    source = padded(sources).to(device)
    target = padded([[BEGIN, *numbers] for numbers in targets]).to(device)
    with torch.no_grad(), watch(model) as seen:
        model(source, target, real=real_of(source))
    return seen.joined()


def cross_sites(record: Record) -> list[Site]:
    """Return what attends to the source, layer by layer."""
    return [site for site in record.sites if site.kind == "cross"]


def own_layer(record: Record) -> tuple[int, Site]:
    """Return the layer whose heads' mean says best which words belong together, and its number.

    It is the layer before the last, or the only one.

    Raises:
        TaskError: no attention to the source was seen.

    Source: Garg et al. 2019, "Jointly Learning to Align and Translate with Transformer Models", section 4.2.
    """
    sites = cross_sites(record)
    if not sites:
        raise TaskError(
            "expected a model whose attention to the source has weights to look into; this one keeps a state in "
            "their place, as linear attention does, or has none at all, as source_attention=none says"
        )
    number = max(0, len(sites) - 2)
    return number, sites[number]


def ended(numbers: Sequence[int]) -> list[int]:
    """Return numbers with the token for the end behind them."""
    return [*numbers, END]


def between(weights: Tensor, query_groups: Sequence[int], key_groups: Sequence[int]) -> Tensor:
    """Return weights (Nq, Nk) between groups: their mean over a group's queries, their sum over a group's keys.

    Args:
        weights: (Nq, Nk), of more positions perhaps than have a group.
        query_groups: the number of each query's group, from 0 upwards.
        key_groups: the number of each key's group.
    """
    rows, columns = (torch.tensor(groups, dtype=torch.long) for groups in (query_groups, key_groups))
    kept = weights[: len(rows), : len(columns)]
    summed = kept.new_zeros(len(kept), max(key_groups, default=-1) + 1).index_add_(1, columns, kept)
    counts = torch.bincount(rows)
    whole = summed.new_zeros(len(counts), summed.shape[1]).index_add_(0, rows, summed)
    return whole / counts.unsqueeze(1)
