"""What is told of heads beside their maps: kinds, shares, and statistics of tokens."""

import math
from typing import Any

from regard.reports.build import Section
from regard.reports.page import codes
from regard.reports.page.arrays import Arrays
from regard.watch.head_kinds import Head
from regard.watch.site import Site

# What heads can be told apart by, in the order in which the page offers it.
_FACTS = (
    "relative_entropy",
    "worth",
    "previous",
    "same",
    "next",
    "first",
    "sink",
    "separator",
    "same_token",
    "local",
    "entropy",
)
# Units of those that are no shares.
UNITS = {"entropy": "nats"}
_UNMEASURED = "not measured"
_DIGITS = 5


def facts_of(section: Section) -> tuple[list[str], list[list[dict[str, Any]]]]:
    """Return the names of what was measured at all, and for each layer each head's kind and numbers."""
    layers = [
        _measured(site, section.item) if told is None else [_told(head) for head in told]
        for site, told in zip(section.sites, section.heads, strict=True)
    ]
    measured = [name for name in _FACTS if any(facts[name] is not None for layer in layers for _, facts in layer)]
    return [name.replace("_", " ") for name in measured], [
        [{"kind": kind, "facts": [facts[name] for name in measured]} for kind, facts in layer] for layer in layers
    ]


def statistics_of(site: Site, item: int, arrays: Arrays) -> dict[str, Any]:
    """Return a layer's statistics of tokens."""
    entropy, entropy_unit, queries = codes.points(site.entropy[item], mean=True)
    received, received_unit, keys = codes.points(site.received[item], mean=False)
    return {
        "entropy": arrays.add(entropy),
        "entropyScale": entropy_unit,
        "received": arrays.add(received),
        "receivedScale": received_unit,
        "queriesAPoint": queries,
        "keysAPoint": keys,
    }


def _told(head: Head) -> tuple[str, dict[str, float | None]]:
    return head.kind, {name: _rounded(getattr(head, name)) for name in _FACTS}


def _measured(site: Site, item: int) -> list[tuple[str, dict[str, float | None]]]:
    """Return what is told of the heads of a site that kept no queries and keys: their mean entropy."""
    nothing = dict.fromkeys(_FACTS)
    means = site.entropy[item].double().mean(-1).tolist()
    return [(_UNMEASURED, {**nothing, "entropy": _rounded(mean)}) for mean in means]


def _rounded(number: float | None) -> float | None:
    return None if number is None or not math.isfinite(number) else round(number, _DIGITS)
