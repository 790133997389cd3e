"""How a model is trained, as one value."""

import math
from dataclasses import dataclass
from typing import Literal

from regard.errors import TaskError

# What may differ from the stored settings when a run is resumed; everything else would change what came before.
MAY_CHANGE = ("updates", "minutes", "patience", "check_every")


@dataclass(frozen=True)
class TrainingSettings:
    """How a model is trained.

    Attributes:
        updates: changes of the weights.
        batch_tokens: tokens in a batch at most, padding included, over all processes.
        accumulate: batches that make one update.
        rate: learning rate at its highest.
        schedule: the learning rate after warm-up: falling with the inverse square root of the update (as in Vaswani
            et al. 2017), along a cosine or a line to 0 at the last update, or constant.
        warmup: updates in which the learning rate rises from 0.
        betas: how slowly AdamW forgets gradients, and their squares.
        epsilon: added to AdamW's divisor.
        weight_decay: of matrices, decoupled from the gradient (Loshchilov and Hutter 2019).
        clip: the norm to which gradients are cut; 0: none.
        label_smoothing: the share of the right answer's probability that is spread over all.
        precision: of products within the model; weights stay float32.
        check_every: updates between checks on the validation side, after which the state is saved.
        check_rows: rows of the validation side that are answered and scored at a check; 0: all.
        patience: checks without gain before training ends; 0: never.
        average: how many of the last checks' weights are averaged at the end; 0 or 1: none.
        keep: how many of the last checks' weights stay in the run's folder.
        seed: of weights, order of data and dropout.
        minutes: after which training ends; 0: no limit.
        devices: processes on each machine; 0: as many as torchrun started.
        nodes: machines; 0: as many as torchrun joined.
        strategy: how processes share the work: each with the whole model (ddp), or each with a share of it (fsdp).
    """

    updates: int = 8000
    batch_tokens: int = 4096
    accumulate: int = 1
    rate: float = 1e-3
    schedule: Literal["inverse_sqrt", "cosine", "linear", "constant"] = "inverse_sqrt"
    warmup: int = 1000
    betas: tuple[float, float] = (0.9, 0.98)
    epsilon: float = 1e-9
    weight_decay: float = 0.0
    clip: float = 1.0
    label_smoothing: float = 0.1
    precision: Literal["float32", "bfloat16"] = "float32"
    check_every: int = 500
    check_rows: int = 1000
    patience: int = 0
    average: int = 0
    keep: int = 0
    seed: int = 1
    minutes: float = 0.0
    devices: int = 0
    nodes: int = 0
    strategy: Literal["auto", "ddp", "fsdp"] = "auto"

    def __post_init__(self) -> None:
        for name in ("updates", "batch_tokens", "accumulate", "check_every"):
            self._check(name, getattr(self, name) >= 1, "at least 1")
        for name in ("rate", "epsilon"):
            self._check(name, 0 < getattr(self, name) < math.inf, "a finite number above 0")
        least_zero = (
            "warmup",
            "weight_decay",
            "clip",
            "check_rows",
            "patience",
            "average",
            "keep",
            "minutes",
        )
        for name in (*least_zero, "devices", "nodes"):
            self._check(name, 0 <= getattr(self, name) < math.inf, "a finite number, 0 or above")
        # As many bits as torch's generators and safely numpy's take.
        self._check("seed", 0 <= self.seed < 1 << 63, "a whole number from 0 to below 2^63")
        self._check("betas", all(0 <= beta < 1 for beta in self.betas), "two numbers from 0 to below 1")
        self._check("label_smoothing", 0 <= self.label_smoothing < 1, "a number from 0 to below 1")

    def _check(self, name: str, good: bool, expected: str) -> None:
        if not good:
            raise TaskError(f"training.{name}: expected {expected}; got {getattr(self, name)!r}")
