"""What a mask leaves of tiles is what its dense form leaves of them, and no bound ever lies."""

from itertools import pairwise, product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from regard import causal, full, padding, window
from regard.mechanisms.grid import Blocks
from regard.mechanisms.masks import Mask, Tile, as_mask, tiles
from regard.shapes import Sizes
from tests.mask_rules import (
    EXACT,
    FEW,
    LOGICAL,
    MASKS,
    PROPERTY,
    Ruled,
    booleans,
    by_hand,
    combined,
    expanded,
    sizes_for,
    sizes_of,
    some_sizes,
    whole,
)

spans = st.integers(1, 16)
cases = pytest.mark.parametrize("name", MASKS)


def left(allowed: Tensor, queries: list[int], keys: list[int]) -> Tensor:
    """Return the kind of each block between some cuts, by looking at every place in it."""
    rows, columns = [*pairwise(queries)], [*pairwise(keys)]
    kinds = torch.zeros(*allowed.shape[:2], len(rows), len(columns), dtype=torch.int8)
    for (row, (top, bottom)), (column, (start, stop)) in product(enumerate(rows), enumerate(columns)):
        block = allowed[:, :, top:bottom, start:stop].flatten(2)
        kinds[:, :, row, column] = block.any(2).to(torch.int8) + block.all(2).to(torch.int8)
    return kinds


def even(length: int, span: int) -> list[int]:
    return [*range(0, length, span), length]


@st.composite
def cuts(draw, length: int) -> list[int]:
    return sorted({0, length, *draw(st.lists(st.integers(0, length), max_size=6))})


def all_of(kinds: Tensor, z: Sizes) -> Tensor:
    return kinds.expand(z.batch, z.heads, *kinds.shape[2:])


def tiles_are_exact(ruled: Ruled, z: Sizes, span: int) -> None:
    wanted = left(by_hand(ruled.rule, z), even(z.queries, span), even(z.keys, span))
    assert torch.equal(all_of(ruled.mask.tiles(z, size=span), z), wanted)


@cases
@PROPERTY
@given(data=st.data())
def test_tiles_are_what_the_rule_leaves_of_them(name, data):
    z = data.draw(sizes_for(name))
    tiles_are_exact(data.draw(MASKS[name](z)), z, data.draw(spans))


@PROPERTY
@given(st.data())
def test_tiles_of_a_combination_are_what_the_rule_leaves_of_them(data):
    z = data.draw(some_sizes(heads=2))
    tiles_are_exact(data.draw(combined(z)), z, data.draw(spans))


@pytest.mark.parametrize("at_once", [1, 100])
@PROPERTY
@given(data=st.data())
def test_tiles_do_not_depend_on_how_many_places_are_asked_at_once(at_once, data):
    z = data.draw(some_sizes(24, heads=2))
    mask, span = data.draw(combined(z)).mask, data.draw(spans)
    expected = mask.tiles(z, size=span)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "_AT_ONCE", at_once)
        assert torch.equal(all_of(mask.tiles(z, size=span), z), all_of(expected, z))


@PROPERTY
@given(st.data())
def test_blocks_may_be_higher_than_wide(data):
    z = data.draw(some_sizes(24, heads=2))
    ruled, high, wide = data.draw(combined(z)), data.draw(spans), data.draw(spans)
    wanted = left(by_hand(ruled.rule, z), even(z.queries, high), even(z.keys, wide))
    assert torch.equal(all_of(tiles.classify(ruled.mask, Blocks.of(z, high, wide)), z), wanted)


def bounds_are_true(mask: Mask, z: Sizes, queries: list[int], keys: list[int]) -> None:
    bounds, found = mask.bounds(Blocks.between(queries, keys, z)), left(expanded(mask, z), queries, keys)
    assert not ((found != Tile.EMPTY) & ~bounds.some).any()
    assert not ((found != Tile.FULL) & bounds.all).any()
    if mask.exact:
        assert torch.equal(found != Tile.EMPTY, bounds.some.expand(found.shape))
        assert torch.equal(found == Tile.FULL, bounds.all.expand(found.shape))


@cases
@PROPERTY
@given(data=st.data())
def test_bounds_never_lie_and_leave_no_doubt_where_they_say_so(name, data):
    z = data.draw(sizes_for(name))
    mask = data.draw(MASKS[name](z)).mask
    bounds_are_true(mask, z, data.draw(cuts(z.queries)), data.draw(cuts(z.keys)))


@PROPERTY
@given(st.data())
def test_bounds_of_a_combination_never_lie(data):
    z = data.draw(some_sizes(24, heads=2))
    bounds_are_true(data.draw(combined(z)).mask, z, data.draw(cuts(z.queries)), data.draw(cuts(z.keys)))


@pytest.mark.parametrize("name", EXACT)
@FEW
@given(data=st.data())
def test_what_has_a_simple_structure_needs_no_asking(name, data):
    z = data.draw(sizes_for(name))
    mask = data.draw(LOGICAL[name](sizes_of(z.batch, z.heads, z.queries, z.queries))).mask
    assert mask.exact
    assert (~mask).exact


@cases
@PROPERTY
@given(data=st.data())
def test_the_count_is_the_sum_of_the_rule(name, data):
    z = data.draw(sizes_for(name, 24))
    ruled = data.draw(MASKS[name](z))
    wanted = int(by_hand(ruled.rule, z).sum())
    assert ruled.mask.count(z) == wanted
    assert tiles.count(ruled.mask, z, data.draw(spans)) == wanted


@PROPERTY
@given(st.data())
def test_the_count_of_a_combination_is_the_sum_of_the_rule(data):
    z = data.draw(some_sizes(24, heads=2))
    ruled = data.draw(combined(z))
    assert tiles.count(ruled.mask, z, data.draw(spans)) == int(by_hand(ruled.rule, z).sum())


@pytest.mark.parametrize("length", [1, 127, 128, 129, 300])
def test_tiles_span_128_positions_unless_said_otherwise(length):
    cut = even(length, 128)
    assert torch.equal(causal().tiles(length), left(causal().dense(length), cut, cut))


def test_tiles_that_depend_on_no_batch_item_and_no_head_are_given_once():
    z = sizes_of(2, 3, 20, 20)
    assert causal().tiles(z, size=8).shape == (1, 1, 3, 3)
    assert padding([3, 20]).tiles(z, size=8).shape == (2, 1, 3, 3)
    assert as_mask(booleans(3, 20, 20)).tiles(z, size=8).shape == (1, 3, 3, 3)


def test_a_rule_without_structure_is_asked_only_where_the_rest_leaves_doubt():
    asked = []

    def everywhere(b, h, q, k):
        asked.append(1)
        return q >= k - 10**6

    assert (as_mask(everywhere) & ~full()).tiles(64, size=8).eq(Tile.EMPTY).all()
    assert (as_mask(everywhere) | full()).tiles(64, size=8).eq(Tile.FULL).all()
    assert (as_mask(everywhere) & ~full()).count(64) == 0
    assert not asked


def kinds_of(mask: Mask, length: int = 8) -> list[list[int]]:
    blocks = Blocks.between([0, 2, 4, length], [0, 2, 4, length], sizes_of(1, 1, length, length))
    return tiles.bounded(mask, blocks)[0, 0].tolist()


def test_structure_tells_combined_tiles_from_their_parts():
    past, table = causal(), as_mask(booleans(8, 8))
    assert kinds_of(past) == [[1, 0, 0], [2, 1, 0], [2, 2, 1]]
    assert kinds_of(~past) == [[1, 2, 2], [0, 1, 2], [0, 0, 1]]
    assert kinds_of(past & table) == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    assert kinds_of(past | table) == [[1, 1, 1], [2, 1, 1], [2, 2, 1]]
    assert kinds_of(past | ~past) == [[1, 2, 2], [2, 1, 2], [2, 2, 1]]
    assert kinds_of(past & ~past) == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


@FEW
@given(st.integers(1, 60), st.integers(0, 20), st.integers(1, 60))
def test_a_causal_window_counts_as_its_formula(queries, back, keys):
    mask = window(back, 0) & causal()
    seen = (min(q, keys - 1) - max(0, q - back) + 1 for q in range(queries))
    assert mask.count(queries, keys) == sum(max(0, each) for each in seen)


@pytest.mark.parametrize("name", LOGICAL)
@FEW
@given(data=st.data())
def test_one_position_is_empty_or_full(name, data):
    z = data.draw(sizes_for(name, 8))
    mask = data.draw(LOGICAL[name](z)).mask
    assert torch.equal(all_of(mask.tiles(z, size=1), z), expanded(mask, z).to(torch.int8) * Tile.FULL)


def test_a_tile_larger_than_the_call_is_cut_at_its_end():
    z = sizes_of(2, 1, 3, 5)
    assert full().tiles(z, size=100).tolist() == [[[[Tile.FULL]]]]
    assert all_of(as_mask(booleans(*whole(z))).tiles(z, size=100), z).shape == (2, 1, 1, 1)
