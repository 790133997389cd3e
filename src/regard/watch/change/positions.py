"""Positions of keys and queries, as a user names them: numbers, or booleans for each position."""

from collections.abc import Sequence

import torch
from torch import Tensor

from regard.errors import ChangeError

Positions = int | Sequence[int] | Sequence[bool] | Tensor


def positions(name: str, given: Positions) -> Tensor:
    """Return positions (n,) as numbers, or (N,) or (B, N) as booleans.

    Raises:
        ChangeError: they are neither.
    """
    try:
        found = torch.as_tensor([given] if isinstance(given, int) and not isinstance(given, bool) else given)
    except (TypeError, ValueError, RuntimeError):
        found = None
    if found is not None and not found.numel() and found.dtype != torch.bool:
        found = found.long()
    if found is None or found.is_floating_point() or found.is_complex() or not 1 <= found.ndim <= _axes(found):
        got = (
            f"{found.dtype} {tuple(found.shape)}"
            if isinstance(given, Tensor) and found is not None
            else repr(given)
        )
        raise ChangeError(
            f"{name}: expected positions, as a whole number or several, or booleans (N,) or (B, N); got {got}"
        )
    return found


def marked(name: str, chosen: Tensor, count: int, batch: int, device: torch.device) -> Tensor:
    """Return (1 or B, count): whether each position is chosen; chosen ones beyond do not count.

    Raises:
        ChangeError: booleans for another number of batch items.
    """
    marks = torch.zeros(1, count, dtype=torch.bool, device=device)
    if chosen.dtype != torch.bool:
        marks[0, chosen[(chosen >= -count) & (chosen < count)].to(device)] = True
        return marks
    rows = chosen.reshape(-1, chosen.shape[-1]).to(device)
    if rows.shape[0] not in (1, batch):
        raise ChangeError(
            f"{name}: expected booleans (N,) or (B, N) for a batch of {batch}; got {tuple(chosen.shape)}"
        )
    width = min(count, rows.shape[1])
    marks = marks.repeat(rows.shape[0], 1)
    marks[:, :width] = rows[:, :width]
    return marks


def _axes(found: Tensor) -> int:
    return 2 if found.dtype == torch.bool else 1
