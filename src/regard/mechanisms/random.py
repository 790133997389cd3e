"""Random numbers by counting: each (batch, head, query, key) has its own, whatever computes it, in any order.

The number is a hash of the seed and the four indices, in the arithmetic of 32-bit integers, so that it is the same
on every device and engine, for tiles of any size. The mixing multiplies and shifts as the finalizers of hash
functions do; constants for one round are those that a search by bias found best for this form.

Source: counter-based numbers, Salmon et al. 2011, "Parallel Random Numbers: As Easy as 1, 2, 3"; constants,
Wellons 2018, "Prospecting for Hash Functions".
"""

import torch
from torch import Tensor

from regard.mechanisms.grid import Grid

_GOLDEN = 0x9E3779B9


def hashed(seed: int, *indices: Tensor) -> Tensor:
    """Return whole numbers from 0 to 2^31 - 1, one for each place of the broadcast indices.

    All indices but the last hash to a start and an odd step of their own, so that no two rows run through the same
    numbers; a number is what a place along that walk mixes to.

    Args:
        seed: any whole number; its lowest 64 bits count.
        indices: whole numbers, at least one tensor.
    """
    *rows, last = (index.to(torch.int32) for index in indices)
    low, high = seed, seed >> 32
    start, step = _row(low, high, rows, last.device), _row(high, ~low, rows, last.device)
    return (_mixed(start + last * (step | 1)) >> 1) & 0x7FFFFFFF


def _row(one: int, other: int, indices: list[Tensor], device: torch.device) -> Tensor:
    """Return a hash of the two halves of a seed and some indices."""
    state = _mixed(_mixed(torch.tensor(_signed(one), dtype=torch.int32, device=device)) ^ _signed(other))
    for index in indices:
        state = _mixed(state + index * _signed(_GOLDEN))
    return state


def uniform(seed: int, grid: Grid) -> Tensor:
    """Return numbers between 0 and 1, both excluded, for each place of a grid, in float32; fine near 0."""
    # The largest whole numbers round up to 2^31.
    return ((hashed(seed, *grid.indices).float() + 0.5) * 2.0**-31).clamp_(max=1 - 2.0**-24)


def gumbel(seed: int, grid: Grid) -> Tensor:
    """Return draws from the standard Gumbel distribution, -log(-log U), for each place of a grid, in float32."""
    return -torch.log(-torch.log1p(-uniform(seed, grid)))


def new_seed() -> int:
    """Return a seed drawn by torch's own generator, so that `torch.manual_seed` settles it."""
    return int(torch.randint(0, 2**62, ()).item())


def _mixed(state: Tensor) -> Tensor:
    """Spread every bit over all 32; shifts bring in zeros, which the masks see to."""
    state = state ^ ((state >> 16) & 0xFFFF)
    state = state * _signed(0x7FEB352D)
    state = state ^ ((state >> 15) & 0x1FFFF)
    state = state * _signed(0x846CA68B)
    return state ^ ((state >> 16) & 0xFFFF)


def _signed(number: int) -> int:
    """Return the lowest 32 bits as a signed number."""
    number &= 0xFFFFFFFF
    return number - (1 << 32) if number >> 31 else number
