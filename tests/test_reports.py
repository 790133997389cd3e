"""A report says what the record says, in every format, and is written whole or not at all."""

import io
import json

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn
from torch.nn import functional as F

import regard
from regard.errors import NotKeptError, ReportError
from regard.reports.build import MOST_WORDS, axis
from regard.reports.colors import on_top, shade
from regard.reports.panels import Axis, strongest_links
from regard.reports.terminal import as_text, printable

WORDS = ["[CLS]", "the", "cat", "</script>", "日本", "sat", "[SEP]"]


class Model(nn.Module):
    """Two layers of self-attention with two heads."""

    def forward(self, query):
        for _ in range(2):
            query = F.scaled_dot_product_attention(query, query, query)
        return query


@pytest.fixture
def seen():
    model = Model()
    with regard.watch(model) as seen:
        model(3 * torch.randn(2, 2, len(WORDS), 8, generator=torch.Generator().manual_seed(1)))
    return seen


@pytest.fixture
def words():
    return axis(WORDS, special=[word.startswith("[") for word in WORDS], separators=[len(WORDS) - 1])


def test_panels_hold_the_weights_of_the_record(seen, words):
    (group,) = regard.report(seen, words, item=1).groups
    assert [len(layer) for layer in group.layers] == [2, 2]
    for layer, site in zip(group.layers, seen, strict=True):
        for panel in layer:
            torch.testing.assert_close(panel.weights, site.weights()[1, panel.head])
            torch.testing.assert_close(panel.entropy, site.entropy[1, panel.head])


def test_words_join_tokens_by_sum_over_keys_and_mean_over_queries(seen):
    joined = Axis(("a", "b", "c"), (0, 0, 1, 1, 1, 2, 2), (False,) * 3)
    (group,) = regard.report(seen, joined).groups
    weights = seen.sites[0].weights()[0, 1]
    by_hand = torch.stack([weights[:, cut].sum(-1) for cut in (slice(0, 2), slice(2, 5), slice(5, 7))], -1)
    by_hand = torch.stack([by_hand[cut].mean(0) for cut in (slice(0, 2), slice(2, 5), slice(5, 7))])
    torch.testing.assert_close(group.layers[0][1].weights, by_hand)


def test_json_holds_the_statistics(seen, words, tmp_path):
    path = regard.report(seen, words, title="Größe").save(tmp_path / "seen.json")
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["title"] == "Größe"
    group = content["groups"][0]
    assert group["query_words"] == WORDS
    head = group["heads"][3]
    assert (head["layer"], head["head"]) == (1, 1)
    np.testing.assert_allclose(head["entropy_by_token"], seen.sites[1].entropy[0, 1], atol=1e-6)
    np.testing.assert_allclose(head["received_by_token"], seen.sites[1].received[0, 1], atol=1e-6)
    np.testing.assert_allclose(head["top_weights"], seen.sites[1].top(8).weights[0, 1], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("a.png", b"\x89PNG"),
        ("a.svg", b"<?xml"),
        ("a.pdf", b"%PDF"),
        ("a.html", b"<!doctype html>"),
        ("A.JSON", b"{"),
    ],
)
def test_the_ending_chooses_the_format(seen, words, tmp_path, name, start):
    assert regard.report(seen, words).save(tmp_path / name).read_bytes().startswith(start)


def test_a_picture_draws_letters_that_no_font_has(seen, tmp_path):
    words = ["$x_1^2$", "日本", "\u200b", "🐈", "עברית", "$", "\t"]
    assert regard.report(seen, words).save(tmp_path / "a.png").stat().st_size > 1000


@pytest.mark.parametrize("name", ["a", "a.gif", "folder/a.png"])
def test_what_cannot_be_written_is_refused(seen, words, tmp_path, name):
    with pytest.raises(ReportError, match=r"expected|cannot write"):
        regard.report(seen, words).save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_folder_is_no_file(seen, words, tmp_path):
    (tmp_path / "a.html").mkdir()
    with pytest.raises(ReportError, match="is a folder"):
        regard.report(seen, words).save(tmp_path / "a.html")


def test_words_must_fit_the_record(seen):
    with pytest.raises(ReportError, match="expected 7 tokens"):
        regard.report(seen, WORDS[:-1])


def test_without_words_positions_are_shown(seen):
    assert regard.report(seen).groups[0].queries.words == tuple("0123456")


def test_a_record_of_nothing_is_refused():
    model = nn.Linear(1, 1)
    with regard.watch(model) as seen:
        model(torch.ones(1))
    with pytest.raises(ReportError, match="at least one attention call"):
        regard.report(seen)


@pytest.mark.parametrize("name", ["tokens", "target"])
def test_a_string_is_no_list_of_tokens(seen, name):
    with pytest.raises(ReportError, match=f"{name}: expected a list of tokens, one a position; got a string"):
        regard.report(seen, **{name: "The cat"})


def test_a_target_where_no_decoder_reads_it_is_refused(seen):
    with pytest.raises(ReportError, match="target: expected a record with attention of a decoder"):
        regard.report(seen, WORDS, target=["the", "cat"])


@pytest.mark.parametrize("record", [None, "seen", nn.Linear(1, 1)])
def test_what_is_no_record_is_refused(record):
    with pytest.raises(ReportError, match=f"expected a record.*got {type(record).__name__}"):
        regard.report(record)


def test_a_record_without_rows_says_what_to_do():
    with regard.watch(want=("entropy", "received")) as seen:
        Model()(torch.randn(1, 2, 5, 8))
    with pytest.raises(NotKeptError, match="rows"):
        regard.report(seen)


@pytest.mark.parametrize("place", [{"layer": 2}, {"head": 2}, {"layer": 0, "head": -1}])
def test_a_head_that_is_not_there_is_refused(seen, place):
    with pytest.raises(ReportError, match="expected a layer from 0 to 1 and a head from 0 to 1"):
        regard.report(seen, **place)


def test_an_item_that_is_not_there_is_refused(seen):
    with pytest.raises(ReportError, match="item: expected from 0 to 1"):
        regard.report(seen, item=2)


def test_the_chosen_head_is_shown(seen):
    shown = regard.report(seen, layer=1, head=0).groups[0].shown
    assert (shown.layer, shown.head) == (1, 0)


def test_long_texts_are_shown_in_runs_of_words():
    count = 2 * MOST_WORDS + 1
    with regard.watch(want=("entropy", "received", "rows")) as seen:
        F.scaled_dot_product_attention(*torch.randn(3, 1, 1, count, 4))
    group = regard.report(seen, [f"w{i}" for i in range(count)]).groups[0]
    assert group.queries.words[0] == "w0 … w2"
    assert len(group.queries.words) <= MOST_WORDS
    torch.testing.assert_close(group.shown.weights.sum(-1), torch.ones(len(group.queries.words)))


def test_one_token_can_be_shown(tmp_path):
    with regard.watch() as seen:
        F.scaled_dot_product_attention(*torch.randn(3, 1, 1, 1, 4))
    report = regard.report(seen, ["only"])
    for ending in ("html", "png", "json"):
        report.save(tmp_path / f"one.{ending}")
    assert printed(report)


def printed(report, width=100):
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(as_text(report.title, report.facts, report.groups, report.coverage))
    return console.export_text()


def test_the_terminal_shows_grid_words_links_and_receipt(seen, words):
    text = printed(regard.report(seen, words, title="What it saw"))
    assert "What it saw" in text
    assert "layer  1" in text
    assert "日本" in text
    assert "→" in text
    assert "seen: 2 attention calls in 1 module" in text


def test_links_leave_out_special_words_punctuation_and_oneself(seen, words):
    group = regard.report(seen, words).groups[0]
    links = strongest_links(group, group.shown, 100)
    assert links
    assert all(link.query != link.key for link in links)
    assert not {link.query for link in links} & {"[CLS]", "[SEP]"}
    assert sorted((link.weight for link in links), reverse=True) == [link.weight for link in links]


@pytest.mark.parametrize(("word", "shown"), [("a\x1b[31mb", "a·[31mb"), ("\u200b", "·"), ("", "·"), ("日", "日")])
def test_no_word_can_steer_the_terminal(word, shown):
    assert printable(word) == shown


def test_the_scale_grows_brighter_and_is_written_on_readably():
    light = [0.299 * r + 0.587 * g + 0.114 * b for r, g, b in map(shade, np.linspace(0, 1, 50))]
    assert all(np.diff(light) > 0)
    assert shade(-1) == shade(0)
    assert shade(2) == shade(1)
    assert on_top(shade(0)) == (255, 255, 255)
    assert on_top(shade(1)) == (0, 0, 0)


def test_a_record_reports_on_itself(tmp_path):
    with regard.watch() as seen:
        F.scaled_dot_product_attention(*torch.randn(3, 1, 2, 4, 8, generator=torch.Generator().manual_seed(0)))
    own = seen.report(["a", "b", "c", "d"], title="own", head=1).save(tmp_path / "own.json")
    other = regard.report(seen, ["a", "b", "c", "d"], title="own", head=1).save(tmp_path / "other.json")
    assert own.read_bytes() == other.read_bytes()
    with pytest.raises(ReportError, match="expected"):
        seen.report(["a"])
