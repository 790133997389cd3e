"""Grids: whichever way places are named, tables and rules are read at those places."""

from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from regard.mechanisms.grid import Blocks, Grid
from tests.mask_rules import CPU, FEW, PROPERTY, combined, expanded, numbers, sizes_of, some_sizes, whole

SIZES = sizes_of(2, 3, 5, 4)
table_shapes = st.sampled_from([*product((1, 2), (1, 3), (1, 5), (1, 4)), (), (4,), (5, 4), (3, 5, 1)])


@st.composite
def some(draw, total: int) -> range:
    start = draw(st.integers(0, total - 1))
    return range(start, draw(st.integers(start + 1, total)))


@st.composite
def parts(draw, z=SIZES) -> tuple[range, range, range]:
    """Return ranges of (batch, head) pairs, of queries and of keys, none empty."""
    return draw(some(z.batch * z.heads)), draw(some(z.queries)), draw(some(z.keys))


def as_slice(positions: range) -> slice:
    return slice(positions.start, positions.stop)


def ways(positions: range) -> tuple[slice, Tensor]:
    return as_slice(positions), torch.tensor(positions)


def part_of(table: Tensor, pairs: range, queries: range, keys: range, z=SIZES) -> Tensor:
    """Return the entries of a table by plain indexing: (pairs, queries, keys)."""
    flat = table.expand(whole(z)).reshape(-1, z.queries, z.keys)
    return flat[list(pairs)][:, list(queries)][:, :, list(keys)]


@PROPERTY
@given(table_shapes, parts())
def test_pairs_of_a_table_are_read_as_indexing_reads_them(shape, part):
    pairs, queries, keys = part
    table = numbers(*shape)
    expected = part_of(table, pairs, queries, keys)
    for rows, columns in product(ways(queries), ways(keys)):
        read = Grid.of(pairs, rows, columns, SIZES, CPU).read(table)
        assert torch.equal(read.expand(expected.shape), expected)


@PROPERTY
@given(table_shapes, some(2), some(3), some(5), some(4))
def test_a_rectangle_of_a_table_is_read_as_indexing_reads_it(shape, batch, heads, queries, keys):
    table = numbers(*shape)
    expected = table.expand(whole(SIZES))[list(batch)][:, list(heads)][:, :, list(queries)][..., list(keys)]
    for rows, columns in product(ways(queries), ways(keys)):
        read = Grid.rectangle(rows, columns, SIZES, CPU, as_slice(batch), as_slice(heads)).read(table)
        assert torch.equal(read.expand(expected.shape), expected)


@PROPERTY
@given(st.data())
def test_positions_may_be_read_in_any_order_and_more_than_once(data):
    queries = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=6))
    keys = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=6))
    table = numbers(2, 3, 5, 4)
    chosen = torch.tensor(queries), torch.tensor(keys)
    pairs = Grid.of(range(1, 5), *chosen, SIZES, CPU)
    assert torch.equal(pairs.read(table), table.view(6, 5, 4)[1:5][:, queries][:, :, keys])
    rectangle = Grid.rectangle(*chosen, SIZES, CPU, slice(1, 2), slice(0, 2))
    assert torch.equal(rectangle.read(table), table[1:2, :2][:, :, queries][..., keys])


@FEW
@given(table_shapes)
def test_reading_the_whole_grid_gives_the_whole_table(shape):
    table = numbers(*shape)
    read = Grid.whole(SIZES, CPU).read(table)
    assert torch.equal(read.expand(whole(SIZES)), table.expand(whole(SIZES)))


def test_reading_ranges_copies_no_position():
    table = numbers(2, 3, 5, 4)
    rectangle = Grid.rectangle(slice(1, 3), slice(0, 2), SIZES, CPU, slice(0, 2), slice(1, 3))
    assert rectangle.read(table).untyped_storage().data_ptr() == table.untyped_storage().data_ptr()
    assert Grid.whole(SIZES, CPU).read(table[:1]).untyped_storage().data_ptr() == table.untyped_storage().data_ptr()


def indices_of(grid: Grid, shape: tuple[int, ...]) -> Tensor:
    return torch.stack([index.expand(shape) for index in grid.indices])


def test_the_whole_grid_numbers_every_place():
    grid = Grid.whole(SIZES, CPU)
    places = indices_of(grid, whole(SIZES)).flatten(1).T.tolist()
    assert places == [list(place) for place in product(*map(range, whole(SIZES)))]


@PROPERTY
@given(parts())
def test_pairs_number_their_places_as_the_whole_grid_does(part):
    pairs, queries, keys = part
    every = indices_of(Grid.whole(SIZES, CPU), whole(SIZES)).flatten(1, 2)
    expected = every[:, list(pairs)][:, :, list(queries)][..., list(keys)]
    for rows, columns in product(ways(queries), ways(keys)):
        grid = Grid.of(pairs, rows, columns, SIZES, CPU)
        assert torch.equal(indices_of(grid, tuple(expected.shape[1:])), expected)


@PROPERTY
@given(some(2), some(3), some(5), some(4))
def test_a_rectangle_numbers_its_places_as_the_whole_grid_does(batch, heads, queries, keys):
    every = indices_of(Grid.whole(SIZES, CPU), whole(SIZES))
    expected = every[:, list(batch)][:, :, list(heads)][..., list(queries), :][..., list(keys)]
    for rows, columns in product(ways(queries), ways(keys)):
        grid = Grid.rectangle(rows, columns, SIZES, CPU, as_slice(batch), as_slice(heads))
        assert torch.equal(indices_of(grid, tuple(expected.shape[1:])), expected)


@PROPERTY
@given(st.data())
def test_a_rule_on_a_part_equals_that_part_of_the_dense_form(data):
    z = data.draw(some_sizes(12))
    mask = data.draw(combined(z)).mask
    pairs, queries, keys = data.draw(parts(z))
    dense = expanded(mask, z)
    expected = part_of(dense, pairs, queries, keys, z)
    for rows, columns in product(ways(queries), ways(keys)):
        allowed = mask.allowed(Grid.of(pairs, rows, columns, z, CPU))
        assert torch.equal(allowed.expand(expected.shape), expected)
        allowed = mask.allowed(Grid.rectangle(rows, columns, z, CPU))
        wanted = dense[:, :, list(queries)][..., list(keys)]
        assert torch.equal(allowed.expand(wanted.shape), wanted)


@PROPERTY
@given(st.data())
def test_a_rule_on_some_batch_items_and_heads_equals_that_part_of_the_dense_form(data):
    z = data.draw(some_sizes(12))
    mask = data.draw(combined(z)).mask
    batch, heads = data.draw(some(z.batch)), data.draw(some(z.heads))
    grid = Grid.rectangle(slice(0, z.queries), slice(0, z.keys), z, CPU, as_slice(batch), as_slice(heads))
    expected = expanded(mask, z)[list(batch)][:, list(heads)]
    assert torch.equal(mask.allowed(grid).expand(expected.shape), expected)


@pytest.mark.parametrize("sizes", [(0, 3, 5, 4), (2, 0, 5, 4), (2, 3, 0, 4), (2, 3, 5, 0)], ids=str)
def test_a_grid_may_have_no_places(sizes):
    z = sizes_of(*sizes)
    assert Grid.whole(z, CPU).read(numbers(*sizes)).shape == sizes
    pairs = Grid.of(range(z.batch * z.heads), slice(0, z.queries), slice(0, z.keys), z, CPU)
    assert pairs.read(numbers(*sizes)).shape == (z.batch * z.heads, z.queries, z.keys)


@PROPERTY
@given(some_sizes(), st.integers(1, 16), st.integers(1, 16))
def test_blocks_hold_every_position_once(z, high, wide):
    blocks = Blocks.of(z, high, wide)
    rows = [
        range(*ends)
        for ends in zip(blocks.query_start[:, 0].tolist(), blocks.query_stop[:, 0].tolist(), strict=True)
    ]
    columns = [range(*ends) for ends in zip(blocks.key_start.tolist(), blocks.key_stop.tolist(), strict=True)]
    assert [position for row in rows for position in row] == list(range(z.queries))
    assert [position for column in columns for position in column] == list(range(z.keys))
    assert {len(row) for row in rows[:-1]} <= {high}
    assert {len(column) for column in columns[:-1]} <= {wide}
    assert len(rows[-1]) <= high
    assert len(columns[-1]) <= wide


def test_blocks_lie_between_the_cuts():
    blocks = Blocks.between([0, 2, 5], [0, 1, 1, 4], SIZES)
    assert blocks.query_start.tolist() == [[0], [2]]
    assert blocks.query_stop.tolist() == [[2], [5]]
    assert blocks.key_start.tolist() == [0, 1, 1]
    assert blocks.key_stop.tolist() == [1, 1, 4]


def test_a_call_without_positions_has_no_blocks():
    blocks = Blocks.of(sizes_of(2, 3, 0, 0), 4, 4)
    assert blocks.query_start.shape == (0, 1)
    assert blocks.key_stop.shape == (0,)
