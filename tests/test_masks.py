"""Masks: every form derived from a rule says what the rule says, and masks combine as logic does."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from regard import (
    Attention,
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
from regard.mechanisms.grid import Grid
from regard.mechanisms.masks import as_mask
from regard.mechanisms.masks.bands import Band
from regard.mechanisms.masks.rule import Both
from regard.mechanisms.masks.tensors import TensorMask
from regard.shapes import Sizes
from tests.mask_rules import (
    CPU,
    FEW,
    LOGICAL,
    MASKS,
    PROPERTY,
    any_mask,
    booleans,
    by_hand,
    combined,
    expanded,
    numbers,
    sizes_for,
    sizes_of,
    some_sizes,
    whole,
)

SQUARE = sizes_of(2, 3, 5, 5)
cases = pytest.mark.parametrize("name", MASKS)


@cases
@PROPERTY
@given(data=st.data())
def test_the_dense_form_says_what_the_rule_says(name, data):
    z = data.draw(sizes_for(name))
    ruled = data.draw(MASKS[name](z))
    assert torch.equal(expanded(ruled.mask, z), by_hand(ruled.rule, z))


@cases
@FEW
@given(data=st.data())
def test_the_dense_form_has_all_queries_and_keys(name, data):
    z = data.draw(sizes_for(name))
    dense = data.draw(MASKS[name](z)).mask.dense(z)
    assert dense.dtype == torch.bool
    assert dense.shape[2:] == (z.queries, z.keys)
    assert dense.shape[0] in (1, z.batch)
    assert dense.shape[1] in (1, z.heads)


@cases
@FEW
@given(data=st.data())
def test_a_mask_that_fits_passes_its_check(name, data):
    z = data.draw(sizes_for(name))
    data.draw(MASKS[name](z)).mask.check(z)


def test_lengths_may_be_given_one_by_one():
    z = sizes_of(2, 3, 4, 6)
    mask = padding([4, 0])
    assert torch.equal(mask.dense(4, 6, batch=2, heads=3), mask.dense(z))
    assert causal().dense(4).shape == (1, 1, 4, 4)
    assert torch.equal(mask.tiles(4, 6, size=2, batch=2), mask.tiles(z, size=2))
    assert mask.count(4, 6, batch=2, heads=3) == mask.count(z) == 4 * 4 * 3


NOBODY = {
    "no batch items": sizes_of(0, 3, 4, 5),
    "no heads": sizes_of(2, 0, 4, 5),
    "no queries": sizes_of(2, 3, 0, 5),
    "no keys": sizes_of(2, 3, 4, 0),
}
FITTING: dict[str, Callable[[Sizes], Mask]] = {
    "full": lambda z: full(),
    "causal": lambda z: causal(align="last"),
    "window": lambda z: window(1),
    "dilated": lambda z: dilated(1, dilation=2),
    "padding": lambda z: padding(torch.zeros(z.batch).long()),
    "prefix": lambda z: prefix(0),
    "documents": lambda z: documents(torch.zeros(z.queries).long(), torch.zeros(z.keys).long()),
    "packed": lambda z: packed([0, z.queries], [0, z.keys]),
    "strided": lambda z: strided(2),
    "fixed": lambda z: fixed(3),
    "global tokens": lambda z: global_tokens([0, 2]),
    "random blocks": lambda z: random_blocks(2, 1),
    "booleans": lambda z: as_mask(booleans(*whole(z))),
    "numbers": lambda z: as_mask(numbers(*whole(z))),
    "mask_mod": lambda z: as_mask(lambda b, h, q, k: q >= k),
    "both": lambda z: causal() & booleans(z.keys),
    "either": lambda z: causal() | booleans(z.keys),
    "not": lambda z: ~causal(),
}


@pytest.mark.parametrize("z", NOBODY.values(), ids=NOBODY)
@pytest.mark.parametrize("name", FITTING)
def test_an_axis_may_have_no_positions(name, z):
    mask = FITTING[name](z)
    assert expanded(mask, z).shape == whole(z)
    assert mask.tiles(z, size=2).shape[2:] == ((z.queries + 1) // 2, (z.keys + 1) // 2)
    assert mask.count(z) == 0


# What the papers say of a pattern beside its rule.


@PROPERTY
@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 30), st.integers(1, 30), st.integers(0, 99))
def test_each_block_of_queries_sees_so_many_random_blocks_of_keys_whole(size, count, queries, keys, seed):
    dense = random_blocks(size, count, seed=seed).dense(queries, keys, heads=2)
    starts, widths = range(0, keys, size), [min(size, keys - start) for start in range(0, keys, size)]
    seen = torch.stack([dense[..., start : start + size].sum(-1) for start in starts], -1)
    assert ((seen == 0) | (seen == torch.tensor(widths))).all()
    assert ((seen > 0).sum(-1) == min(count, len(widths))).all()
    for start in range(0, queries, size):
        assert (dense[:, :, start : start + size] == dense[:, :, start : start + 1]).all()


def test_random_blocks_differ_by_seed_and_head_and_not_by_batch_item():
    drawn = random_blocks(4, 2, seed=1).dense(64, batch=2, heads=2).expand(2, 2, 64, 64)
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0, 0], drawn[0, 1])
    assert torch.equal(drawn, random_blocks(4, 2, seed=1).dense(64, batch=2, heads=2).expand(2, 2, 64, 64))
    assert not torch.equal(drawn, random_blocks(4, 2, seed=2).dense(64, batch=2, heads=2).expand(2, 2, 64, 64))


def test_random_blocks_draw_every_block_equally_often():
    draws = 4000
    drawn = random_blocks(1, 2, seed=5).dense(draws, 8)[0, 0].sum(0)
    expected = draws * 2 / 8
    assert ((drawn - expected).square() / expected).sum() < 30


def test_a_short_row_sees_all_blocks_there_are():
    assert random_blocks(4, 9).dense(5, 10).all()


def test_causal_and_window_see_so_many_keys():
    assert (causal() & window(255)).dense(400)[0, 0].sum(-1).tolist() == [min(q + 1, 256) for q in range(400)]


def test_the_defaults_of_a_band_are_both_sides_and_the_first_position():
    assert causal() == causal(align="first") == Band(None, 0, "first")
    assert causal() != causal(align="last")
    assert window(2) == window(2, 2) == Band(2, 2, "first")


# Logic.


@PROPERTY
@given(st.data())
def test_a_combination_says_what_its_parts_say_combined(data):
    z = data.draw(some_sizes(24, heads=2))
    ruled = data.draw(combined(z))
    assert torch.equal(expanded(ruled.mask, z), by_hand(ruled.rule, z))


LAWS: dict[str, Callable[[Mask, Mask, Mask], tuple[Mask, Mask]]] = {
    "not not": lambda a, b, c: (~~a, a),
    "De Morgan of both": lambda a, b, c: (~(a & b), ~a | ~b),
    "De Morgan of either": lambda a, b, c: (~(a | b), ~a & ~b),
    "both commutes": lambda a, b, c: (a & b, b & a),
    "either commutes": lambda a, b, c: (a | b, b | a),
    "both associates": lambda a, b, c: ((a & b) & c, a & (b & c)),
    "either associates": lambda a, b, c: ((a | b) | c, a | (b | c)),
    "both distributes": lambda a, b, c: (a & (b | c), (a & b) | (a & c)),
    "either distributes": lambda a, b, c: (a | (b & c), (a | b) & (a | c)),
    "both absorbs": lambda a, b, c: (a & (a | b), a),
    "either absorbs": lambda a, b, c: (a | (a & b), a),
    "both of one": lambda a, b, c: (a & a, a),
    "either of one": lambda a, b, c: (a | a, a),
    "a mask and its negation": lambda a, b, c: (a & ~a, ~full()),
    "a mask or its negation": lambda a, b, c: (a | ~a, full()),
    "full is one": lambda a, b, c: (a & full(), a),
    "full is all": lambda a, b, c: (a | full(), full()),
    "empty is none": lambda a, b, c: (a & ~full(), ~full()),
    "empty is zero": lambda a, b, c: (a | ~full(), a),
}


@pytest.mark.parametrize("law", LAWS)
@FEW
@given(data=st.data())
def test_masks_obey_the_laws_of_logic(law, data):
    z = data.draw(some_sizes(12, heads=2))
    one, other = LAWS[law](*(data.draw(any_mask(z)).mask for _ in range(3)))
    assert torch.equal(expanded(one, z), expanded(other, z))
    assert one.count(z) == other.count(z)


@cases
@FEW
@given(data=st.data())
def test_full_and_a_mask_is_that_mask(name, data):
    mask = data.draw(MASKS[name](data.draw(sizes_for(name, 6)))).mask
    assert mask & full() == mask
    assert full() & mask == mask
    assert None & mask == mask


bands = st.builds(
    lambda back, ahead, align: causal(align=align) if back is None else window(back, ahead, align=align),
    st.none() | st.integers(0, 6),
    st.integers(0, 6),
    st.sampled_from(["first", "last"]),
)


@PROPERTY
@given(bands, bands, some_sizes(12))
def test_two_bands_aligned_alike_meet_in_one_band(one, other, z):
    met = one & other
    assert isinstance(met, Band if one.align == other.align else Both)
    assert torch.equal(expanded(met, z), expanded(one, z) & expanded(other, z))


@pytest.mark.parametrize("sign", ["&", "|"])
def test_masks_combine_with_tensors_on_either_side(sign):
    table, lower = booleans(5, 5), torch.ones(5, 5, dtype=torch.bool).tril()
    both = (causal() & table, table & causal()) if sign == "&" else (causal() | table, table | causal())
    for mask in both:
        assert torch.equal(mask.dense(SQUARE)[0, 0], lower & table if sign == "&" else lower | table)


@pytest.mark.parametrize("sign", ["&", "|"])
def test_masks_combine_with_functions_on_either_side(sign):
    def near(b, h, q, k):
        return (q - k).abs() <= 1

    both = (causal() & near, near & causal()) if sign == "&" else (causal() | near, near | causal())
    expected = (causal() & window(1) if sign == "&" else causal() | window(1)).dense(SQUARE)
    for mask in both:
        assert torch.equal(expanded(mask, SQUARE), expected.expand(whole(SQUARE)))


# Numbers.


def bias_of(mask, z=SQUARE):
    return mask.bias(Grid.whole(z, CPU)).expand(whole(z))


def test_added_numbers_add_up():
    a, b = torch.randn(5, 5), torch.randn(3, 1, 5)
    assert torch.equal(bias_of(as_mask(a) & b), (a + b).expand(whole(SQUARE)))
    assert torch.equal(bias_of(causal() & a), a.expand(whole(SQUARE)))
    assert torch.equal(bias_of(as_mask(a) & causal()), a.expand(whole(SQUARE)))


@pytest.mark.parametrize("name", LOGICAL)
@FEW
@given(data=st.data())
def test_what_holds_no_numbers_adds_nothing(name, data):
    z = data.draw(sizes_for(name, 6))
    mask = data.draw(LOGICAL[name](z)).mask
    assert mask.bias(Grid.whole(z, CPU)) is None
    assert not mask.adds


def test_what_one_part_forbids_no_other_brings_back():
    forbids, insists = torch.full((5, 5), -torch.inf), torch.full((5, 5), torch.inf)
    for mask in (as_mask(forbids) & insists, as_mask(insists) & forbids):
        assert bias_of(mask).eq(-torch.inf).all()
        assert not mask.dense(SQUARE).any()


def test_finite_numbers_that_add_up_beyond_the_least_forbid_nothing():
    least = torch.full((5, 5), torch.finfo(torch.float32).min)
    mask = as_mask(least) & least
    assert torch.equal(bias_of(mask), least.expand(whole(SQUARE)))
    assert mask.dense(SQUARE).all()


def test_minus_infinity_forbids_and_the_least_finite_number_does_not():
    table = torch.tensor([[0.0, -torch.inf, torch.finfo(torch.float32).min, torch.inf]])
    assert as_mask(table).dense(1, 4).flatten().tolist() == [True, False, True, True]


@pytest.mark.parametrize("adding", [True, False])
def test_adds_says_whether_something_is_added(adding):
    table = numbers(5, 5) if adding else booleans(5, 5)
    assert as_mask(table).adds is adding
    assert (causal() & table).adds is adding
    assert (table & causal()).adds is adding


# Names.


@pytest.mark.parametrize(
    ("mask", "name"),
    [
        (full(), "full"),
        (causal(), "causal"),
        (causal(align="last"), "causal, last aligned"),
        (window(3), "window(3, 3)"),
        (window(3, 0, align="last"), "window(3, 0, last aligned)"),
        (causal() & window(255), "window(255, 0)"),
        (causal() & window(2, align="last"), "causal & window(2, 2, last aligned)"),
        (dilated(2, 1, dilation=3), "window(6, 3) & every 3"),
        (padding([1]), "padding"),
        (prefix(3), "(causal | prefix)"),
        (documents([0, 1]), "documents"),
        (packed([0, 2]), "documents"),
        (strided(4), "causal & (window(3, 0) | every 4)"),
        (fixed(4, 2), "causal & (own block of 4 | last 2 of each 4)"),
        (global_tokens([0, 7, 7]), "(queries among 2 | keys among 2)"),
        (random_blocks(16, 3), "3 random blocks of 16"),
        (neighbourhood(3, 4, 1), "neighbourhood of 1 in 3 x 4"),
        (as_mask(booleans(2)), "boolean tensor"),
        (as_mask(numbers(2)), "added tensor"),
        (as_mask(torch.logical_and), "mask_mod logical_and"),
        (causal() & padding([1]), "causal & padding"),
        (causal() | padding([1]), "(causal | padding)"),
        (~causal(), "~(causal)"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_a_mask_prints_as_words(mask, name):
    assert str(mask) == name


def test_a_mechanism_takes_a_mask_in_every_form():
    rule, table = causal(), booleans(2, 2)
    assert Attention(mask=rule).rule is rule
    assert Attention().rule == full()
    assert isinstance(Attention(mask=table).rule, TensorMask)
    assert str(Attention(mask=lambda b, h, q, k: q >= k).rule) == "mask_mod <lambda>"
