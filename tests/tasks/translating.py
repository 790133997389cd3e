"""A made-up language for tests of translation: each word has one translation, and the order stays."""

import random

import torch

from regard.tasks.translation import Translation, TranslationSettings
from regard.tasks.translation.parts import Vocabularies

WORDS = {"one": "eins", "two": "zwei", "three": "drei", "four": "vier", "five": "funf", "six": "sechs"}
TASK = Translation()


def rows(count: int, seed: int = 0, longest: int = 6) -> list[dict[str, str]]:
    """Return pairs of lines."""
    draw = random.Random(seed)
    lines = [draw.choices(list(WORDS), k=draw.randint(1, longest)) for _ in range(count)]
    return [{"source": " ".join(line), "target": " ".join(map(WORDS.__getitem__, line))} for line in lines]


def tiny(**changes: object) -> TranslationSettings:
    """Return settings of a model that is trained in seconds."""
    sizes = {"width": 32, "layers": 2, "heads": 2, "hidden": 48, "dropout": 0.0, "tokenizer": "words", "beam": 1}
    return TranslationSettings(**(sizes | changes))


def fresh(settings: TranslationSettings, data: list[dict[str, str]]) -> tuple[torch.nn.Module, Vocabularies]:
    """Return a model with weights of its own, and its tokenizers."""
    torch.manual_seed(0)
    parts = TASK.fit(data, settings)
    return TASK.build(parts, settings), parts


def train(
    model: torch.nn.Module, parts: Vocabularies, settings: TranslationSettings, updates: int, rate: float = 3e-3
):
    """Train on lines drawn anew, and return the loss of each update."""
    optimizer = torch.optim.Adam(model.parameters(), rate)
    losses = []
    model.train()
    for update in range(updates):
        items = [TASK.features(row, parts, settings) for row in rows(32, seed=update + 1)]
        total = TASK.loss(model, TASK.batch(items, parts), 0.1)
        optimizer.zero_grad()
        (total.sum / total.count).backward()
        optimizer.step()
        losses.append(total.sum.item() / total.count)
    model.eval()
    return losses
