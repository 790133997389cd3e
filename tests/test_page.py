"""The page in a real browser: it opens from disk, asks for nothing, and hover shows the record's numbers."""

import re
import shutil

import pytest
import torch
from torch.nn import functional as F

import regard

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (Debian: apt-get install chromium)"),
]

WORDS = ["<img src=x onerror=alert(1)>", "</script>", "it's", "עברית", "🐈‍⬛", "a\u200bb", "日本"]


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
    quiet += ["--disable-background-networking", "--disable-component-update"]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=quiet)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser):
    """Open a saved page; at the end, nothing may have been asked for, said or thrown."""
    pages = []

    def open_page(path, **options):
        page, noise = browser.new_page(**options), []
        page.on("request", lambda request: noise.append(request.url) if request.url != path.as_uri() else None)
        page.on("console", lambda message: noise.append(message.text))
        page.on("pageerror", lambda error: noise.append(str(error)))
        page.on("dialog", lambda dialog: noise.append(dialog.message))
        page.goto(path.as_uri())
        page.wait_for_selector("#grid button[aria-pressed=true]")
        pages.append((page, noise))
        return page

    yield open_page
    for page, noise in pages:
        page.close()
        assert not noise


@pytest.fixture
def seen():
    with regard.watch() as seen:
        for seed in range(2):
            generator = torch.Generator().manual_seed(seed)
            F.scaled_dot_product_attention(*torch.randn(3, 1, 2, len(WORDS), 8, generator=generator))
    return seen


def percents(text):
    return [float(number) for number in re.findall(r"([\d.]+) %", text)]


def test_hovering_a_word_shows_where_it_attends_and_who_attends_to_it(seen, tmp_path, opened):
    page = opened(regard.report(seen, WORDS, layer=1, head=0).save(tmp_path / "a.html"))
    weights = seen.sites[1].weights()[0, 0]
    for index in range(len(WORDS)):
        page.hover(f"#queries span:nth-of-type({index + 1})")
        expected = weights[index].sort(descending=True).values[:6]
        assert percents(page.text_content("#says")) == pytest.approx((100 * expected).tolist(), abs=0.45)
        page.hover(f"#keys span:nth-of-type({index + 1})")
        expected = weights[:, index].sort(descending=True).values[:6]
        assert percents(page.text_content("#says")) == pytest.approx((100 * expected).tolist(), abs=0.45)


def test_pointing_at_the_map_shows_the_weight_of_its_cell(seen, tmp_path, opened):
    page = opened(regard.report(seen, WORDS, layer=0, head=1).save(tmp_path / "a.html"))
    page.hover("#map", position={"x": 110 + 22 * 3 + 11, "y": 110 + 22 * 5 + 11})
    weight = float(seen.sites[0].weights()[0, 1, 5, 3])
    assert percents(page.text_content("#says")) == pytest.approx([100 * weight], abs=0.45)
    assert WORDS[3] in page.text_content("#says")


def test_a_click_chooses_a_head(seen, tmp_path, opened):
    page = opened(regard.report(seen, WORDS, layer=0, head=0).save(tmp_path / "a.html"))
    page.click("#grid button[data-at='1,1']")
    page.wait_for_selector("#grid button[data-at='1,1'][aria-pressed=true]")
    assert page.text_content("#head").startswith("Layer 1, head 1")
    page.hover("#queries span:nth-of-type(1)")
    expected = seen.sites[1].weights()[0, 1, 0].max()
    assert percents(page.text_content("#says"))[0] == pytest.approx(100 * float(expected), abs=0.45)


def test_text_is_shown_as_text(seen, tmp_path, opened):
    page = opened(regard.report(seen, WORDS, title=WORDS[0]).save(tmp_path / "a.html"))
    assert page.locator("#queries span").all_text_contents() == WORDS
    assert page.locator("img").count() == 0
    assert page.title() == WORDS[0]


@pytest.mark.parametrize(("scheme", "bright"), [("light", True), ("dark", False)])
def test_the_page_follows_the_readers_colours(seen, tmp_path, opened, scheme, bright):
    page = opened(regard.report(seen, WORDS).save(tmp_path / "a.html"), color_scheme=scheme)
    red = int(re.findall(r"\d+", page.evaluate("getComputedStyle(document.body).backgroundColor"))[0])
    assert (red > 128) == bright


def test_cross_attention_has_its_own_words(tmp_path, opened):
    class Decoder(torch.nn.Module):
        is_cross_attention = True

        def forward(self, query, key):
            return F.scaled_dot_product_attention(query, key, key)

    model = Decoder()
    with regard.watch(model) as seen:
        model(torch.randn(1, 1, 3, 4), torch.randn(1, 1, 5, 4))
    report = regard.report(seen, ["ein", "Hund", "läuft", "schnell", "."], target=["a", "dog", "runs"])
    page = opened(report.save(tmp_path / "a.html"))
    assert page.locator("#queries span").all_text_contents() == ["a", "dog", "runs"]
    assert page.locator("#keys span").count() == 5
    page.hover("#queries span:nth-of-type(2)")
    assert page.text_content("#says").startswith("dog attends to:")


def test_five_hundred_words_open_and_answer(tmp_path, opened):
    with regard.watch() as seen:
        F.scaled_dot_product_attention(*torch.randn(3, 1, 12, 500, 32, generator=torch.Generator().manual_seed(0)))
    page = opened(regard.report(seen, [f"w{i}" for i in range(500)]).save(tmp_path / "a.html"))
    page.hover("#queries span:nth-of-type(3)")
    assert page.text_content("#says").startswith("w2 attends to:")
