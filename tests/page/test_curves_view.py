"""The curves: what is told at a head, a query and a key are the record's numbers, in words and tokens."""

import re

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import regard
from regard.reports.panels import Axis

WORDS = ["[CLS]", "<i>un", "עברית", "🐈‍⬛", "sat"]
GROUPS = (0, 1, 1, 2, 3, 3, 3, 4)


def watched(seed=0, count=8, layers=2):
    with regard.watch() as seen:
        for layer in range(layers):
            generator = torch.Generator().manual_seed(100 * seed + layer)
            F.scaled_dot_product_attention(*torch.randn(3, 1, 3, count, 8, generator=generator).mul(1.5))
    return seen


@pytest.fixture(scope="module")
def seen():
    return watched()


@pytest.fixture(scope="module")
def axis():
    return Axis(tuple(WORDS), GROUPS, (True, False, False, False, False), ())


@pytest.fixture
def page(seen, axis, tmp_path, opened):
    page = opened(regard.report(seen, axis, layer=1, head=2).save(tmp_path / "a.html"), "#view=curves")
    page.evaluate("async () => { for (let i = 0; i < 3; i++) await new Promise(requestAnimationFrame); }")
    return page


def place(page, chart, share):
    """Where a share of a chart's width of numbers lies."""
    box = page.locator(f"[data-chart={chart}]").bounding_box()
    return {"x": 46 + share * (box["width"] - 46 - 18), "y": 50}


def told(page, statistic):
    return float(re.search(r"([\d.e-]+)(?: and .*)?$", page.inner_text(f".told[data-of={statistic}]"))[1])


def by_word(values, how):
    return [how(values[np.array(GROUPS) == word]) for word in range(len(WORDS))]


def test_words_tell_mean_entropy_and_the_weight_they_receive_together(page, seen):
    site = seen.sites[1]
    expected = {
        "entropy": by_word(site.entropy[0, 2].numpy(), np.mean),
        "received": by_word(site.received[0, 2].numpy(), np.sum),
    }
    for statistic, numbers in expected.items():
        for word, number in enumerate(numbers):
            page.hover(f"[data-chart={statistic}]", position=place(page, statistic, (word + 0.5) / len(WORDS)))
            assert told(page, statistic) == pytest.approx(number, rel=6e-3)
    page.hover("[data-chart=entropy]", position=place(page, "entropy", 0.3))
    assert "attends to" in page.inner_text("#says")
    assert page.inner_text(".told[data-of=received]") == ""


def test_tokens_tell_their_own_numbers(seen, axis, tmp_path, opened):
    path = regard.report(seen, axis, layer=0, head=1).save(tmp_path / "a.html")
    page = opened(path, "#view=curves&unit=tokens")
    entropy = seen.sites[0].weights()[0, 1].double()
    entropy = -(entropy * entropy.log()).sum(-1)
    for token, number in enumerate(entropy.tolist()):
        page.hover("[data-chart=entropy]", position=place(page, "entropy", (token + 0.5) / len(GROUPS)))
        assert told(page, "entropy") == pytest.approx(number, rel=6e-3)


def test_arrow_keys_go_along_enter_pins_and_escape_lets_go(page):
    page.focus("[data-chart=received]")
    for key in ("ArrowRight", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    assert page.inner_text(".told[data-of=received]").startswith("<i>un:")
    page.wait_for_url(lambda url: "keys=1-3" in url)
    page.keyboard.press("Escape")
    assert page.inner_text(".told[data-of=received]") == ""
    page.wait_for_url(lambda url: "keys=" not in url)


def test_hidden_sinks_receive_nothing(page):
    page.hover("[data-chart=received]", position=place(page, "received", 0.01))
    assert told(page, "received") > 0
    page.check("#hide")
    page.hover("[data-chart=received]", position=place(page, "received", 0.02))
    assert told(page, "received") == 0


def test_heads_are_walked_through_and_chosen_by_keys(page, seen):
    numbers = [head.worth for head in regard.head_kinds(seen.sites[1])]
    page.select_option("#statistic-a", "worth")
    page.focus("[data-chart=layers]")
    order = sorted(range(3), key=lambda head: numbers[head])
    step = "ArrowUp" if order.index(2) < 2 else "ArrowDown"
    beside = order[order.index(2) + (1 if step == "ArrowUp" else -1)]
    page.keyboard.press(step)
    shown = page.inner_text(".dot-told")
    assert shown.startswith(f"1.{beside} ")
    assert float(shown.split()[-1]) == pytest.approx(numbers[beside], abs=6e-4)
    page.keyboard.press("Enter")
    assert page.get_attribute(f'[data-at="1,{beside}"]', "aria-pressed") == "true"


def test_a_click_on_a_dot_chooses_its_head(page, seen):
    page.focus("[data-chart=layers]")
    page.keyboard.press("ArrowLeft")
    ring, name = page.locator(".dot-ring").bounding_box(), page.inner_text(".dot-told").split()[0]
    page.mouse.click(ring["x"] + ring["width"] / 2, ring["y"] + ring["height"] / 2)
    assert page.get_attribute(f'[data-at="{name.replace(".", ",")}"]', "aria-pressed") == "true"
    assert name.startswith("0.")


def test_a_difference_tells_both_heads(seen, axis, tmp_path, opened):
    path = regard.report(seen, axis, layer=1, head=2).save(tmp_path / "a.html")
    page = opened(path, "#view=curves&unit=tokens&compare=difference&with=0.0.0.1")
    page.hover("[data-chart=entropy]", position=place(page, "entropy", 0.5 / len(GROUPS)))
    shown = re.search(r"([\d.]+) and ([\d.]+)$", page.inner_text(".told[data-of=entropy]"))
    expected = [seen.sites[1].entropy[0, 2, 0], seen.sites[0].entropy[0, 1, 0]]
    assert [float(each) for each in shown.groups()] == pytest.approx([float(each) for each in expected], rel=6e-3)


def test_a_long_text_tells_what_neighbours_have_in_common_on_a_small_screen(tmp_path, opened):
    count = 5000
    with regard.watch() as seen:
        F.scaled_dot_product_attention(*torch.randn(3, 1, 2, count, 8, generator=torch.Generator().manual_seed(0)))
    path = regard.report(seen, head=1).save(tmp_path / "a.html")
    page = opened(path, "#view=curves", viewport={"width": 360, "height": 1200})
    page.focus("[data-chart=received]")
    page.keyboard.press("ArrowRight")
    assert told(page, "received") == pytest.approx(float(seen.sites[0].received[0, 1, :2].mean()), rel=6e-3)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_one_token_has_curves_too(tmp_path, opened):
    page = opened(
        regard.report(watched(count=1, layers=1), ["</script>"]).save(tmp_path / "a.html"), "#view=curves"
    )
    page.hover("[data-chart=received]", position=place(page, "received", 0.5))
    assert told(page, "received") == 1


def test_rounding_has_no_axis_of_its_own(tmp_path, opened):
    page = opened(regard.report(watched(seed=3, count=1), ["only"]).save(tmp_path / "a.html"), "#view=curves")
    with page.expect_download() as download:
        page.click("#save-svg")
    assert not re.search(r"\de-\d", download.value.path().read_text(encoding="utf-8"))
