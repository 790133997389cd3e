"""The contact view: scores of pairs of residues, known contacts, how often they agree, and arcs between them."""

import numpy as np
import pytest

import regard
from tests.page.modalities import HOSTILE, ordered_alike, percents, pixels, seen_among, weights_of

LENGTH, APART = 30, 6
PLAIN = "#view=contacts&palette=greys&scale=linear&theme=light&head=0.0.0.0"
# Where web/src/views/contacts/layout.ts lays out the map.
MARGIN = 40


@pytest.fixture(scope="module")
def contacts():
    generator = np.random.default_rng(0)
    touching = np.triu(generator.random((LENGTH, LENGTH)) < 0.15, 1)
    return touching | touching.T


@pytest.fixture(scope="module")
def seen():
    return seen_among(LENGTH + 2)


@pytest.fixture(scope="module")
def page_of(tmp_path_factory, seen, contacts):
    chain = regard.residues("ACDEFGHIKL" * 3, first=11, contacts=contacts)
    axis = regard.words(["<cls>"]) + chain + regard.words(["<eos>"])
    return regard.report(seen, axis).save(tmp_path_factory.mktemp("page") / "contacts.html")


@pytest.fixture(scope="module")
def scores(seen):
    weights = weights_of(seen)[1:-1, 1:-1].double().numpy()
    return (weights + weights.T) / 2


def corrected(scores):
    """The average product correction, by masked means."""
    masked = np.ma.masked_array(scores, np.eye(len(scores), dtype=bool))
    means = masked.mean(0).data
    return scores - np.outer(means, means) / masked.mean()


def precision(scores, contacts, part):
    rows, columns = np.triu_indices(LENGTH, APART)
    first = np.argsort(-scores[rows, columns])[: LENGTH // part]
    return 100 * contacts[rows, columns][first].mean()


def canvas_of(page):
    return page.locator(".contacts-view canvas").first


def places(page, pairs, count=LENGTH):
    side = min(640, canvas_of(page).bounding_box()["width"] - MARGIN - 10)
    return [(MARGIN + (column + 0.5) * side / count, MARGIN + (row + 0.5) * side / count) for row, column in pairs]


def point(page, row, column, count=LENGTH):
    ((x, y),) = places(page, [(row, column)], count)
    canvas_of(page).hover(position={"x": x, "y": y})
    page.wait_for_selector(".pair:has-text('averaged')")


def test_the_upper_triangle_shows_scores_of_both_directions(opened, page_of, scores):
    page = opened(page_of, PLAIN)
    upper = list(zip(*np.triu_indices(LENGTH, 1), strict=True))
    colors = pixels(canvas_of(page), places(page, upper))
    assert ordered_alike(colors, [scores[pair] for pair in upper])


def test_the_lower_triangle_shows_known_contacts(opened, page_of, contacts):
    page = opened(page_of, PLAIN)
    lower = [(row, column) for row in range(LENGTH) for column in range(max(0, row - APART + 1), row)]
    colors = pixels(canvas_of(page), places(page, lower))
    for pair, color in zip(lower, colors, strict=True):
        assert (color != [255, 255, 255]) == contacts[pair]


def test_strong_pairs_are_told_right_from_wrong(opened, page_of, scores, contacts):
    page = opened(page_of, PLAIN)
    rows, columns = np.triu_indices(LENGTH, APART)
    first = np.argsort(-scores[rows, columns])[:LENGTH]
    pairs = [(int(columns[pair]), int(rows[pair])) for pair in first]
    for pair, (red, _, blue) in zip(pairs, pixels(canvas_of(page), places(page, pairs)), strict=True):
        assert (blue > red) == contacts[pair]


def test_precision_is_that_of_the_strongest_pairs(opened, page_of, scores, contacts):
    page = opened(page_of, PLAIN)
    told = percents(page.text_content(".precision"))
    rows, columns = np.triu_indices(LENGTH, APART)
    expected = [precision(scores, contacts, part) for part in (1, 2, 5)]
    assert told == pytest.approx([*expected, 100 * contacts[rows, columns].mean()], abs=0.06)
    page.check("[data-control=correction]")
    told = percents(page.text_content(".precision"))
    assert told[:3] == pytest.approx([precision(corrected(scores), contacts, part) for part in (1, 2, 5)], abs=0.06)


def test_a_pointed_pair_is_named_with_its_score(opened, page_of, scores, contacts):
    page = opened(page_of, PLAIN)
    a, b = np.argwhere(contacts & np.triu(np.ones_like(contacts), APART).astype(bool))[0]
    point(page, a, b)
    said = page.text_content(".pair")
    assert said.startswith(f"{'ACDEFGHIKL'[a % 10]}{a + 11} and {'ACDEFGHIKL'[b % 10]}{b + 11}:")
    assert said.endswith(", a known contact")
    assert percents(said)[0] == pytest.approx(100 * scores[a, b], abs=0.06)
    page.check("[data-control=correction]")
    point(page, a, b)
    least = corrected(scores)[a, b]
    assert percents(page.text_content(".pair"))[0] == pytest.approx(100 * least, abs=0.11)


def test_the_slider_says_how_many_pairs(opened, page_of):
    page = opened(page_of, PLAIN)
    assert page.text_content(".contacts-view output") == str(LENGTH)
    page.locator("[data-control=pairs]").fill("0.5")
    assert page.text_content(".contacts-view output") == str(LENGTH // 2)


def test_chains_are_divided_and_named(opened, tmp_path):
    seen = seen_among(24)
    axis = regard.residues("ACDEFGHIKLMN", chain=HOSTILE) + regard.residues("ACDEFGHIKLMN", chain="B")
    page = opened(regard.report(seen, axis).save(tmp_path / "two.html"), PLAIN)
    point(page, 2, 20, 24)
    assert page.text_content(".pair").startswith(f"D3 of {HOSTILE} and K9 of B:")
    weights = weights_of(seen)
    expected = 50 * (weights[2, 20] + weights[20, 2]).item()
    assert percents(page.text_content(".pair"))[0] == pytest.approx(expected, abs=0.06)
    assert page.text_content(".precision") == ""


def test_arrows_move_enter_pins_and_escape_lets_go(opened, page_of, scores):
    page = opened(page_of, PLAIN)
    rows, columns = np.triu_indices(LENGTH, APART)
    best = scores[rows, columns].argmax()
    row, column = int(rows[best]), int(columns[best])
    canvas_of(page).focus()
    for key in ("ArrowRight", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    page.wait_for_url(lambda url: f"queries={row + 2}-" in url and f"keys={column + 1}-" in url)
    page.keyboard.press("Escape")
    page.wait_for_url(lambda url: "queries=" not in url)


def test_differences_have_no_precision(opened, page_of, seen):
    page = opened(page_of, PLAIN + "&compare=difference&with=0.0.0.1")
    change = (weights_of(seen) - weights_of(seen, 1))[1:-1, 1:-1]
    point(page, 3, 12)
    expected = 50 * (change[3, 12] + change[12, 3]).item()
    assert percents(page.text_content(".pair"))[0] == pytest.approx(expected, abs=0.06)
    assert page.text_content(".precision") == ""


def test_a_long_chain_in_cells_opens_on_a_phone(opened, tmp_path):
    count = 4600
    chain = regard.residues("ACDEFGHIKL" * (count // 10), contacts=np.eye(count))
    report = regard.report(seen_among(count, heads=1), chain)
    page = opened(report.save(tmp_path / "long.html"), "#view=contacts", viewport={"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.locator("[data-control=correction]").count() == 0
    point(page, 1000, 3000, count)
    assert "about" in page.text_content(".pair")


def test_other_positions_have_no_contacts(opened, tmp_path):
    report = regard.report(seen_among(5), list("abcde"))
    page = opened(report.save(tmp_path / "plain.html"), "#view=contacts")
    assert page.locator("#tab-contacts, #tab-image, #tab-time").count() == 0


def test_the_saved_picture_holds_map_numbers_and_precision(opened, page_of):
    page = opened(page_of, PLAIN)
    with page.expect_download() as download:
        page.click("#save-svg")
    drawn = download.value.path().read_text(encoding="utf-8")
    assert page.text_content(".precision") in drawn
    assert "<image" in drawn
