"""A report as a picture: thumbnails of all heads and one large labelled map; PNG, SVG or PDF."""

import io
import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from regard.errors import ReportError
from regard.reports.panels import Axis, GroupPanel, HeadPanel

_SCALE = "cividis"
_MOST_LABELS = 60


def as_picture(title: str, groups: Sequence[GroupPanel], kind: str) -> bytes:
    """Return the picture of a report in a format that matplotlib knows: "png", "svg" or "pdf".

    Raises:
        ReportError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ReportError("pictures need matplotlib; install it with: pip install 'regard[look]'") from error
    heights = [max(5.0, 0.5 * len(group.layers) + 1.0) for group in groups]
    figure = Figure(figsize=(13, sum(heights) + 0.6), layout="constrained")
    figure.suptitle(title, fontsize=13, parse_math=False)
    parts = figure.subfigures(len(groups), 1, height_ratios=heights, squeeze=False)
    for part, group in zip(parts[:, 0], groups, strict=True):
        left, right = part.subfigures(1, 2, width_ratios=(1.0, 1.1))
        _thumbnails(left, group)
        _large(right, group, group.shown)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # A letter that no installed font has is drawn as a box; that is no reason to fail or to talk.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(buffer, format=kind, dpi=130, metadata={"Title": title} if kind != "png" else None)
    return buffer.getvalue()


def _thumbnails(figure: Any, group: GroupPanel) -> None:
    figure.suptitle(f"{group.name}: all heads", fontsize=10)
    axes = figure.subplots(len(group.layers), len(group.layers[0]), squeeze=False)
    for row, layer in zip(axes, group.layers, strict=True):
        row[0].set_ylabel(f"{layer[0].layer}", fontsize=7, rotation=0, ha="right", va="center")
        for place, head in zip(row, layer, strict=True):
            place.imshow(_visible(head), cmap=_SCALE, vmin=0, vmax=1, aspect="auto", interpolation="antialiased")
            place.set(xticks=[], yticks=[])
            place.set_title(head.facts.kind, fontsize=5, pad=1.5)
            for edge in place.spines.values():
                edge.set(color="tab:red" if head is group.shown else "none", linewidth=1.5)


def _large(figure: Any, group: GroupPanel, head: HeadPanel) -> None:
    place = figure.subplots()
    image = place.imshow(_visible(head), cmap=_SCALE, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    place.set_title(f"{head.title}: rows attend to columns", fontsize=10)
    _label(place.set_xticks, group.keys, rotation=90)
    _label(place.set_yticks, group.queries, rotation=0)
    ticks = (0.0, 0.01, 0.1, 0.3, 0.6, 1.0)
    bar = figure.colorbar(image, ax=place, shrink=0.6, ticks=[math.sqrt(t) for t in ticks])
    bar.ax.set_yticklabels([f"{t:g}" for t in ticks], fontsize=7)


def _label(set_ticks: Callable[..., Any], words: Axis, rotation: int) -> None:
    step = math.ceil(len(words.words) / _MOST_LABELS)
    places = range(0, len(words.words), step)
    labels = [words.words[i][:24] for i in places]
    set_ticks(list(places), labels, fontsize=7 if len(labels) <= 40 else 5, rotation=rotation, parse_math=False)


def _visible(head: HeadPanel) -> Any:
    """Return the square root of the weights, so that small ones can be told from none."""
    return head.weights.clamp(0, 1).sqrt().numpy()
