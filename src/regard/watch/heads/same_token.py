"""Weight on other positions that hold the same token, without the matrix.

With positions in the order of their tokens, equal tokens stand next to one another, so that the pairs in question
lie in squares along the diagonal, as large as a token is frequent.
"""

import torch
from torch import Tensor

from regard.engines.log_weights import LogWeights
from regard.engines.pairs import chunks
from regard.watch.visible import visible_in

# How many queries are taken at a time.
_HEIGHT = 128


def same_token(weights: LogWeights, items: range, tokens: Tensor, start: int) -> tuple[Tensor, Tensor]:
    """Return the weight (pairs, Nq) on other positions with a query's token, and how many of them it may see.

    Args:
        weights: of all heads of some batch items.
        items: these items.
        tokens: (B, Nk) of all items of the call.
        start: the key at which the first query stands.
    """
    sizes = weights.problem.sizes
    on = weights.query.new_zeros((len(items), sizes.heads, sizes.queries))
    may = torch.zeros((len(items), sizes.heads, sizes.queries), dtype=torch.long, device=on.device)
    for i, item in enumerate(items):
        part = weights.narrow(range(item * sizes.heads, (item + 1) * sizes.heads))
        _one_item(part, range(item, item + 1), tokens[item], start, on[i], may[i])
    return on, may


def _one_item(weights: LogWeights, item: range, tokens: Tensor, start: int, on: Tensor, may: Tensor) -> None:
    order, begin, end = _repeated(tokens)
    for block in chunks(len(order), _HEIGHT):
        keys = order[int(begin[block.start]) : int(end[block.stop - 1])]
        places = order[block]
        places = places[(places >= start) & (places < start + on.shape[-1])]
        same = (tokens[places].unsqueeze(-1) == tokens[keys]) & (places.unsqueeze(-1) != keys)
        queries = places - start
        on[:, queries] = (torch.exp2(weights.rows(queries, keys)) * same).sum(-1)
        may[:, queries] = (visible_in(weights.problem, queries, keys, item)[0] & same).sum(-1)


def _repeated(tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the positions of tokens that occur more than once, in order of tokens, and where each one's run lies.

    Returns:
        (n,) positions; (n,) where in them the run of the same token begins, and where it ends.
    """
    order = tokens.argsort(stable=True)
    _, counts = torch.unique_consecutive(tokens[order], return_counts=True)
    order, counts = order[counts.repeat_interleave(counts) > 1], counts[counts > 1]
    end = counts.cumsum(0)
    return order, (end - counts).repeat_interleave(counts), end.repeat_interleave(counts)
