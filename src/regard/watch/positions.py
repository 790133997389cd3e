"""Positions of queries and keys, and numbers of heads and layers, in all the ways in which they may be said."""

import operator
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from reprlib import repr as short
from typing import SupportsIndex

import torch
from torch import Tensor

from regard.errors import RegardError, ShapeError

Positions = SupportsIndex | slice | Iterable[SupportsIndex] | Tensor


def positions(
    asked: str,
    given: object,
    count: int,
    *,
    what: str = "positions",
    error: type[RegardError] = ShapeError,
    from_end: bool = True,
) -> Tensor:
    """Return numbers (n,) from 0 to count - 1, in the order in which they were said.

    Args:
        asked: what they are for, for the message.
        given: a whole number or several, a slice, or a boolean for each.
        count: how many there are.
        what: what they are, for the message.
        error: what to raise.
        from_end: whether negative ones count from the end; else there are none.

    Raises:
        RegardError: the error, where they are none of these or there are none of such a number.
    """
    ends = f", or from -{count} to -1 from the end" if from_end else ""
    expected = f"{what} from 0 to {count - 1}{ends}, a slice, or {count} booleans" if count else f"no {what} at all"
    if isinstance(given, slice):
        # A slice that is none stays one, and is refused below.
        with suppress(TypeError, ValueError):
            given = range(count)[given]
    found = numbers(asked, given, error, expected)
    if found.dtype == torch.bool:
        if found.shape != (count,):
            raise error(f"{asked}: expected {expected}; got booleans of shape {tuple(found.shape)}")
        return found.nonzero().squeeze(-1)
    if bad := found[(found < (-count if from_end else 0)) | (found >= count)].tolist():
        raise error(f"{asked}: expected {expected}; got {short(bad)}")
    return found % max(count, 1)


def numbers(
    asked: str,
    given: object,
    error: type[RegardError] = ShapeError,
    expected: str = "positions, as a whole number or several, or booleans (N,) or (B, N)",
) -> Tensor:
    """Return whole numbers (n,) as they were said, or booleans (N,) or (B, N).

    Args:
        asked: what they are for, for the message.
        given: a whole number or several, or booleans.
        error: what to raise.
        expected: what may be given, for the message.

    Raises:
        RegardError: the error, where they are neither.
    """
    found = _tensor(given)
    if found is None:
        got = f"{given.dtype} {tuple(given.shape)}" if isinstance(given, Tensor) else short(given)
        raise error(f"{asked}: expected {expected}; got {got}")
    return found


def whole(
    asked: str, given: object, of: str, least: int | None = None, error: type[RegardError] = ShapeError
) -> int:
    """Return a whole number.

    Args:
        asked: what it is for, for the message.
        given: the number.
        of: what it counts, for the message.
        least: the smallest that there may be.
        error: what to raise.

    Raises:
        RegardError: the error, where it is none, or too small.
    """
    found = None
    if isinstance(given, SupportsIndex) and not isinstance(given, bool):
        with suppress(TypeError):
            found = operator.index(given)
    if found is None or (least is not None and found < least):
        bound = "" if least is None else f", at least {least}"
        raise error(f"{asked}: expected a whole number of {of}{bound}; got {short(given)}")
    return found


def _tensor(given: object) -> Tensor | None:
    """Return whole numbers (n,), or booleans (N,) or (B, N); None for anything else."""
    if (
        isinstance(given, Iterable)
        and not isinstance(given, Sequence | Mapping)
        and not hasattr(given, "__array__")
    ):
        given = list(given)
    try:
        found = torch.as_tensor(given)
    except (TypeError, ValueError, RuntimeError):
        return None
    if found.dtype == torch.bool:
        return found if found.ndim in (1, 2) else None
    if found.numel() and (found.is_floating_point() or found.is_complex() or found.ndim > 1):
        return None
    return found.long().reshape(-1)
