"""Masks given as functions of scalar indices: any `mask_mod(b, h, q_idx, kv_idx)`, and torch's `BlockMask`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from regard.errors import MaskError
from regard.mechanisms.grid import Blocks, Grid
from regard.mechanisms.masks.rule import Bounds, Mask
from regard.mechanisms.pointwise import pointwise
from regard.shapes import Sizes

MaskFunction = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class MaskMod(Mask):
    """A query may attend to a key where a function of scalar indices (batch, head, query, key) is true."""

    function: MaskFunction

    def allowed(self, grid: Grid) -> Tensor:
        """Ask the function at every place, as if one by one."""
        return ask(self.function, grid)

    @property
    def kind(self) -> str:
        """The function's name."""
        return f"mask_mod {getattr(self.function, '__name__', type(self.function).__name__)}"


@dataclass(frozen=True, eq=False)
class BlockRule(Mask):
    """torch's `BlockMask`: a function of indices, and a table of the blocks in which it is true at all.

    Attributes:
        function: its mask_mod.
        some: (1 or B, 1 or H, rows, columns) blocks in which something may be allowed.
        all: of the same shape, blocks that are allowed as a whole.
        size: how many queries and keys a block spans.
        lengths: for how many queries and keys the table was made.
    """

    function: MaskFunction
    some: Tensor
    all: Tensor
    size: tuple[int, int]
    lengths: tuple[int, int]

    @classmethod
    def of(cls, mask: Any) -> "BlockRule":
        """Read a BlockMask."""
        shape = (*mask.kv_num_blocks.shape, -(-mask.seq_lengths[1] // mask.BLOCK_SIZE[1]))
        partial = _table(mask.kv_num_blocks, mask.kv_indices, shape)
        everything = torch.zeros_like(partial)
        if mask.full_kv_num_blocks is not None:
            everything = _table(mask.full_kv_num_blocks, mask.full_kv_indices, shape)
        return cls(mask.mask_mod, partial | everything, everything, mask.BLOCK_SIZE, mask.seq_lengths)

    def check(self, sizes: Sizes) -> None:
        """Expect the lengths for which the table was made, and its batch items and heads."""
        if (sizes.queries, sizes.keys) != tuple(self.lengths):
            raise MaskError(
                f"BlockMask: expected {self.lengths[0]} queries and {self.lengths[1]} keys, for which it was made;"
                f" got {sizes.queries} and {sizes.keys}"
            )
        if self.some.shape[0] not in (1, sizes.batch) or self.some.shape[1] not in (1, sizes.heads):
            raise MaskError(
                f"BlockMask: expected 1 or {sizes.batch} batch items and 1 or {sizes.heads} heads;"
                f" it was made for {tuple(self.some.shape[:2])}"
            )

    def allowed(self, grid: Grid) -> Tensor:
        """Ask the function within the blocks of the table."""
        some = self.some.to(grid.key.device)
        batch = grid.batch if some.shape[0] > 1 else torch.zeros_like(grid.batch)
        head = grid.head if some.shape[1] > 1 else torch.zeros_like(grid.head)
        place = (batch, head, grid.query // self.size[0], grid.key // self.size[1])
        # torch does not ask the function in blocks that the table has as full.
        return some[place] & (self.all.to(some.device)[place] | ask(self.function, grid))

    def bounds(self, blocks: Blocks) -> Bounds:
        """Count the blocks of the table that each rectangle touches."""
        top, bottom = blocks.query_start // self.size[0], -(-blocks.query_stop // self.size[0])
        left, right = blocks.key_start // self.size[1], -(-blocks.key_stop // self.size[1])

        def touched(table: Tensor) -> Tensor:
            summed = torch.nn.functional.pad(table.cpu().long().cumsum(2).cumsum(3), (1, 0, 1, 0))
            across = summed[..., bottom, right] - summed[..., top, right]
            return across - summed[..., bottom, left] + summed[..., top, left]

        return Bounds(touched(self.some) > 0, touched(self.all) == (bottom - top) * (right - left))

    @property
    def made_for(self) -> tuple[int, int]:
        """The items and heads of its tensor."""
        return self.some.shape[0], self.some.shape[1]

    @property
    def kind(self) -> str:
        """The class that it was given as."""
        return "BlockMask"


def ask(function: MaskFunction, grid: Grid) -> Tensor:
    """Return the answers of a function of scalar indices on a grid.

    Raises:
        MaskError: the function gives something else than booleans.
    """
    try:
        answer = pointwise(function, *grid.indices)
    except (AttributeError, ValueError, TypeError, RuntimeError) as wrong:
        raise MaskError(
            f"mask_mod: expected a function (b, h, q_idx, kv_idx) of tensors that gives a boolean tensor; {wrong}"
        ) from wrong
    if answer.dtype != torch.bool:
        name = getattr(function, "__name__", type(function).__name__)
        raise MaskError(f"mask_mod: expected a boolean tensor from mask_mod {name}; got {answer.dtype}")
    return answer


def _table(counts: Tensor, indices: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return booleans from the first `counts` of the listed columns of each row."""
    listed = torch.arange(indices.shape[-1], device=indices.device) < counts.unsqueeze(-1)
    table = torch.zeros(*shape[:-1], shape[-1] + 1, dtype=torch.bool, device=indices.device)
    # What is not listed goes to a column that is cut off.
    return table.scatter_(-1, torch.where(listed, indices.long(), shape[-1]), True)[..., :-1]
