"""Whether what a run's attention highlights is what its answers rest on, over several rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from regard.errors import TaskError
from regard.tasks.contract import Answer, Row
from regard.tasks.run import Run
from regard.watch.faithfulness.intervals import LEAST_DRAWS, LEAST_TEXTS
from regard.watch.faithfulness.measure import LEAST_UNITS, faithfulness
from regard.watch.faithfulness.result import RANDOM, Faithfulness, Together, together

# The explanation that is the attention which the model itself uses.
OWN = "attention"

# What the rows and columns of the table mean, beside the statement.
LEGEND = (
    f"{OWN}: what the model itself uses; position: words from first to last; random: any order\n"
    "comprehensiveness: what the answer loses without the most highlighted words; more is better\n"
    "sufficiency: what it loses if only these stay; less is better\n"
    "deletion: its log-probability a token, on average as words go, the most highlighted first; less is better\n"
    "insertion: the same as words come one by one; more is better"
)


@dataclass(frozen=True)
class Removal:
    """What it takes to remove parts of one row.

    Attributes:
        units: how many parts can be removed.
        answer: given which stay, (variants, units) booleans, returns how well the answer still follows,
            (variants,).
        scores: for each explanation how much it highlights each part, (units,); `OWN` is among them.
    """

    units: int
    answer: Callable[[Tensor], Tensor]
    scores: dict[str, Tensor]


@runtime_checkable
class Removes(Protocol):
    """A task whose rows have parts that can be removed."""

    def removal(self, model: nn.Module, row: Row, answer: Answer, parts: Any, settings: Any) -> Removal | None:
        """Return what it takes to remove parts of a row while its answer is kept, or None where it has no part."""


def faithful(
    run: Run,
    rows: Sequence[Row],
    count: int,
    *,
    draws: int = LEAST_DRAWS,
    seed: int = 0,
    told: Callable[[int], None] | None = None,
) -> Together:
    """Return what removing the parts that attention highlights does to answers, next to random removal.

    Args:
        run: what was learned.
        rows: taken evenly spread, if they have 4 parts or more.
        count: how many are taken, if there are so many.
        draws: how many random orders for each.
        seed: what these are drawn from.
        told: told how many rows are done.

    Raises:
        TaskError: the task knows no parts, or there are fewer than 5 rows with enough of them.
    """
    task = checked(run, count)
    found: list[Faithfulness] = []
    for removal in _removals(run, task, rows, count):
        found.append(
            faithfulness(
                removal.answer,
                removal.scores,
                units=removal.units,
                draws=draws,
                seed=seed + len(found),
                what="words",
            )
        )
        if told is not None:
            told(len(found))
        if len(found) == count:
            break
    if len(found) < LEAST_TEXTS:
        raise TaskError(
            f"faithfulness: expected at least {LEAST_TEXTS} rows of {LEAST_UNITS} words or more;"
            f" got {len(found)} among {len(rows)}"
        )
    return together(found)


def checked(run: Run, count: int) -> Removes:
    """Return a run's task, if answers of so many rows can be checked.

    Raises:
        TaskError: the task knows no parts, or these are too few rows.
    """
    if not isinstance(run.task, Removes):
        raise TaskError(f"faithfulness: expected a task that can remove words; {run.task.name} cannot")
    if count < LEAST_TEXTS:
        raise TaskError(f"faithfulness: expected at least {LEAST_TEXTS} rows, for an interval; got {count}")
    return run.task


def statement(found: Together) -> str:
    """Return in one sentence whether removing what attention highlights matters more than random removal."""
    gain = found.gains["comprehensiveness"][OWN]
    own, other = (f"{-found.value(name, 'comprehensiveness'):+.3f}" for name in (OWN, RANDOM))
    sign = -1 if gain.verdict == "less" else 1
    low, high = sorted((sign * gain.low, sign * gain.high))
    interval = f"(95 % interval {low:.3f} to {high:.3f}, over {found.texts} rows)"
    return (
        "Without the words that attention highlights, the log-probability of the answer changes by"
        f" {own} a token, without as many random words by {other}: "
    ) + (
        f"the difference of {gain.mean:.3f} {interval} may be chance."
        if gain.verdict == "not told apart"
        else f"what attention highlights matters {gain.verdict}, by {abs(gain.mean):.3f} {interval}."
    )


def _removals(run: Run, task: Removes, rows: Sequence[Row], count: int) -> Iterator[Removal]:
    """Yield rows that have enough parts: some evenly spread first, then others in between."""
    step = max(1, len(rows) // count)
    order = np.argsort(np.arange(len(rows)) % step, kind="stable")
    settings = run.settings.task
    for number in order.tolist():
        row = rows[number]
        (answer,) = run.answers([row])
        with torch.no_grad():
            removal = task.removal(run.model, row, answer, run.parts, settings)
        if removal is not None and removal.units >= LEAST_UNITS:
            yield removal
