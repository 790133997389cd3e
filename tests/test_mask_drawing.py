"""Drawings of masks show what share of each cell may be attended to."""

import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from regard import causal, documents, full, padding, window
from regard.errors import MaskError, ShapeError
from regard.mechanisms.masks import as_mask
from regard.mechanisms.masks.drawing import Drawing
from tests.mask_rules import PROPERTY, booleans, by_hand, combined, sizes_of, some_sizes

# Each line ends in a bar, so that the blanks before it can be seen.
TEXTS = {
    "causal": (
        causal().draw(5),
        """\
causal: 5 queries, 5 keys|
██        |
████      |
██████    |
████████  |
██████████|""",
    ),
    "window": (
        window(1).draw(4, 6),
        """\
window(1, 1): 4 queries, 6 keys|
████        |
██████      |
  ██████    |
    ██████  |""",
    ),
    "documents": (
        documents([0, 0, 1, 1, 1]).draw(5),
        """\
documents: 5 queries, 5 keys|
████      |
████      |
    ██████|
    ██████|
    ██████|""",
    ),
    "cells of two by two": (
        causal().draw(8, cells=4),
        """\
causal: 8 queries, 8 keys|
▓▓      |
██▓▓    |
████▓▓  |
██████▓▓|""",
    ),
    "a short last cell": (
        window(0).draw(5, cells=3),
        """\
window(0, 0): 5 queries, 5 keys|
▒▒    |
  ▒▒  |
    ██|""",
    ),
    "no queries": (full().draw(0, 3), "full: 0 queries, 3 keys|"),
    "no keys": (full().draw(2, 0), "full: 2 queries, 0 keys|\n|\n|"),
}


@pytest.mark.parametrize(("drawing", "text"), TEXTS.values(), ids=TEXTS)
def test_a_drawing_prints_as_text(drawing, text):
    assert "\n".join(f"{line}|" for line in str(drawing).split("\n")) == text
    assert repr(drawing) == str(drawing)


def test_the_smallest_share_is_seen_and_only_the_whole_is_black():
    share = torch.tensor([[0.0, 1e-6, 0.25, 0.26, 0.5, 0.51, 0.75, 0.76, 1.0]])
    assert str(Drawing(share, 1, 1, "shares")) == "shares\n" + "".join(2 * shade for shade in " ░░▒▒▓▓██")


@PROPERTY
@given(st.data())
def test_a_cell_holds_the_share_of_its_places(data):
    z = data.draw(some_sizes(24, heads=2))
    ruled, cells = data.draw(combined(z)), data.draw(st.integers(1, 30))
    batch, head = data.draw(st.integers(0, z.batch - 1)), data.draw(st.integers(0, z.heads - 1))
    drawing = ruled.mask.draw(z, batch=batch, head=head, cells=cells)
    allowed = by_hand(ruled.rule, z)[batch, head].double()
    high, wide = drawing.query_cell, drawing.key_cell
    wanted = [[block.mean() for block in strip.split(wide, 1)] for strip in allowed.split(high)]
    torch.testing.assert_close(drawing.share.double(), torch.tensor(wanted).double(), rtol=0, atol=1e-6)
    assert max(drawing.share.shape) <= cells


def test_the_batch_item_and_the_head_are_chosen():
    table = booleans(2, 3, 4, 4)
    drawing = as_mask(table).draw(4, batch=1, head=2)
    assert torch.equal(drawing.share, table[1, 2].float())


def test_any_batch_item_of_a_call_may_be_drawn():
    z = sizes_of(2, 1, 4, 4)
    assert padding([1, 4]).draw(z, batch=0).share.sum() == 4
    assert padding([1, 4]).draw(z, batch=1).share.sum() == 16


def test_a_drawing_has_at_most_64_rows_and_columns_unless_said_otherwise():
    assert causal().draw(64).share.shape == (64, 64)
    assert causal().draw(65, 200).share.shape == (33, 50)
    assert causal().draw().share.shape == (32, 32)


BEGINNINGS = {"png": b"\x89PNG\r\n\x1a\n", "PNG": b"\x89PNG\r\n\x1a\n", "svg": b"<?xml", "pdf": b"%PDF-"}


@pytest.mark.parametrize("ending", BEGINNINGS)
def test_a_picture_is_written_in_the_format_of_its_ending(ending, tmp_path):
    path = tmp_path / f"mask.{ending}"
    (causal() & window(3)).draw(12).save(path)
    assert path.read_bytes().startswith(BEGINNINGS[ending])


def test_a_picture_shows_queries_from_above_and_keys_from_the_left(tmp_path):
    from matplotlib.image import imread

    path = tmp_path / "mask.png"
    causal().draw(2).save(str(path))
    pixels = imread(path)[..., :3]
    dark = pixels.sum(-1) < 1.2
    rows, columns = dark.any(1).nonzero()[0], dark.any(0).nonzero()[0]
    inner = pixels[rows[0] : rows[-1], columns[0] : columns[-1]]
    high, wide = inner.shape[0] // 4, inner.shape[1] // 4
    corners = inner[high, wide], inner[high, -wide], inner[-high, wide], inner[-high, -wide]
    assert [bool(corner.sum() < 2) for corner in corners] == [True, False, True, True]


def test_a_picture_without_a_known_ending_is_refused(tmp_path):
    with pytest.raises(MaskError, match=r"expected a path that ends in \.png, \.svg or \.pdf; got mask\.jpeg"):
        causal().draw(4).save(tmp_path / "mask.jpeg")
    assert not list(tmp_path.iterdir())


def test_a_picture_without_matplotlib_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MaskError, match=r"pictures need matplotlib; install regard\[look\]"):
        causal().draw(4).save(tmp_path / "mask.png")


def test_no_cells_are_refused():
    with pytest.raises(MaskError, match="expected at least 1 cell; got 0"):
        causal().draw(4, cells=0)


def test_a_mask_that_does_not_fit_the_drawing_is_refused():
    with pytest.raises(MaskError, match=r"expected lengths from 0 to 4 \(the keys\); got \[9\]"):
        padding([9]).draw(4)


def test_a_length_below_zero_is_refused():
    with pytest.raises(ShapeError, match=r"expected whole numbers .*; got \(-1, -1, 1, 1\)"):
        causal().draw(-1)
