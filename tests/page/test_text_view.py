"""The text of a head on the page: what is shaded is the record's weights, whatever is chosen and however."""

import re
from xml.etree import ElementTree

import pytest
import torch
from torch.nn import functional as F

import regard
from tests.page.waiting import wait_until

WORDS = ["The", "tired", "animal", "did", "n't", "cross", "the", "street", ",", "it", "slept", "."]
VIEW = "#view=text&scale=linear&reach=one"


def recorded(queries, keys=None, layers=2, want=None):
    with regard.watch(want=want) as seen:
        for seed in range(layers):
            generator = torch.Generator().manual_seed(seed)
            query = torch.randn(1, 2, queries, 8, generator=generator)
            key = 2 * torch.randn(1, 2, keys or queries, 8, generator=generator)
            F.scaled_dot_product_attention(query, key, key)
    return seen


@pytest.fixture(scope="module")
def seen():
    return recorded(len(WORDS))


@pytest.fixture
def page(seen, tmp_path, opened):
    return opened(regard.report(seen, WORDS, layer=1, head=0).save(tmp_path / "a.html"), VIEW)


@pytest.fixture
def weights(seen):
    return seen.sites[1].weights()[0, 0]


def word(page, number, side="both"):
    return page.locator(f".sheet[data-side={side}] [data-unit='{number}']")


def darkness(page, side="both"):
    """Return how dark each word's ground is: on a light page, the darker the more weight."""
    colors = page.evaluate(
        """side => [...document.querySelectorAll(`.sheet[data-side=${side}]`)].flatMap(sheet =>
            [...sheet.querySelectorAll('[data-unit]')].map(word =>
                word.style.background || sheet.style.background))""",
        side,
    )
    channels = [[int(part) for part in re.findall(r"\d+", color)] for color in colors]
    return -torch.tensor([0.2126 * red + 0.7152 * green + 0.0722 * blue for red, green, blue in channels])


def marked(page, mark, side="both"):
    words = page.locator(f".sheet[data-side={side}] [data-mark={mark}]")
    return [int(each.get_attribute("data-unit")) for each in words.all()]


def assert_shaded_by(page, weights, side="both"):
    """Check that of any two words the one with clearly more weight is the darker, and that some differ."""
    dark = darkness(page, side)
    order = weights.argsort()
    steps = torch.diff(dark[order])
    assert (steps[torch.diff(weights[order]) > 0.005] > 0).all()
    assert dark.unique().numel() > 2


def percents(page):
    return [float(number) for number in re.findall(r"([\d.]+) %", page.text_content("#says"))]


def near(weight):
    return pytest.approx([100 * float(weight)], abs=0.1)


def test_pointing_at_a_word_shades_the_text_by_what_it_attends_to(page, weights):
    for number in (0, 3, len(WORDS) - 1):
        word(page, number).hover()
        page.wait_for_selector(f"[data-unit='{number}'][data-mark=chosen]")
        assert_shaded_by(page, weights[number])
        assert percents(page)[:1] == near(weights[number].max())
        assert marked(page, "chosen") == [number]
        assert WORDS[number] in page.text_content(".caption-says")


def test_with_nothing_chosen_the_text_is_shaded_by_weight_received(page, weights):
    assert_shaded_by(page, weights.mean(0))
    assert page.text_content(".caption-says") == "Shaded by weight received, averaged over all words"


def test_the_other_direction_shades_by_who_attends_to_a_word(page, weights):
    word(page, 2).click()
    page.click("#direction-a-attended-by")
    assert_shaded_by(page, weights[:, 2])
    assert marked(page, "chosen") == [2]
    page.mouse.move(0, 0)
    word(page, 5).click()
    assert_shaded_by(page, weights[:, 5])


def test_beside_a_pinned_word_pointing_tells_the_weight_between_the_two(page, weights):
    word(page, 9).click()
    word(page, 2).hover()
    page.wait_for_selector("[data-unit='2'][data-mark=met]")
    assert_shaded_by(page, weights[9])
    assert percents(page) == near(weights[9, 2])
    word(page, 9).click()
    page.mouse.move(0, 0)
    wait_until(page, "document.querySelector('[data-mark=chosen]') === null")


def test_several_words_are_chosen_by_shift_and_by_dragging(page, weights):
    word(page, 2).click()
    word(page, 4).click(modifiers=["Shift"])
    assert marked(page, "chosen") == [2, 3, 4]
    assert_shaded_by(page, weights[2:5].mean(0))
    word(page, 6).hover()
    page.mouse.down()
    word(page, 8).hover()
    page.wait_for_selector("[data-unit='8'][data-mark=chosen]")
    page.mouse.up()
    page.mouse.move(0, 0)
    assert marked(page, "chosen") == [6, 7, 8]
    assert_shaded_by(page, weights[6:9].mean(0))
    page.locator(".box").press("Escape")
    assert marked(page, "chosen") == []


def test_keys_walk_choose_span_and_let_go(page, weights):
    box = page.locator(".box")
    box.focus()
    box.press("Home")
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft"):
        box.press(key)
    assert marked(page, "chosen") == [1]
    active = box.get_attribute("aria-activedescendant")
    assert page.text_content(f"#{active}") == WORDS[1]
    box.press("Enter")
    assert_shaded_by(page, weights[1])
    assert page.get_attribute(f"#{active}", "aria-selected") == "true"
    for _ in range(3):
        box.press("Shift+ArrowRight")
    box.press("Shift+ArrowLeft")
    assert marked(page, "chosen") == [1, 2, 3]
    box.press("Escape")
    box.press("End")
    assert marked(page, "chosen") == [len(WORDS) - 1]


def test_what_is_chosen_elsewhere_is_chosen_here(seen, weights, tmp_path, opened):
    path = regard.report(seen, WORDS, layer=1, head=0).save(tmp_path / "a.html")
    page = opened(path, f"{VIEW}&queries=9-10&keys=2-3")
    assert (marked(page, "chosen"), marked(page, "met")) == ([9], [2])
    assert_shaded_by(page, weights[9])
    page.click("#direction-a-attended-by")
    assert (marked(page, "chosen"), marked(page, "met")) == ([2], [9])
    assert_shaded_by(page, weights[:, 2])


def test_hidden_sinks_take_no_weight_and_differences_have_two_colours(seen, tmp_path, opened):
    path = regard.report(seen, WORDS, layer=1, head=0).save(tmp_path / "a.html")
    page = opened(path, f"{VIEW}&hide=true&queries=3-4")
    assert darkness(page)[0] == darkness(page).min()
    page = opened(path, "#view=text&compare=difference&with=0.0.1.1&queries=3-4&reach=largest&scale=linear")
    difference = (seen.sites[1].weights()[0, 0] - seen.sites[1].weights()[0, 1])[3]
    background = page.evaluate("document.querySelector('.sheet').style.background")
    red_less_blue = page.evaluate(
        """ground => [...document.querySelectorAll('[data-unit]')].map(word => {
            const [red, , blue] = (word.style.background || ground).match(/\\d+/g).map(Number);
            return red - blue;
        })""",
        background,
    )
    clear = difference.abs() > 0.1 * difference.abs().max()
    # Orange for one sign, purple for the other.
    is_orange = torch.tensor(red_less_blue) > 0
    assert clear.sum() > 2
    assert is_orange[clear].eq(difference[clear] > 0).all() or is_orange[clear].eq(difference[clear] < 0).all()


def test_two_texts_of_cross_attention(tmp_path, opened):
    target, source = ["Das", "müde", "Tier", "schlief", "heute", "."], ["The", "animal", "slept", "."]
    seen = recorded(len(target), len(source), layers=1)
    weights = seen.sites[0].weights()[0, 0]
    page = opened(regard.report(seen, source, target=target, head=0).save(tmp_path / "a.html"), VIEW)
    assert page.locator("#direction-a-attends-to").count() == 0
    word(page, 1, "queries").hover()
    page.wait_for_selector("[data-side=queries] [data-mark=chosen]")
    assert_shaded_by(page, weights[1], "keys")
    word(page, 1, "keys").hover()
    page.wait_for_selector("[data-side=keys] [data-mark=chosen]")
    assert_shaded_by(page, weights[:, 1], "queries")
    word(page, 2, "queries").click()
    word(page, 3, "keys").hover()
    page.wait_for_selector("[data-side=keys] [data-mark=met]")
    assert percents(page) == near(weights[2, 3])


def test_tokens_of_a_word_stand_without_a_gap(tmp_path, opened):
    tokens = ["[CLS]", "look", "##ing", "at", "token", "##ized", "words", "[SEP]"]
    seen = recorded(len(tokens), layers=1)
    weights = seen.sites[0].weights()[0, 0]
    path = regard.report(seen, regard.words(tokens), head=0).save(tmp_path / "a.html")
    page = opened(path, f"{VIEW}&queries=1-3")
    assert page.inner_text(".paragraph").split() == ["[CLS]", "looking", "at", "tokenized", "words", "[SEP]"]
    whole = torch.stack([weights[1:3, places].sum(1).mean() for places in ([0], [1, 2], [3], [4, 5], [6], [7])])
    assert_shaded_by(page, whole)
    page.select_option("#unit", "tokens")
    page.wait_for_selector("[data-unit='7']")
    assert page.inner_text(".paragraph").split() == ["[CLS]", "looking", "at", "tokenized", "words", "[SEP]"]
    assert_shaded_by(page, weights[1:3].mean(0))
    assert marked(page, "chosen") == [1, 2]


def test_stretches_that_are_no_text_show_their_weight_together(tmp_path, opened):
    axis = regard.words(["What", "is", "this", "?"]) + regard.frames(20, seconds=2.0) + regard.words(["A", "song"])
    seen = recorded(len(axis.groups), layers=1)
    weights = seen.sites[0].weights()[0, 0]
    page = opened(regard.report(seen, axis, head=0).save(tmp_path / "a.html"), f"{VIEW}&queries=1-2")
    stretch = page.locator(".stretch")
    assert stretch.text_content() == "sound, 20 frames, 2 s"
    share = float(stretch.get_attribute("data-weight").removesuffix(" %"))
    assert [share] == near(weights[1, 4:24].sum())
    stretch.click()
    page.mouse.move(0, 0)
    assert marked(page, "chosen") == [4]
    of_stretch = weights[4:24].mean(0)
    assert_shaded_by(page, torch.cat([of_stretch[:4], of_stretch[4:24].sum()[None], of_stretch[24:]]))


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    vocabulary = ["the", "of", "river", "mountain", "walked", "quietly", "light", "stone"]
    words = [f"{vocabulary[place * 7 % 8]}{'.' if place % 17 == 0 else ''}" for place in range(3200)]
    words[2400] = "needle"
    seen = recorded(len(words), layers=1, want=("map", "received", "entropy", "rows"))
    report = regard.report(seen, words, head=0, pins=[2000])
    return seen.sites[0].rows([2000])[0, 0, 0], report.save(tmp_path_factory.mktemp("long") / "long.html")


def test_a_long_text_stands_on_the_page_as_far_as_it_is_in_sight(long, opened):
    _, path = long
    page = opened(path, "#view=text")
    assert 100 < page.locator(".word").count() < 1500
    assert page.text_content(".exactness").startswith("Shading in cells of ")
    page.fill("#find-a", "NEEDLE")
    page.wait_for_selector("[data-unit='2400'][data-mark=found]")
    assert page.text_content(".find .count") == "1 of 1"
    page.press("#find-a", "Enter")
    page.wait_for_selector("[data-unit='2400'][data-mark=chosen]")
    page.fill("#find-a", "of river")
    assert page.text_content(".find .count") == "none"
    strip = page.locator(".strip")
    height = strip.bounding_box()["height"]
    strip.click(position={"x": 5, "y": 0.5 * height})
    page.wait_for_selector("[data-unit='1600']")
    strip.click(position={"x": 5, "y": height - 1})
    page.wait_for_selector("[data-unit='3199']")


def test_exact_rows_of_a_long_text_are_at_hand_and_lead_to_the_strongest_words(long, opened):
    weights, path = long
    page = opened(path, "#view=text&scale=linear&reach=largest")
    page.click("[data-exact='2000']")
    page.wait_for_selector("[data-unit='2000'][data-mark=chosen]")
    assert page.text_content(".exactness").startswith("Every weight is exact.")
    for number in weights.argsort(descending=True)[:3].tolist():
        page.click("#strongest-a-next")
        page.wait_for_selector(f"[data-unit='{number}'][data-mark=met]")
        assert percents(page) == near(weights[number])


def test_hostile_and_odd_words_are_shown_as_they_are(tmp_path, opened):
    words = ["<img src=x onerror=alert(1)>", "</script>", "עברית", "🐈‍⬛", "\u200b", "\u202eevil", "", "x" * 300]
    page = opened(regard.report(recorded(len(words)), words).save(tmp_path / "a.html"), VIEW)
    shown = [each.text_content() for each in page.locator(".word").all()]
    assert shown == [*words[:4], "U+200B", words[5], "∅", words[7]]
    assert page.evaluate("document.querySelector('.box').scrollWidth <= document.querySelector('.box').clientWidth")


def test_texts_from_right_to_left_are_walked_through_as_they_are_read(tmp_path, opened):
    words = ["שלום", "עולם", "Python", "טוב"]
    page = opened(regard.report(recorded(len(words)), words).save(tmp_path / "a.html"), VIEW)
    assert word(page, 0).bounding_box()["x"] > word(page, 1).bounding_box()["x"]
    box = page.locator(".box")
    box.focus()
    box.press("Home")
    box.press("ArrowLeft")
    assert marked(page, "chosen") == [1]


def test_a_text_of_one_word(tmp_path, opened):
    page = opened(regard.report(recorded(1), ["one"]).save(tmp_path / "a.html"), VIEW)
    page.locator(".box").press("ArrowRight")
    assert marked(page, "chosen") == [0]
    assert percents(page) == [100]


def test_on_a_phone_nothing_is_cut_off_and_a_tap_pins(long, opened):
    page = opened(long[1], "#view=text", viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    view = page.locator(".text-view")
    assert view.evaluate("view => view.scrollWidth <= view.clientWidth")
    assert view.bounding_box()["x"] + view.bounding_box()["width"] <= 360
    word(page, 12).tap()
    page.wait_for_selector("[data-unit='12'][data-mark=chosen]")


def test_the_drawing_holds_the_text_and_its_shades(page, weights, tmp_path):
    word(page, 3).click()
    page.mouse.move(0, 0)
    with page.expect_download() as download:
        page.click("#save-svg")
    download.value.save_as(tmp_path / "a.svg")
    elements = list(ElementTree.parse(tmp_path / "a.svg").iter())
    texts = [re.sub("[\u2066-\u2069]", "", element.text) for element in elements if element.tag.endswith("text")]
    assert texts[-len(WORDS) :] == WORDS
    fills = [element.get("fill") for element in elements if element.tag.endswith("rect")]
    shown = page.evaluate("[...document.querySelectorAll('.word')].map(word => word.style.background)")
    assert [fill for fill in shown if fill] == [
        fill.replace(" ", ", ") for fill in fills if fill.replace(" ", ", ") in shown
    ]
