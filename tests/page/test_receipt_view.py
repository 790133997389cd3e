"""The receipt: the record's own words, what a check found, and its curves."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import regard
from regard.watch.faithfulness.curves import METRICS
from regard.watch.faithfulness.result import Faithfulness
from tests.page.waiting import wait_until


@pytest.fixture(scope="module")
def seen():
    """A record that lacks a module that looks like attention."""
    model = nn.ModuleDict({"self_attention": nn.MultiheadAttention(8, 2), "unused": nn.MultiheadAttention(8, 2)})
    with torch.no_grad(), regard.watch(model) as seen:
        model["self_attention"](*[torch.randn(3, 1, 8, generator=torch.Generator().manual_seed(0))] * 3)
    return seen


@pytest.fixture(scope="module")
def check():
    shares = torch.linspace(0, 1, 5)
    metrics = {metric: {"<b>map</b>": 0.6, "rollout": 0.4} for metric in METRICS}
    return Faithfulness(
        about="similarity",
        what="words",
        units=4,
        full=1.0,
        empty=0.0,
        shares=shares,
        deletion_curves={"<b>map</b>": (1 - shares) ** 3, "rollout": 1 - shares},
        insertion_curves={"<b>map</b>": shares.sqrt(), "rollout": shares},
        metrics=metrics,
        random={metric: torch.linspace(0.1, 0.3, 20) for metric in METRICS},
        seed=0,
    )


def test_the_receipt_says_what_the_record_says(seen, tmp_path, opened):
    page = opened(regard.report(seen, ["a", "b", "c"]).save(tmp_path / "a.html"), "#view=receipt")
    assert page.locator(".coverage li").all_inner_texts() == [
        line.strip() for line in str(seen.coverage).splitlines()
    ]
    assert "unused" in page.inner_text(".coverage")
    assert page.locator(".check").count() == 0


def drawn(page, way, color):
    """The places of a chart's pixels that have exactly a colour, as shares from the left and from above."""
    return page.evaluate(
        """([way, color]) => {
            const canvas = document.querySelector(`[data-chart=${way}]`);
            const {width, height} = canvas;
            const on = new OffscreenCanvas(width, height).getContext('2d', {willReadFrequently: true});
            on.drawImage(canvas, 0, 0);
            const {data} = on.getImageData(0, 0, width, height);
            const found = [];
            for (let place = 0; place < width * height; place++)
                if (color.every((part, at) => data[4 * place + at] === part))
                    found.push([(place % width) / width, Math.floor(place / width) / height]);
            return found;
        }""",
        [way, color],
    )


FIRST, SECOND = [0, 114, 178], [230, 159, 0]


def test_a_check_is_told_and_drawn(seen, check, tmp_path, opened):
    report = replace(regard.report(seen, ["a", "b", "c"]), check=check)
    page = opened(report.save(tmp_path / "a.html"), "#view=receipt")
    told = [check.statement(name, f"“{name}”") for name in check.names]
    assert page.locator(".check p:visible").all_inner_texts() == told[:1]
    page.click(".check summary")
    assert page.locator(".check p:visible").all_inner_texts() == told
    assert "<b>map</b>: 1.000, 0.422, 0.125, 0.016, 0.000" in page.get_attribute(
        "[data-chart=deletion]", "aria-label"
    )
    for way, sign in (("deletion", 1), ("insertion", -1)):
        first, second = drawn(page, way, FIRST), drawn(page, way, SECOND)
        assert min(len(first), len(second)) > 50
        heights = [sum(y for _, y in places) / len(places) for places in (first, second)]
        assert sign * (heights[0] - heights[1]) > 0


def test_curves_can_be_read_on_a_dark_page(seen, check, tmp_path, opened):
    path = replace(regard.report(seen, ["a", "b", "c"]), check=check).save(tmp_path / "a.html")
    page = opened(path, "#view=receipt&theme=dark")
    assert len(drawn(page, "deletion", [61, 155, 233])) > 50
    assert not drawn(page, "deletion", FIRST)
    page.select_option("#theme", "light", force=True)
    wait_until(page, "() => !document.querySelector('[data-theme=dark]')")
    assert len(drawn(page, "deletion", FIRST)) > 50


def test_two_runs_show_a_receipt_each(seen, check, tmp_path, opened):
    one = regard.report(seen, ["a", "b", "c"], title="one")
    with regard.watch() as other:
        F.scaled_dot_product_attention(*torch.randn(3, 1, 2, 3, 8, generator=torch.Generator().manual_seed(0)))
    both = one.beside(replace(regard.report(other, ["a", "b", "c"], title="other"), check=check))
    path = both.save(tmp_path / "a.html")
    for compared in ("beside", "difference", "off"):
        page = opened(path, f"#view=receipt&compare={compared}", viewport={"width": 360, "height": 740})
        assert page.locator(".run-title").all_inner_texts() == ["one", "other"]
        assert page.locator(".check").count() == 1
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
