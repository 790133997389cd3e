"""Which positions of a call are chosen, from numbers, or booleans for each position."""

import torch
from torch import Tensor

from regard.errors import ChangeError


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
