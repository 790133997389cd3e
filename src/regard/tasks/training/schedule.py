"""The learning rate of an update."""

import math

from regard.tasks.training.settings import TrainingSettings


def rate_at(settings: TrainingSettings, update: int) -> float:
    """Return the learning rate of an update, a function of its number alone.

    It rises in a line to `settings.rate` at the last update of warm-up and then follows the schedule; the inverse
    square root is that of Vaswani et al. (2017), "Attention is all you need", section 5.3, scaled to its peak.

    Args:
        settings: the highest rate, the schedule, and how many updates there are.
        update: its number, from 1.
    """
    if update < settings.warmup:
        return settings.rate * update / settings.warmup
    # From 0 at the end of warm-up to 1 behind the last update, so that every update moves the weights.
    way = (update - settings.warmup) / max(settings.updates + 1 - settings.warmup, 1)
    factor = {
        "inverse_sqrt": math.sqrt(max(settings.warmup, 1) / update),
        "cosine": (1 + math.cos(math.pi * min(way, 1))) / 2,
        "linear": 1 - min(way, 1),
        "constant": 1.0,
    }[settings.schedule]
    return settings.rate * factor
