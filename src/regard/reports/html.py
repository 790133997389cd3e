"""A report as one HTML page that works from disk, with no request to anywhere."""

import base64
import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict
from importlib.resources import files
from typing import Any

from torch import Tensor

from regard.reports.panels import GroupPanel, HeadPanel

_THUMBNAIL = 24


def as_html(title: str, facts: Sequence[str], groups: Sequence[GroupPanel], coverage: str) -> str:
    """Return the page; weights stand in it in 255 steps of their square root."""
    content = {
        "title": title,
        "facts": list(facts),
        "coverage": coverage,
        "groups": [_group(group) for group in groups],
    }
    # Inside a script element only "<" could end it; as an escape it is the same JSON.
    data = json.dumps(content, ensure_ascii=True, allow_nan=False).replace("<", "\\u003c")
    page = files("regard.reports").joinpath("page.html").read_text(encoding="utf-8")
    return page.replace("{{data}}", data)


def _group(group: GroupPanel) -> dict[str, Any]:
    return {
        "name": group.name,
        "queries": list(group.queries.words),
        "keys": list(group.keys.words),
        "layers": [[_head(head) for head in layer] for layer in group.layers],
        "shown": [group.shown.layer, group.shown.head],
    }


def _head(head: HeadPanel) -> dict[str, Any]:
    return {
        "facts": {name: round(v, 4) if isinstance(v, float) else v for name, v in asdict(head.facts).items()},
        "weights": _packed(head.weights),
        "thumbnail": _packed(_thumbnail(head.weights)),
    }


def _thumbnail(weights: Tensor) -> Tensor:
    """Return the largest weight in each of at most 24 x 24 cells."""
    return _pooled(_pooled(weights).T).T


def _pooled(weights: Tensor) -> Tensor:
    size = min(_THUMBNAIL, weights.shape[0])
    return weights if size in (0, weights.shape[0]) else _largest(weights, size)


def _largest(weights: Tensor, size: int) -> Tensor:
    pooled = weights.new_zeros((size, weights.shape[1]))
    rows = [i * size // weights.shape[0] for i in range(weights.shape[0])]
    index = weights.new_tensor(rows).long().unsqueeze(-1).expand_as(weights)
    return pooled.scatter_reduce(0, index, weights, "amax")


def _packed(weights: Tensor) -> dict[str, Any]:
    steps = (weights.clamp(0, 1).sqrt() * 255).round().byte().contiguous()
    packed = base64.b64encode(zlib.compress(steps.numpy().tobytes(), 6)).decode()
    return {"rows": weights.shape[0], "columns": weights.shape[1], "data": packed}
