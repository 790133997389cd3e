"""A report on one translation: words read by words written, in every layer and head."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import nn

from regard.reports.build import Section, build_sections
from regard.reports.report import Report
from regard.tasks.contract import Answer
from regard.tasks.data.tokenizer import BEGIN
from regard.tasks.translation.forced import between, cross_sites, ended, own_layer, watched
from regard.tasks.translation.parts import Vocabularies
from regard.watch.heads.averaged import averaged
from regard.watch.site import Site
from regard.watch.words import Axis

_CROSS = "cross-attention"
_MEAN = "mean of heads"

# A title has at most this many letters of the source.
_LONGEST_TITLE = 60


def looked(model: nn.Module, source: Sequence[int], answer: Answer, parts: Vocabularies) -> Report:
    """Return what a model attended to for a translation.

    In attention to the source, rows are the words that were written; in attention of the target to itself, those
    that were read meanwhile, which begin one token earlier. It opens with what the model itself uses: a recurrent
    model's attention; of a Transformer the mean of the heads in the layer before the last. The page draws it as an
    alignment.

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
    layer, site = own_layer(record)
    text = parts.source.decode(source)
    is_own = bool(answer.tokens) or answer.log_probability is not None
    sections = build_sections(record, read, parts.target.axis([BEGIN, *tokens]))
    return Report(
        title=_title(text),
        facts=(
            f"read: {text}",
            f"{'written' if is_own else 'given, not written by the model'}: {parts.target.decode(tokens)}",
            *_probability(answer),
            f"aligned by the {_used(layer, len(cross_sites(record)), site)}: {_pairs(site, read, written)}",
        ),
        sections=tuple(_ordered(sections, written, layer, site)),
        coverage=str(record.coverage),
        view="alignment",
    )


def _title(text: str) -> str:
    cut = text if len(text) <= _LONGEST_TITLE else f"{text[: _LONGEST_TITLE - 2].rstrip()} …"
    return cut or "translation"


def _probability(answer: Answer) -> tuple[str, ...]:
    return () if answer.log_probability is None else (f"log-probability: {answer.log_probability:.2f}",)


def _used(layer: int, layers: int, site: Site) -> str:
    """Return in words which attention says what belongs together."""
    if layers == 1 and site.sizes.heads == 1:
        return "attention of the model"
    which = "its only one" if layers == 1 else f"the last but one of {layers} (Garg et al. 2019)"
    heads = "attention" if site.sizes.heads == 1 else "mean of the heads"
    return f"{heads} in layer {layer}, {which}"


def _pairs(site: Site, read: Axis, written: Axis) -> str:
    """Return each written word with the word that it read most, "die" and "the" as "the→die"."""
    mean = site.weights()[0].float().cpu().mean(0)  # (Nq, Nk)
    words = between(mean, written.groups, read.groups)
    words[:, torch.tensor(read.special)] = 0  # the end of the source is no word to belong to
    keys, queries = _told_apart(read), _told_apart(written)
    return " ".join(
        f"{keys[key]}→{queries[query]}"
        for query, key in enumerate(words.argmax(1).tolist())
        if not written.special[query] and not read.special[key]
    )


def _told_apart(axis: Axis) -> list[str]:
    """Return words, with their places, counted from 1, behind those that occur more than once."""
    count = Counter(axis.words)
    return [word if count[word] == 1 else f"{word}({place})" for place, word in enumerate(axis.words, 1)]


def _ordered(sections: Sequence[Section], written: Axis, layer: int, site: Site) -> Iterator[Section]:
    """Yield what the model itself uses, then all attention to the source, then the rest."""
    for section in sections:
        if section.name == _CROSS:
            cross = replace(section, queries=written, layer=layer)
            if site.sizes.heads > 1:
                yield _mean(cross, layer, site)
            yield cross
    yield from (section for section in sections if section.name != _CROSS)


def _mean(cross: Section, layer: int, site: Site) -> Section:
    """Return the mean of a layer's heads as a section of its own."""
    return replace(
        cross,
        name=f"{_CROSS}, {_MEAN}",
        sites=(averaged(site),),
        layer=None,
        first_layer=layer,
        head_name=_MEAN,
    )
