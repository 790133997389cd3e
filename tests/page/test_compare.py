"""Two heads: beside one another with one selection, and one subtracted from the other."""

from xml.etree import ElementTree

import pytest

import regard
from tests.page.attending import percent, seen_of, weights
from tests.page.waiting import wait_until

SVG = "{http://www.w3.org/2000/svg}"
FIRST = ["The", "un", "##break", "##able", "vase", "fell"]
SECOND = ["The", "unbreak", "##able", "va", "##se", "fell"]
OTHER = ["Nothing", "is", "quite", "like", "it"]


def report(tokens, title, seed):
    seen = seen_of(len(tokens), seed=seed)
    return seen, regard.report(seen, regard.words(tokens), title=title, layer=1, head=2)


@pytest.fixture(scope="module")
def first():
    return report(FIRST, "first", 1)


@pytest.fixture(scope="module")
def second():
    return report(SECOND, "second", 2)


@pytest.fixture(scope="module")
def alone(first, tmp_path_factory):
    return first[1].save(tmp_path_factory.mktemp("compare") / "alone.html")


@pytest.fixture(scope="module")
def pair(first, second, tmp_path_factory):
    return first[1].beside(second[1]).save(tmp_path_factory.mktemp("compare") / "pair.html")


@pytest.fixture(scope="module")
def unlike(first, tmp_path_factory):
    _, other = report(OTHER, "other", 3)
    return first[1].beside(other).save(tmp_path_factory.mktemp("compare") / "unlike.html")


def titles(page):
    page.wait_for_selector(".pane[data-ready=true]")
    return [text.replace("\xa0", " ") for text in page.locator(".pane h2").all_text_contents()]


def says(page):
    return page.locator("#says p").all_inner_texts()


def is_shown(page, pane, text):
    wait_until(
        page,
        "([pane, text]) => document.querySelector(`#head-${pane}`).textContent.includes(text)",
        arg=[pane, text],
    )


def word_weight(matrix, query, key):
    return matrix[slice(*query)][:, slice(*key)].sum(1).mean()


def test_two_runs_start_beside_one_another_with_the_same_head(opened, pair):
    page = opened(pair)
    one, other = titles(page)
    assert one.startswith("Layer 1, head 2")
    assert one.endswith("· first")
    assert other.startswith("Layer 1, head 2")
    assert other.endswith("· second")
    assert page.text_content("#title") == "first · second"


def test_the_other_head_follows_until_another_is_asked_for(opened, pair):
    page = opened(pair)
    page.select_option("#layer", "0")
    is_shown(page, "a", "Layer 0, head 2")
    is_shown(page, "b", "Layer 0, head 2")
    page.select_option("#with-head", "0")
    is_shown(page, "b", "Layer 0, head 0")
    page.select_option("#head", "1")
    is_shown(page, "a", "Layer 0, head 1")
    assert "Layer 0, head 0" in titles(page)[1]


def test_words_of_other_tokens_are_selected_in_both_texts(opened, pair, first, second):
    page = opened(pair, "#head=0.0.0.1&queries=1-4&keys=4-5")
    one = word_weight(weights(first[0], 0, 1), (1, 4), (4, 5))
    other = word_weight(weights(second[0], 0, 1), (1, 3), (3, 5))
    assert says(page)[0].startswith(f"unbreakable → vase: {percent(one)}")
    assert says(page)[1].startswith(f"unbreakable → vase: {percent(other)}")


def test_texts_of_other_words_are_selected_apart(opened, unlike):
    page = opened(unlike, "#queries=0-1")
    assert len(says(page)) == 1
    page.keyboard.press("Escape")
    assert "Point at" in page.inner_text("#says")


def test_a_difference_is_that_of_the_records(opened, pair, first, second):
    page = opened(pair, "#head=0.0.0.1&compare=difference&queries=4-5&keys=0-1")
    one = word_weight(weights(first[0], 0, 1), (4, 5), (0, 1))
    other = word_weight(weights(second[0], 0, 1), (3, 5), (0, 1))
    sign = "+" if one > other else "\u2212"
    assert titles(page) == ["Layer 0, head 1: first \u2212 second"]
    assert says(page) == [f"vase → The: {sign}{100 * abs(one - other):.1f} %"]


def test_heads_of_one_run_are_subtracted(opened, alone, first):
    page = opened(alone, "#head=0.0.1.0&with=0.0.0.2&compare=difference&unit=tokens&queries=5-6&keys=4-5")
    difference = weights(first[0], 1, 0)[5, 4] - weights(first[0], 0, 2)[5, 4]
    assert titles(page) == ["Layer 1, head 0 \u2212 layer 0, head 2"]
    sign = "+" if difference > 0 else "\u2212"
    assert says(page) == [f"fell → vase: {sign}{100 * abs(difference):.1f} %"]


def test_texts_of_other_lengths_cannot_be_subtracted_and_the_page_says_why(opened, unlike):
    page = opened(unlike, "#compare=difference")
    assert len(titles(page)) == 2
    assert page.is_disabled("#compare input[value=difference]")
    assert page.inner_text("#refusal") == "A difference cannot be drawn: the texts differ in length: 4 and 5 words."


def test_tokens_decide_where_tokens_are_shown(opened, pair):
    page = opened(pair, "#compare=difference&unit=tokens")
    assert len(titles(page)) == 1


def test_swapping_puts_each_in_the_others_place(opened, pair):
    page = opened(pair)
    page.click("#swap")
    is_shown(page, "a", "second")
    is_shown(page, "b", "first")
    page.select_option("#run", "0")
    is_shown(page, "a", "first")
    is_shown(page, "b", "second")


def test_comparing_is_chosen_and_let_be(opened, alone):
    page = opened(alone)
    assert page.locator("#with-layer").count() == 0
    page.check("#compare input[value=beside]", force=True)
    assert len(titles(page)) == 2
    assert titles(page)[0] != titles(page)[1]
    page.check("#compare input[value=off]", force=True)
    assert len(titles(page)) == 1


def test_colours_of_two_heads_run_up_to_the_same_weight(opened, alone, first):
    heads = [weights(first[0], 0, 1), weights(first[0], 1, 0)]
    shown = percent(max(head.max() for head in heads))
    own = percent(min(head.max() for head in heads))
    assert own != shown
    page = opened(alone, "#head=0.0.0.1&with=0.0.1.0&compare=beside&unit=tokens")
    page.wait_for_selector(".pane[data-pane=b][data-ready=true]")
    with page.expect_download() as download:
        page.click("#save-svg")
    parts = ElementTree.fromstring(download.value.path().read_bytes()).findall(f"{SVG}svg")
    for part in parts:
        texts = [text.strip("\u2066\u2068\u2069") for text in part.itertext()]
        assert shown.replace(".0 ", " ") in texts
        assert own.replace(".0 ", " ") not in texts
    assert len(parts) == 2


def test_words_of_two_texts_are_shaded_up_to_the_same_weight(opened, alone, first):
    query = 4
    largest = max(weights(first[0], layer, head)[query].max() for layer, head in ((0, 1), (1, 0)))
    page = opened(
        alone, f"#head=0.0.0.1&with=0.0.1.0&compare=beside&unit=tokens&view=text&queries={query}-{query + 1}"
    )
    page.wait_for_selector(".pane[data-pane=b][data-ready=true]")
    told = [each.get_attribute("aria-label") for each in page.locator(".legend").all()]
    assert told == [f"Colours from 0 % to {percent(largest)}"] * 2
