"""Saved files: pictures that other programs open, tables that hold the record's weights."""

import csv
import io
import struct
from xml.etree import ElementTree

import numpy as np
import pytest

import regard
from tests.page.attending import HOSTILE, seen_of, weights
from tests.page.waiting import wait_until

SVG = "{http://www.w3.org/2000/svg}"
TOKENS = ["The", "un", "##break", "##able", "vase", "fell"]


@pytest.fixture(scope="module")
def seen():
    return seen_of(len(TOKENS))


@pytest.fixture(scope="module")
def path(seen, tmp_path_factory):
    report = regard.report(seen, regard.words(TOKENS), title="A tïtle: with / signs?", layer=1, head=2)
    return report.save(tmp_path_factory.mktemp("saving") / "saving.html")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    report = regard.report(seen_of(len(HOSTILE)), HOSTILE, title="]]> & <b> \u202e", layer=0, head=0)
    return report.save(tmp_path_factory.mktemp("saving") / "hostile.html")


def saved(page, button):
    with page.expect_download() as download:
        page.click(button)
    return download.value.suggested_filename, download.value.path().read_bytes()


def table(content):
    header, *rows = csv.reader(io.StringIO(content.decode(), newline=""))
    numbers = np.array([[float(value) for value in row[1:]] for row in rows])
    return header, [row[0] for row in rows], numbers


def test_a_table_holds_the_weights_of_the_record(opened, path, seen):
    name, content = saved(opened(path, "#unit=tokens"), "#save-data")
    header, rows, numbers = table(content)
    assert name == "A-title-with-signs-weights-layer-1-head-2.csv"
    pieces = [token.removeprefix("##") for token in TOKENS]
    assert header == ["query", *pieces]
    assert rows == pieces
    exact = weights(seen, 1, 2)
    assert np.abs(numbers - exact)[exact > 0.01].max() < 2e-5
    assert np.abs(numbers - exact).max() < 5e-4


def test_a_table_of_words_joins_their_tokens(opened, path, seen):
    header, rows, numbers = table(saved(opened(path), "#save-data")[1])
    assert header[1:] == rows == ["The", "unbreakable", "vase", "fell"]
    exact = weights(seen, 1, 2)
    assert numbers[1, 2] == pytest.approx(exact[1:4, 4].mean(), abs=5e-4)
    assert numbers.sum(1) == pytest.approx(np.ones(4), abs=2e-3)


def test_a_table_is_what_is_shown(opened, path, seen):
    options = "#head=0.0.1.0&with=0.0.0.1&compare=difference&hide=true&unit=tokens"
    name, content = saved(opened(path, options), "#save-data")
    header, _, numbers = table(content)
    exact = weights(seen, 1, 0) - weights(seen, 0, 1)
    assert "layer-1-head-0-minus-layer-0-head-1" in name
    assert header[1] == "The (hidden)"
    assert not numbers[:, 0].any()
    assert np.abs(numbers[:, 1:] - exact[:, 1:]).max() < 1e-3


def test_two_heads_are_saved_in_one_table(opened, path, seen):
    page = opened(path, "#compare=beside&with=0.0.0.0&unit=tokens")
    page.wait_for_selector(".pane[data-pane=b][data-ready=true]")
    name, content = saved(page, "#save-data")
    header, *rows = csv.reader(io.StringIO(content.decode(), newline=""))
    assert name == "A-title-with-signs-weights-layer-1-head-2-beside-layer-0-head-0.csv"
    assert header[:2] == ["head", "query"]
    count = len(TOKENS)
    for which, layer, head in ((0, 1, 2), (1, 0, 0)):
        own = rows[which * count : (which + 1) * count]
        assert all(row[0].startswith(f"{'AB'[which]}: Layer {layer}, head {head}") for row in own)
        numbers = np.array([[float(value) for value in row[2:]] for row in own])
        assert np.abs(numbers - weights(seen, layer, head)).max() < 5e-4
    assert len(rows) == 2 * count


def test_heads_of_other_keys_have_a_header_each(opened, tmp_path):
    one = regard.report(seen_of(2), ["a", "b"], title="one", layer=0, head=0)
    other = regard.report(seen_of(3), ["c", "d", "e"], title="other", layer=0, head=0)
    page = opened(one.beside(other).save(tmp_path / "two.html"))
    page.wait_for_selector(".pane[data-pane=b][data-ready=true]")
    rows = list(csv.reader(io.StringIO(saved(page, "#save-data")[1].decode(), newline="")))
    assert [row[1:] for row in rows if row[0] == "head"] == [["query", "a", "b"], ["query", "c", "d", "e"]]
    assert len(rows) == 2 + 2 + 3


def test_a_table_runs_nothing_in_a_spreadsheet(opened, hostile):
    content = saved(opened(hostile), "#save-data")[1].decode()
    header = next(csv.reader(io.StringIO(content, newline="")))
    assert "'=1+1" in header
    assert '"quoted", twice' in header


def test_a_picture_is_a_png_of_the_view(opened, path):
    name, content = saved(opened(path), "#save-png")
    width, height = struct.unpack(">II", content[16:24])
    assert name == "A-title-with-signs-map-layer-1-head-2.png"
    assert content.startswith(b"\x89PNG")
    assert width > 600
    assert height > 300


@pytest.mark.parametrize("view", ["map", "text", "lines", "curves", "receipt"])
def test_a_drawing_is_xml_that_holds_words_as_words(opened, hostile, view):
    name, content = saved(opened(hostile, f"#view={view}"), "#save-svg")
    root = ElementTree.fromstring(content)
    texts = ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]
    assert root.tag == f"{SVG}svg"
    assert name.endswith(".svg")
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
        *("svg", "g", "rect", "polyline", "polygon", "path", "text", "image", "clipPath", "circle", "line"),
    }
    assert texts[0] == "\u2068]]> & <b> \u2069"
    assert all(text.startswith("\u2068") and text.endswith("\u2069") for text in texts)
    assert not any(sign in text for text in texts for sign in "\u202e\0")
    if view == "lines":
        assert any("שלום" in text for text in texts)


def test_two_heads_are_saved_beside_one_another(opened, path):
    page = opened(path, "#compare=beside&with=0.0.0.0")
    page.wait_for_selector(".pane[data-pane=b][data-ready=true]")
    name, content = saved(page, "#save-svg")
    root = ElementTree.fromstring(content)
    inner = root.findall(f"{SVG}svg")
    texts = "".join(root.itertext())
    assert len(inner) == 2
    assert float(inner[1].get("x")) > float(inner[0].get("width"))
    assert "Layer 1, head 2" in texts
    assert "Layer 0, head 0" in texts
    assert name == "A-title-with-signs-map-layer-1-head-2-beside-layer-0-head-0.svg"
    identifiers = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(identifiers) == len(set(identifiers))


def test_saving_is_told_beside_what_is_selected(opened, path):
    page = opened(path)
    options = page.locator("#options").bounding_box()
    saved(page, "#save-png")
    wait_until(page, "() => document.querySelector('#done').textContent.startsWith('Saved as A-title')")
    told = page.locator("#done").bounding_box()
    assert page.locator("#options").bounding_box() == options
    assert told["y"] > page.locator("main").bounding_box()["y"]


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_the_grid_is_saved_too(opened, path, kind):
    name, content = saved(opened(path), f"#save-grid-{kind}")
    assert name == f"A-title-with-signs-heads-layer-1-head-2.{kind}"
    if kind == "svg":
        drawn = "".join(ElementTree.fromstring(content).itertext())
        assert "self-attention" in drawn
        assert b"<image" in content
    else:
        assert content.startswith(b"\x89PNG")
