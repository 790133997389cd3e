"""Pairs of numbers as one batch, and the batch's loss."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from regard.models.loss import vocabulary_loss
from regard.tasks.contract import Batch, Features, Total
from regard.tasks.data.tokenizer import BEGIN, PAD
from regard.tasks.translation.building import Translator

# Names within features and batches.
SOURCE, TARGET = "source", "target"


def padded(lists: Sequence[Sequence[int]]) -> Tensor:
    """Return lists of numbers as one tensor (B, N), padding after the shorter ones."""
    return pad_sequence([torch.tensor(numbers, dtype=torch.long) for numbers in lists], True, PAD)


def batched(items: Sequence[Features]) -> Batch:
    """Return both sides, the target with the token for beginnings in front."""
    return {
        SOURCE: padded([item[SOURCE] for item in items]),
        TARGET: padded([[BEGIN, *item[TARGET]] for item in items]),
    }


def real_of(source: Tensor) -> Tensor | None:
    """Return where a source (B, N) has tokens; None where that is everywhere, which is faster."""
    real = source != PAD
    return None if bool(real.all()) else real


def loss_of(model: Translator, batch: Batch, label_smoothing: float) -> Total:
    """Return the loss of every token of the target, each given the ones before it."""
    source, target = batch[SOURCE], batch[TARGET]
    vectors = model.vectors(source, target[:, :-1], real=real_of(source))
    weight, bias = model.projection
    wanted = target[:, 1:]
    loss = vocabulary_loss(vectors, weight, wanted, bias, label_smoothing, ignore=PAD)
    return Total(loss, int((wanted != PAD).sum()))
