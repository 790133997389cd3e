"""The data type of products in training and in its checks."""

import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from regard.tasks.training.settings import TrainingSettings

# oneDNN, which multiplies bfloat16 on the CPU, compiles code for each shape that it meets and keeps a thousand of
# each operation: gigabytes, as batches always have new shapes. As measured, it is a little faster with fewer.
_KEPT = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "128", "LRU_CACHE_CAPACITY": "128"}


def precision(settings: TrainingSettings, device: torch.device) -> AbstractContextManager[Any]:
    """Return the context in which products are of the precision that was set."""
    return torch.autocast(device.type, torch.bfloat16) if settings.precision == "bfloat16" else nullcontext()


def keep_few_shapes(settings: TrainingSettings) -> None:
    """Have oneDNN keep few shapes, unless its variables are set; it asks for them once, at its first product."""
    if settings.precision == "bfloat16":
        for name, number in _KEPT.items():
            os.environ.setdefault(name, number)
