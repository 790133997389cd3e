"""Which words of a source belong to which of its translation, by the attention that the model itself uses."""

from collections.abc import Sequence

from torch import nn

from regard.tasks.alignments import Pair
from regard.tasks.contract import Row
from regard.tasks.data.tokenizer import Tokenizer
from regard.tasks.translation.forced import between, ended, own_layer, watched
from regard.tasks.translation.parts import Vocabularies
from regard.tasks.translation.settings import TranslationSettings


def aligned(
    model: nn.Module, rows: Sequence[Row], parts: Vocabularies, settings: TranslationSettings
) -> list[frozenset[Pair]]:
    """Return the alignment of each row's words, which are what stands between spaces, counted from 0.

    Each target word belongs to the source word that has most weight while it is written: of a recurrent model's
    attention, or of the mean over heads in the Transformer's layer before the last.

    Args:
        model: the model, in evaluation.
        rows: pairs of lines, few enough for one batch.
        parts: the tokenizers.
        settings: the task's settings.

    Raises:
        TaskError: its attention to the source cannot be looked into.
    """
    if not rows:
        return []
    sources = [_pieces(parts.source, row[settings.source]) for row in rows]
    targets = [_pieces(parts.target, row[settings.target]) for row in rows]
    record = watched(model, [ended(numbers) for numbers, _ in sources], [numbers for numbers, _ in targets])
    weights = own_layer(record)[1].weights().mean(1).cpu()  # (B, Nq, Nk)
    found = []
    for item, ((_, source), (_, target)) in enumerate(zip(sources, targets, strict=True)):
        words = between(weights[item], target, source)
        best = words.argmax(1).tolist() if words.numel() else []
        found.append(frozenset((key, query) for query, key in enumerate(best)))
    return found


def _pieces(tokenizer: Tokenizer, text: str) -> tuple[list[int], list[int]]:
    """Return a text's numbers, and of which word each is; no piece belongs to two words."""
    each = [tokenizer.encode(word) for word in text.split()]
    return [n for numbers in each for n in numbers], [word for word, numbers in enumerate(each) for _ in numbers]
