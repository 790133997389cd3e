"""Which blocks of keys a query reads: those whose summaries answer it best, its own block always."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from regard.engines.pairs import chunks
from regard.errors import LayerError, ShapeError
from regard.layers.chosen_mask import Ended
from regard.mechanisms.grid import Grid
from regard.shapes import Sizes, compute_dtype

# How many numbers are ranked at a time.
_NUMBERS = 1 << 22


@dataclass(frozen=True)
class Choosing:
    """How blocks are chosen, whatever their scores are.

    Attributes:
        block: how many keys make a block.
        count: how many blocks a query reads at most, its own included.
        first: how many of the first blocks are always among them.
        near: how many of the last blocks, up to its own.
    """

    block: int
    count: int
    first: int = 0
    near: int = 1

    def __post_init__(self) -> None:
        given = (self.block, self.count, self.first, self.near)
        if any(not isinstance(each, int) or isinstance(each, bool) for each in given):
            raise LayerError(f"expected whole numbers for block, count, first and near; got {given}")
        if self.block < 1 or self.first < 0 or self.near < 1 or self.count < self.first + self.near:
            raise LayerError(
                "expected block and near of at least 1 and count of at least first + near; got"
                f" block={self.block}, count={self.count}, first={self.first}, near={self.near}"
            )

    def blocks(self, keys: int) -> int:
        """Return how many blocks there are, the last one perhaps in part."""
        return -(-keys // self.block)

    def ranked(self, scores: Callable[[slice], Tensor], sizes: Sizes, device: torch.device) -> Tensor:
        """Return the choice (B, C, Nq, K): each query's own block, then past ones, -1 for none.

        Args:
            scores: what gives scores (B, C, queries, blocks) of some queries. A block that has not ended before
                the query's own begins may have any score.
            sizes: of the call; the last query stands at the last key.
            device: where the tensors lie.
        """
        blocks = self.blocks(sizes.keys)
        index = torch.arange(blocks, device=device)
        own = torch.arange(sizes.keys - sizes.queries, sizes.keys, device=device).unsqueeze(-1) // self.block
        found = []
        for part in chunks(sizes.queries, _NUMBERS // max(1, sizes.batch * sizes.heads * blocks)):
            here = own[part]
            ranks = scores(part).masked_fill((index < self.first) | (index > here - self.near), torch.inf)
            best = ranks.masked_fill(index >= here, -torch.inf).topk(min(self.count, blocks) - 1, -1)
            past = best.indices.masked_fill(best.values == -torch.inf, -1)
            found.append(torch.cat([here.expand(*past.shape[:-1], 1), past], -1))
        return torch.cat(found, 2)


@torch.no_grad()
def by_means(query: Tensor, key: Tensor, sizes: Sizes, choosing: Choosing) -> Tensor:
    """Return the choice (B, H, Nq, K) of each query by its dot products with the means of blocks.

    Source: Lu et al. 2025, "MoBA: Mixture of Block Attention for Long-Context LLMs", equations 5 to 7.
    """
    dtype, blocks = compute_dtype(query.dtype), choosing.blocks(sizes.keys)
    padded = pad(key, (0, 0, 0, blocks * choosing.block - sizes.keys))
    # What stands in the last block, padding too, is nobody's past.
    means = padded.unflatten(2, (blocks, choosing.block)).mean(3, dtype=dtype)  # (B, G, blocks, D)
    grouped = query.unflatten(1, (sizes.key_heads, sizes.group))

    def scores(part: slice) -> Tensor:
        rows = grouped[:, :, :, part].to(dtype).flatten(2, 3)  # (B, G, H/G queries, D)
        products: Tensor = rows @ means.mT
        return products.view(sizes.batch, sizes.heads, -1, blocks)

    return choosing.ranked(scores, sizes, query.device)


@torch.no_grad()
def by_summaries(query: Tensor, summary: Tensor, sizes: Sizes, choosing: Choosing, mask: Ended) -> Tensor:
    """Return the choice (B, G, Nq, K) of each group of heads by the weights of summaries in the block.

    Args:
        query: (B, H, Nq, D).
        summary: (B, G, count, D), what stands for the keys of a stretch.
        sizes: of the call.
        choosing: how to choose; `mask.stride` divides its block.
        mask: who may see which summary.

    Source: Yuan et al. 2025, "Native Sparse Attention", equations 8 to 11.
    """
    dtype, blocks, count = compute_dtype(query.dtype), choosing.blocks(sizes.keys), summary.shape[2]
    grouped = query.unflatten(1, (sizes.key_heads, sizes.group))
    steps, each = mask.length // mask.stride, choosing.block // mask.stride
    summary = summary.to(dtype).mT * sizes.width**-0.5

    def scores(part: slice) -> Tensor:
        rows = grouped[:, :, :, part].to(dtype)
        S = (rows.flatten(2, 3) @ summary).view(*rows.shape[:-1], count)
        seen = mask.allowed(Grid.rectangle(part, slice(0, count), sizes, query.device))
        # Written out, as `watch` takes a softmax for the weights of an attention.
        lse = S.masked_fill(~seen, -torch.inf).logsumexp(-1, keepdim=True)
        weights = (S - lse).exp().masked_fill(~seen, 0.0).sum(2)
        # A stretch spans some strides, a block others: what they share is what a weight counts for.
        strides = weights.new_zeros((*weights.shape[:-1], blocks * each))
        for step in range(steps):
            strides[..., step : step + count] += weights
        shared: Tensor = strides.view(*strides.shape[:-1], blocks, each).sum(-1)
        return shared

    return choosing.ranked(scores, sizes, query.device)


def check_lengths(sizes: Sizes) -> None:
    """Raise ShapeError where there are more queries than keys, so that some query stands nowhere."""
    if sizes.queries > sizes.keys:
        raise ShapeError(
            f"expected at most as many queries as keys, the last ones of them; got {sizes.queries} queries and"
            f" {sizes.keys} keys"
        )
