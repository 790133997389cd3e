"""A survey as one HTML page that works from disk: a table that can be sorted, and examples of every head."""

import base64
import hashlib
import re
from html import escape
from importlib.resources import files

from regard.reports.survey_facts import COLORS, facts_of, title_of
from regard.watch.survey.estimates import Estimate
from regard.watch.survey.examples import Example
from regard.watch.survey.findings import Survey
from regard.watch.survey.integers import FRACTION_BITS
from regard.watch.tally import SHARES, STATISTICS, HeadTally

_SHADES = 10


def as_page(survey: Survey) -> bytes:
    """Return the page; it runs its own script and style only, which its policy names by their hashes."""
    page = files("regard.reports").joinpath("survey_page.html").read_text(encoding="utf-8")
    page = page.replace("/*colors*/", _styles())
    policy = (
        f"default-src 'none'; script-src '{_hash(page, 'script')}'; style-src '{_hash(page, 'style')}';"
        " base-uri 'none'; form-action 'none'"
    )
    parts = {
        "policy": policy,
        "title": escape(title_of(survey)),
        "facts": "".join(f"<p>{escape(fact)}</p>" for fact in facts_of(survey)),
        "columns": "".join(f"<th data-number><button>{escape(_shown(name))}</button>" for name in STATISTICS),
        "heads": "".join(_head(head) for head in survey.tally.heads()),
    }
    # All at once: what stands in a text is never taken for a mark of the page.
    return re.sub(r"\{\{(\w+)\}\}", lambda mark: parts[mark[1]], page).encode()


def _hash(page: str, element: str) -> str:
    found = re.search(f"<{element}>(.*?)</{element}>", page, re.DOTALL)
    content = "" if found is None else found[1]
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def _styles() -> str:
    shades = [f".s{i} {{ background: rgba(232, 119, 0, {i / _SHADES * 0.6:.2f}); }}" for i in range(1, _SHADES + 1)]
    kinds = [f".k{i} {{ background: {color}; }}" for i, color in enumerate(COLORS.values())]
    return "\n".join(shades + kinds)


def _head(head: HeadTally) -> str:
    known = sum(head.kinds.values())
    share = f"{head.kinds[head.kind] / known:.0%}" if known else ""
    color = list(COLORS).index(head.kind)
    cells = "".join(_cell(name, head.statistics[name]) for name in STATISTICS)
    examples = "".join(
        f"<h3>Largest {escape(_shown(name))}</h3><ol>{''.join(map(_example, best))}</ol>"
        for name, best in head.examples.items()
        if best
    )
    return (
        f'<tbody><tr><th><button class="more" aria-expanded="false">{escape(head.site)}</button>'
        f'<td data-value="{head.head}">{head.head}'
        f'<td><i class="k{color}"></i>{escape(head.kind)} <small>{share}</small>{cells}</tr>'
        f'<tr hidden><td colspan="{len(STATISTICS) + 3}">{examples or "no examples"}</tr></tbody>\n'
    )


def _cell(name: str, estimate: Estimate) -> str:
    if estimate.mean is None:
        return "<td>"
    shade = f' class="s{round(min(1.0, max(0.0, estimate.mean)) * _SHADES)}"' if name in SHARES else ""
    if estimate.low is None or estimate.high is None:
        return f'<td{shade} data-value="{estimate.mean:.9g}">{estimate.mean:.3g}'
    half = (estimate.high - estimate.low) / 2
    said = f"{estimate.low:.6g} to {estimate.high:.6g} ({estimate.documents:,} documents)"
    value = f'{shade} data-value="{estimate.mean:.9g}" title="{said}"'
    return f"<td{value}>{estimate.mean:.3f} <small>± {half:.3f}</small>"


def _example(example: Example) -> str:
    links = "".join(
        f"<li>{escape(link.query)} → {escape(link.key)} <small>{link.weight:.2f}</small>" for link in example.links
    )
    where = f"{example.value / (1 << FRACTION_BITS):.3f}, {escape(example.place)}"
    return f"<li><bdi>{escape(example.excerpt)}</bdi> <small>{where}</small><ul>{links}</ul>"


def _shown(name: str) -> str:
    return name.replace("_", " ")
