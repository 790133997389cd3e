"""Batches of rows of like size: endless and repeatable for training, in order of length for answers."""

from collections.abc import Iterator
from itertools import count, pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regard.errors import TaskError

Rows = NDArray[np.integer]


class TokenBatches:
    """An endless series of batches of row numbers, epoch after epoch.

    Rows are shuffled, put in order of size and cut into batches, which are shuffled. A batch costs its number of
    rows times the size of its largest. Where the cuts fall depends on the sizes alone, so every epoch has as many
    batches, and batch n is found without those before it; which rows of one size stand together is drawn anew each
    epoch.
    """

    def __init__(
        self, sizes: ArrayLike, tokens: int, seed: int, *, rank: int = 0, world: int = 1, first: int = 0
    ) -> None:
        """Cut the rows into batches.

        Args:
            sizes: (rows,), how many tokens each row costs.
            tokens: what a batch of all ranks together costs at most; a row that alone costs more is a batch alone.
            seed: of the shuffling.
            rank: which share of each batch is given out. A batch of fewer rows than ranks leaves some without any.
            world: how many ranks share each batch.
            first: the number of the batch with which iterating begins.

        Raises:
            TaskError: there are no rows, or a number is out of its range.
        """
        self._sizes = _checked(sizes, tokens)
        if not self._sizes.size:
            raise TaskError("batches are made of rows: expected some; got none")
        if not 0 <= rank < world:
            raise TaskError(f"expected a rank from 0 to {world - 1}; got {rank}")
        if first < 0 or seed < 0:
            raise TaskError(f"expected a seed and a first batch from 0 on; got {seed} and {first}")
        self._seed, self._rank, self._world, self._first = seed, rank, world, first
        self._cuts = _cuts(np.sort(self._sizes)[::-1], tokens)
        self._epoch = -1
        self._rows = self._turns = np.empty(0, np.int64)

    @property
    def per_epoch(self) -> int:
        """How many batches hold every row once."""
        return len(self._cuts) - 1

    def __iter__(self) -> Iterator[Rows]:
        return map(self.share, count(self._first))

    def share(self, number: int) -> Rows:
        """Return this rank's rows of a batch."""
        return self.whole(number)[self._rank :: self._world]

    def whole(self, number: int) -> Rows:
        """Return the rows of a batch of all ranks together."""
        epoch, place = divmod(number, self.per_epoch)
        self._draw(epoch)
        cut = self._turns[place]
        return self._rows[self._cuts[cut] : self._cuts[cut + 1]]

    def _draw(self, epoch: int) -> None:
        if epoch == self._epoch:
            return
        random = np.random.Generator(np.random.PCG64([self._seed, epoch]))
        shuffled = random.permutation(self._sizes.size)
        self._rows = shuffled[np.argsort(-self._sizes[shuffled], kind="stable")]
        self._turns = random.permutation(self.per_epoch)
        self._epoch = epoch


def ordered(sizes: ArrayLike, tokens: int) -> tuple[list[Rows], Rows]:
    """Return batches of row numbers in order of size, largest first, and the way back.

    Args:
        sizes: (rows,), how many tokens each row costs.
        tokens: what a batch costs at most, as in `TokenBatches`.

    Returns:
        The batches, and for each row the place of its answer among the answers to the batches, one after the other.

    Raises:
        TaskError: a number is out of its range.
    """
    checked = _checked(sizes, tokens)
    rows = np.argsort(-checked, kind="stable")
    cuts = _cuts(checked[rows], tokens)
    back = np.empty_like(rows)
    back[rows] = np.arange(rows.size)
    return [rows[start:end] for start, end in pairwise(cuts)], back


def _checked(sizes: ArrayLike, tokens: int) -> Rows:
    array = np.asarray(sizes)
    if array.size and (array.ndim != 1 or not np.issubdtype(array.dtype, np.integer) or array.min() < 0):
        raise TaskError(f"expected whole sizes from 0 on in one line; got {array.dtype} of shape {array.shape}")
    if tokens < 1:
        raise TaskError(f"expected at least 1 token in a batch; got {tokens}")
    small = array.max(initial=0) < 1 << 15  # of which numpy sorts ten times as many in the same time
    return array.reshape(-1).astype(np.int16 if small else np.int64)


def _cuts(descending: Rows, tokens: int) -> Rows:
    """Return where batches of rows in order of size begin, and where the last one ends."""
    cuts = [0]
    while cuts[-1] < descending.size:
        largest = max(1, int(descending[cuts[-1]]))
        cuts.append(min(descending.size, cuts[-1] + max(1, tokens // largest)))
    return np.array(cuts, np.int64)
