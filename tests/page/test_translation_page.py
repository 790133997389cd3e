"""The page of a translation: it opens on the alignment, and says whose weights these are."""

import pytest

from regard.tasks import Answer
from tests.tasks.translating import TASK, fresh, rows, tiny

GROUP = "cross-attention, mean of heads"
OWN = 2


@pytest.fixture(scope="module")
def report():
    settings = tiny(layers=4, heads=4)
    model, parts = fresh(settings, rows(50))
    return TASK.look(model.eval(), {"source": "one two three"}, Answer("zwei eins"), parts, settings)


@pytest.fixture(scope="module")
def saved(report, tmp_path_factory):
    return report.save(tmp_path_factory.mktemp("translation") / "a.html")


def named(page):
    """Return all that the page says, tooltips and what is read out among it."""
    return page.evaluate(
        """() => [document.body.innerText, ...Array.from(document.querySelectorAll("[title], [aria-label]"),
            (each) => `${each.title} ${each.getAttribute("aria-label")}`)].join("\\n")"""
    )


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)])
def test_it_opens_on_the_alignment(opened, saved, size):
    page = opened(saved, viewport=dict(zip(("width", "height"), size, strict=True)))
    assert page.get_attribute("#tab-alignment", "aria-selected") == "true"
    assert page.is_visible("#alignment-a")
    shown = page.locator("#group")
    assert shown.evaluate("list => list.selectedOptions[0].text") == GROUP
    width, asked = shown.evaluate("list => [list.offsetWidth, (list.style.maxWidth = 'none') && list.offsetWidth]")
    assert width == asked, "the name is cut"
    page.click("#tab-map")
    page.wait_for_url(lambda url: "view=map" in url)


def test_the_mean_is_no_head_of_the_model(opened, saved):
    page = opened(saved, viewport={"width": 1280, "height": 800})
    for tab in page.locator("[role=tab]").all():
        tab.click()
        page.wait_for_selector(".pane[data-ready=true]")
        assert page.inner_text("#head-a").startswith(f"Layer {OWN}, {GROUP}: ")
        said = named(page)
        assert "head 0" not in said
        assert "ayer 0" not in said
    assert page.locator("#head").evaluate("list => list.selectedOptions[0].text").startswith("mean of heads · ")
    assert page.get_attribute("[data-at='0,0']", "aria-label").startswith(f"layer {OWN}, mean of heads: ")
    page.select_option("#group", "1")
    page.wait_for_selector("#head-a:has-text('head ')")
    assert "mean of heads" not in page.inner_text("#head-a")


def test_a_cell_says_which_word_reads_which(opened, saved, report):
    weight = report.groups[0].heads[0].weights[1, 2]
    page = opened(saved, "#queries=1-2&keys=2-3")
    assert page.inner_text("#says") == f"Target word eins attends to source word three: {100 * weight:.1f} %"
