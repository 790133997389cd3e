"""Masks: every form derived from a rule says what the rule says, position by position."""

from collections.abc import Callable
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from regard import Attention, Mask, causal, full, padding, window
from regard.errors import MaskError
from regard.mechanisms.grid import Grid, Region
from regard.mechanisms.masks import Band, TensorMask, Tile, as_mask
from regard.shapes import Sizes

CPU = torch.device("cpu")
PROPERTY = settings(deadline=None, max_examples=50)
LENGTHS = (4, 0)


def sizes_of(batch: int, heads: int, queries: int, keys: int) -> Sizes:
    return Sizes(batch=batch, heads=heads, key_heads=heads, queries=queries, keys=keys, width=1, value_width=1)


SIZES = {
    "square": sizes_of(2, 3, 5, 5),
    "more keys": sizes_of(2, 3, 4, 7),
    "more queries": sizes_of(2, 3, 7, 4),
    "one query": sizes_of(2, 1, 1, 6),
    "one head": sizes_of(2, 1, 6, 4),
}


def booleans(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.6


def numbers(*shape: int, seed: int = 0) -> Tensor:
    """Return numbers of which about a third is -inf."""
    source = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=source).masked_fill(torch.rand(shape, generator=source) < 0.3, -torch.inf)


def whole(sizes: Sizes) -> tuple[int, int, int, int]:
    return sizes.batch, sizes.heads, sizes.queries, sizes.keys


Rule = Callable[[Sizes, int, int, int, int], bool]

# name -> how the mask is made, and its rule in plain Python: (sizes, b, h, q, k) -> may attend.
MASKS: dict[str, tuple[Callable[[Sizes], Mask], Rule]] = {
    "full": (lambda z: full(), lambda z, b, h, q, k: True),
    "causal": (lambda z: causal(), lambda z, b, h, q, k: k <= q),
    "causal, last aligned": (
        lambda z: causal(align="last"),
        lambda z, b, h, q, k: z.keys - 1 - k >= z.queries - 1 - q,
    ),
    "window, itself only": (lambda z: window(0), lambda z, b, h, q, k: k == q),
    "window, both sides": (lambda z: window(2), lambda z, b, h, q, k: abs(q - k) <= 2),
    "window, back only": (lambda z: window(1, 0), lambda z, b, h, q, k: q - 1 <= k <= q),
    "window, ahead only": (lambda z: window(0, 3), lambda z, b, h, q, k: q <= k <= q + 3),
    "window, last aligned": (
        lambda z: window(1, 2, align="last"),
        lambda z, b, h, q, k: -1 <= (k - z.keys) - (q - z.queries) <= 2,
    ),
    "padding": (lambda z: padding(list(LENGTHS)), lambda z, b, h, q, k: k < LENGTHS[b]),
    "booleans": (
        lambda z: as_mask(booleans(*whole(z))),
        lambda z, b, h, q, k: bool(booleans(*whole(z))[b, h, q, k]),
    ),
    "booleans for keys": (
        lambda z: as_mask(booleans(z.keys)),
        lambda z, b, h, q, k: bool(booleans(z.keys)[k]),
    ),
    "booleans for heads and queries": (
        lambda z: as_mask(booleans(z.heads, z.queries, 1)),
        lambda z, b, h, q, k: bool(booleans(z.heads, z.queries, 1)[h, q, 0]),
    ),
    "numbers": (
        lambda z: as_mask(numbers(z.batch, 1, z.queries, z.keys)),
        lambda z, b, h, q, k: float(numbers(z.batch, 1, z.queries, z.keys)[b, 0, q, k]) > -torch.inf,
    ),
    "both": (
        lambda z: causal(align="last") & padding(list(LENGTHS)),
        lambda z, b, h, q, k: k - q <= z.keys - z.queries and k < LENGTHS[b],
    ),
    "either": (
        lambda z: window(1) | as_mask(booleans(z.keys)),
        lambda z, b, h, q, k: abs(q - k) <= 1 or bool(booleans(z.keys)[k]),
    ),
    "not": (lambda z: ~causal(), lambda z, b, h, q, k: k > q),
    "causal and not the neighbour": (
        lambda z: causal() & ~window(1) | window(0),
        lambda z, b, h, q, k: k < q - 1 or k == q,
    ),
}

BOOLEAN_MASKS = {name: made for name, made in MASKS.items() if name != "numbers"}
cases = pytest.mark.parametrize("name", MASKS)


def expanded(mask: Mask, sizes: Sizes) -> Tensor:
    return mask.dense(sizes).expand(whole(sizes))


def by_hand(rule: Rule, sizes: Sizes) -> Tensor:
    answers = [rule(sizes, *place) for place in product(*map(range, whole(sizes)))]
    return torch.tensor(answers, dtype=torch.bool).view(whole(sizes))


@cases
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_dense_form_says_what_the_rule_says(name, sizes):
    make, rule = MASKS[name]
    assert torch.equal(expanded(make(sizes), sizes), by_hand(rule, sizes))


@cases
def test_dense_form_has_all_queries_and_keys(name):
    sizes = SIZES["more keys"]
    dense = MASKS[name][0](sizes).dense(sizes)
    assert dense.dtype == torch.bool
    assert dense.shape[2:] == (sizes.queries, sizes.keys)
    assert dense.shape[0] in (1, sizes.batch)
    assert dense.shape[1] in (1, sizes.heads)


NOBODY = {
    "no batch items": sizes_of(0, 3, 4, 5),
    "no heads": sizes_of(2, 0, 4, 5),
    "no queries": sizes_of(2, 3, 0, 5),
    "no keys": sizes_of(2, 3, 4, 0),
}


@pytest.mark.parametrize(
    "name", [name for name in MASKS if name.split()[0] not in ("booleans", "numbers", "either")]
)
@pytest.mark.parametrize("sizes", NOBODY.values(), ids=NOBODY)
def test_an_axis_may_have_no_positions(name, sizes):
    assert expanded(MASKS[name][0](sizes), sizes).shape == whole(sizes)


@pytest.mark.parametrize("make", [booleans, numbers])
@pytest.mark.parametrize("sizes", NOBODY.values(), ids=NOBODY)
def test_an_axis_of_a_table_may_have_no_positions(make, sizes):
    assert expanded(as_mask(make(*whole(sizes))), sizes).shape == whole(sizes)


@pytest.mark.parametrize("name", BOOLEAN_MASKS)
def test_not_not_is_the_mask(name):
    sizes = SIZES["more queries"]
    mask = MASKS[name][0](sizes)
    assert torch.equal((~~mask).dense(sizes), mask.dense(sizes))


@pytest.mark.parametrize("left", BOOLEAN_MASKS)
@pytest.mark.parametrize("right", ["causal", "padding", "booleans"])
def test_de_morgan(left, right):
    sizes = SIZES["more keys"]
    a, b = MASKS[left][0](sizes), MASKS[right][0](sizes)
    assert torch.equal(expanded(~(a & b), sizes), expanded(~a | ~b, sizes))
    assert torch.equal(expanded(~(a | b), sizes), expanded(~a & ~b, sizes))


@cases
def test_full_changes_nothing(name):
    sizes = SIZES["square"]
    mask = MASKS[name][0](sizes)
    assert mask & full() == mask
    assert full() & mask == mask


@pytest.mark.parametrize("sign", ["&", "|"])
def test_masks_combine_with_tensors(sign):
    sizes, table = SIZES["square"], booleans(5, 5)
    combined = causal() & table if sign == "&" else causal() | table
    lower = torch.ones(5, 5, dtype=torch.bool).tril()
    assert torch.equal(combined.dense(sizes)[0, 0], lower & table if sign == "&" else lower | table)


def test_added_numbers_add_up():
    sizes, a, b = SIZES["square"], torch.randn(5, 5), torch.randn(3, 1, 5)
    grid = Grid.whole(sizes, CPU)
    assert torch.equal((as_mask(a) & b).bias(grid).expand(whole(sizes)), (a + b).expand(whole(sizes)))
    assert torch.equal((causal() & a).bias(grid).expand(whole(sizes)), a.expand(whole(sizes)))
    assert causal().bias(grid) is None


def test_minus_infinity_forbids_and_the_least_finite_number_does_not():
    table = torch.tensor([[0.0, -torch.inf, torch.finfo(torch.float32).min, torch.inf]])
    assert as_mask(table).dense(sizes_of(1, 1, 1, 4)).flatten().tolist() == [True, False, True, True]


@pytest.mark.parametrize("adding", [True, False])
def test_adds_says_whether_something_is_added(adding):
    table = numbers(5, 5) if adding else booleans(5, 5)
    assert as_mask(table).adds is adding
    assert (causal() & table).adds is adding
    assert not causal().adds


@pytest.mark.parametrize("asking", [True, False])
def test_requires_grad_says_whether_a_gradient_is_asked(asking):
    table = torch.zeros(5, 5, requires_grad=asking)
    assert as_mask(table).requires_grad is asking
    assert (causal() & table).requires_grad is asking
    assert not causal().requires_grad


# Tiles.


@st.composite
def rectangles(draw, longest=12):
    """Return sizes and a rectangle that holds at least one query and one key."""
    queries, keys = draw(st.integers(1, longest)), draw(st.integers(1, longest))
    query_start, key_start = draw(st.integers(0, queries - 1)), draw(st.integers(0, keys - 1))
    query_stop = draw(st.integers(query_start + 1, queries))
    key_stop = draw(st.integers(key_start + 1, keys))
    return Region(query_start, query_stop, key_start, key_stop, sizes_of(2, 2, queries, keys))


aligned = st.sampled_from(["first", "last"])
bands = st.one_of(
    st.builds(lambda align: causal(align=align), aligned),
    st.builds(lambda back, ahead, align: window(back, ahead, align=align), *[st.integers(0, 6)] * 2, aligned),
)


@st.composite
def combined_masks(draw, sizes):
    """Return a mask of any structure that fits the sizes and adds nothing."""
    lengths = st.lists(st.integers(0, sizes.keys), min_size=sizes.batch, max_size=sizes.batch)
    tables = st.integers(0, 99).map(lambda seed: as_mask(booleans(sizes.queries, sizes.keys, seed=seed)))
    leaves = st.one_of(st.just(full()), bands, lengths.map(padding), tables)
    return draw(
        st.recursive(
            leaves,
            lambda inner: st.one_of(
                st.tuples(inner, inner).map(lambda pair: pair[0] & pair[1]),
                st.tuples(inner, inner).map(lambda pair: pair[0] | pair[1]),
                inner.map(lambda mask: ~mask),
            ),
            max_leaves=5,
        )
    )


def block(mask: Mask, region: Region) -> Tensor:
    queries, keys = slice(region.query_start, region.query_stop), slice(region.key_start, region.key_stop)
    return expanded(mask, region.sizes)[:, :, queries, keys]


@PROPERTY
@given(st.data())
def test_a_tile_said_to_be_empty_or_full_is(data):
    region = data.draw(rectangles())
    mask = data.draw(combined_masks(region.sizes))
    answer, inside = mask.tile(region), block(mask, region)
    assert answer is not Tile.EMPTY or not inside.any()
    assert answer is not Tile.FULL or inside.all()


@PROPERTY
@given(bands, rectangles())
def test_a_band_knows_its_tiles_exactly(band, region):
    inside = block(band, region)
    exact = Tile.FULL if inside.all() else Tile.PARTIAL if inside.any() else Tile.EMPTY
    assert band.tile(region) is exact


@pytest.mark.parametrize("name", ["padding", "booleans"])
def test_a_rule_without_known_structure_may_always_answer_partial(name):
    sizes = SIZES["square"]
    assert MASKS[name][0](sizes).tile(Region(0, 5, 0, 5, sizes)) is Tile.PARTIAL


def test_combined_tiles_follow_from_their_parts():
    sizes = sizes_of(1, 1, 8, 8)
    above, below, across = Region(0, 2, 4, 8, sizes), Region(4, 8, 0, 2, sizes), Region(0, 8, 0, 8, sizes)
    past, table = causal(), as_mask(booleans(8, 8))
    assert [past.tile(region) for region in (above, below, across)] == [Tile.EMPTY, Tile.FULL, Tile.PARTIAL]
    assert (~past).tile(above) is Tile.FULL
    assert (~past).tile(below) is Tile.EMPTY
    assert (past & table).tile(above) is Tile.EMPTY
    assert (past & table).tile(below) is Tile.PARTIAL
    assert (past | table).tile(below) is Tile.FULL
    assert (past | ~past).tile(above) is Tile.FULL
    assert (past & ~past).tile(below) is Tile.EMPTY


# Grids.


@st.composite
def parts(draw, sizes):
    """Return ranges of (batch, head) pairs, of queries and of keys, none empty."""

    def some(total):
        start = draw(st.integers(0, total - 1))
        return range(start, draw(st.integers(start + 1, total)))

    return some(sizes.batch * sizes.heads), some(sizes.queries), some(sizes.keys)


GRID_SIZES = sizes_of(2, 3, 5, 4)
table_shapes = st.sampled_from([*product((1, 2), (1, 3), (1, 5), (1, 4)), (), (4,), (5, 4), (3, 5, 1)])


def as_slice(positions: range) -> slice:
    return slice(positions.start, positions.stop)


def part_of(table: Tensor, sizes: Sizes, pairs: range, queries: range, keys: range) -> Tensor:
    """Return the entries of a table by plain advanced indexing: (pairs, queries, keys)."""
    flat = table.expand(whole(sizes)).reshape(-1, sizes.queries, sizes.keys)
    return flat[list(pairs)][:, list(queries)][:, :, list(keys)]


@PROPERTY
@given(table_shapes, parts(GRID_SIZES))
def test_reading_ranges_of_a_table_equals_advanced_indexing(shape, part):
    pairs, queries, keys = part
    table = numbers(*shape)
    expected = part_of(table, GRID_SIZES, pairs, queries, keys)
    sliced = Grid.of(pairs, as_slice(queries), as_slice(keys), GRID_SIZES, CPU)
    listed = Grid.of(pairs, torch.tensor(queries), torch.tensor(keys), GRID_SIZES, CPU)
    mixed = Grid.of(pairs, torch.tensor(queries), as_slice(keys), GRID_SIZES, CPU)
    for grid in (sliced, listed, mixed):
        assert torch.equal(grid.read(table).expand(expected.shape), expected)


@PROPERTY
@given(st.data())
def test_positions_may_be_read_in_any_order_and_more_than_once(data):
    queries = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=6))
    keys = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=6))
    table = numbers(2, 3, 5, 4)
    grid = Grid.of(range(1, 5), torch.tensor(queries), torch.tensor(keys), GRID_SIZES, CPU)
    assert torch.equal(grid.read(table), table.view(6, 5, 4)[1:5][:, queries][:, :, keys])


@given(table_shapes)
@settings(deadline=None, max_examples=20)
def test_reading_the_whole_grid_gives_the_whole_table(shape):
    table = numbers(*shape)
    read = Grid.whole(GRID_SIZES, CPU).read(table)
    assert torch.equal(read.expand(whole(GRID_SIZES)), table.expand(whole(GRID_SIZES)))


@PROPERTY
@given(st.data())
def test_the_rule_on_a_part_equals_that_part_of_the_dense_form(data):
    mask = data.draw(combined_masks(GRID_SIZES))
    pairs, queries, keys = data.draw(parts(GRID_SIZES))
    expected = part_of(mask.dense(GRID_SIZES), GRID_SIZES, pairs, queries, keys)
    for grid in (
        Grid.of(pairs, as_slice(queries), as_slice(keys), GRID_SIZES, CPU),
        Grid.of(pairs, torch.tensor(queries), torch.tensor(keys), GRID_SIZES, CPU),
    ):
        assert torch.equal(mask.allowed(grid).expand(expected.shape), expected)


# Names.


@pytest.mark.parametrize(
    ("mask", "name"),
    [
        (full(), "full"),
        (causal(), "causal"),
        (causal(align="last"), "causal, last aligned"),
        (window(3), "window(3, 3)"),
        (window(3, 0, align="last"), "window(3, 0, last aligned)"),
        (padding([1]), "padding"),
        (as_mask(booleans(2)), "boolean tensor"),
        (as_mask(numbers(2)), "added tensor"),
        (causal() & padding([1]), "causal & padding"),
        (causal() | padding([1]), "(causal | padding)"),
        (~causal(), "~(causal)"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_a_mask_prints_as_words(mask, name):
    assert str(mask) == name


def test_equal_bands_are_equal():
    assert causal() == causal(align="first") == Band(None, 0, "first")
    assert causal() != causal(align="last")
    assert window(2) == window(2, 2)


def test_a_mechanism_takes_a_mask_in_every_form():
    rule, table = causal(), booleans(2, 2)
    assert Attention(mask=rule).rule is rule
    assert Attention().rule == full()
    assert isinstance(Attention(mask=table).rule, TensorMask)


# Refusals: what is wrong -> the call, and what the message must say.

REFUSALS: dict[str, tuple[Callable[[], object], tuple[str, ...]]] = {
    "no mask": (lambda: as_mask("causal"), ("expected a regard mask", "got str")),
    "no mask in a mechanism": (lambda: Attention(mask=3), ("expected a regard mask", "got int")),
    "no mask beside a mask": (lambda: causal() & 3, ("expected a regard mask", "got int")),
    "whole numbers": (
        lambda: as_mask(torch.ones(2, 2, dtype=torch.long)),
        ("expected booleans", "got torch.int64"),
    ),
    "five axes": (lambda: as_mask(torch.ones(1, 1, 1, 2, 2)), ("expected at most 4 axes", "got 5")),
    "numbers in or": (lambda: causal() | torch.zeros(2, 2), ("float mask", "`|`", "Combine it with `&`")),
    "or of numbers": (lambda: as_mask(torch.zeros(2, 2)) | causal(), ("float mask", "`|`")),
    "not of numbers": (lambda: ~as_mask(torch.zeros(2, 2)), ("float mask", "`~`", "use booleans")),
    "not of both with numbers": (lambda: ~(causal() & torch.zeros(2, 2)), ("float mask", "`~`")),
    "negative back": (lambda: window(-1), ("expected whole distances of at least 0", "got back=-1, ahead=-1")),
    "negative ahead": (lambda: window(1, -2), ("expected whole distances of at least 0", "got back=1, ahead=-2")),
    "unknown alignment": (lambda: causal(align="middle"), ('expected "first" or "last"', "got 'middle'")),
    "unknown alignment of a window": (lambda: window(1, align="end"), ('expected "first" or "last"', "got 'end'")),
    "float lengths": (lambda: padding(torch.tensor([1.0])), ("expected whole numbers", "got torch.float32")),
    "boolean lengths": (lambda: padding(torch.tensor([True])), ("expected whole numbers", "got torch.bool")),
    "lengths of two axes": (lambda: padding(torch.ones(2, 1).long()), ("expected whole numbers (B,)", "(2, 1)")),
    "too few lengths": (lambda: padding([1]).check(SIZES["square"]), ("expected 2 lengths", "got shape (1,)")),
    "a length beyond the keys": (
        lambda: padding([1, 6]).check(SIZES["square"]),
        ("expected lengths from 0 to 5", "got [1, 6]"),
    ),
    "a negative length": (
        lambda: padding([-1, 5]).check(SIZES["square"]),
        ("expected lengths from 0 to 5", "got [-1, 5]"),
    ),
    "a table of another size": (
        lambda: as_mask(booleans(5, 4)).check(SIZES["square"]),
        ("broadcasts to (B, H, Nq, Nk) = (2, 3, 5, 5)", "got (5, 4)"),
    ),
    "a table of key heads": (
        lambda: as_mask(booleans(2, 1)[:, None]).check(SIZES["one query"]),
        ("expected a shape that broadcasts", "got (2, 1, 1)"),
    ),
}
MISFITS = {
    "both": lambda: causal() & padding([1]),
    "both, left": lambda: padding([1]) & causal(),
    "either": lambda: causal() | padding([1]),
    "either, left": lambda: padding([1]) | causal(),
    "not": lambda: ~padding([1]),
}


@pytest.mark.parametrize("wrong", REFUSALS)
def test_a_mistake_is_refused_with_what_was_expected_and_got(wrong):
    call, words = REFUSALS[wrong]
    with pytest.raises(MaskError) as refused:
        call()
    assert [word for word in words if word not in str(refused.value)] == []


@pytest.mark.parametrize("where", MISFITS)
def test_a_part_that_does_not_fit_is_found_inside_a_combination(where):
    with pytest.raises(MaskError, match="expected 2 lengths"):
        MISFITS[where]().check(SIZES["square"])


@cases
def test_a_mask_that_fits_passes_its_check(name):
    sizes = SIZES["square"]
    MASKS[name][0](sizes).check(sizes)
