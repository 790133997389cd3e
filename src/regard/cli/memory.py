"""An end of the memory is a mistake that can be mended: it gets one message."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from regard.errors import InputError


@contextmanager
def enough_memory(advice: str) -> Iterator[None]:
    """Turn an end of the memory into a user's mistake.

    Args:
        advice: what the message says that can be done.

    Raises:
        InputError: there is not enough memory.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        # On the CPU torch has no error of its own for that.
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and "allocate memory" not in str(error):
            raise
        raise InputError(f"there is not enough memory: {advice}") from error
