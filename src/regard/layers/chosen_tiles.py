"""Attention within chosen blocks: queries are gathered by the block that they chose, and meet its keys in tiles.

A tile is some queries that chose one block, and the keys of that block. What a query gets from the blocks that it
chose joins as partials; backward, a tile's share follows from the output and log-sum-exp of the whole (Dao et al.
2022, "FlashAttention", appendix B). Neither holds more than the vectors and a few tiles at a time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from regard.engines import strips
from regard.engines.contract import Problem
from regard.engines.parameters import Remembered
from regard.engines.partial import Partial
from regard.engines.vectors import as_multiplied, in_rows
from regard.layers.chosen_mask import Chosen
from regard.layers.tile import tile, tile_backward
from regard.shapes import Sizes, compute_dtype

# How many numbers of vectors are gathered at a time.
_NUMBERS = 1 << 21


def attended(problem: Problem, chosen: Chosen) -> Tensor:
    """Return the output (B, H, Nq, Dv) of a problem whose mask is `chosen`; inputs are finite."""
    given = (problem.query, problem.key, problem.value)
    output: Tensor = _Attended.apply(problem, chosen, *given)  # type: ignore[no-untyped-call]
    return output


class _Attended(torch.autograd.Function):
    """Tiles forward, the same tiles backward; strips where second derivatives are asked for."""

    @staticmethod
    def forward(ctx: Any, problem: Problem, chosen: Chosen, *given: Tensor) -> Tensor:
        calls = _Calls.of(chosen, problem.scale, *given)
        whole = calls.forward()
        output = calls.in_heads(whole.output)[..., : problem.sizes.value_width].to(problem.query.dtype)
        ctx.remembered, ctx.chosen, ctx.scale = Remembered.of(problem), chosen, problem.scale
        ctx.save_for_backward(output, whole.lse, *given)
        return output

    @staticmethod
    def backward(ctx: Any, d_output: Tensor) -> tuple[Tensor | None, ...]:
        output, lse, *given = ctx.saved_tensors
        if torch.is_grad_enabled():
            return None, None, *strips.gradients(ctx.remembered, given, d_output, None)
        calls = _Calls.of(ctx.chosen, ctx.scale, *given)
        return None, None, *calls.backward(d_output, output, lse)


@dataclass(frozen=True, eq=False)
class _Tiles:
    """Tiles of one height.

    Attributes:
        block: (tiles,) the block of each, those of all lines counted through. A line is one chooser's queries.
        row: (tiles, height) its queries, those of all lines counted through; 0 where one is missing.
        missing: (tiles, height) where there is none, as a block's last tile may have fewer.
        own: whether these are the queries' own blocks, of which they see a part.
    """

    block: Tensor
    row: Tensor
    missing: Tensor
    own: bool

    @classmethod
    def of(cls, chosen: Tensor, blocks: int, height: int, own: bool) -> "_Tiles":
        """Gather queries by their choice (lines, Nq)."""
        lines = torch.arange(len(chosen), device=chosen.device).unsqueeze(-1)
        wanted = (chosen >= 0).flatten().nonzero().squeeze(-1)
        block, order = (chosen + lines * blocks).flatten()[wanted].sort(stable=True)
        count = block.bincount(minlength=len(chosen) * blocks)
        tiles = -(-count // height)
        first_tile, first_row = tiles.cumsum(0) - tiles, count.cumsum(0) - count
        slot = first_tile[block] * height + torch.arange(len(block), device=block.device) - first_row[block]
        of_tile = torch.arange(len(count), device=block.device).repeat_interleave(tiles)
        row = block.new_full((len(of_tile) * height,), -1)
        row[slot] = wanted[order]
        row = row.view(-1, height)
        return cls(of_tile, row.clamp(min=0), row < 0, own)

    def split(self, size: int) -> Iterator["_Tiles"]:
        """Yield at most so many at a time."""
        parts = (each.split(size) for each in (self.block, self.row, self.missing))
        for block, row, missing in zip(*parts, strict=True):
            yield _Tiles(block, row, missing, self.own)

    @property
    def rows(self) -> Tensor:
        """The queries that there are, one after another."""
        return self.row[~self.missing]

    def gathered(self, rows: Tensor) -> Tensor:
        """Return (tiles, R, height, ...) of what all queries have (lines Nq, R, ...)."""
        found = rows.index_select(0, self.row.flatten())
        return found.view(*self.row.shape, *rows.shape[1:]).transpose(1, 2)

    def real(self, of_tiles: Tensor) -> Tensor:
        """Return (rows, R, ...) of (tiles, R, height, ...): the queries that there are."""
        return of_tiles.transpose(1, 2)[~self.missing]


@dataclass(frozen=True, eq=False)
class _Calls:
    """The tiles of one problem. Choosers are lines; the R heads that share a chooser go through a tile together.

    Attributes:
        chosen: the choice.
        scale: factor on the dot products.
        sizes: of the call.
        query: (lines Nq, R, D).
        key: (key lines blocks, 1, block, D), the last block of a line filled with zeros.
        value: likewise, all of one width.
    """

    chosen: Chosen
    scale: float
    sizes: Sizes
    query: Tensor
    key: Tensor
    value: Tensor

    @classmethod
    def of(cls, chosen: Chosen, scale: float, query: Tensor, key: Tensor, value: Tensor) -> "_Calls":
        """Lay vectors out by lines and blocks."""
        (batch, heads, queries, wide), key_heads, keys = query.shape, key.shape[1], key.shape[2]
        sizes = Sizes(batch, heads, key_heads, queries, keys, wide, value.shape[-1])
        width = max(sizes.width, sizes.value_width)
        missing = -keys % chosen.block

        def in_blocks(vectors: Tensor) -> Tensor:
            padded = pad(in_rows(as_multiplied(vectors), width), (0, 0, 0, missing))
            return padded.reshape(-1, 1, chosen.block, width)

        rows = _rows(in_rows(as_multiplied(query), width), chosen)
        return cls(chosen, scale, sizes, rows, in_blocks(key), in_blocks(value))

    def forward(self) -> Partial:
        """Return output (1, lines Nq, R, D) and log-sum-exp."""
        dtype = compute_dtype(self.query.dtype)
        output = torch.zeros_like(self.query, dtype=dtype)
        lse = output.new_full(output.shape[:-1], -torch.inf)
        for tiles in self._tiles():
            found, of_tiles = tile(self._query(tiles), *self._keys(tiles), self._added(tiles), self.scale)
            rows, new = tiles.rows, Partial(tiles.real(found)[None], tiles.real(of_tiles)[None])
            whole = Partial(output[None, rows], lse[None, rows]).join(new)
            output[rows], lse[rows] = whole.output[0], whole.lse[0]
        return Partial(output[None], lse[None])

    def backward(self, d_output: Tensor, output: Tensor, lse: Tensor) -> Iterator[Tensor]:
        """Return the gradients of query, key and value, given the output and log-sum-exp of the whole."""
        sizes, dtype = self.sizes, compute_dtype(self.query.dtype)
        d_output, output = (
            _rows(in_rows(each.to(self.query.dtype), self.query.shape[-1]), self.chosen)
            for each in (d_output, output)
        )
        of_query, of_key, of_value = (torch.zeros_like(t, dtype=dtype) for t in (self.query, self.key, self.value))
        for tiles in self._tiles():
            d_rows, rows, of_rows = (tiles.gathered(each) for each in (d_output, output, lse[0]))
            # exp(S - inf) = 0: a query that is not there has no weights.
            of_rows = of_rows.masked_fill(tiles.missing.unsqueeze(1), torch.inf)
            d_query, d_key, d_value = tile_backward(
                d_rows, self._query(tiles), *self._keys(tiles), rows, of_rows, self._added(tiles), self.scale
            )
            of_query.index_add_(0, tiles.rows, tiles.real(d_query).to(dtype))
            of_key.index_add_(0, self._key_block(tiles), d_key.to(dtype))
            of_value.index_add_(0, self._key_block(tiles), d_value.to(dtype))
        yield self.in_heads(of_query)[..., : sizes.width]
        for each, width in ((of_key, sizes.width), (of_value, sizes.value_width)):
            whole = each.view(sizes.batch, sizes.key_heads, -1, each.shape[-1])
            yield whole[:, :, : sizes.keys, :width]

    def in_heads(self, rows: Tensor) -> Tensor:
        """Return (B, H, Nq, D) of rows (lines Nq, R, D)."""
        batch, choosers, queries = self.chosen.choice.shape[:3]
        return rows.view(batch, choosers, queries, -1, rows.shape[-1]).transpose(2, 3).flatten(1, 2)

    def _tiles(self) -> Iterator[_Tiles]:
        """Yield the tiles, one choice of each query after another, so that none joins two at once."""
        choice, block = self.chosen.choice.flatten(0, 1), self.chosen.block
        height = min(block, self.sizes.queries)
        size = _NUMBERS // ((self.query.shape[1] * height + block) * self.query.shape[-1])
        for rank in range(choice.shape[-1]):
            tiles = _Tiles.of(choice[..., rank], self._blocks, height, own=rank == 0)
            yield from tiles.split(max(1, size))

    @property
    def _blocks(self) -> int:
        """How many blocks a line has."""
        return -(-self.sizes.keys // self.chosen.block)

    def _key_block(self, tiles: _Tiles) -> Tensor:
        """Return where the keys of tiles lie."""
        line, block = tiles.block // self._blocks, tiles.block % self._blocks
        return line // (self.chosen.choice.shape[1] // self.sizes.key_heads) * self._blocks + block

    def _keys(self, tiles: _Tiles) -> tuple[Tensor, Tensor]:
        """Return the keys and values of tiles (tiles, 1, block, D)."""
        where = self._key_block(tiles)
        return self.key.index_select(0, where), self.value.index_select(0, where)

    def _query(self, tiles: _Tiles) -> Tensor:
        return tiles.gathered(self.query)

    def _added(self, tiles: _Tiles) -> Tensor | None:
        """Return what hides the keys after each query in its own block (tiles, 1, height, block)."""
        if not tiles.own:
            return None
        sizes, block = self.sizes, self.chosen.block
        place = tiles.row % sizes.queries + (sizes.keys - sizes.queries)
        keys = torch.arange(block, device=place.device) + (tiles.block % self._blocks * block).unsqueeze(-1)
        hidden = keys.unsqueeze(1) > place.unsqueeze(-1)
        added = torch.zeros(hidden.shape, dtype=compute_dtype(self.query.dtype), device=place.device)
        return added.masked_fill(hidden, -torch.inf).unsqueeze(1)


def _rows(vectors: Tensor, chosen: Chosen) -> Tensor:
    """Return (lines Nq, R, D) of (B, H, Nq, D)."""
    batch, heads, queries, width = vectors.shape
    choosers = chosen.choice.shape[1]
    by_chooser = vectors.reshape(batch * choosers, heads // choosers, queries, width)
    return by_chooser.transpose(1, 2).flatten(0, 1).contiguous()
