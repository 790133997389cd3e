"""Masks beside their rules in plain Python, written from the papers' definitions alone.

A rule answers for one (batch item, head, query, key) at a time. Nothing of regard decides here, so that a mistake
in the library cannot hide in what it is compared with.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.attention.flex_attention import create_block_mask

from regard import (
    Mask,
    causal,
    dilated,
    documents,
    fixed,
    full,
    global_tokens,
    neighbourhood,
    packed,
    padding,
    prefix,
    random_blocks,
    strided,
    window,
)
from regard.mechanisms.masks import as_mask
from regard.shapes import Sizes

CPU = torch.device("cpu")
PROPERTY = settings(deadline=None, max_examples=30)
FEW = settings(deadline=None, max_examples=12)

Rule = Callable[[int, int, int, int], bool]


@dataclass(frozen=True)
class Ruled:
    """A mask and its rule, which combine alike."""

    mask: Mask
    rule: Rule

    def __and__(self, other: "Ruled") -> "Ruled":
        return Ruled(self.mask & other.mask, lambda *place: self.rule(*place) and other.rule(*place))

    def __or__(self, other: "Ruled") -> "Ruled":
        return Ruled(self.mask | other.mask, lambda *place: self.rule(*place) or other.rule(*place))

    def __invert__(self) -> "Ruled":
        return Ruled(~self.mask, lambda *place: not self.rule(*place))


def sizes_of(batch: int, heads: int, queries: int, keys: int) -> Sizes:
    return Sizes(batch=batch, heads=heads, key_heads=heads, queries=queries, keys=keys, width=1, value_width=1)


def whole(z: Sizes) -> tuple[int, int, int, int]:
    return z.batch, z.heads, z.queries, z.keys


def places(z: Sizes) -> Iterator[tuple[int, int, int, int]]:
    return product(*map(range, whole(z)))


def by_hand(rule: Rule, z: Sizes) -> Tensor:
    return torch.tensor([rule(*place) for place in places(z)], dtype=torch.bool).view(whole(z))


def expanded(mask: Mask, z: Sizes) -> Tensor:
    return mask.dense(z).expand(whole(z))


def booleans(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.6


def numbers(*shape: int, seed: int = 0) -> Tensor:
    """Return numbers of which about a third is -inf."""
    source = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=source).masked_fill(torch.rand(shape, generator=source) < 0.3, -torch.inf)


def counted(seed: int, *indices: int) -> int:
    """Return the number from 0 to 2^31 - 1 of some indices, as its definition says, in whole numbers of Python."""
    *rows, last = indices
    low, high = seed % 2**32, (seed >> 32) % 2**32
    start, step = _row(low, high, rows), _row(high, 2**32 - 1 - low, rows) | 1
    return _spread((start + last * step) % 2**32) >> 1


def _row(one: int, other: int, indices: list[int]) -> int:
    state = _spread(_spread(one) ^ other)
    for index in indices:
        state = _spread((state + index * 0x9E3779B9) % 2**32)
    return state


def _spread(state: int) -> int:
    state = (state ^ state >> 16) * 0x7FEB352D % 2**32
    state = (state ^ state >> 15) * 0x846CA68B % 2**32
    return state ^ state >> 16


# Sizes.


@st.composite
def some_sizes(draw, longest: int = 40, square: bool = False, heads: int = 3) -> Sizes:
    queries = draw(st.integers(1, longest))
    alike = square or draw(st.booleans())
    keys = queries if alike else draw(st.integers(1, longest))
    return sizes_of(draw(st.integers(1, 2)), draw(st.integers(1, heads)), queries, keys)


def sizes_for(name: str, longest: int = 40) -> st.SearchStrategy[Sizes]:
    """Return sizes that a mask of some name fits."""
    return some_sizes(longest, square=name == "neighbourhood")


# Masks of each name, with any arguments that fit the sizes.

alignments = st.sampled_from(["first", "last"])


def _gap(z: Sizes, align: str, q: int, k: int) -> int:
    """Return how far ahead a key stands: counted from the first positions, or back from the last ones."""
    return k - q if align == "first" else (z.queries - 1 - q) - (z.keys - 1 - k)


def fulls(z: Sizes) -> st.SearchStrategy[Ruled]:
    return st.just(Ruled(full(), lambda b, h, q, k: True))


@st.composite
def causals(draw, z: Sizes) -> Ruled:
    align = draw(alignments)
    return Ruled(causal(align=align), lambda b, h, q, k: _gap(z, align, q, k) <= 0)


@st.composite
def windows(draw, z: Sizes) -> Ruled:
    back, align = draw(st.integers(0, 9)), draw(alignments)
    given = draw(st.none() | st.integers(0, 9))
    ahead = back if given is None else given
    return Ruled(window(back, given, align=align), lambda b, h, q, k: -back <= _gap(z, align, q, k) <= ahead)


@st.composite
def dilateds(draw, z: Sizes) -> Ruled:
    back, ahead, step = draw(st.integers(0, 4)), draw(st.integers(0, 4)), draw(st.integers(1, 5))
    align = draw(alignments)
    gaps = {step * count for count in range(-back, ahead + 1)}
    return Ruled(dilated(back, ahead, dilation=step, align=align), lambda b, h, q, k: _gap(z, align, q, k) in gaps)


@st.composite
def paddings(draw, z: Sizes) -> Ruled:
    lengths = draw(_of_each(st.integers(0, z.keys), z.batch))
    given = draw(st.sampled_from([lengths, torch.tensor(lengths, dtype=torch.int32)]))
    return Ruled(padding(given), lambda b, h, q, k: k < lengths[b])


@st.composite
def prefixes(draw, z: Sizes) -> Ruled:
    if draw(st.booleans()):
        one = draw(st.integers(0, z.keys))
        return Ruled(prefix(one), lambda b, h, q, k: k < one or k <= q)
    lengths = draw(_of_each(st.integers(0, z.keys), z.batch))
    return Ruled(prefix(lengths), lambda b, h, q, k: k < lengths[b] or k <= q)


@st.composite
def documents_of_any_order(draw, z: Sizes) -> Ruled:
    rows = draw(st.sampled_from([1, z.batch]))
    queries, keys = (draw(_of_each(_of_each(st.integers(-1, 3), n), rows)) for n in (z.queries, z.keys))
    if z.queries == z.keys and draw(st.booleans()):
        return Ruled(
            documents(torch.tensor(queries)), lambda b, h, q, k: queries[b % rows][q] == queries[b % rows][k]
        )
    mask = documents(torch.tensor(queries), torch.tensor(keys))
    return Ruled(mask, lambda b, h, q, k: queries[b % rows][q] == keys[b % rows][k])


@st.composite
def documents_in_order(draw, z: Sizes) -> Ruled:
    numbers = [sorted(draw(_of_each(st.integers(0, 9), max(z.queries, z.keys)))) for _ in range(z.batch)]
    queries, keys = ([row[:n] for row in numbers] for n in (z.queries, z.keys))
    mask = documents(torch.tensor(queries), torch.tensor(keys))
    return Ruled(mask, lambda b, h, q, k: numbers[b][q] == numbers[b][k])


@st.composite
def packeds(draw, z: Sizes) -> Ruled:
    count = draw(st.integers(0, 4))
    queries, keys = ([0, *sorted(draw(_of_each(st.integers(0, n), count))), n] for n in (z.queries, z.keys))
    ranges = list(zip(pairwise(queries), pairwise(keys), strict=True))
    return Ruled(
        packed(torch.tensor(queries, dtype=torch.int32), keys),
        lambda b, h, q, k: any(first <= q < last and low <= k < high for (first, last), (low, high) in ranges),
    )


@st.composite
def strideds(draw, z: Sizes) -> Ruled:
    # Child et al. 2019, section 4.2: A1 = {max(0, i - l), ..., i} and A2 = {j <= i: (i - j) mod l = 0}.
    step = draw(st.integers(1, 7))
    return Ruled(strided(step), lambda b, h, q, k: max(0, q - step) <= k <= q or (k <= q and (q - k) % step == 0))


@st.composite
def fixeds(draw, z: Sizes) -> Ruled:
    # The same: A1 = {j <= i: floor(j / l) = floor(i / l)} and A2 = {j <= i: j mod l in {l - c, ..., l - 1}}.
    step = draw(st.integers(1, 7))
    last = draw(st.integers(1, step))
    tail = set(range(step - last, step))
    return Ruled(fixed(step, last), lambda b, h, q, k: k <= q and (k // step == q // step or k % step in tail))


@st.composite
def globals_(draw, z: Sizes) -> Ruled:
    if draw(st.booleans()):
        count = draw(st.integers(0, 5))
        return Ruled(global_tokens(count), lambda b, h, q, k: q < count or k < count)
    chosen = draw(st.lists(st.integers(0, 45), max_size=6))
    given = draw(st.sampled_from([chosen, torch.tensor(chosen, dtype=torch.int32)]))
    return Ruled(global_tokens(given), lambda b, h, q, k: q in chosen or k in chosen)


@st.composite
def randoms(draw, z: Sizes) -> Ruled:
    size, count, seed = draw(st.integers(1, 9)), draw(st.integers(1, 4)), draw(st.integers(0, 2**40))
    columns = range(math.ceil(z.keys / size))
    drawn = {
        (h, row): set(sorted(columns, key=lambda column: -counted(seed, h, row, column))[:count])
        for h, row in product(range(z.heads), range(math.ceil(z.queries / size)))
    }
    return Ruled(random_blocks(size, count, seed=seed), lambda b, h, q, k: k // size in drawn[h, q // size])


@st.composite
def neighbourhoods(draw, z: Sizes) -> Ruled:
    width = draw(st.sampled_from([width for width in range(1, z.keys + 1) if z.keys % width == 0]))
    radius = draw(st.integers(0, 4))

    def near(b: int, h: int, q: int, k: int) -> bool:
        (row, column), (other_row, other_column) = divmod(q, width), divmod(k, width)
        return max(abs(row - other_row), abs(column - other_column)) <= radius

    return Ruled(neighbourhood(z.keys // width, width, radius), near)


@st.composite
def table_shapes(draw, z: Sizes) -> tuple[int, ...]:
    """Return a shape that broadcasts to the whole, with axes of length 1 and leading axes left out."""
    shape = [n if draw(st.booleans()) else 1 for n in whole(z)]
    out = draw(st.integers(0, 4))
    return tuple(shape[out:])


@st.composite
def boolean_tables(draw, z: Sizes) -> Ruled:
    table = booleans(*draw(table_shapes(z)), seed=draw(st.integers(0, 99)))
    values = table.expand(whole(z)).tolist()
    return Ruled(as_mask(table), lambda b, h, q, k: values[b][h][q][k])


@st.composite
def number_tables(draw, z: Sizes) -> Ruled:
    table = numbers(*draw(table_shapes(z)), seed=draw(st.integers(0, 99)))
    values = table.expand(whole(z)).tolist()
    return Ruled(as_mask(table), lambda b, h, q, k: values[b][h][q][k] > -math.inf)


@dataclass(frozen=True)
class Function:
    """A mask_mod and its rule; whether it asks for the batch item and the head."""

    mod: Callable[..., Tensor]
    rule: Rule
    batch: bool = False
    head: bool = False


@st.composite
def functions(draw, z: Sizes) -> Function:
    reach = draw(_of_each(_of_each(st.integers(0, 9), z.heads), z.batch))
    numbers = draw(_of_each(st.integers(0, 3), max(z.queries, z.keys)))
    keep = draw(_of_each(_of_each(st.booleans(), z.keys), z.batch))
    reaches, document, kept = torch.tensor(reach), torch.tensor(numbers), torch.tensor(keep)
    return draw(
        st.sampled_from(
            [
                Function(lambda b, h, q, k: q >= k, lambda b, h, q, k: q >= k),
                Function(
                    lambda b, h, q, k: (q - k) % 3 == h % 3, lambda b, h, q, k: (q - k) % 3 == h % 3, head=True
                ),
                Function(
                    lambda b, h, q, k: (q - k).abs() <= reaches[b, h],
                    lambda b, h, q, k: abs(q - k) <= reach[b][h],
                    batch=True,
                    head=True,
                ),
                Function(
                    lambda b, h, q, k: document[q] == document[k], lambda b, h, q, k: numbers[q] == numbers[k]
                ),
                Function(
                    lambda b, h, q, k: kept[b, k] & (q >= k), lambda b, h, q, k: keep[b][k] and q >= k, batch=True
                ),
            ]
        )
    )


@st.composite
def mask_mods(draw, z: Sizes) -> Ruled:
    function = draw(functions(z))
    return Ruled(as_mask(function.mod), function.rule)


@st.composite
def block_masks(draw, z: Sizes) -> Ruled:
    function = draw(functions(z))
    size = draw(st.sampled_from([4, 16, 32, (8, 16)]))
    batch = z.batch if function.batch or draw(st.booleans()) else None
    heads = z.heads if function.head or draw(st.booleans()) else None
    made = create_block_mask(function.mod, batch, heads, z.queries, z.keys, device="cpu", BLOCK_SIZE=size)
    return Ruled(as_mask(made), function.rule)


def _of_each(each: st.SearchStrategy, count: int) -> st.SearchStrategy[list]:
    return st.lists(each, min_size=count, max_size=count)


MASKS: dict[str, Callable[[Sizes], st.SearchStrategy[Ruled]]] = {
    "full": fulls,
    "causal": causals,
    "window": windows,
    "dilated": dilateds,
    "padding": paddings,
    "prefix": prefixes,
    "documents of any order": documents_of_any_order,
    "documents in order": documents_in_order,
    "packed": packeds,
    "strided": strideds,
    "fixed": fixeds,
    "global tokens": globals_,
    "random blocks": randoms,
    "neighbourhood": neighbourhoods,
    "boolean tensor": boolean_tables,
    "added tensor": number_tables,
    "mask_mod": mask_mods,
    "BlockMask": block_masks,
}
# What adds numbers takes no part in `|` and `~`.
LOGICAL = {name: masks for name, masks in MASKS.items() if name != "added tensor"}
# Masks that know every tile by their structure alone.
EXACT = ("full", "causal", "window", "padding", "documents in order", "random blocks")


def any_mask(z: Sizes, of: Sequence[str] = tuple(LOGICAL)) -> st.SearchStrategy[Ruled]:
    square = z.queries == z.keys
    return st.one_of([LOGICAL[name](z) for name in of if square or name != "neighbourhood"])


def combined(z: Sizes, leaves: int = 4) -> st.SearchStrategy[Ruled]:
    """Return masks of any structure that fit the sizes and add nothing."""
    return st.recursive(
        any_mask(z),
        lambda inner: st.one_of(
            st.tuples(inner, inner).map(lambda pair: pair[0] & pair[1]),
            st.tuples(inner, inner).map(lambda pair: pair[0] | pair[1]),
            inner.map(lambda ruled: ~ruled),
        ),
        max_leaves=leaves,
    )
