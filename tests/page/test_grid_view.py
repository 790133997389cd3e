"""The grid of heads: thumbnails show the weights, and clicks, keys, order, colours and kinds do what they say."""

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

import regard
from tests.page.waiting import wait_until

WORDS = ["<b>the</b>", "</script>", "cat", "עברית", "sat", "🐈‍⬛", "on"]
LAYERS, HEADS = 3, 4


def watched(seed=0, layers=LAYERS, heads=HEADS, count=7):
    with regard.watch() as seen:
        for layer in range(layers):
            generator = torch.Generator().manual_seed(100 * seed + layer)
            F.scaled_dot_product_attention(*torch.randn(3, 1, heads, count, 8, generator=generator).mul(1.5))
    return seen


@pytest.fixture(scope="module")
def seen():
    return watched()


@pytest.fixture
def page(seen, tmp_path, opened):
    return opened(
        regard.report(seen, WORDS, layer=1, head=2).save(tmp_path / "a.html"), "#palette=greys&scale=linear"
    )


def at(layer, head, side="a"):
    return f'[data-side={side}] [data-at="{layer},{head}"]'


def chosen(page, side="a"):
    return page.eval_on_selector_all(
        f"[data-side={side}] [data-at][aria-pressed=true]", "all => all.map(each => each.dataset.at)"
    )


def marked(page, mark):
    return page.eval_on_selector_all(f"[data-mark={mark}]", "all => all.map(each => each.dataset.at)")


def brightness(page):
    """How bright the pixels of each head are, as they are drawn below its button."""
    shown = page.evaluate(
        """async () => {
            for (let frame = 0; frame < 2; frame++) await new Promise(requestAnimationFrame);
            const canvas = document.querySelector('[data-side=a] canvas');
            const all = canvas.getBoundingClientRect();
            const heads = Array.from(document.querySelectorAll('[data-side=a] [data-at]'), head => {
                const own = head.getBoundingClientRect();
                return [head.dataset.at, [own.x - all.x, own.y - all.y, own.width, own.height].map(Math.round)];
            });
            return {heads, image: canvas.toDataURL()};
        }"""
    )
    image = Image.open(io.BytesIO(base64.b64decode(shown["image"].partition(",")[2]))).convert("RGB")
    pixels = np.asarray(image).astype(float).mean(-1)
    return {
        tuple(map(int, name.split(","))): pixels[y : y + height, x : x + width]
        for name, (x, y, width, height) in shown["heads"]
    }


def test_thumbnails_are_darker_where_weights_are_larger(page, seen):
    heads = brightness(page)
    for layer, head in [(0, 0), (2, 3)]:
        weights = seen.sites[layer].weights()[0, head].numpy()
        shown = heads[layer, head]
        side, margin = shown.shape[1] - 6, 3
        middles = (margin + (np.arange(len(WORDS)) + 0.5) * side / len(WORDS)).astype(int)
        order = np.argsort(weights.ravel())
        bright = shown[np.ix_(middles, middles)].ravel()[order]
        steps = np.diff(weights.ravel()[order])
        assert (np.diff(bright)[steps > 0.02] < 0).all()
        assert (np.diff(bright) <= 0).all()


def test_a_click_chooses_and_further_heads_are_drawn_together_or_compared(page):
    assert chosen(page) == ["1,2"]
    page.click(at(2, 1))
    assert chosen(page) == ["2,1"]
    assert "Layer 2, head 1" in page.inner_text("#head-a")
    page.click(at(0, 0), modifiers=["Shift"])
    page.click(at(0, 3), modifiers=["Control"])
    assert marked(page, "together") == ["0,0", "0,3"]
    page.click(at(0, 0), modifiers=["Shift"])
    assert marked(page, "together") == ["0,3"]
    page.click("#alone")
    assert marked(page, "together") == []
    page.click(at(1, 1), modifiers=["Alt"])
    assert (chosen(page), marked(page, "A"), marked(page, "B")) == (["2,1"], ["2,1"], ["1,1"])
    assert "Layer 1, head 1" in page.inner_text("#head-b")


def test_several_adds_heads_without_a_keyboard(page):
    page.check("#several")
    page.click(at(0, 1))
    assert (chosen(page), marked(page, "together")) == (["1,2"], ["0,1"])


def test_arrow_keys_walk_and_enter_chooses(page):
    page.focus(at(1, 2))
    for key in ("ArrowUp", "ArrowRight"):
        page.keyboard.press(key)
    assert page.evaluate("document.activeElement.dataset.at") == "0,3"
    assert chosen(page) == ["1,2"]
    page.keyboard.press("Enter")
    assert chosen(page) == ["0,3"]
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Shift+Enter")
    assert marked(page, "together") == ["1,3"]
    assert page.locator("[data-side=a] [data-at][tabindex='0']").count() == 1
    assert page.get_attribute(at(0, 3), "aria-label").startswith("layer 0, head 3: ")


def test_facts_of_the_head_that_is_pointed_at_are_the_records(page, seen):
    page.hover(at(2, 0))
    told = regard.head_kinds(seen.sites[2])[0]
    facts = page.locator("#head-facts")
    assert told.kind in facts.inner_text()
    for name in ("relative_entropy", "worth", "previous", "first", "entropy"):
        shown = facts.locator(f"[data-fact='{name.replace('_', ' ')}'] dd").inner_text()
        assert float(shown.split()[0]) == pytest.approx(getattr(told, name), abs=6e-4)
    assert facts.locator("[data-fact=entropy] dd").inner_text().endswith("nats")
    assert f"entropy: {told.entropy:.3f} nats" in page.get_attribute(at(2, 0), "title")


def test_sorting_puts_the_largest_first_and_stands_in_the_address(page, seen):
    page.select_option("#sort", "relative entropy")
    sizes = {
        f"{layer},{head.head}": head.relative_entropy
        for layer, site in enumerate(seen.sites)
        for head in regard.head_kinds(site)
    }
    boxes = {name: page.locator(f'[data-side=a] [data-at="{name}"]').bounding_box() for name in sizes}
    shown = sorted(boxes, key=lambda name: (boxes[name]["y"], boxes[name]["x"]))
    assert shown == sorted(sizes, key=lambda name: -sizes[name])
    assert chosen(page) == ["1,2"]
    page.wait_for_url(lambda url: "sort=relative" in url)


def test_colours_of_a_statistic_follow_it_and_have_a_legend(page, seen):
    page.select_option("#colour", "entropy")
    heads = brightness(page)
    entropies = [
        (head.entropy, heads[layer, head.head][1, 8])
        for layer, site in enumerate(seen.sites)
        for head in regard.head_kinds(site)
        if (layer, head.head) != (1, 2)
    ]
    bright = [each for _, each in sorted(entropies)]
    assert bright == sorted(bright, reverse=True)
    assert len(set(bright)) > 1
    largest = max(head.entropy for site in seen.sites for head in regard.head_kinds(site))
    assert page.inner_text("#colour-legend").split() == ["entropy", "0", f"{largest:.3f}".rstrip("0"), "nats"]


def darkest(page):
    return {place: pixels.min() for place, pixels in brightness(page).items()}


def test_a_kind_lets_the_others_fade(page, seen):
    kinds = {
        (layer, head.head): head.kind for layer, site in enumerate(seen.sites) for head in regard.head_kinds(site)
    }
    shown = {
        each.get_attribute("data-kind"): int(each.locator("span").inner_text())
        for each in page.locator("#kinds button").all()
    }
    assert shown == {kind: list(kinds.values()).count(kind) for kind in set(kinds.values())}
    before = darkest(page)
    kind = min(shown, key=lambda name: shown[name])
    page.click(f"#kinds [data-kind='{kind}']")
    after = darkest(page)
    for place, own in kinds.items():
        if place != (1, 2):
            assert (after[place] > before[place]) == (own != kind)
    page.click(f"#kinds [data-kind='{kind}']")
    assert darkest(page) == before


def test_two_runs_have_a_grid_each(seen, tmp_path, opened):
    report = regard.report(seen, WORDS, title="one").beside(regard.report(watched(7), WORDS, title="other"))
    page = opened(report.save(tmp_path / "a.html"), "#compare=beside&head=0.0.1.1&with=1.0.0.2")
    assert (chosen(page), chosen(page, "b")) == (["1,1"], ["0,2"])
    page.click(at(2, 2, "b"))
    assert (chosen(page), chosen(page, "b")) == (["1,1"], ["2,2"])
    assert "Layer 2, head 2" in page.inner_text("#head-b")


def test_kinds_are_counted_in_each_of_two_grids(seen, tmp_path, opened):
    other = watched(7)
    report = regard.report(seen, WORDS, title="one").beside(regard.report(other, WORDS, title="other"))
    page = opened(report.save(tmp_path / "a.html"))
    kinds = [[head.kind for site in each.sites for head in regard.head_kinds(site)] for each in (seen, other)]
    shown = {each.get_attribute("data-kind"): each.inner_text() for each in page.locator("#kinds button").all()}
    assert shown == {
        kind: f"{kind} {kinds[0].count(kind)} · {kinds[1].count(kind)}" for kind in {*kinds[0], *kinds[1]}
    }


def test_on_a_phone_the_grid_starts_at_the_left_where_the_chosen_head_is_seen_there(tmp_path, opened):
    path = regard.report(watched(heads=12), WORDS, layer=1, head=3).save(tmp_path / "a.html")
    page = opened(path, viewport={"width": 390, "height": 800})
    page.click("#heads > summary")
    page.wait_for_selector(at(1, 3))
    assert page.locator("[data-side=a]").evaluate("each => [each.scrollLeft, each.scrollWidth > 390]") == [0, True]


def test_a_grid_that_goes_breaks_nothing(seen, tmp_path, opened):
    report = regard.report(seen, WORDS, title="one").beside(regard.report(watched(7), WORDS, title="other"))
    page = opened(report.save(tmp_path / "a.html"))
    page.keyboard.press("c")
    page.keyboard.press("c")
    wait_until(page, "document.querySelectorAll('.heads-scroll').length === 1")
    page.evaluate("new Promise(painted => requestAnimationFrame(() => requestAnimationFrame(painted)))")


def test_many_heads_scroll_within_the_grid_and_the_chosen_one_is_seen(tmp_path, opened):
    seen = watched(layers=24, heads=32, count=5)
    path = regard.report(seen, layer=20, head=30).save(tmp_path / "a.html")
    page = opened(path, viewport={"width": 360, "height": 740})
    page.click("#heads > summary")
    page.wait_for_selector(at(20, 30))
    outer, own = (page.locator(each).bounding_box() for each in ("[data-side=a]", at(20, 30)))
    for start, size in (("x", "width"), ("y", "height")):
        assert outer[start] <= own[start]
        assert own[start] + own[size] <= outer[start] + outer[size] + 1
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.click(at(0, 0))
    assert chosen(page) == ["0,0"]
