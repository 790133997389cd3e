"""Work shared among threads, each of which computes alone: without the waiting for one another at every operation.

torch splits each operation over its threads and waits for all of them; a pass of many short operations then waits
more than it computes, above all where other programs keep the processors busy. Here each thread takes pieces of
work of its own, and what a piece gives does not depend on how many threads there are.
"""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")


class _Workers:
    """A pool of threads, each with one thread of torch, kept from call to call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._count = 0

    def of(self, count: int) -> ThreadPoolExecutor:
        """Return a pool of so many threads."""
        with self._lock:
            if self._pool is None or self._count != count:
                if self._pool is not None:
                    self._pool.shutdown(wait=False)
                self._pool, self._count = self._made(count), count
            return self._pool

    def forget(self) -> None:
        """Leave the pool behind: threads do not live on in a forked process."""
        self._lock, self._pool = threading.Lock(), None

    @staticmethod
    def _made(count: int) -> ThreadPoolExecutor:
        before = torch.get_num_threads()
        all_begun = threading.Barrier(count + 1)

        def begin() -> None:
            torch.get_num_threads()  # the first time it sets a thread up, and would undo what was set before
            torch.set_num_threads(1)
            all_begun.wait()

        pool = ThreadPoolExecutor(count, thread_name_prefix="regard")
        for _ in range(count):
            pool.submit(begin)
        all_begun.wait()
        # What a thread sets for itself also becomes what later threads start with; this puts that right.
        torch.set_num_threads(before)
        return pool


_workers = _Workers()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_workers.forget)


def share(work: Callable[[T], None], pieces: Sequence[T], *, worthwhile: bool) -> None:
    """Do a piece of work for each of several pieces, without gradients, in as many threads as torch has.

    Args:
        work: what to do; pieces must not write into one another's numbers.
        pieces: the pieces.
        worthwhile: whether the whole is large enough for threads to pay.
    """
    threads = torch.get_num_threads()
    if not worthwhile or min(threads, len(pieces)) < 2:
        for piece in pieces:
            work(piece)
        return

    def alone(piece: T) -> None:
        with torch.inference_mode(False), torch.no_grad():
            work(piece)

    for _ in _workers.of(threads).map(alone, pieces):
        pass
