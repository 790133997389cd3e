"""A mask that cannot be meant is refused with what was expected and what came."""

from collections.abc import Callable

import pytest
import torch
from torch.nn.attention.flex_attention import create_block_mask

from regard import (
    Attention,
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
from regard.errors import MaskError, ShapeError
from regard.mechanisms.masks import as_mask
from regard.mechanisms.masks.bands import Band
from tests.mask_rules import booleans, sizes_of

SQUARE = sizes_of(2, 3, 5, 5)


def blocks(batch: int | None = None, heads: int | None = None):
    made = create_block_mask(lambda b, h, q, k: q >= k, batch, heads, 5, 5, device="cpu", BLOCK_SIZE=16)
    return as_mask(made)


# What is wrong -> the call, and what the message must say.
REFUSALS: dict[str, tuple[Callable[[], object], tuple[str, ...]]] = {
    "no mask": (lambda: as_mask("causal"), ("expected a regard mask", "or None; got str")),
    "no mask in a mechanism": (lambda: Attention(mask=3), ("expected a regard mask", "got int")),
    "no mask beside a mask": (lambda: causal() & 3, ("expected a regard mask", "got int")),
    "no mask before a mask": (lambda: 3 | causal(), ("expected a regard mask", "got int")),
    "a mask that was not called": (lambda: as_mask(causal), ("got function. Did you mean causal(...)?",)),
    "a kind of mask": (lambda: as_mask(Band), ("expected a regard mask", "Did you mean Band(...)?")),
    "truth of a mask": (lambda: causal() and full(), ("neither true nor false", "&, | and ~ instead of and, or")),
    "whole numbers": (
        lambda: as_mask(torch.ones(2, 2, dtype=torch.long)),
        ("expected booleans", "or floats", "got torch.int64", "use mask.bool()"),
    ),
    "five axes": (lambda: as_mask(torch.ones(1, 1, 1, 2, 2)), ("expected at most 4 axes (B, H, Nq, Nk)", "got 5")),
    "a table of another size": (
        lambda: as_mask(booleans(5, 4)).dense(SQUARE),
        ("broadcasts to (B, H, Nq, Nk) = (2, 3, 5, 5)", "got (5, 4)"),
    ),
    "a table of key heads": (
        lambda: as_mask(booleans(2, 1)[:, None]).check(sizes_of(2, 1, 1, 6)),
        ("expected a shape that broadcasts", "got (2, 1, 1)"),
    ),
    "numbers in or": (lambda: causal() | torch.zeros(2, 2), ("float mask", "`|`", "Combine it with `&`")),
    "or of numbers": (lambda: as_mask(torch.zeros(2, 2)) | causal(), ("float mask", "`|`")),
    "not of numbers": (lambda: ~as_mask(torch.zeros(2, 2)), ("float mask", "`~`", "use booleans")),
    "not of both with numbers": (lambda: ~(causal() & torch.zeros(2, 2)), ("float mask", "`~`")),
    "negative back": (lambda: window(-1), ("whole distances of at least 0", "got back=-1, ahead=-1")),
    "negative ahead": (lambda: window(1, -2), ("whole distances of at least 0", "got back=1, ahead=-2")),
    "a broken distance": (lambda: window(1.5), ("whole distances of at least 0", "got back=1.5, ahead=1.5")),
    "unknown alignment": (lambda: causal(align="middle"), ('expected "first" or "last"', "got 'middle'")),
    "unknown alignment of a window": (lambda: window(1, align="end"), ('expected "first" or "last"', "got 'end'")),
    "no dilation": (lambda: dilated(1, dilation=0), ("dilated: expected dilation", "at least 1", "got 0")),
    "a truth as dilation": (lambda: dilated(1, dilation=True), ("dilated: expected dilation", "got True")),
    "dilated and negative": (lambda: dilated(-1, dilation=2), ("distances of at least 0", "got back=-1")),
    "float lengths": (lambda: padding(torch.tensor([1.0])), ("expected whole numbers", "got torch.float32")),
    "boolean lengths": (lambda: padding(torch.tensor([True])), ("expected whole numbers", "got torch.bool")),
    "lengths of two axes": (lambda: padding(torch.ones(2, 1).long()), ("expected whole numbers (B,)", "(2, 1)")),
    "too few lengths": (lambda: padding([1]).dense(SQUARE), ("expected 2 lengths", "got shape (1,)")),
    "a length beyond the keys": (
        lambda: padding([1, 6]).dense(SQUARE),
        ("expected lengths from 0 to 5", "got [1, 6]"),
    ),
    "a negative length": (lambda: padding([-1, 5]).count(SQUARE), ("lengths from 0 to 5", "got [-1, 5]")),
    "a prefix beyond the keys": (lambda: prefix(6).tiles(SQUARE), ("expected lengths from 0 to 5", "got 6")),
    "a broken prefix": (lambda: prefix(1.5), ("expected whole numbers", "got torch.float32")),
    "float documents": (lambda: documents(torch.zeros(3)), ("documents: expected whole numbers", "torch.float32")),
    "boolean documents": (
        lambda: documents([True, False]),
        ("expected whole numbers (N,) or (B, N)", "torch.bool"),
    ),
    "documents of three axes": (lambda: documents(torch.zeros(1, 1, 3).long()), ("(B, N)", "(1, 1, 3)")),
    "documents for too few queries": (
        lambda: documents([0, 1], [0] * 5).dense(SQUARE),
        ("a document number for each query, (5,) or (2, 5)", "got (1, 2)"),
    ),
    "documents for too few keys": (
        lambda: documents([0] * 5, [0] * 4).dense(SQUARE),
        ("a document number for each key, (5,) or (2, 5)", "got (1, 4)"),
    ),
    "documents for too many batch items": (
        lambda: documents(torch.zeros(3, 5).long()).dense(SQUARE),
        ("(5,) or (2, 5)", "got (3, 5)"),
    ),
    "packed from elsewhere": (lambda: packed([1, 2]), ("whole numbers that begin at 0", "got [1, 2]")),
    "packed and descending": (lambda: packed([0, 3, 2]), ("do not descend", "got [0, 3, 2]")),
    "packed of nothing": (lambda: packed([]), ("begin at 0", "got []")),
    "packed of floats": (lambda: packed([0.0, 2.0]), ("expected whole numbers", "got [0.0, 2.0]")),
    "packed of two axes": (lambda: packed(torch.zeros(1, 2).long()), ("expected whole numbers", "got [[0, 0]]")),
    "packed for other keys": (
        lambda: packed([0, 2, 4], [0, 4]),
        ("as many key sequences as query sequences", "got 1 and 2"),
    ),
    "keys packed and descending": (lambda: packed([0, 2, 4], [0, 3, 2]), ("do not descend", "got [0, 3, 2]")),
    "no stride": (lambda: strided(0), ("strided: expected stride", "at least 1", "got 0")),
    "a broken stride": (lambda: strided(1.5), ("strided: expected stride as a whole number", "got 1.5")),
    "no block": (lambda: fixed(0), ("fixed: expected stride", "at least 1", "got 0")),
    "no summaries": (lambda: fixed(3, 0), ("fixed: expected summaries", "at least 1", "got 0")),
    "more summaries than keys": (lambda: fixed(3, 4), ("fixed: expected at most 3 summaries", "got 4")),
    "fewer than no global tokens": (lambda: global_tokens(-1), ("how many tokens, or their positions", "got -1")),
    "a negative global token": (lambda: global_tokens([2, -1]), ("their positions from 0", "got [2, -1]")),
    "a broken global token": (lambda: global_tokens([0.5]), ("how many tokens, or their", "got [0.5]")),
    "true global tokens": (lambda: global_tokens([True, False]), ("global_tokens: expected", "got [True, False]")),
    "global tokens of two axes": (lambda: global_tokens([[1]]), ("global_tokens: expected", "got [[1]]")),
    "random blocks of nothing": (lambda: random_blocks(0, 1), ("random_blocks: expected size", "got 0")),
    "no random blocks": (lambda: random_blocks(4, 0), ("random_blocks: expected count", "got 0")),
    "an image of no rows": (lambda: neighbourhood(0, 3, 1), ("neighbourhood: expected height", "got 0")),
    "an image of no columns": (lambda: neighbourhood(3, 0, 1), ("neighbourhood: expected width", "got 0")),
    "a negative radius": (lambda: neighbourhood(3, 3, -1), ("expected a radius of at least 0", "got -1")),
    "a broken radius": (lambda: neighbourhood(3, 3, 0.5), ("expected a radius of at least 0", "got 0.5")),
    "an image of another size": (
        lambda: neighbourhood(2, 3, 1).dense(SQUARE),
        ("expected 2 x 3 = 6 queries and keys", "got 5 and 5"),
    ),
    "a function that gives numbers": (
        lambda: as_mask(lambda b, h, q, k: q - k).dense(3),
        ("expected a boolean tensor from mask_mod <lambda>", "got torch.int64"),
    ),
    "a BlockMask for another length": (
        lambda: blocks().dense(5, 6),
        ("expected 5 queries and 5 keys, for which it was made", "got 5 and 6"),
    ),
    "a BlockMask for other batch items": (
        lambda: blocks(3).dense(SQUARE),
        ("expected 1 or 2 batch items and 1 or 3 heads", "made for (3, 1)"),
    ),
    "a BlockMask for other heads": (
        lambda: blocks(None, 2).dense(SQUARE),
        ("expected 1 or 2 batch items and 1 or 3 heads", "made for (1, 2)"),
    ),
}


@pytest.mark.parametrize("wrong", REFUSALS)
def test_a_mistake_is_refused_with_what_was_expected_and_got(wrong):
    call, words = REFUSALS[wrong]
    with pytest.raises(MaskError) as refused:
        call()
    assert [word for word in words if word not in str(refused.value)] == []


MISFITS = {
    "both": lambda: causal() & padding([1]),
    "both, left": lambda: padding([1]) & causal(),
    "either": lambda: causal() | padding([1]),
    "either, left": lambda: padding([1]) | causal(),
    "not": lambda: ~padding([1]),
    "deep": lambda: ~(causal() | ~(padding([1]) & window(2))),
}


@pytest.mark.parametrize("where", MISFITS)
@pytest.mark.parametrize("form", ["check", "dense", "tiles", "count", "draw"])
def test_a_part_that_does_not_fit_is_found_inside_a_combination(where, form):
    with pytest.raises(MaskError, match="expected 2 lengths"):
        getattr(MISFITS[where](), form)(SQUARE)


@pytest.mark.parametrize("form", ["dense", "tiles", "count"])
@pytest.mark.parametrize(
    ("lengths", "got"), [((-1,), "(-1, -1, 1, 1)"), ((2, 1.5), "(2, 1.5, 1, 1)"), (("3", 1), "('3', 1, 1, 1)")]
)
def test_lengths_that_are_no_lengths_are_refused(form, lengths, got):
    with pytest.raises(ShapeError) as refused:
        getattr(causal(), form)(*lengths)
    assert "expected whole numbers of queries, keys, batch items and heads" in str(refused.value)
    assert f"got {got}" in str(refused.value)
