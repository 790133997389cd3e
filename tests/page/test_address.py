"""The address: what is shown stands in it, and what stands in it is shown, junk aside."""

import pytest

import regard
from tests.page.attending import seen_of
from tests.page.waiting import wait_until

WORDS = ["The", "animal", "was", "too", "tired"]
# Some, so that a state is at rest in the address.
REST = 300


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    report = regard.report(seen_of(len(WORDS)), WORDS, title="address", layer=1, head=2)
    return report.save(tmp_path_factory.mktemp("address") / "address.html")


def shown(page):
    """Return what a reader sees of the state."""
    page.wait_for_selector(".pane[data-ready=true]")
    return {
        "heads": page.locator(".pane h2").all_text_contents(),
        "view": page.get_attribute("#view", "data-view"),
        "says": page.inner_text("#says"),
        "scale": page.input_value("#scale"),
        "hide": page.is_checked("#hide"),
    }


def fragment(page):
    return page.url.partition("#")[2]


def has_heading(page, text):
    wait_until(page, "text => document.querySelector('#head-a').textContent.startsWith(text)", arg=text)


def test_a_page_as_it_opens_has_nothing_in_its_address(opened, path):
    page = opened(path)
    page.wait_for_timeout(REST)
    assert fragment(page) == ""


def test_an_address_shows_what_it_was_taken_from(opened, path):
    page = opened(path, "#queries=1-2")
    page.select_option("#layer", "0")
    page.select_option("#scale", "log")
    page.check("#hide")
    page.check("#compare input[value=beside]", force=True)
    page.select_option("#with-head", "1")
    page.click("#tab-text")
    page.wait_for_selector(".pane[data-pane=b][data-ready=true]")
    page.wait_for_timeout(REST)
    seen = shown(page)
    assert "animal attends to" in seen["says"]
    assert shown(opened(path, f"#{fragment(page)}")) == seen


@pytest.mark.parametrize(
    "junk",
    [
        "head=9.9.9.9&view=nowhere&compare=perhaps&queries=7-3&keys=0-99&opacity=x",
        "%&==&%00=%ff&head",
        "sort=__proto__&colour=constructor&unit=<b>",
    ],
)
def test_junk_is_ignored(opened, path, junk):
    page = opened(path, f"#{junk}")
    assert shown(page) == shown(opened(path))
    page.wait_for_timeout(REST)
    assert fragment(page) == ""


def test_back_and_forward_go_through_heads_and_views(opened, path):
    page = opened(path)
    page.select_option("#layer", "0")
    has_heading(page, "Layer 0, head 2")
    page.wait_for_timeout(REST)
    page.click("#tab-text")
    page.wait_for_timeout(REST)
    page.select_option("#scale", "log")
    page.wait_for_timeout(REST)
    page.go_back()
    has_heading(page, "Layer 0, head 2")
    page.wait_for_selector("#view[data-view=map]")
    page.go_back()
    has_heading(page, "Layer 1, head 2")
    assert fragment(page) == ""
    page.go_forward()
    has_heading(page, "Layer 0, head 2")
    page.go_forward()
    page.wait_for_selector("#view[data-view=text]")
    assert page.input_value("#scale") == "log"


def test_an_address_written_by_hand_is_followed(opened, path):
    page = opened(path)
    page.evaluate("() => { location.hash = 'head=0.0.0.1&view=text' }")
    has_heading(page, "Layer 0, head 1")
    page.wait_for_selector("#view[data-view=text]")


def test_a_link_is_handed_out_where_there_is_no_clipboard(opened, path):
    page = opened(path)
    page.evaluate("() => Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.select_option("#head", "0")
    page.click("#copy-link")
    link = page.input_value("#link")
    assert link == f"{path.resolve().as_uri()}#head=0.0.1.0"
    assert page.evaluate("() => getSelection().toString()") == link
    page.keyboard.press("Tab")
    assert page.locator("#link").count() == 0


def test_within_a_notebook_a_link_is_what_stands_behind_the_address(browser, path, tmp_path):
    page, whole = browser.new_page(), path.read_text(encoding="utf-8")
    page.evaluate(
        """whole => {
            const frame = document.createElement("iframe");
            frame.sandbox = "allow-scripts allow-downloads";
            frame.srcdoc = whole;
            document.body.append(frame);
        }""",
        whole,
    )
    frame = page.frame_locator("iframe")
    frame.locator(".pane[data-ready=true]").wait_for()
    frame.locator("#head").select_option("0")
    frame.locator("#copy-link").click()
    assert frame.locator("#link").input_value() == "#head=0.0.1.0"
    with page.expect_download() as download:
        frame.locator("#save-svg").click()
    assert download.value.suggested_filename.endswith(".svg")
    page.close()


def test_settings_of_one_view_stand_in_the_address_too(opened, path):
    page = opened(path, "#view=curves&kind=nobody")
    chosen = page.locator("#statistic-a")
    name = chosen.locator("option").nth(2).inner_text()
    chosen.select_option(name)
    page.locator("#logarithmic-a").check()
    page.wait_for_timeout(REST)
    again = opened(path, f"#{fragment(page)}")
    assert again.locator("#statistic-a").input_value() == name
    assert again.locator("#logarithmic-a").is_checked()
    again.evaluate("location.hash = 'view=curves&statistic=nothing&logarithmic=maybe'")
    wait_until(again, "() => !document.querySelector('#logarithmic-a').checked")
    first = again.locator("#statistic-a option").first.inner_text()
    assert again.locator("#statistic-a").input_value() == first
