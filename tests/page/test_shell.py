"""What surrounds the views: title, options, tabs, keys, the line that tells, small screens, empty pages."""

import json
import re

import pytest

import regard
from tests.page.attending import HOSTILE, percent, seen_of, weights
from tests.page.waiting import wait_until

WORDS = ["[CLS]", "The", "animal", "was", "too", "tired", "."]
TITLE = "</title><script>alert(1)</script> & <b>title</b> \u202e"
PINNED = "#head=0.0.0.1&queries=2-3&keys=5-6"


@pytest.fixture(scope="module")
def seen():
    return seen_of(len(WORDS))


@pytest.fixture(scope="module")
def page_of_words(seen, tmp_path_factory):
    report = regard.report(seen, WORDS, title=TITLE, facts=["one fact", "<i>another</i>"], layer=1, head=2)
    return report.save(tmp_path_factory.mktemp("shell") / "shell.html")


def heading(page):
    return page.inner_text("#head-a")


def settled(page, text):
    wait_until(page, "text => document.querySelector('#head-a').textContent.startsWith(text)", arg=text)


def test_title_and_facts_are_text(opened, page_of_words):
    page = opened(page_of_words)
    assert page.text_content("#title") == TITLE
    assert page.title() == " ".join(TITLE.split())
    assert page.locator("#facts p").all_inner_texts() == ["one fact", "<i>another</i>"]
    assert page.locator("#page script, #title b, #facts i").count() == 0


def test_the_head_that_the_report_names_is_shown_and_others_can_be_chosen(opened, page_of_words):
    page = opened(page_of_words)
    assert heading(page).startswith("Layer 1, head 2")
    page.select_option("#layer", "0")
    settled(page, "Layer 0, head 2")
    page.select_option("#head", "1")
    settled(page, "Layer 0, head 1")
    assert page.get_attribute(".pane", "data-ready") == "true"


def test_what_is_pinned_is_told_with_the_weight_of_the_record(opened, page_of_words, seen):
    page = opened(page_of_words, PINNED)
    expected = f"animal → tired: {percent(weights(seen, 0, 1)[2, 5])}"
    assert page.inner_text("#says") == expected
    wait_until(page, "text => document.querySelector('#announced').textContent === text", arg=expected)
    page.click("#let-go")
    assert "Point at" in page.inner_text("#says")
    assert page.locator("#let-go").count() == 0


def test_of_a_query_the_strongest_keys_are_told(opened, page_of_words, seen):
    page = opened(page_of_words, "#head=0.0.0.1&queries=2-3")
    row = weights(seen, 0, 1)[2]
    strongest = sorted(range(len(WORDS)), key=lambda key: -row[key])[:6]
    named = ", ".join(f"{WORDS[key]} {percent(row[key])}" for key in strongest)
    assert page.inner_text("#says") == f"animal attends to: {named}"


def test_tabs_go_by_arrow_keys(opened, page_of_words):
    page = opened(page_of_words)
    names = page.locator("[role=tab]").evaluate_all("tabs => tabs.map(tab => tab.id.slice(4))")
    assert names[0] == "map"
    assert len(names) > 3
    page.focus("#tab-map")
    for key, name in [
        ("ArrowRight", names[1]),
        ("End", names[-1]),
        ("ArrowRight", names[0]),
        ("ArrowLeft", names[-1]),
    ]:
        page.keyboard.press(key)
        assert page.get_attribute("#view", "data-view") == name
        assert page.evaluate("document.activeElement.id") == f"tab-{name}"
        assert page.locator("[role=tab][tabindex='0']").count() == 1
        assert page.get_attribute(f"#tab-{name}", "aria-selected") == "true"


def test_keys_do_what_options_do(opened, page_of_words):
    page = opened(page_of_words)
    for key, shown in [("[", "Layer 0, head 2"), (",", "Layer 0, head 1"), ("]", "Layer 1, head 1")]:
        page.keyboard.press(key)
        settled(page, shown)
    page.keyboard.press("]")
    assert heading(page).startswith("Layer 1, head 1")
    for key, option, value in [("m", "#pooling", "max"), ("l", "#scale", "log")]:
        page.keyboard.press(key)
        assert page.input_value(option) == value
    page.keyboard.press("h")
    assert page.is_checked("#hide")
    page.keyboard.press("2")
    assert page.get_attribute("#view", "data-view") == "text"
    page.keyboard.press("c")
    assert page.locator(".pane").count() == 2
    page.keyboard.press("Control+c")
    assert page.locator(".pane").count() == 2


def test_keys_rest_while_a_field_is_written_in(opened, page_of_words):
    page = opened(page_of_words)
    page.focus("#scale")
    page.keyboard.press("h")
    assert not page.is_checked("#hide")


def test_help_lists_keys_and_lets_them_be_switched_off(opened, page_of_words):
    page = opened(page_of_words)
    page.keyboard.press("?")
    dialog = page.locator("#help")
    assert dialog.is_visible()
    assert "previous layer" in dialog.inner_text()
    page.keyboard.press("h")
    page.uncheck("#listening")
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    page.keyboard.press("h")
    assert not page.is_checked("#hide")


def test_escape_lets_go(opened, page_of_words):
    page = opened(page_of_words, PINNED)
    page.keyboard.press("Escape")
    assert "Point at" in page.inner_text("#says")


def test_licences_of_others_stand_in_the_page(opened, page_of_words):
    page = opened(page_of_words)
    page.click("#show-help")
    page.click("#whose summary")
    text = page.inner_text("#whose pre")
    for name in ["preact ", "@preact/signals ", "d3-zoom ", "@tanstack/virtual-core "]:
        assert re.search(rf"^{name}\d.*Copyright", text, re.MULTILINE)
    assert "WITHOUT WARRANTY OF ANY KIND" in text


def test_hidden_sinks_take_nothing(opened, page_of_words):
    page = opened(page_of_words, "#queries=2-3&keys=0-1&hide=true")
    assert page.inner_text("#says") == "animal → [CLS]: 0 %"


@pytest.mark.parametrize("width", [360, 800])
def test_nothing_scrolls_sideways(opened, page_of_words, width):
    page = opened(page_of_words, viewport={"width": width, "height": 700}, has_touch=width == 360)
    assert page.get_attribute("#heads", "open") is None
    for tab in page.locator("[role=tab]").all():
        tab.click()
        assert page.evaluate("document.documentElement.scrollWidth") == width
    page.click("#more")
    page.check("input[value=beside]", force=True)
    page.click("#heads summary")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    status = page.locator("#status").bounding_box()
    assert status["y"] + status["height"] <= 701


def test_seldom_options_stand_behind_a_button(opened, page_of_words):
    page = opened(page_of_words)
    assert not page.is_visible("#theme")
    page.click("#more")
    page.select_option("#theme", "dark")
    wait_until(page, "getComputedStyle(document.body).backgroundColor === 'rgb(21, 22, 26)'")


def test_hostile_words_are_words(opened, tmp_path):
    report = regard.report(seen_of(len(HOSTILE)), HOSTILE, title="hostile")
    page = opened(report.save(tmp_path / "hostile.html"), "#queries=2-3&keys=3-4")
    says = page.inner_text("#says")
    assert says.startswith(f"\u2068{HOSTILE[2]}\u2069 → \u2068evil\u2069: ")
    for tab in page.locator("[role=tab]").all():
        tab.click()
        assert page.locator("#view script, #view img[src=x]").count() == 0


def test_a_text_without_keys_says_so(opened, tmp_path):
    report = regard.report(seen_of(2, keys=0), regard.words([]), target=regard.words(["a", "b"]), title="none")
    page = opened(report.save(tmp_path / "none.html"))
    assert "nothing to draw" in page.inner_text("#view")


@pytest.mark.parametrize(
    ("is_lost", "said"),
    [
        (lambda array, shown: array == shown, "This head cannot be read: array {} is missing"),
        (lambda array, shown: True, "This page cannot be shown: array"),
    ],
)
def test_a_page_that_was_cut_off_says_so(browser, page_of_words, tmp_path, is_lost, said):
    whole = page_of_words.read_text(encoding="utf-8")
    index = json.loads(re.search(r'id="index">(.*?)</script>', whole, re.DOTALL)[1])
    shown = index["runs"][0]["groups"][0]["layers"][1]["heads"][2]["map"]["high"]
    arrays = re.compile(r'(id="array-(\d+)">)([^<]*)')
    path = tmp_path / "cut.html"
    path.write_text(
        arrays.sub(lambda found: found[1] + ("" if is_lost(int(found[2]), shown) else found[3]), whole),
        encoding="utf-8",
    )
    page = browser.new_page()
    page.goto(path.as_uri())
    wait_until(page, "said => document.body.innerText.includes(said)", arg=said.format(shown))
    page.close()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda page: page.replace('"version":1', '"version":2', 1), "got 2: save it again"),
        (lambda page: page.replace('"version":1', '"version":', 1), "its report cannot be read"),
        (lambda page: page.replace('id="array-0">', 'id="array-0">AAAA', 1), "array 0 is damaged"),
        (lambda page: page.partition('<script type="application/json"')[0], "it holds no report"),
        (lambda page: page[: page.index('id="program">') + 99], "was not saved to its end"),
    ],
)
def test_a_page_that_is_damaged_says_so(browser, page_of_words, tmp_path, change, said):
    path = tmp_path / "damaged.html"
    path.write_text(change(page_of_words.read_text(encoding="utf-8")), encoding="utf-8")
    page = browser.new_page()
    page.goto(path.as_uri())
    wait_until(page, "said => document.body.innerText.includes(said)", arg=said)
    page.close()


def test_titles_of_any_length_leave_room_for_the_view(opened, tmp_path):
    report = regard.report(seen_of(3), list("abc"), title="W" * 10_000, facts=["fact " * 3_000])
    page = opened(report.beside(report).save(tmp_path / "long.html"))
    assert page.locator("header").bounding_box()["height"] < 0.6 * page.viewport_size["height"]
    assert all(each.bounding_box()["height"] < 90 for each in page.locator("h2:visible").all())


def test_what_is_chosen_stands_out_in_forced_colours(opened, page_of_words):
    page = opened(page_of_words, forced_colors="active")
    page.click("#tab-text")
    back = "all => all.map(each => getComputedStyle(each).backgroundColor)"
    for several, one in (
        ("[role=tab]", "[role=tab][aria-selected=true]"),
        (".segments span", ".segments :checked + span"),
        (".switch button", ".switch [aria-pressed=true]"),
    ):
        colours = page.eval_on_selector_all(several, back)
        assert colours.count(page.eval_on_selector_all(one, back)[0]) == 1, several


def test_a_browser_that_is_too_old_says_so(browser, page_of_words):
    page = browser.new_page()
    page.add_init_script("delete globalThis.DecompressionStream")
    page.goto(page_of_words.as_uri())
    wait_until(page, "document.body.innerText.includes('this browser is too old')")
    page.close()
