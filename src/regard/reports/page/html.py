"""A report as one HTML page that works from disk, with no request to anywhere."""

from collections.abc import Sequence
from importlib.resources import files

from regard.reports.build import Run
from regard.reports.page.arrays import Arrays
from regard.reports.page.content import content

_MARK = "<!--content-->"


def as_html(runs: Sequence[Run]) -> str:
    """Return the page that shows one run, or two beside one another."""
    template = files("regard.reports.page").joinpath("page.html").read_text(encoding="utf-8")
    before, _, after = template.partition(_MARK)
    arrays = Arrays()
    return f"{before}{arrays.elements(content(runs, arrays))}{after}"
