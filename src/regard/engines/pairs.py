"""Cutting calls: ranges of positions, and ranges of (batch, head) pairs, numbered b * H + h."""

import torch
from torch import Tensor

from regard.shapes import Sizes


def of_pairs(tensor: Tensor, pairs: range, sizes: Sizes) -> Tensor:
    """Return the rows of (B, heads or key heads, N, D) that belong to (batch, head) pairs, as a view if it can."""
    if tensor.shape[1] == sizes.heads and (sizes.batch == 1 or tensor.is_contiguous()):
        return tensor.flatten(0, 1)[pairs.start : pairs.stop]
    index = torch.arange(pairs.start, pairs.stop, device=tensor.device)
    return tensor[index // sizes.heads, (index % sizes.heads) // (sizes.heads // tensor.shape[1])]


def chunks(total: int, size: int) -> list[slice]:
    """Return consecutive ranges of at most `size` that cover 0 to total."""
    return [slice(start, min(start + size, total)) for start in range(0, total, max(size, 1))]


def pair_chunks(sizes: Sizes, size: int) -> list[range]:
    """Return the (batch, head) pairs of a call in ranges of at most `size`, at least 1."""
    return subranges(range(sizes.batch * sizes.heads), size)


def subranges(whole: range, size: int) -> list[range]:
    """Return a range in consecutive ranges of at most `size`, at least 1."""
    return [whole[start : start + max(size, 1)] for start in range(0, len(whole), max(size, 1))]
