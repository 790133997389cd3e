"""Translations of a batch, by greedy or beam search."""

from collections.abc import Sequence

import torch

from regard.models import Beam, Greedy, generate
from regard.tasks.contract import Answer, Features
from regard.tasks.data.tokenizer import BEGIN, END, PAD
from regard.tasks.translation.batches import SOURCE, padded, real_of
from regard.tasks.translation.building import Translator
from regard.tasks.translation.parts import Vocabularies
from regard.tasks.translation.settings import TranslationSettings


def answered(
    model: Translator, items: Sequence[Features], parts: Vocabularies, settings: TranslationSettings
) -> list[Answer]:
    """Return translations, in the order of the items."""
    if not items:
        return []
    source = padded([item[SOURCE] for item in items]).to(model.projection[0].device)
    written = generate(
        model,
        torch.full_like(source[:, :1], BEGIN),
        length=torch.tensor([settings.length(len(item[SOURCE])) for item in items]),
        sampling=Beam(settings.beam, settings.length_penalty, wanted=1) if settings.beam > 1 else Greedy(),
        stop=END,
        memory=model.encode(source, real=real_of(source)),
        fill=PAD,
    )
    return [
        _answer(tokens, probability, parts)
        for tokens, probability in zip(written.lists(), written.log_probability.tolist(), strict=True)
    ]


def _answer(tokens: list[int], probability: float, parts: Vocabularies) -> Answer:
    kept = tokens[:-1] if tokens and tokens[-1] == END else tokens
    return Answer(parts.target.decode(kept), probability, tuple(kept))
