"""The processes that train together: which one this is, and what they tell one another."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
from torch import distributed

from regard.errors import RegardError, TaskError
from regard.tasks.training.settings import TrainingSettings

T = TypeVar("T")

# A process waits this long for the slowest of the others; one that died is noticed at once.
_WAIT = timedelta(days=7)


@dataclass(frozen=True)
class Processes:
    """Which process this is, out of how many, as `torchrun` says.

    Attributes:
        rank: this one's number, from 0, over all machines.
        size: how many there are.
        here: how many there are on this machine.
        own: this one's number on this machine.
    """

    rank: int = 0
    size: int = 1
    here: int = 1
    own: int = 0

    @property
    def first(self) -> bool:
        """Whether this is the one that writes."""
        return self.rank == 0

    @property
    def device(self) -> torch.device:
        """The device that this process computes on."""
        return torch.device("cuda", self.own) if torch.cuda.is_available() else torch.device("cpu")

    def sums(self, numbers: Sequence[float]) -> list[float]:
        """Return each number summed over all processes."""
        if self.size == 1:
            return list(numbers)
        tensor = torch.tensor(numbers, dtype=torch.float64)
        distributed.all_reduce(tensor)
        return tensor.tolist()

    def gathered(self, value: T) -> list[T]:
        """Return what each process has, in their order."""
        if self.size == 1:
            return [value]
        values: list[T | None] = [None] * self.size
        distributed.all_gather_object(values, value)
        return [each for each in values if each is not None]

    def on_first(self, act: Callable[[], None]) -> None:
        """Do something on the first process; all go on when it is done, or none.

        Raises:
            TaskError: another process is the first one, and could not do it.
        """
        error = None
        if self.first:
            try:
                act()
            except RegardError as caught:
                error = caught
        (failed,) = self.sums([float(error is not None)])
        if error is not None:
            raise error
        if failed:
            raise TaskError("the first process cannot go on; see its message")

    def wait(self) -> None:
        """Go on when all processes are here."""
        if self.size > 1:
            self.sums([0.0])


def processes() -> Processes:
    """Return which process this is, from what `torchrun` set, without joining the others."""
    return Processes(*(int(os.environ.get(name, usual)) for name, usual in _NAMES))


_NAMES = (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_WORLD_SIZE", "1"), ("LOCAL_RANK", "0"))


@contextmanager
def together(settings: TrainingSettings) -> Iterator[Processes]:
    """Join the processes that `torchrun` started, if it did.

    Raises:
        TaskError: the settings ask for another number of them.
    """
    found = processes()
    _check(settings, found)
    own = found.size > 1 and not distributed.is_initialized()
    if own:
        # Numbers and text go by gloo, gradients on CUDA by NCCL.
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        distributed.init_process_group(backend, timeout=_WAIT)
    try:
        yield found
    finally:
        if own:
            distributed.destroy_process_group()


def _check(settings: TrainingSettings, found: Processes) -> None:
    nodes = found.size // found.here
    for name, wanted, there in (("devices", settings.devices, found.here), ("nodes", settings.nodes, nodes)):
        if wanted not in (0, there):
            raise TaskError(
                f"training.{name}: expected {wanted}; got {there}. Start that many with torchrun: "
                f"torchrun --nnodes {settings.nodes or nodes} --nproc-per-node {settings.devices or found.here} "
                "-m regard_command train ..."
            )
