"""The index of a page: what `web/src/content/schema.ts` calls a `Content`, with its arrays beside it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from regard.reports.build import Run, Section
from regard.reports.page.arrays import Arrays
from regard.reports.page.budget import Budget, budget_of
from regard.reports.page.maps import maps_of
from regard.reports.page.pins import Pinned, add_rows, pinned
from regard.reports.page.positions import axis_of
from regard.reports.page.told import UNITS, facts_of, statistics_of
from regard.watch.faithfulness.result import Faithfulness


def content(runs: Sequence[Run], arrays: Arrays) -> dict[str, Any]:
    """Return the index of the page that shows runs, and put its arrays among those given."""
    budget = budget_of([section for run in runs for section in run.sections])
    sites: list[Pinned] = []
    index = {"version": 1, "runs": [_run(run, budget, arrays, sites) for run in runs]}
    add_rows(sites, arrays)
    return index


def _run(run: Run, budget: Budget, arrays: Arrays, sites: list[Pinned]) -> dict[str, Any]:
    axes = list(dict.fromkeys(axis for section in run.sections for axis in (section.queries, section.keys)))
    return {
        "title": run.title,
        "view": run.view,
        "facts": list(run.facts),
        "coverage": run.coverage.splitlines(),
        "check": None if run.check is None else _check(run.check),
        "axes": [axis_of(axis, arrays) for axis in axes],
        "groups": [
            {
                "name": section.name,
                "kind": section.kind,
                "firstLayer": section.first_layer,
                "headName": section.head_name,
                "queries": axes.index(section.queries),
                "keys": axes.index(section.keys),
                **_layers(section, run.pins, budget, arrays, sites),
            }
            for section in run.sections
        ],
    }


def _layers(
    section: Section, pins: Sequence[int | str], budget: Budget, arrays: Arrays, sites: list[Pinned]
) -> dict[str, Any]:
    names, told = facts_of(section)
    maps = [maps_of(site, section.item, budget, arrays) for site in section.sites]
    for heads, each in zip(told, maps, strict=True):
        for head, shown in zip(heads, each.heads, strict=True):
            shown.update(head)
    sites += pinned(section, maps, pins)
    return {
        "layers": [
            {"name": site.name, "heads": each.heads, **statistics_of(site, section.item, arrays)}
            for site, each in zip(section.sites, maps, strict=True)
        ],
        "shown": list(section.shown),
        "facts": names,
        "units": {name: unit for name, unit in UNITS.items() if name in names},
        "thumbnails": arrays.add(np.concatenate([each.thumbnails for each in maps]).tobytes()),
        "thumbnail": list(maps[0].thumbnails.shape[1:]),
    }


def _check(check: Faithfulness) -> dict[str, Any]:
    curves = {"deletion": check.deletion_curves, "insertion": check.insertion_curves}
    return {
        "says": [check.statement(name, f"“{name}”") for name in check.names],
        "about": check.about,
        "what": check.what,
        "shares": check.shares.tolist(),
        **{kind: {name: curve.tolist() for name, curve in each.items()} for kind, each in curves.items()},
    }
