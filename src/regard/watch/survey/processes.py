"""Several processes as one: who shares the work, and what all of them found."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed

from regard.errors import InputError

# A process waits this long for the slowest of the others.
_PATIENCE = timedelta(days=7)


@dataclass(frozen=True)
class Processes:
    """Which process this is, from 0, out of how many."""

    rank: int = 0
    size: int = 1

    def agree(self, error: Exception | None) -> None:
        """Go on if all processes are ready, else raise this one's error, or say that another had one.

        Raises:
            InputError: another process had an error.
        """
        if self.size == 1:
            failed = error is not None
        else:
            flag = torch.tensor([int(error is not None)])
            distributed.all_reduce(flag, distributed.ReduceOp.MAX)
            failed = bool(flag)
        if error is not None:
            raise error
        if failed:
            raise InputError("another process cannot go on; see its message")


@contextmanager
def together() -> Iterator[Processes]:
    """Join the processes that `torchrun` started, if it did."""
    own = "WORLD_SIZE" in os.environ and not distributed.is_initialized() and int(os.environ["WORLD_SIZE"]) > 1
    if own:
        distributed.init_process_group("gloo", timeout=_PATIENCE)
    try:
        joined = distributed.is_available() and distributed.is_initialized()
        yield Processes(distributed.get_rank(), distributed.get_world_size()) if joined else Processes()
    finally:
        if own:
            distributed.destroy_process_group()
