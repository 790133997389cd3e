"""The page holds what the record says, to the error of its codes, in the sizes it promises."""

import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

import regard
from regard.errors import NotKeptError, ReportError
from regard.reports.page import budget, codes, pins
from regard.reports.report import Report
from regard.watch.words import Axis
from tests import dense
from tests.decoding import Page
from tests.demo import folder, needs_demo
from tests.long_report import long_report

ROOT = Path(regard.__file__).parents[2]
HEADS = 2


class Model(nn.Module):
    """Layers of causal self-attention over given queries and keys."""

    def forward(self, tensors):
        for query, key in tensors:
            F.scaled_dot_product_attention(query, key, key, is_causal=True)


def seen_of(count, layers=2, batch=2, want=None):
    """Return a record, and the weights (layers, H, N, N) of batch item 1 in float64."""
    generator = torch.Generator().manual_seed(count)
    tensors = [2 * torch.randn(2, batch, HEADS, count, 8, generator=generator) for _ in range(layers)]
    model = Model()
    with regard.watch(model, **({} if want is None else {"want": want})) as seen:
        model(tensors)
    allowed = dense.causal(count, count)
    return seen, torch.stack([dense.weights(*t.double(), allowed=allowed)[-1] for t in tensors]).numpy()


def page_of(report):
    return Page(report._page())


def saved(report, tmp_path):
    return Page(report.save(tmp_path / "a.html").read_text(encoding="utf-8"))


def names(count):
    return [f"w{i}" for i in range(count)]


@pytest.fixture
def in_cells(monkeypatch):
    """Make pages show maps in about 64 cells a side, with 200 links a head."""
    monkeypatch.setattr(budget, "FULL", -1)
    monkeypatch.setattr(budget, "CELLS", 1)
    monkeypatch.setattr(budget, "LINKS", 1)


# Weights.


def test_every_weight_stands_on_the_page_to_its_error(tmp_path):
    seen, exact = seen_of(40)
    page = saved(regard.report(seen, names(40), item=1), tmp_path)
    heads = page.heads()
    assert len(heads) == exact.shape[0] * HEADS
    for head, weights in zip(heads, exact.reshape(-1, 40, 40), strict=True):
        found = page.full(head["map"])
        strong = weights >= 0.01
        assert strong.any()
        np.testing.assert_allclose(found[strong], weights[strong], rtol=0, atol=2e-5)
        np.testing.assert_allclose(found[~strong], weights[~strong], rtol=0, atol=5e-4)
        assert (found[weights == 0] == 0).all()
        assert head["links"] is None
        assert head["rows"] is None


@pytest.mark.parametrize("kept", [1.0, 0.02])
def test_small_weights_that_are_alike_add_up(kept):
    count = 600
    weights = torch.full((1, count), kept / (count - 1))
    weights[:, 0] = 1 - kept
    high, low, fine = codes.planes(weights, codes.FINE)
    page = SimpleNamespace(numbers=lambda plane, _: np.frombuffer(plane, np.uint8))
    found = Page.full(page, {"rows": 1, "columns": count, "high": high, "low": low, "fine": fine})
    np.testing.assert_allclose(found[:, 1:].sum(), kept, atol=0.01)
    np.testing.assert_allclose(found, weights, atol=5e-4)


def cells_by_hand(weights, size):
    """Return what cells hold: the weight on their keys together, averaged over queries, and the largest."""
    cut = [weights[a : a + size] for a in range(0, len(weights), size)]
    blocks = [[rows[:, b : b + size] for b in range(0, weights.shape[1], size)] for rows in cut]
    together = [[block.sum(1).mean() for block in row] for row in blocks]
    return np.array(together), np.array([[block.max() for block in row] for row in blocks])


@pytest.mark.usefixtures("in_cells")
def test_cells_hold_the_weight_on_their_keys_and_the_largest(tmp_path):
    seen, exact = seen_of(150)
    page = saved(regard.report(seen, names(150), item=1), tmp_path)
    for head, weights in zip(page.heads(), exact.reshape(-1, 150, 150), strict=True):
        cells = head["map"]
        assert (cells["form"], cells["queriesACell"], cells["keysACell"]) == ("cells", 3, 3)
        mean, largest = cells_by_hand(weights, 3)
        for name, expected in (("mean", mean), ("max", largest)):
            found = page.codes(cells[name], cells["rows"], cells["columns"])
            np.testing.assert_allclose(found, np.sqrt(expected), rtol=0, atol=0.501 / 255)


@pytest.mark.usefixtures("in_cells")
@pytest.mark.parametrize("count", [9, 150])
def test_links_are_the_strongest_single_weights(count, tmp_path):
    seen, exact = seen_of(count)
    page = saved(regard.report(seen, names(count), item=1), tmp_path)
    for head, weights in zip(page.heads(), exact.reshape(-1, count, count), strict=True):
        queries, keys, found = page.links(head["links"])
        strongest = np.sort(weights[weights > 0])[::-1][:200]
        assert head["links"]["count"] == len(found) == len(strongest)
        np.testing.assert_allclose(found, strongest, rtol=0, atol=2e-5)
        np.testing.assert_allclose(found, weights[queries, keys], rtol=0, atol=2e-5)
        assert len(set(zip(queries.tolist(), keys.tolist(), strict=True))) == len(found)


@pytest.mark.usefixtures("in_cells")
def test_rows_of_pinned_queries_hold_every_weight(tmp_path):
    seen, exact = seen_of(150)
    report = regard.report(seen, names(150), item=1, pins=[3, "w7", -2])
    page = saved(report, tmp_path)
    group = page.index["runs"][0]["groups"][0]
    layer, head = group["shown"]
    strongest = page.links(group["layers"][layer]["heads"][head]["links"])[0][0]
    for each, weights in zip(page.heads(), exact.reshape(-1, 150, 150), strict=True):
        assert each["rows"]["queries"] == sorted({3, 7, 148, 149, int(strongest)})
        found, expected = page.full(each["rows"]["weights"]), weights[each["rows"]["queries"]]
        large = expected >= 0.001
        np.testing.assert_allclose(found[large], expected[large], rtol=0, atol=2e-5)
        np.testing.assert_allclose(found[~large], expected[~large], rtol=0, atol=1.3e-4)


@pytest.mark.usefixtures("in_cells")
def test_rows_that_nobody_asked_for_stand_only_where_there_is_room(monkeypatch):
    monkeypatch.setattr(pins, "PAGE", 0)
    seen, _ = seen_of(70)
    assert all(head["rows"] is None for head in page_of(regard.report(seen, names(70))).heads())
    asked = page_of(regard.report(seen, ["a", "b"] * 35, pins="b")).heads()
    assert all(head["rows"]["queries"] == [1] for head in asked)


def test_a_record_without_rows_is_shown_in_the_cells_it_kept(tmp_path):
    seen, exact = seen_of(100, want=("entropy", "received", "map"))
    report = regard.report(seen, names(100), item=1)
    page = saved(report, tmp_path)
    for head, weights in zip(page.heads(), exact.reshape(-1, 100, 100), strict=True):
        mean, _ = cells_by_hand(weights, 2)
        found = page.codes(head["map"]["mean"], 50, 50)
        np.testing.assert_allclose(found, np.sqrt(mean), rtol=0, atol=0.501 / 255)
        assert (head["links"], head["rows"], head["kind"]) == (None, None, "not measured")
    assert page.index["runs"][0]["groups"][0]["facts"] == ["entropy"]
    with pytest.raises(NotKeptError, match="rows"):
        report.save(tmp_path / "a.json")


class Doubled(nn.Module):
    """Attention written out, with weights that a model scales."""

    def forward(self, query):
        return (2 * (query @ query.transpose(-1, -2)).softmax(-1)) @ query


def test_weights_above_1_stand_as_1(tmp_path):
    model, query = Doubled(), torch.randn(1, 2, 5, 4, generator=torch.Generator().manual_seed(0))
    with regard.watch(model) as seen:
        model(query)
    exact = 2 * (query @ query.transpose(-1, -2)).softmax(-1)[0].numpy()
    assert exact.max() > 1.5
    page = saved(regard.report(seen), tmp_path)
    found = np.stack([page.full(head["map"]) for head in page.heads()])
    np.testing.assert_allclose(found, exact.clip(max=1), atol=5e-4)
    np.testing.assert_allclose(seen.sites[0].weights()[0], exact, atol=1e-6)
    docs = (ROOT / "docs/page.md").read_text(encoding="utf-8")
    assert "above 1 stands on the page as 1" in " ".join(docs.split())


def test_weights_that_are_none_are_refused_in_words(monkeypatch, tmp_path):
    tensors = torch.randn(3, 1, 2, 5, 4)
    tensors[1, 0, 0, 2] = torch.nan
    with regard.watch() as seen:
        F.scaled_dot_product_attention(*tensors)
    for most in (budget.FULL, -1):
        monkeypatch.setattr(budget, "FULL", most)
        with pytest.raises(ReportError, match="expected finite weights; got NaN"):
            regard.report(seen).save(tmp_path / "a.html")
    assert not list(tmp_path.iterdir())


# What is told beside the maps.


def test_statistics_of_tokens_are_those_of_the_record():
    seen, exact = seen_of(30)
    page = page_of(regard.report(seen, item=1))
    for layer, weights in zip(page.index["runs"][0]["groups"][0]["layers"], exact, strict=True):
        assert (layer["queriesAPoint"], layer["keysAPoint"]) == (1, 1)
        entropy = -(weights * np.log(np.where(weights > 0, weights, 1))).sum(-1)
        for name, expected in (("entropy", entropy), ("received", weights.sum(1))):
            found = page.numbers(layer[name], "<u2").reshape(HEADS, 30) * layer[f"{name}Scale"]
            np.testing.assert_allclose(found, expected, atol=expected.max() / 65535 + 1e-5)


@given(st.integers(0, 20_000), st.booleans())
def test_points_stand_for_their_positions(count, mean):
    values = torch.rand(2, count, generator=torch.Generator().manual_seed(count))
    packed, unit, step = codes.points(values, mean=mean)
    found = np.frombuffer(packed, "<u2").reshape(2, -1) * unit
    assert found.shape[1] <= 4096
    assert found.shape[1] == -(-count // step)
    for point in range(0, found.shape[1], 500):
        part = values[:, point * step : (point + 1) * step].double()
        expected = part.mean(-1) if mean else part.sum(-1)
        np.testing.assert_allclose(found[:, point], expected, atol=0.51 * unit)


@pytest.mark.parametrize("count", [1, 23, 24, 25, 100])
def test_thumbnails_hold_the_largest_weight_of_each_cell(count):
    seen, exact = seen_of(count)
    page = page_of(regard.report(seen, item=1))
    group = page.index["runs"][0]["groups"][0]
    side = min(count, 24)
    assert group["thumbnail"] == [side, side]
    found = page.codes(group["thumbnails"], 2 * HEADS, side, side)
    cell = [position * side // count for position in range(count)]
    expected = np.zeros_like(found)
    for query in range(count):
        for key in range(count):
            place = (slice(None), cell[query], cell[key])
            expected[place] = np.maximum(expected[place], exact.reshape(-1, count, count)[:, query, key])
    np.testing.assert_allclose(found, np.sqrt(expected), atol=0.501 / 255)


def test_facts_are_those_of_the_heads():
    seen, _ = seen_of(30)
    report = regard.report(seen, item=1)
    group = page_of(report).index["runs"][0]["groups"][0]
    for site, layer in zip(seen, group["layers"], strict=True):
        assert layer["name"] == site.name
        for told, head in zip(regard.head_kinds(site, item=1), layer["heads"], strict=True):
            assert head["kind"] == told.kind
            facts = dict(zip(group["facts"], head["facts"], strict=True))
            assert facts["relative entropy"] == pytest.approx(told.relative_entropy, abs=1e-5)
            assert facts["previous"] == pytest.approx(told.previous, abs=1e-5)
    assert group["units"] == {"entropy": "nats"}
    assert "same token" not in group["facts"]
    shown = report.groups[0].shown
    assert group["shown"] == [shown.layer, shown.head]


def test_a_check_stands_on_the_page_with_its_curves():
    scores = {"length": torch.arange(6.0)}
    check = regard.faithfulness(
        lambda keep: keep.double().sum(-1) / 6, scores, units=6, about="a sum", what="words"
    )
    seen, _ = seen_of(5)
    report = regard.report(seen)
    report = Report(report.title, report.facts, report.sections, report.coverage, check)
    found = page_of(report).index["runs"][0]["check"]
    assert (found["about"], found["what"]) == ("a sum", "words")
    assert found["shares"] == pytest.approx([step / 6 for step in range(7)])
    assert found["deletion"]["length"] == pytest.approx([1 - share for share in found["shares"]])
    assert found["insertion"]["position"] == pytest.approx(found["shares"])
    assert len(found["says"]) == 2


# Positions.


def test_tokens_keep_their_words_and_their_own_labels():
    tokens = ["[CLS]", "the", "ani", "##mal", "[SEP]"]
    seen, _ = seen_of(len(tokens))
    page = page_of(regard.report(seen, regard.words(tokens)))
    (axis,) = page.index["runs"][0]["axes"]
    assert page.labels(axis["words"], axis["count"]) == ["[CLS]", "the", "animal", "[SEP]"]
    assert page.numbers(axis["wordOf"], "<u4").tolist() == [0, 1, 2, 2, 3]
    assert page.labels(axis["pieces"], 5) == ["[CLS]", "the", "ani", "mal", "[SEP]"]
    assert (axis["special"], axis["separators"]) == ([0, 3], [4])


@pytest.mark.parametrize(
    ("groups", "numbers", "labels"),
    [
        ((0, 1, 2), None, ["a", "b", "c"]),
        ((1, 1, 0), [0, 0, 1], ["b", "a"]),
        ((0, 2, 0), [0, 1, 2], ["a", "c", "a"]),
        ((-1, 0, 0), [0, 1, 1], ["", "a"]),
    ],
)
def test_words_stand_in_the_order_of_their_tokens(groups, numbers, labels):
    seen, _ = seen_of(3)
    page = page_of(regard.report(seen, Axis(("a", "b", "c"), groups, (False, False, True))))
    (axis,) = page.index["runs"][0]["axes"]
    assert page.labels(axis["words"], axis["count"]) == labels
    found = list(range(3)) if axis["wordOf"] is None else page.numbers(axis["wordOf"], "<u4").tolist()
    assert found == (list(range(3)) if numbers is None else numbers)
    assert axis["special"] == [number for number, label in enumerate(labels) if label == "c"]


def test_pictures_sounds_and_residues_stand_beside_words():
    axis = (
        regard.words(["[CLS]"])
        + regard.patches(torch.rand(3, 8, 8), grid=(2, 2))
        + regard.frames(3, seconds=1.5, spectrogram=[[0.0, 1.0], [3.0, 2.0]], hertz=8000)
        + regard.residues("MK", first=5, chain="A", contacts=np.eye(2, dtype=bool))
    )
    seen, _ = seen_of(len(axis.groups))
    page = page_of(regard.report(seen, axis))
    image, sound, chain = page.index["runs"][0]["axes"][0]["segments"]
    assert page.bytes(image.pop("picture")).startswith(b"\x89PNG")
    assert image == {"kind": "image", "start": 1, "stop": 5, "rows": 2, "columns": 2, "type": "image/png"}
    assert page.numbers(sound.pop("spectrogram"), np.uint8).tolist() == [0, 85, 255, 170]
    place = {"kind": "sound", "start": 5, "stop": 8}
    assert sound == {**place, "seconds": 1.5, "bins": 2, "frames": 2, "hertz": 8000}
    assert page.numbers(chain.pop("contacts"), np.uint8).tolist() == [1, 0, 0, 1]
    assert chain == {"kind": "residues", "start": 8, "stop": 10, "first": 5, "chain": "A"}


HOSTILE = ["</script><img src=x onerror=alert(1)>", "<!--", "<!--content-->", "<script>", "a\0b", "\ud83d", "עברית"]
HOSTILE += ["\ud83d\udc08", "a\u200bb", "", "&lt;", "\u2028", "\ufeff"]


def test_text_of_the_input_is_never_markup(tmp_path):
    count = len(HOSTILE)
    seen, _ = seen_of(count)
    plain = saved(regard.report(seen, names(count)), tmp_path)
    hostile = regard.report(seen, HOSTILE, title=HOSTILE[0], facts=HOSTILE)
    page = saved(hostile, tmp_path)
    assert page.parsed.names == plain.parsed.names
    assert page.parsed.scripts.keys() == plain.parsed.scripts.keys()
    run = page.index["runs"][0]
    joined = [word.replace("\ud83d\udc08", "\U0001f408") for word in HOSTILE]
    assert (run["title"], run["facts"]) == (HOSTILE[0], joined)
    readable = {"a\0b": "a\u2400b", "\ud83d": "\ufffd"}
    assert page.labels(run["axes"][0]["words"], count) == [readable.get(word, word) for word in joined]
    content = json.loads(hostile.save(tmp_path / "a.json").read_text(encoding="utf-8"))
    assert content["groups"][0]["query_words"] == joined


# Sizes.


@needs_demo
@pytest.mark.parametrize("text", ["gettysburg", "declaration", "tangled_bank"])
def test_a_small_model_makes_a_small_page(text):
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder())
    model = transformers.AutoModel.from_pretrained(folder())
    words = (ROOT / f"tests/texts/{text}.txt").read_text(encoding="utf-8")
    encoding = tokenizer(words, return_tensors="pt", truncation=True, max_length=128)
    with torch.no_grad(), regard.watch(model) as seen:
        model(**encoding)
    assert seen[0].sizes.queries == 128
    page = page_of(regard.report(seen, regard.words(encoding, words)))
    assert all(head["map"]["form"] == "full" for head in page.heads())
    assert len(page.text.encode()) < 1_500_000


@pytest.mark.slow
def test_a_long_text_fits_whatever_its_maps_hold(monkeypatch):
    page = page_of(long_report(monkeypatch))
    cells = page.heads()[0]["map"]
    assert cells["form"] == "cells"
    assert cells["rows"] >= 64
    assert len(page.text) < 25_000_000


def test_the_docs_say_what_the_page_holds():
    page = (ROOT / "docs/looking.md").read_text(encoding="utf-8")
    assert f"more than {budget.FULL:,} weights" in page


# Edges.


class Cross(nn.Module):
    """Cross-attention of given queries and keys."""

    is_cross_attention = True

    def forward(self, query, key):
        return F.scaled_dot_product_attention(query, key, key)


@pytest.mark.parametrize("most", [budget.FULL, -1], ids=["full", "cells"])
@pytest.mark.parametrize(("queries", "keys"), [(0, 0), (1, 1), (3, 0), (0, 3), (2, 5)])
def test_few_positions_and_none_can_be_shown(queries, keys, most, monkeypatch):
    monkeypatch.setattr(budget, "FULL", most)
    model = Cross()
    with regard.watch(model) as seen:
        model(torch.randn(1, 2, queries, 4), torch.randn(1, 2, keys, 4))
    page = page_of(regard.report(seen, ["k"] * keys, target=["q"] * queries))
    group = page.index["runs"][0]["groups"][0]
    axes = page.index["runs"][0]["axes"]
    assert group["kind"] == "cross"
    assert [axes[group[side]]["tokens"] for side in ("queries", "keys")] == [queries, keys]
    for head in page.heads():
        assert (head["map"]["rows"], head["map"]["columns"]) == (queries, keys)
        assert (head["links"] is None) == (most > 0)


def test_the_index_has_the_fields_of_the_schema(in_cells):
    source = (ROOT / "web/src/content/schema.ts").read_text(encoding="utf-8")
    fields = {
        name: set(re.findall(r"^  (\w+): ", body, re.MULTILINE))
        for name, body in re.findall(r"export interface (\w+) \{\n(.*?)\n\}", source, re.DOTALL)
    }
    seen, _ = seen_of(70)
    index = page_of(regard.report(seen)).index
    run = index["runs"][0]
    group = run["groups"][0]
    layer = group["layers"][0]
    head = layer["heads"][0]
    parts = {"Content": index, "Run": run, "Axis": run["axes"][0], "Group": group, "Layer": layer, "Head": head}
    parts |= {"Cells": head["map"], "Links": head["links"], "Rows": head["rows"], "Full": head["rows"]["weights"]}
    for name, part in parts.items():
        assert set(part) == fields[name], name


@pytest.mark.parametrize("pins", [[70], [-71], ["w70"], 70, [1.5], [None], [0] * 257])
def test_pins_that_are_no_queries_are_refused(pins):
    seen, _ = seen_of(70)
    with pytest.raises(ReportError, match="pins: expected"):
        regard.report(seen, names(70), pins=pins)


# Two runs, and notebooks.


def test_two_runs_stand_beside_one_another(tmp_path):
    (first, exact), (second, other) = seen_of(10), seen_of(12, layers=1)
    both = regard.report(first, item=1, title="one").beside(regard.report(second, item=1, title="two"))
    page = saved(both, tmp_path)
    assert [run["title"] for run in page.index["runs"]] == ["one", "two"]
    for run, weights in enumerate((exact, other)):
        found = np.stack([page.full(head["map"]) for head in page.heads(run)])
        np.testing.assert_allclose(found, weights.reshape(found.shape), atol=5e-4)
    assert "beside 'two'" in repr(both)


def test_two_runs_stand_in_json_and_in_pictures(tmp_path):
    first, second = (regard.report(seen_of(count)[0], title=f"{count} words") for count in (5, 6))
    content = json.loads(first.beside(second).save(tmp_path / "a.json").read_text(encoding="utf-8"))
    alone = json.loads(second.save(tmp_path / "b.json").read_text(encoding="utf-8"))
    assert content["title"] == "5 words"
    assert content["beside"] == alone
    drawing = first.beside(second).save(tmp_path / "a.svg").read_text(encoding="utf-8")
    assert drawing.count("all heads") == 2


def test_two_runs_of_one_title_are_told_apart(tmp_path):
    report = regard.report(seen_of(5)[0], title="seen")
    page = saved(report.beside(report), tmp_path)
    assert [run["title"] for run in page.index["runs"]] == ["seen (first)", "seen (second)"]
    assert report.title == "seen"


def test_what_cannot_stand_beside_is_refused():
    report = regard.report(seen_of(5)[0])
    with pytest.raises(ReportError, match=r"beside: expected a report.*got Record"):
        report.beside(seen_of(5)[0])
    with pytest.raises(ReportError, match="of one run each"):
        report.beside(report).beside(report)
    with pytest.raises(ReportError, match="of one run each"):
        report.beside(report.beside(report))


class Frame(HTMLParser):
    """Finds the attributes of the one element that is there."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def test_notebooks_show_the_page_in_a_frame_that_reaches_nothing():
    report = regard.report(seen_of(5)[0], ['"', "'", "&quot;", "</iframe>", ">"], title='"></iframe><b>')
    shown = report._repr_mimebundle_(include=None, exclude=None)
    ((tag, attributes),) = Frame(shown["text/html"]).found
    assert tag == "iframe"
    assert attributes["srcdoc"] == report._page()
    assert attributes["sandbox"].split() == ["allow-scripts", "allow-downloads"]
    # What a notebook shows that leaves out frames, as those do that are not trusted.
    assert "notebook is trusted" in shown["text/html"].rpartition('">')[2]
    assert shown["text/plain"] == repr(report)


def test_notebooks_are_not_given_large_pages(monkeypatch):
    monkeypatch.setattr("regard.reports.report._MOST_WITHIN", 1000)
    report = regard.report(seen_of(5)[0], title="<b>")
    shown = report._repr_mimebundle_()["text/html"]
    assert "iframe" not in shown
    assert html.escape("Report('<b>'") in shown
    assert ".html" in shown
