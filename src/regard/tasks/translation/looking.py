"""A report on one translation: words read by words written, in every layer and head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn

from regard.reports.build import Section, build_sections
from regard.reports.report import Report
from regard.tasks.contract import Answer
from regard.tasks.data.tokenizer import BEGIN
from regard.tasks.translation.forced import between, cross_sites, ended, own_layer, watched
from regard.tasks.translation.parts import Vocabularies
from regard.watch.record import Record
from regard.watch.words import Axis

_CROSS = "cross-attention"


def looked(model: nn.Module, source: Sequence[int], answer: Answer, parts: Vocabularies) -> Report:
    """Return what a model attended to for a translation.

    In attention to the source, rows are the words that were written; in attention of the target to itself, those
    that were read meanwhile, which begin one token earlier. It opens with what the model itself uses: a recurrent
    model's attention; of a Transformer the head most like the mean of the heads in the layer before the last.

    Args:
        model: the model, in evaluation.
        source: numbers of the source, its end included.
        answer: the translation; its tokens if it has some, else its text.
        parts: the tokenizers.

    Raises:
        TaskError: its attention to the source cannot be looked into.
    """
    tokens = list(answer.tokens) or parts.target.encode(answer.text)
    record = watched(model, [source], [tokens])
    read, written = parts.source.axis(source), parts.target.axis(ended(tokens))
    layer, head, alignment = _own(record, read, written)
    sections = build_sections(record, read, parts.target.axis([BEGIN, *tokens]))
    return Report(
        title="translation",
        facts=(
            f"read: {parts.source.decode(source)}",
            f"written: {parts.target.decode(tokens)}",
            *_probability(answer),
            _alignment(record, layer, head, alignment, read, written),
        ),
        sections=tuple(_opened(section, written, layer, head) for section in _cross_first(sections)),
        coverage=str(record.coverage),
    )


def _own(record: Record, read: Axis, written: Axis) -> tuple[int, int, list[int]]:
    """Return the layer that the model uses, the head most like its mean, and each target word's source word."""
    layer, site = own_layer(record)
    heads = site.weights()[0].float().cpu()  # (H, Nq, Nk)
    mean = heads.mean(0)
    head = int((heads * mean).sum((1, 2)).argmax())
    words = between(mean, written.groups, read.groups)
    words[:, torch.tensor(read.special)] = 0  # the end of the source is no word to belong to
    return layer, head, words.argmax(1).tolist()


def _probability(answer: Answer) -> tuple[str, ...]:
    return () if answer.log_probability is None else (f"log-probability: {answer.log_probability:.2f}",)


def _alignment(record: Record, layer: int, head: int, alignment: Sequence[int], read: Axis, written: Axis) -> str:
    layers = cross_sites(record)
    several = len(layers) > 1 or layers[0].sizes.heads > 1
    used = f"mean of the heads in layer {layer} (Garg et al. 2019), of which head {head} is most like it"
    pairs = [
        f"{read.words[key]}-{written.words[query]}"
        for query, key in enumerate(alignment)
        if not written.special[query] and not read.special[key]
    ]
    return f"aligned by the {used if several else 'attention of the model'}: {' '.join(pairs)}"


def _cross_first(sections: Sequence[Section]) -> list[Section]:
    return sorted(sections, key=lambda section: section.name != _CROSS)


def _opened(section: Section, written: Axis, layer: int, head: int) -> Section:
    if section.name != _CROSS:
        return section
    return replace(section, queries=written, layer=layer, head=head)
