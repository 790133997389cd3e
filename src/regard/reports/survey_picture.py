"""A survey as a picture: the grid of heads coloured by kind, and by relative entropy."""

import io
from typing import Any

import numpy as np

from regard.errors import ReportError
from regard.reports.survey_facts import COLORS, facts_of, title_of
from regard.watch.survey.findings import Survey

_MOST_NUMBERED = 32


def as_survey_picture(survey: Survey, kind: str = "png") -> bytes:
    """Return the picture of a survey in a format that matplotlib knows: "png", "svg" or "pdf".

    Raises:
        ReportError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ReportError("pictures need matplotlib; install it with: pip install 'regard[look]'") from error
    heads = survey.tally.heads()
    sites = list(dict.fromkeys(head.site for head in heads))
    shape = (len(sites), max(head.head for head in heads) + 1)
    kinds, entropy = np.full(shape, np.nan), np.full(shape, np.nan)
    for head in heads:
        place = sites.index(head.site), head.head
        kinds[place] = list(COLORS).index(head.kind)
        mean = head.statistics["relative_entropy"].mean
        entropy[place] = np.nan if mean is None else mean
    height = min(40.0, max(3.2, 0.28 * len(sites) + 1.8))
    figure = Figure(figsize=(min(40.0, max(11.0, 0.45 * shape[1] + 6)), height), layout="constrained")
    figure.suptitle(f"{title_of(survey)}\n{facts_of(survey)[0]}", fontsize=10, parse_math=False)
    left, right = figure.subplots(1, 2, sharey=True)
    _by_kind(left, kinds)
    left.set_yticks(range(len(sites)), sites, fontsize=6, parse_math=False)
    image = _grid(right, entropy, "mean relative entropy: 0 one key, 1 even", cmap="cividis", vmin=0, vmax=1)
    figure.colorbar(image, ax=right, shrink=0.8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=130)
    return buffer.getvalue()


def _by_kind(axes: Any, kinds: Any) -> None:
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    scale = ListedColormap(list(COLORS.values()))
    _grid(axes, kinds, "kind in most documents", cmap=scale, vmin=-0.5, vmax=len(COLORS) - 0.5)
    present = [name for i, name in enumerate(COLORS) if (kinds == i).any()]
    patches = [Patch(facecolor=COLORS[name], label=name) for name in present]
    axes.figure.legend(handles=patches, fontsize=7, ncols=len(patches), loc="outside lower left", frameon=False)


def _grid(axes: Any, values: Any, title: str, **scale: Any) -> Any:
    image = axes.imshow(values, aspect="auto", interpolation="nearest", **scale)
    step = -(-values.shape[1] // _MOST_NUMBERED)
    axes.set_xticks(range(0, values.shape[1], step))
    axes.tick_params(labelsize=7)
    axes.set_xlabel("head", fontsize=8)
    axes.set_title(title, fontsize=9)
    return image
