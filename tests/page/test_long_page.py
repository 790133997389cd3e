"""A page of 32,000 tokens and 144 heads opens, chooses heads and tells what it holds, within its limit."""

import re

import pytest

from tests.decoding import Page
from tests.long_report import long_report
from tests.page.waiting import wait_until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        return long_report(patch).save(tmp_path_factory.mktemp("long") / "long.html")


@pytest.fixture(scope="module")
def known(path):
    return Page(path.read_text(encoding="utf-8"))


def percents(says):
    return [float(number) for number in re.findall(r"([\d.]+) %", says)]


def test_it_keeps_its_limit_and_every_view_opens(opened, path):
    assert path.stat().st_size < 25_000_000
    page = opened(path)
    for view in page.locator("[role=tab]").all():
        view.click()
        page.wait_for_selector(".pane[data-ready=true]")
        assert view.get_attribute("aria-selected") == "true"
    page.click("[data-at='11,3']")
    wait_until(page, "() => document.querySelector('#head-a').textContent.startsWith('Layer 11, head 3')")


def test_it_tells_the_strongest_weight_that_it_holds(opened, path, known):
    head = known.heads()[0]
    query, key, weight = (each[0] for each in known.links(head["links"]))
    address = f"#head=0.0.0.0&queries={query}-{query + 1}&keys={key}-{key + 1}"
    page = opened(path, address)
    wait_until(page, "() => document.querySelector('#says').textContent.includes('→')")
    says = page.inner_text("#says")
    assert f"w{query} → w{key}" in says
    assert "about" not in says
    assert percents(says) == pytest.approx([100 * weight], abs=0.051)
