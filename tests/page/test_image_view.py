"""The image view: a picture shows the weights on its patches, words beside it theirs; both are pointed at."""

from xml.etree import ElementTree

import numpy as np
import pytest
import torch
import transformers

import regard
from tests import models
from tests.page.modalities import HOSTILE, ordered_alike, percents, pixels, seen_among, seen_between, weights_of

ROWS, COLUMNS = 4, 6
PATCHES = ROWS * COLUMNS
WORDS = ["[CLS]", "a", HOSTILE, "שלום"]
PLAIN = "#view=image&palette=greys&scale=linear&reach=largest&opacity=1&theme=light&head=0.0.0.0"


@pytest.fixture(scope="module")
def picture():
    rows, columns = np.mgrid[0:80, 0:120]
    return np.stack([2 * columns, 3 * rows, 0 * rows + 90], -1).astype("uint8")


@pytest.fixture(scope="module")
def seen():
    return seen_among(len(WORDS) + PATCHES)


@pytest.fixture(scope="module")
def page_of(tmp_path_factory, seen, picture):
    axis = regard.words(WORDS[:1]) + regard.patches(picture, grid=(ROWS, COLUMNS)) + regard.words(WORDS[1:])
    return regard.report(seen, axis).save(tmp_path_factory.mktemp("page") / "image.html")


@pytest.fixture(scope="module")
def caption():
    return seen_between(3, PATCHES)


@pytest.fixture(scope="module")
def page_of_caption(tmp_path_factory, caption):
    keys, queries = regard.patches(grid=(ROWS, COLUMNS)), regard.words(["two", "small", "birds"])
    report = regard.report(caption, keys, target=queries)
    return report.save(tmp_path_factory.mktemp("page") / "caption.html")


def centers(canvas):
    box = canvas.bounding_box()
    wide, tall = box["width"] / COLUMNS, box["height"] / ROWS
    # Off the middle, where no frame of a pointed patch lies.
    return [((p % COLUMNS + 0.4) * wide, (p // COLUMNS + 0.4) * tall) for p in range(PATCHES)]


def canvas_of(page):
    return page.locator("[data-picture='0']")


def point(page, patch):
    x, y = centers(canvas_of(page))[patch]
    canvas_of(page).hover(position={"x": x, "y": y})
    page.wait_for_selector("#says:has-text('row')")


def shades_of_chips(page):
    colors = page.locator(".chip").evaluate_all("chips => chips.map((chip) => chip.style.background)")
    return [[int(part) for part in color[4:-1].replace(",", " ").split()] for color in colors]


def test_the_picture_itself_shows_where_weights_do_not_cover_it(opened, page_of, picture):
    page = opened(page_of, PLAIN.replace("opacity=1", "opacity=0"))
    page.check("[data-control=smooth]")  # no lines between patches
    box = canvas_of(page).bounding_box()
    assert box["width"] / box["height"] == pytest.approx(120 / 80, rel=0.01)
    places = [(0.25, 0.5), (0.8, 0.3), (0.5, 0.9)]
    found = pixels(canvas_of(page), [(x * box["width"], y * box["height"]) for x, y in places])
    expected = [picture[int(y * 80), int(x * 120)] for x, y in places]
    np.testing.assert_allclose(found, expected, atol=6)


def test_a_pointed_patch_shades_what_it_attends_to(opened, page_of, seen):
    page = opened(page_of, PLAIN)
    row = weights_of(seen)[1 + 8]
    point(page, 8)
    assert ordered_alike(pixels(canvas_of(page), centers(canvas_of(page))), row[1 : 1 + PATCHES].tolist())
    said = page.text_content(".totals")
    on_picture = 100 * row[1 : 1 + PATCHES].sum().item()
    assert percents(said) == pytest.approx([on_picture, 100 - on_picture], abs=0.06)
    assert percents(page.text_content("#says"))[0] == pytest.approx(100 * row.max().item(), abs=0.06)


def test_the_other_direction_shades_who_attends_to_a_patch(opened, page_of, seen):
    page = opened(page_of, PLAIN)
    page.select_option("[data-control=direction]", "attended by")
    point(page, 8)
    column = weights_of(seen)[:, 1 + 8]
    assert ordered_alike(pixels(canvas_of(page), centers(canvas_of(page))), column[1 : 1 + PATCHES].tolist())


def test_a_pointed_word_shades_the_picture(opened, page_of, seen):
    page = opened(page_of, PLAIN)
    page.hover(".chip:has-text('שלום')")
    row = weights_of(seen)[-1]
    assert ordered_alike(pixels(canvas_of(page), centers(canvas_of(page))), row[1 : 1 + PATCHES].tolist())
    assert percents(page.text_content(".totals"))[0] == pytest.approx(100 * row[1:-3].sum().item(), abs=0.06)


def test_words_are_text_whatever_they_say(opened, page_of):
    page = opened(page_of, PLAIN)
    assert page.locator(".chip").all_text_contents() == WORDS
    assert page.locator("img").count() == 0


def test_words_attend_to_patches_both_ways(opened, page_of_caption, caption):
    page = opened(page_of_caption, PLAIN)
    assert page.locator("[data-control=direction]").count() == 0
    page.hover(".chip >> nth=1")
    weights = weights_of(caption)
    assert ordered_alike(pixels(canvas_of(page), centers(canvas_of(page))), weights[1].tolist())
    point(page, 13)
    darkest = min(range(3), key=lambda word: shades_of_chips(page)[word])
    assert darkest == weights[:, 13].argmax().item()


def test_the_average_shows_where_nothing_is_selected(opened, page_of_caption, caption):
    page = opened(page_of_caption, PLAIN)
    average = weights_of(caption).mean(0)
    assert ordered_alike(pixels(canvas_of(page), centers(canvas_of(page))), average.tolist())


def test_hidden_sinks_take_no_colour(opened, page_of, seen):
    page = opened(page_of, PLAIN + "&hide=true")
    page.hover(".chip >> nth=1")
    row = weights_of(seen)[1 + PATCHES]
    words = (row[1 + PATCHES :].sum()).item()
    assert percents(page.text_content(".totals"))[1] == pytest.approx(100 * words, abs=0.06)


def test_differences_have_two_colours(opened, page_of, seen):
    page = opened(page_of, PLAIN + "&compare=difference&with=0.0.0.1")
    page.hover(".chip >> nth=1")
    row = (weights_of(seen) - weights_of(seen, 1))[1 + PATCHES][1 : 1 + PATCHES]
    colours = pixels(canvas_of(page), centers(canvas_of(page)))
    low, high = row.argmin().item(), row.argmax().item()
    more, less = colours[high], colours[low]
    assert (more[0] > more[2]) != (less[0] > less[2])  # orange and purple


def test_arrows_move_enter_pins_and_escape_lets_go(opened, page_of):
    page = opened(page_of, PLAIN)
    canvas_of(page).focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowUp"):
        page.keyboard.press(key)
    assert page.text_content("#says").startswith("row 2, column 5 attends to")
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "queries=11-12" in url)
    page.keyboard.press("Escape")
    page.wait_for_url(lambda url: "queries=" not in url)


def test_a_click_pins_a_patch_on_a_phone(opened, page_of):
    page = opened(page_of, PLAIN, viewport={"width": 360, "height": 740}, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    x, y = centers(canvas_of(page))[0]
    canvas_of(page).tap(position={"x": x, "y": y})
    page.wait_for_url(lambda url: "queries=1-2" in url)


def test_each_picture_of_several_has_its_own_weights(opened, tmp_path):
    seen = seen_among(4 + 6)
    axis = regard.patches(grid=(2, 2)) + regard.patches(grid=(2, 3))
    page = opened(regard.report(seen, axis).save(tmp_path / "two.html"), PLAIN + "&queries=0-1")
    row = weights_of(seen)[0]
    said = percents(page.text_content(".totals"))
    assert said == pytest.approx([100 * row[:4].sum().item(), 100 * row[4:].sum().item()], abs=0.06)
    assert page.locator("[data-picture]").count() == 2


def test_a_vision_transformer_opens_with_its_picture(opened, tmp_path, picture):
    torch.manual_seed(0)
    model = transformers.ViTModel(models.vit()).eval()
    with torch.no_grad(), regard.watch(model) as seen:
        model(pixel_values=torch.randn(1, 3, 16, 16))
    axis = regard.words(["[CLS]"]) + regard.patches(picture[:80, :80], grid=(4, 4))
    page = opened(regard.report(seen, axis).save(tmp_path / "vit.html"), "#view=image&head=0.0.1.2&queries=0-1")
    row = seen.sites[1].weights()[0, 2, 0]
    assert percents(page.text_content(".totals"))[0] == pytest.approx(100 * row[1:].sum().item(), abs=0.06)


def test_the_saved_picture_holds_picture_weights_and_words(opened, page_of):
    page = opened(page_of, PLAIN)
    with page.expect_download() as download:
        page.click("#save-svg")
    drawn = download.value.path().read_text(encoding="utf-8")
    assert ElementTree.fromstring(drawn).tag.endswith("svg")
    assert drawn.count("data:image/png") >= 2
    assert "שלום" in drawn
    assert page.text_content(".totals") in drawn
