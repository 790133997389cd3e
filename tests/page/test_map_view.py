"""The map: what pointing says is the record's weight, at every size; the map zooms, pins, walks and is drawn."""

import re

import numpy as np
import pytest
import torch
from matplotlib import colormaps
from torch import nn

import regard
from tests.page.waiting import wait_until

TOKENS = ["[CLS]", "The", "un", "##break", "##able", "vase", "did", "not", "fall", "apart", ".", "[SEP]"]
WORDS = ["[CLS]", "The", "unbreakable", "vase", "did", "not", "fall", "apart", ".", "[SEP]"]
LONG, PINNED, STRONG = 4_600, 1_700, (3_100, 850)
EVERYTHING = ("entropy", "received", "received_max", "distance", "first", "map", "rows")


class Calls(nn.Module):
    """Attention on tensors as they are."""

    def __init__(self, cross):
        super().__init__()
        self.is_cross_attention = cross

    def forward(self, query, key, value):
        return nn.functional.scaled_dot_product_attention(query, key, value)


def seen_of(query, key, **options):
    model = Calls(cross=query.shape[2] != key.shape[2])
    with torch.no_grad(), regard.watch(model, **options) as seen:
        model(query, key, key)
    return seen


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def seen():
    return seen_of(normal(1, 2, 12, 4) * 2, normal(1, 2, 12, 4, seed=1))


@pytest.fixture(scope="module")
def weights(seen):
    return seen.sites[0].weights()[0, 0].numpy()


@pytest.fixture(scope="module")
def short(seen, tmp_path_factory):
    words = regard.words(TOKENS)
    return regard.report(seen, words, layer=0, head=0).save(tmp_path_factory.mktemp("map") / "short.html")


@pytest.fixture(scope="module")
def long_seen():
    """Neighbours attend to each other a little, one query to one key a lot."""
    turns = torch.arange(LONG)[:, None] / LONG * torch.tensor([6.3, 44.0, 251.0])
    places = torch.cat([turns.cos(), turns.sin(), torch.zeros(LONG, 1)], dim=-1)
    query, key = places.clone(), places.clone()
    query[STRONG[0], -1], key[STRONG[1], -1] = 6, 6
    return seen_of(query[None, None], key[None, None], want=EVERYTHING)


@pytest.fixture(scope="module")
def long_weights(long_seen):
    return long_seen.sites[0].weights()[0, 0].numpy()


@pytest.fixture(scope="module")
def long(long_seen, tmp_path_factory):
    report = regard.report(long_seen, [f"w{place}" for place in range(LONG)], pins=[PINNED])
    return report.save(tmp_path_factory.mktemp("map") / "long.html")


@pytest.fixture
def shown(opened):
    """Open the map of a saved page in a window that holds all of it."""

    def show(path, address="", **options):
        page = opened(path, f"#view=map{address}", **{"viewport": {"width": 1280, "height": 1000}, **options})
        page.wait_for_selector("#map-a[data-plot]")
        return page

    return show


def numbers(page, name):
    settled(page)
    return [float(number) for number in page.get_attribute("#map-a", f"data-{name}").split()]


def place(page, query, key):
    """Where a place of the map stands on the screen; both in units, 0.5 the middle of the first."""
    box = page.locator("#map-a").bounding_box()
    left, top, width, height = numbers(page, "plot")
    first_query, last_query, first_key, last_key = numbers(page, "seen")
    x = left + (key - first_key) / (last_key - first_key) * width
    y = top + (query - first_query) / (last_query - first_query) * height
    return box["x"] + x, box["y"] + y


def settled(page):
    """Wait until what was pointed at is drawn and told."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def hovered(page, query, key):
    page.mouse.move(*place(page, query + 0.5, key + 0.5))
    settled(page)
    return page.inner_text("#says")


def zoomed_to(page, query, key, until):
    """Turn the wheel over a place until so many queries are seen."""
    for _ in range(60):
        first, last = numbers(page, "seen")[:2]
        if last - first <= until:
            page.wait_for_timeout(200)
            return
        page.mouse.move(*place(page, query, key))
        page.mouse.wheel(0, -240)
        settled(page)
    raise AssertionError("the wheel does not zoom")


def until(page, *parts, without=()):
    """Wait until the address holds these parts."""
    for _ in range(100):
        address = page.evaluate("location.hash")
        if all(part in address for part in parts) and not any(part in address for part in without):
            return
        page.wait_for_timeout(20)
    raise AssertionError(f"the address is {address}")


def percent(weight):
    return f"{100 * weight:.1f} %"


def told(text):
    """The share that a sentence tells."""
    return float(re.search(r"(\d+\.\d) %", text)[1]) / 100


def pixel(page, query, key):
    x, y = place(page, query + 0.5, key + 0.5)
    box = page.locator("#map-a").bounding_box()
    read = """([x, y]) => {
      const copy = document.createElement('canvas').getContext('2d');
      copy.drawImage(document.querySelector('#map-a'), -x, -y);
      return [...copy.getImageData(0, 0, 1, 1).data];
    }"""
    return page.evaluate(read, [int(x - box["x"]), int(y - box["y"])])[:3]


def test_pointing_says_the_weight_between_tokens(shown, short, weights):
    page = shown(short, "&unit=tokens")
    for query, key in [(0, 0), (3, 7), (11, 2), (5, 11)]:
        says = hovered(page, query, key)
        assert percent(weights[query, key]) in says
        assert f"{TOKENS[query].strip('#')} → {TOKENS[key].strip('#')}" in says


def test_between_words_the_weights_of_a_key_add_up_and_those_of_a_query_are_averaged(shown, short, weights):
    page = shown(short)
    whole = [range(start, stop) for start, stop in [(0, 1), (1, 2), (2, 5), *((k, k + 1) for k in range(5, 12))]]
    for query, key in [(2, 2), (2, 8), (7, 2), (9, 0)]:
        expected = weights[np.ix_(whole[query], whole[key])].sum(axis=1).mean()
        says = hovered(page, query, key)
        assert percent(expected) in says
        assert f"{WORDS[query]} → {WORDS[key]}" in says


@pytest.mark.parametrize(("scale", "curve"), [("linear", float), ("root", np.sqrt)])
def test_a_cell_has_the_colour_of_its_weight(shown, short, weights, scale, curve):
    page = shown(short, f"&unit=tokens&palette=viridis&scale={scale}&reach=one")
    for query, key in [(0, 1), (4, 4), (10, 3)]:
        step = round(255 * curve(weights[query, key]))
        expected = np.array(colormaps["viridis"].colors[step]) * 255
        assert np.abs(np.array(pixel(page, query, key)) - expected).max() <= 1


def test_colours_run_to_the_largest_weight_unless_asked_to_reach_one(shown, short, weights):
    page = shown(short, "&unit=tokens&palette=viridis")
    query, key = np.unravel_index(weights.argmax(), weights.shape)
    assert np.abs(np.array(pixel(page, query, key)) - np.array(colormaps["viridis"].colors[255]) * 255).max() <= 1


def test_hidden_sinks_take_no_weight(shown, short, weights):
    page = shown(short, "&unit=tokens&hide=true")
    assert ": 0 %" in hovered(page, 4, 0)
    assert percent(weights[4, 5]) in hovered(page, 4, 5)


def test_names_select_one_side(shown, short):
    page = shown(short)
    left, top, *_ = numbers(page, "plot")
    box = page.locator("#map-a").bounding_box()
    page.mouse.move(box["x"] + left - 20, place(page, 3.5, 0)[1])
    settled(page)
    assert page.inner_text("#says").startswith("vase attends to")
    page.mouse.move(place(page, 0, 6.5)[0] + 4, box["y"] + top - 12)
    settled(page)
    assert page.inner_text("#says").startswith("Who attends to fall")


def test_a_click_pins_and_lets_go_and_with_shift_spans(shown, short):
    page = shown(short, "&unit=tokens")
    page.mouse.click(*place(page, 3.5, 4.5))
    until(page, "queries=3-4", "keys=4-5")
    page.keyboard.down("Shift")
    page.mouse.click(*place(page, 6.5, 2.5))
    page.keyboard.up("Shift")
    until(page, "queries=3-7", "keys=2-5")
    page.mouse.click(*place(page, 0.5, 0.5))
    page.mouse.click(*place(page, 0.5, 0.5))
    until(page, without=["queries"])


def test_arrows_walk_enter_pins_and_escape_lets_go(shown, short, weights):
    page = shown(short, "&unit=tokens")
    page.focus("#map-a")
    for key in ["ArrowRight", "ArrowRight", "ArrowRight", "ArrowDown", "ArrowDown", "ArrowLeft"]:
        page.keyboard.press(key)
    assert f"un → The: {percent(weights[2, 1])}" in page.inner_text("#says")
    page.keyboard.press("Enter")
    until(page, "queries=2-3")
    page.keyboard.press("Shift+ArrowDown")
    assert page.inner_text("#says").startswith("[SEP] → The")
    page.keyboard.press("Escape")
    until(page, without=["queries"])


def test_keys_and_buttons_zoom_and_what_is_walked_to_comes_into_sight(shown, long):
    page = shown(long)
    assert numbers(page, "seen") == [0, LONG, 0, LONG]
    page.focus("#map-a")
    page.keyboard.press("ArrowRight")
    for _ in range(9):
        page.keyboard.press("+")
    first, last, *_ = numbers(page, "seen")
    assert last - first == pytest.approx(LONG / 1.6**9)
    assert first < 10
    for _ in range(3):
        page.keyboard.press("Shift+ArrowDown")
    assert numbers(page, "seen")[0] > first
    page.click(".map-fit")
    assert numbers(page, "seen") == [0, LONG, 0, LONG]
    page.click(".map-larger")
    assert numbers(page, "seen")[1] - numbers(page, "seen")[0] == pytest.approx(LONG / 1.6)
    page.click(".map-smaller")
    assert numbers(page, "seen") == pytest.approx([0, LONG, 0, LONG])


def test_dragging_moves_what_is_seen_with_the_pointer(shown, long):
    page = shown(long)
    zoomed_to(page, 2300, 2300, 500)
    start = place(page, 2300, 2300)
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(start[0] + 60, start[1] + 40, steps=4)
    page.mouse.up()
    assert place(page, 2300, 2300) == pytest.approx((start[0] + 60, start[1] + 40), abs=0.5)
    assert "queries" not in page.evaluate("location.hash")


def test_cells_say_about_what_their_weights_come_to(shown, long, long_weights):
    page = shown(long)
    rows, columns = map(int, numbers(page, "cells"))
    height, width = -(-LONG // rows), -(-LONG // columns)
    for row, column in [(3, 3), (12, 40), (STRONG[0] // height, STRONG[1] // width)]:
        part = long_weights[row * height : (row + 1) * height, column * width : (column + 1) * width]
        says = hovered(page, (row + 0.5) * height, (column + 0.5) * width)
        assert f"w{row * height} " in says
        assert "about" in says
        # Weights of cells stand on the page in a byte, as roots.
        assert told(says) ** 0.5 == pytest.approx(part.sum(axis=1).mean() ** 0.5, abs=0.012)


def test_single_weights_and_exact_rows_are_found_within_cells(shown, long, long_weights):
    page = shown(long, "&palette=viridis&reach=one")
    zoomed_to(page, STRONG[0] + 0.5, STRONG[1] + 0.5, 40)
    says = hovered(page, *STRONG)
    assert f"w{STRONG[0]} → w{STRONG[1]}: {percent(long_weights[STRONG])}" in says
    expected = np.array(colormaps["viridis"].colors[round(255 * np.sqrt(long_weights[STRONG]))]) * 255
    assert np.abs(np.array(pixel(page, *STRONG)) - expected).max() <= 1
    page.click(".map-fit")
    zoomed_to(page, PINNED + 0.5, PINNED + 0.5, 40)
    for key in [PINNED, PINNED + 4]:
        says = hovered(page, PINNED, key)
        assert f"w{PINNED} → w{key}: {percent(long_weights[PINNED, key])}".replace(" 0.0 %", " <0.1 %") in says
        assert "about" not in says


def test_a_single_strong_weight_is_seen_from_afar(shown, tmp_path):
    count, query, key = 1_500, 1_003, 411
    queries, keys = torch.zeros(1, 1, count, 4), torch.zeros(1, 1, count, 4)
    queries[..., query, 0], keys[..., key, 0] = 8, 8
    seen = seen_of(queries, keys)
    path = regard.report(seen, [f"w{place}" for place in range(count)]).save(tmp_path / "sparse.html")
    page = shown(path, "&pooling=max&palette=viridis")
    rows, _ = numbers(page, "cells")
    assert rows < count, "the map is drawn in cells of several words"
    found = page.evaluate(
        """() => {
          const canvas = document.querySelector('#map-a');
          const [left, top, width, height] = canvas.dataset.plot.split(' ').map(Number);
          const pixels = canvas.getContext('2d').getImageData(left, top, width, height).data;
          const found = [];
          for (let place = 0; place < width * height; place++)
            if (pixels[4 * place] > 200 && pixels[4 * place + 2] < 90)
              found.push([Math.floor(place / width) / height, (place % width) / width]);
          return found;
        }"""
    )
    assert found
    assert np.abs(np.array(found) * count - [query, key]).max() < 8


def test_differences_are_told_with_their_sign(shown, seen, weights, tmp_path):
    words = regard.words(TOKENS)
    path = regard.report(seen, words, layer=0, head=0).save(tmp_path / "difference.html")
    page = shown(path, "&unit=tokens&compare=difference&head=0.0.0.0&with=0.0.0.1")
    change = weights - seen.sites[0].weights()[0, 1].numpy()
    for query, key in [np.unravel_index(place, change.shape) for place in (change.argmax(), change.argmin())]:
        sign = "+" if change[query, key] > 0 else "\N{MINUS SIGN}"
        assert f"{sign}{percent(abs(change[query, key]))}" in hovered(page, query, key)
        red, _, blue = pixel(page, query, key)
        assert (red > blue) == (change[query, key] > 0)


def test_hostile_names_are_text(shown, tmp_path):
    names = ["</script><img src=x>", "שלום", "👩‍👩‍👧", "\u200b", "\u202eabc", "a" * 400, ""]
    seen = seen_of(normal(1, 1, 7, 4), normal(1, 1, 7, 4, seed=1))
    path = regard.report(seen, names).save(tmp_path / "hostile.html")
    page = shown(path)
    for place_of, name in enumerate(["</script><img src=x>", "שלום", "👩‍👩‍👧", "U+200B"]):
        assert name in hovered(page, place_of, 4)
    left, _, width, _ = numbers(page, "plot")
    assert left < 200
    assert left + width <= page.locator("#map-a").bounding_box()["width"]


@pytest.mark.parametrize(("queries", "keys"), [(1, 1), (3, 40), (40, 3)])
def test_maps_of_any_shape_are_pointed_at(shown, tmp_path, queries, keys):
    seen = seen_of(normal(1, 1, queries, 4), normal(1, 1, keys, 4, seed=1))
    path = regard.report(seen).save(tmp_path / "shape.html")
    page = shown(path)
    expected = seen.sites[0].weights()[0, 0, queries - 1, keys - 1].item()
    assert percent(expected) in hovered(page, queries - 1, keys - 1)


def test_on_a_phone_nothing_is_cut_off_and_a_tap_pins(shown, short, weights):
    page = shown(short, "&unit=tokens", viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.locator("#map-a").scroll_into_view_if_needed()
    page.touchscreen.tap(*place(page, 4.5, 5.5))
    until(page, "queries=4-5", "keys=5-6")
    assert percent(weights[4, 5]) in page.inner_text("#says")


def test_two_heads_beside_each_other_are_zoomed_together(shown, long_seen, tmp_path, short):
    page = shown(short, "&compare=beside&with=0.0.0.1")
    page.click("[data-pane=a] .map-larger")
    settled(page)
    assert page.get_attribute("#map-a", "data-seen") == page.get_attribute("#map-b", "data-seen")
    assert numbers(page, "seen")[1] - numbers(page, "seen")[0] < len(WORDS)


def test_a_saved_map_has_names_title_and_legend(shown, short):
    page = shown(short, "&queries=5-6&reach=one")
    with page.expect_download() as download:
        page.click("#save-svg")
    drawn = download.value.path().read_text(encoding="utf-8")
    assert [name for name in [*WORDS, "ayer 0, head 0", "100 %", "<image"] if name not in drawn] == []


def test_without_keys_a_sentence_says_so(opened, tmp_path):
    path = regard.report(seen_of(normal(1, 1, 3, 4), normal(1, 1, 0, 4))).save(tmp_path / "empty.html")
    assert "nothing to draw" in opened(path, "#view=map").inner_text("#view")


@pytest.mark.parametrize("view", ["map", "lines"])
def test_all_of_a_view_is_seen_above_the_status_line(tmp_path, opened, view):
    record = seen_of(normal(1, 2, 40, 8), normal(1, 2, 40, 8, seed=1))
    path = regard.report(record, [f"word{place}" for place in range(40)]).save(tmp_path / "a.html")
    page = opened(path, f"#view={view}&queries=3-4", viewport={"width": 1400, "height": 900})
    wait_until(
        page,
        "() => document.querySelector('main').getBoundingClientRect().bottom"
        " <= document.querySelector('#status').getBoundingClientRect().top",
    )


def test_no_difference_is_as_dark_as_a_dark_page(shown, short):
    page = shown(short, "&compare=difference&with=0.0.0.1&head=0.0.0.1&theme=dark")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert np.abs(np.array(pixel(page, 3, 7)) - ground).max() < 4
    assert max(ground) < 60
