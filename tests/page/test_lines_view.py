"""The lines: as wide as the record's weights, from either side, for several heads, at any length."""

import re
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

import regard
from tests.page.waiting import wait_until

WORDS = ["the", "old", "dog", "slept", "near", "a", "warm", "fire"]
HOSTILE = ["</script><b>x", "שלום", "🐕‍🦺", "\u200b", "", "a" * 300, "\u202eturned", "fire"]
LONG = 4_600
EVERYTHING = ("entropy", "received", "received_max", "distance", "first", "map", "rows")
ROW, TOP = 22, 26


@pytest.fixture(scope="module")
def seen():
    query, key = torch.randn(2, 1, 3, 8, 6, generator=torch.Generator().manual_seed(3))
    with regard.watch() as seen:
        F.scaled_dot_product_attention(1.5 * query, key, key)
    return seen


@pytest.fixture(scope="module")
def weights(seen):
    return seen.sites[0].weights()[0].double()


@pytest.fixture(scope="module")
def saved(seen, tmp_path_factory):
    return regard.report(seen, WORDS, layer=0, head=0).save(tmp_path_factory.mktemp("lines") / "a.html")


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """Query 4,000 attends to key 120 alone, all others to everything alike."""
    query, key = torch.zeros(2, 1, 1, LONG, 4).unbind()
    query[0, 0, 4_000], key[0, 0, 120] = 20, 20
    with regard.watch(want=EVERYTHING) as seen:
        F.scaled_dot_product_attention(query, key, key)
    words = [f"w{place}" for place in range(LONG)]
    return regard.report(seen, words, pins=["w4000"]).save(tmp_path_factory.mktemp("lines") / "long.html")


def point(page, side, row):
    column = page.locator(f"#lines-a-{side}")
    column.scroll_into_view_if_needed()
    box = column.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 3, box["y"] + (row + 0.5) * ROW)
    wait_until(page, "() => new Promise(done => requestAnimationFrame(() => done(true)))")


def said(page):
    return page.text_content("#says")


def address(page, part):
    """Wait until the address says something."""
    page.wait_for_url(lambda url: part in url)


# What is drawn, on a canvas that is made to be read.
COPIED = """
  const drawn = document.querySelector(".lines canvas");
  const canvas = Object.assign(document.createElement("canvas"), {width: drawn.width, height: drawn.height});
  const on = canvas.getContext("2d", {willReadFrequently: true});
  on.drawImage(drawn, 0, 0);
"""


def bars(page, color, rows):
    """Return how long the bars of a colour are that stand behind keys, along the lower edge of each row."""
    return page.evaluate(
        """([color, rows, row, top]) => {"""
        + COPIED
        + """
          const from = Math.round(canvas.width * 0.6);
          return Array.from({length: rows}, (_, place) => {
            const y = top + (place + 1) * row - 3;
            const {data} = on.getImageData(from, y, canvas.width - from, 1);
            let count = 0;
            for (let at = 0; at < data.length; at += 4)
              count += color.every((part, place) => Math.abs(data[at + place] - part) < 9);
            return count;
          });
        }""",
        [color, rows, ROW, TOP],
    )


def inked(page):
    """Return how many pixels are drawn in the middle, where only lines are."""
    return page.evaluate(
        "() => {"
        + COPIED
        + """
          const {data} = on.getImageData(canvas.width * 0.45, 0, 20, canvas.height);
          let count = 0;
          for (let at = 0; at < data.length; at += 4) count += data[at + 3] > 0;
          return count;
        }"""
    )


def test_bars_of_a_word_are_as_long_as_its_weights(opened, saved, weights):
    page = opened(saved, "#view=lines&scale=linear&theme=light&reach=largest")
    # The colour of the first head, 0.4 of it.
    blue = [0x00, 0x72, 0xB2, round(0.4 * 255)]
    for word in range(3):
        point(page, "queries", word)
        assert said(page).startswith(f"{WORDS[word]} attends to")
        lengths = torch.tensor(bars(page, blue, len(WORDS)), dtype=torch.float64)
        row = weights[0, word]
        large = row > 0.25 * weights[0].max()
        share = lengths[large] / row[large]
        # Letters that reach below their line hide a few pixels.
        assert large.any()
        assert share.max() / share.min() < 1.35


def test_both_sides_answer(opened, saved, weights):
    page = opened(saved, "#view=lines")
    point(page, "keys", 2)
    best = weights[0, :, 2].argmax()
    assert said(page).startswith("Who attends to dog")
    assert f"{WORDS[best]} {100 * weights[0, best, 2]:.1f} %" in said(page)
    page.mouse.move(2, 2)
    wait_until(page, "() => !document.querySelector('#says').textContent.includes('dog')")


def test_fewer_lines_from_larger_weights(opened, saved):
    page = opened(saved, "#view=lines&theme=light")
    slider = page.locator("#lines-least-a")
    counts = []
    for step in (0, 6, 14):
        slider.fill(str(step))
        wait_until(page, "() => new Promise(done => requestAnimationFrame(() => done(true)))")
        counts.append(inked(page))
    assert all(more > fewer for more, fewer in pairwise(counts))
    assert counts[-1] == 0
    address(page, "least=0.9")


def test_keys_walk_pin_and_let_go(opened, saved, weights):
    page = opened(saved, "#view=lines")
    page.focus("#lines-a-queries")
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    best = weights[0, 2].argmax()
    assert said(page).startswith(f"dog attends to: {WORDS[best]} {100 * weights[0, 2, best]:.1f} %")
    assert page.text_content("#lines-a-queries [role=option]") == "dog"
    page.keyboard.press("Enter")
    address(page, "queries=2-3")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.id") == "lines-a-keys"
    page.keyboard.press("End")
    assert said(page).startswith("Who attends to fire")
    page.keyboard.press("Escape")
    page.wait_for_url(lambda url: "queries" not in url)
    assert "dog" not in said(page)


def names(heads):
    return [head.get_attribute("data-head") for head in heads.all()]


def test_heads_are_added_and_removed(opened, saved):
    page = opened(saved, "#view=lines&theme=light")
    heads = page.locator(".lines-legend li")
    assert heads.count() == 1
    alone = inked(page)
    page.select_option("#lines-add", "1")
    page.select_option("#lines-add", "2")
    assert names(heads) == ["0.0", "0.1", "0.2"]
    wait_until(page, "() => new Promise(done => requestAnimationFrame(() => done(true)))")
    assert inked(page) > alone
    page.click("[data-head='0.1'] button")
    assert names(heads) == ["0.0", "0.2"]
    address(page, "together=0.0.0.2")


def test_a_difference_is_of_one_colour_each_way(opened, saved, weights):
    page = opened(saved, "#view=lines&compare=difference&with=0.0.0.1")
    assert page.locator(".lines-legend").count() == 0
    point(page, "queries", 1)
    difference = weights[0, 1] - weights[1, 1]
    best = difference.abs().argmax()
    sign = "+" if difference[best] > 0 else "\N{MINUS SIGN}"
    assert f"{WORDS[best]} {sign}{100 * difference[best].abs():.1f} %" in said(page)


def test_long_texts_scroll_and_say_where_links_lead(opened, long):
    page = opened(long, "#view=lines")
    assert page.locator("#lines-a-queries").bounding_box()["height"] < 700
    page.click(".lines-go:has-text('w4000')")
    wait_until(page, "() => document.querySelector('#lines-a-queries').scrollTop > 80000")
    assert page.locator("#lines-a-keys").evaluate("each => each.scrollTop") < 4_000
    assert re.match(r"w4000 attends to: w120 100\.0 %", said(page))
    page.locator("#lines-a-keys").evaluate("each => { each.scrollTop = 60000 }")
    page.click(".lines-go:has-text('w120')")
    wait_until(page, "() => document.querySelector('#lines-a-keys').scrollTop < 4000")
    page.check("#lines-linked-a")
    page.locator("#lines-a-queries").evaluate("each => { each.scrollTop = 22000 }")
    wait_until(page, "() => Math.abs(document.querySelector('#lines-a-keys').scrollTop - 22000) < 2")
    point(page, "queries", 3)
    assert said(page).startswith("w1003 attends to")


def test_any_words_are_drawn_and_saved(seen, tmp_path, opened):
    page = opened(regard.report(seen, HOSTILE).save(tmp_path / "a.html"), "#view=lines&theme=light")
    point(page, "queries", 0)
    assert said(page).startswith("</script><b>x attends to")
    with page.expect_download() as download:
        page.click("#save-svg")
    drawn = download.value.path().read_text(encoding="utf-8")
    assert "&lt;/script&gt;&lt;b&gt;x" in drawn
    assert "U+200B" in drawn
    assert "<b>" not in drawn
    assert drawn.count("<path") > 8


def test_phones_show_both_columns(opened, saved):
    page = opened(saved, "#view=lines", viewport={"width": 360, "height": 700}, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.locator("#lines-a-keys").tap(position={"x": 100, "y": 2.5 * ROW})
    address(page, "keys=2-3")
    assert said(page).startswith("Who attends to dog")
