"""What a mask leaves of tiles, exactly: told by its structure where it can, by asking the rule where it must."""

import torch
from torch import Tensor
from torch.nn.functional import pad

from regard.mechanisms.grid import Blocks, Grid
from regard.mechanisms.masks.rule import Mask, Tile
from regard.shapes import Sizes, broadcast_shapes

# How many pairs of positions are asked of a rule at a time.
_AT_ONCE = 1 << 20


def bounded(mask: Mask, blocks: Blocks) -> Tensor:
    """Return the kind of each block (1 or B, 1 or H, rows, columns) as the mask's structure tells it."""
    bounds = mask.bounds(blocks)
    rows, columns = blocks.query_start.shape[0], blocks.key_start.shape[0]
    kinds = torch.where(bounds.all, int(Tile.FULL), torch.where(bounds.some, int(Tile.PARTIAL), int(Tile.EMPTY)))
    kinds = kinds.to(torch.int8).reshape((1,) * (4 - kinds.ndim) + tuple(kinds.shape))
    return kinds.expand(*kinds.shape[:2], rows, columns)


def classify(mask: Mask, blocks: Blocks, device: torch.device | None = None) -> Tensor:
    """Return the kind of each block (1 or B, 1 or H, rows, columns), exact, as numbers of `Tile`.

    Args:
        mask: the rule.
        blocks: all of one height and one width, but for the last ones.
        device: where the rule is asked. Default: the CPU.
    """
    kinds = bounded(mask, blocks)
    return kinds if mask.exact else _refined(mask, blocks, kinds, device or torch.device("cpu"))


def _refined(mask: Mask, blocks: Blocks, kinds: Tensor, device: torch.device) -> Tensor:
    """Ask the rule in strips of rows of blocks, from the first to the last block in doubt."""
    doubtful = (kinds == Tile.PARTIAL).any(0).any(0)
    if not bool(doubtful.any()):
        return kinds
    starts, stops = blocks.query_start.flatten().tolist(), blocks.query_stop.flatten().tolist()
    left, right = blocks.key_start.tolist(), blocks.key_stop.tolist()
    lead = _told_apart(mask, blocks, doubtful, device)
    # Written in place: small results that stay between large ones that go would scatter over the memory.
    kinds = kinds.expand(*broadcast_shapes(kinds.shape[:2], lead), *kinds.shape[2:]).clone()
    at_once = max(1, _AT_ONCE // max(1, lead.numel()))
    for rows, columns in _strips(doubtful, starts, stops, left, right, at_once):
        queries = slice(starts[rows.start], stops[rows.stop - 1])
        keys = slice(left[columns.start], right[columns.stop - 1])
        allowed = mask.allowed(Grid.rectangle(queries, keys, blocks.sizes, device))
        pooled = _pooled(allowed, queries, keys, stops[0] - starts[0], right[0] - left[0])
        part = kinds[..., rows, columns]
        part.copy_(torch.where(part == Tile.PARTIAL, pooled, part))
    return kinds


def _told_apart(mask: Mask, blocks: Blocks, doubtful: Tensor, device: torch.device) -> torch.Size:
    """Return for how many batch items and heads the rule answers, as it answers at one place in doubt."""
    row, column = doubtful.nonzero()[0].tolist()
    query, key = int(blocks.query_start[row]), int(blocks.key_start[column])
    place = Grid.rectangle(slice(query, query + 1), slice(key, key + 1), blocks.sizes, device)
    answer = mask.allowed(place)
    return answer.reshape((1,) * (4 - answer.ndim) + tuple(answer.shape)).shape[:2]


def _strips(
    doubtful: Tensor, starts: list[int], stops: list[int], left: list[int], right: list[int], at_once: int
) -> list[tuple[slice, slice]]:
    """Return ranges of rows and columns of blocks that cover what is doubtful, each small enough to ask at once."""
    strips: list[tuple[slice, slice]] = []
    columns = [row.nonzero().flatten() for row in doubtful]
    row = 0
    while row < len(columns):
        if not len(columns[row]):
            row += 1
            continue
        first, last, stop = int(columns[row][0]), int(columns[row][-1]) + 1, row + 1
        while stop < len(columns) and len(columns[stop]):
            low, high = min(first, int(columns[stop][0])), max(last, int(columns[stop][-1]) + 1)
            area = (stops[stop] - starts[row]) * (right[high - 1] - left[low])
            wasted = (high - low) > 2 * len(columns[stop]) or (high - low) > 2 * (last - first)
            if area > at_once or wasted:
                break
            first, last, stop = low, high, stop + 1
        wide = max(1, at_once // ((stops[stop - 1] - starts[row]) * (right[0] - left[0])))
        strips += [(slice(row, stop), slice(at, min(at + wide, last))) for at in range(first, last, wide)]
        row = stop
    return strips


def _pooled(allowed: Tensor, queries: slice, keys: slice, height: int, width: int) -> Tensor:
    """Return the kinds of blocks (1 or B, 1 or H, rows, columns) from the answers of a rule."""
    allowed = allowed.reshape((1,) * (4 - allowed.ndim) + tuple(allowed.shape))
    many, wide = queries.stop - queries.start, keys.stop - keys.start
    # Bytes rather than booleans, whole rows before columns: the largest of them is found twenty times faster.
    answers = allowed.expand(*allowed.shape[:2], many, wide).view(torch.uint8)
    short = (0, -wide % width, 0, -many % height)

    def padded(fill: int) -> Tensor:
        whole: Tensor = pad(answers, short, value=fill) if any(short) else answers
        return whole.view(*whole.shape[:2], whole.shape[2] // height, height, whole.shape[3])

    some, everything = padded(0).amax(3), padded(1).amin(3)
    shape = (*some.shape[:3], some.shape[3] // width, width)
    return torch.add(some.view(shape).amax(4), everything.view(shape).amin(4)).to(torch.int8).cpu()


def count(mask: Mask, sizes: Sizes, size: int = 256) -> int:
    """Return how many (batch, head, query, key) a mask allows, exact, asking the rule only in partial tiles."""
    blocks = Blocks.of(sizes, size, size)
    kinds = bounded(mask, blocks)
    kinds = kinds.expand(sizes.batch, sizes.heads, *kinds.shape[2:])
    area = (blocks.query_stop - blocks.query_start) * (blocks.key_stop - blocks.key_start)
    total = int(((kinds == Tile.FULL).sum((0, 1)) * area).sum()) if kinds.numel() else 0
    for row, column in (kinds == Tile.PARTIAL).any(0).any(0).nonzero().tolist():
        queries = slice(int(blocks.query_start[row]), int(blocks.query_stop[row]))
        keys = slice(int(blocks.key_start[column]), int(blocks.key_stop[column]))
        allowed = mask.allowed(Grid.rectangle(queries, keys, sizes, torch.device("cpu")))
        shape = (queries.stop - queries.start, keys.stop - keys.start)
        allowed = allowed.expand(sizes.batch, sizes.heads, *shape)
        total += int((allowed & (kinds[..., row, column] == Tile.PARTIAL)[..., None, None]).sum())
    return total
