"""Attention in which each query reads the blocks of keys that it chooses by their means: a mixture of blocks."""

import torch
from torch import Tensor

from regard.attend import attend, is_led
from regard.engines.contract import Computed, Problem
from regard.engines.nonfinite import clean
from regard.layers.choosing import Choosing, by_means, check_lengths
from regard.layers.chosen_mask import Chosen
from regard.layers.chosen_tiles import attended
from regard.mechanisms.attention import Attention
from regard.shapes import check


def mixture_of_blocks(query: Tensor, key: Tensor, value: Tensor, *, block: int = 64, count: int = 8) -> Tensor:
    """Attend causally within the blocks of keys that each query chooses: its own, and those of the best means.

    A block's score is the dot product of the query with the mean of its keys. Weights are a softmax over the keys
    in the chosen blocks, and gradients are those of these weights; the choice itself has none.

    Args:
        query: (B, H, Nq, D), the last Nq positions of the keys'.
        key: (B, G, Nk, D); H is a multiple of G, and query head h reads key head h // (H / G).
        value: (B, G, Nk, Dv).
        block: how many keys make a block.
        count: how many blocks a query reads at most, its own included. With as many as there are this is causal
            attention.

    Returns:
        (B, H, Nq, Dv), differentiable. Memory grows with the length, forward and backward.

    Raises:
        ShapeError: the tensors do not fit together, or there are more queries than keys.
        LayerError: block or count is less than 1.

    Source: Lu et al. 2025, "MoBA: Mixture of Block Attention for Long-Context LLMs".
    """
    sizes, choosing = check(query, key, value), Choosing(block, count)
    check_lengths(sizes)
    with torch.autocast(query.device.type, enabled=False):
        if not sizes.pairs:
            return attend(query, key, value).output
        return within(query, key, value, Chosen(by_means(query, key, sizes, choosing), block))


def within(query: Tensor, key: Tensor, value: Tensor, chosen: Chosen) -> Tensor:
    """Return attention (B, H, Nq, Dv) within chosen blocks; who follows calls of `attend` sees one with a mask."""
    attention = Attention(mask=chosen)
    problem = Problem.of(query, key, value, attention)
    if is_led():
        return attend(query, key, value, attention).output
    cleaned = clean(problem)
    return cleaned.restore(Computed(attended(cleaned.problem, chosen))).output
