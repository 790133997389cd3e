"""A report as JSON: the statistics of every head; the fields are listed in docs/json.md."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from torch import Tensor

from regard.reports.panels import GroupPanel, HeadPanel, strongest_links

VERSION = 1
_LINKS = 16
_TOP = 8


def as_json(title: str, facts: Sequence[str], groups: Sequence[GroupPanel], coverage: str) -> str:
    """Return the report as JSON text, non-ASCII letters as they are."""
    content = {
        "version": VERSION,
        "title": title,
        "facts": list(facts),
        "coverage": coverage.splitlines(),
        "groups": [_group(group) for group in groups],
    }
    return json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n"


def _group(group: GroupPanel) -> dict[str, Any]:
    return {
        "name": group.name,
        "query_words": list(group.queries.words),
        "key_words": list(group.keys.words),
        "query_word_of_token": list(group.queries.groups),
        "key_word_of_token": list(group.keys.groups),
        "heads": [_head(group, head) for head in group.heads],
    }


def _head(group: GroupPanel, head: HeadPanel) -> dict[str, Any]:
    top = head.weights.topk(min(_TOP, head.weights.shape[-1]), -1)
    return {
        "layer": head.layer,
        **{
            name: round(value, 6) if isinstance(value, float) else value
            for name, value in asdict(head.facts).items()
        },
        "entropy_by_token": _numbers(head.entropy),
        "received_by_token": _numbers(head.received),
        "top_key_words": top.indices.tolist(),
        "top_weights": [_numbers(row) for row in top.values],
        "links": [asdict(link) for link in strongest_links(group, head, _LINKS)],
    }


def _numbers(tensor: Tensor) -> list[float]:
    return [round(value, 6) for value in tensor.tolist()]
