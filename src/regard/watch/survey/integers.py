"""Numbers in fixed point, as integers of any size, so that sums do not depend on their order and never overflow."""

import numpy as np
from numpy.typing import NDArray

from regard.errors import WatchError

# A number x stands as the integer nearest to x * 2^32: steps of 2.3e-10.
FRACTION_BITS = 32

# Integers are stored in this many bytes, little end first, signed. A square of 2^60 steps, added up over 2^60
# documents, takes 23; more is refused.
STORED_BYTES = 24

Integers = NDArray[np.object_]


def fixed(values: NDArray[np.float64]) -> tuple[Integers, NDArray[np.int64]]:
    """Return numbers as integers, and 1 for each that is known; NaN and infinity become 0 and 0."""
    known = np.isfinite(values)
    steps = np.rint(np.where(known, values, 0.0) * 2.0**FRACTION_BITS)
    integers = np.array([int(step) for step in steps.flat], dtype=object).reshape(values.shape)
    return integers, known.astype(np.int64)


def to_bytes(integers: Integers) -> NDArray[np.uint8]:
    """Return integers as bytes, (..., STORED_BYTES).

    Raises:
        WatchError: one is too large.
    """
    try:
        raw = b"".join(int(each).to_bytes(STORED_BYTES, "little", signed=True) for each in integers.flat)
    except OverflowError as error:
        raise WatchError(f"a total exceeds {STORED_BYTES} bytes; survey the corpus in parts") from error
    return np.frombuffer(raw, dtype=np.uint8).reshape(*integers.shape, STORED_BYTES)


def from_bytes(stored: NDArray[np.uint8]) -> Integers:
    """Return what `to_bytes` stored."""
    raw, size = stored.tobytes(), STORED_BYTES
    integers = [int.from_bytes(raw[i : i + size], "little", signed=True) for i in range(0, len(raw), size)]
    return np.array(integers, dtype=object).reshape(stored.shape[:-1])
