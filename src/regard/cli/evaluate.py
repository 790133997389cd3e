"""`regard evaluate`: what a trained run is worth on a user's files, by its field's metrics."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.status import Status

from regard.cli.ending import interruptible, say, speaks
from regard.cli.memory import enough_memory
from regard.cli.own_tasks import see_folder
from regard.cli.tables import read_and_tell
from regard.errors import InputError, TaskError
from regard.reports.writing import check_writable, write_report
from regard.tasks.alignments import Aligns, alignment_error_rate, check_words, read_alignments
from regard.tasks.contract import Row
from regard.tasks.data.read import Table
from regard.tasks.faithful import LEGEND, Removes, checked, faithful, statement
from regard.tasks.run import Run, load_run
from regard.watch.faithfulness.result import Together

# Pairs of lines that are aligned at once.
_TOGETHER = 32
# Rows on which faithfulness is checked where nobody says how many.
_CHECKED = 20


def evaluate(
    context: typer.Context,
    run: Annotated[Path, typer.Argument(help="The folder that regard train wrote.")],
    data: Annotated[
        list[Path], typer.Option(metavar="FILE", help="Rows with their right answers, as for regard train.")
    ],
    alignments: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Gold alignments of these rows, a line each: 0-0 is sure, 1p2 possible."),
    ] = None,
    words_from: Annotated[
        int, typer.Option(min=0, max=1, help="--alignments: the number of a line's first word.")
    ] = 0,
    faithfulness: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="ROWS",
            help="Check on so many rows, 5 or more: do answers rest on what attention highlights? 0: on none;"
            f" default: on {_CHECKED}, if the task can remove words.",
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first bad row.")] = False,
    json: Annotated[Path | None, typer.Option(help="Write all numbers to this file.")] = None,
) -> None:
    """Answer the rows of files, and say what the answers are worth."""
    if context.args:
        raise InputError(f"expected options; got {' '.join(context.args)!r}. For two files, write --data twice")
    if json is not None:
        check_writable(json)
    if not speaks():
        return
    console, progress = Console(), Console(stderr=True)
    with interruptible(), enough_memory("give shorter rows, or --faithfulness 0"):
        see_folder()
        with progress.status("loading the run") as status:
            loaded = load_run(run)
            table = read_and_tell(loaded.task, loaded.settings, data, progress, strict=strict, named=loaded.named)
            if faithfulness:
                # Before the rows are answered, which may take long.
                checked(loaded, min(faithfulness, len(table)))
            values: dict[str, float] = {}
            if alignments is not None:
                status.update("aligning")
                values["alignment error rate"] = _error_rate(loaded, table, alignments, words_from)
            status.update(f"answering {len(table):,} rows")
            scores = loaded.score(table.rows)
            values = {**scores.values, **values}
            found = _faithfulness(loaded, table, faithfulness, progress, status)
        lines = list(_lines(values, scores.signatures))
        if found is not None:
            lines += ["", statement(found), str(found), LEGEND]
        if json is not None:
            _write(json, run, data, len(table), values, scores.signatures, found)
            lines.append(f"wrote {json}")
        for line in lines:
            say(console, line)


def _faithfulness(run: Run, table: Table, count: int | None, told: Console, status: Status) -> Together | None:
    """Return what a check of faithfulness finds; one that nobody asked for may fail, in one line."""
    if count == 0 or (count is None and not isinstance(run.task, Removes)):
        return None
    try:
        return faithful(
            run, table.rows, count or _CHECKED, told=lambda done: status.update(f"removing words: row {done}")
        )
    except TaskError as error:
        if count is not None:
            raise
        say(told, f"not checked: {error}")
        return None


def _error_rate(run: Run, table: Table, path: Path, first: int) -> float:
    task = run.task
    if not isinstance(task, Aligns):
        raise TaskError(f"--alignments: expected a task that aligns words; {task.name} does not")
    gold = read_alignments(path, first)
    if table.faults.total:
        raise TaskError(f"--alignments: expected one for each row, and rows were left out: {table.faults.first}")
    columns = task.columns(run.settings.task)
    lengths = ([len(row[column].split()) for column in columns] for row in table.rows)
    check_words(gold, ((source, target) for source, target in lengths), path)
    found = []
    for start in range(0, len(table), _TOGETHER):
        rows: list[Row] = [table.rows[number] for number in range(start, min(start + _TOGETHER, len(table)))]
        found += task.align(run.model, rows, run.parts, run.settings.task)
    return alignment_error_rate(found, gold)


def _lines(values: dict[str, float], signatures: dict[str, str]) -> Iterator[str]:
    width = max(map(len, values))
    for name, value in values.items():
        yield f"{name:<{width}}  {value:6.2f}  {signatures.get(name, '')}".rstrip()


def _write(
    path: Path,
    run: Path,
    data: Sequence[Path],
    rows: int,
    values: dict[str, float],
    signatures: dict[str, str],
    found: Together | None,
) -> None:
    content: dict[str, Any] = {
        "version": 1,
        "run": str(run),
        "data": [str(each) for each in data],
        "rows": rows,
        "scores": values,
        "signatures": signatures,
    }
    if found is not None:
        better = {
            metric: {name: {"mean": gain.mean, "low": gain.low, "high": gain.high} for name, gain in each.items()}
            for metric, each in found.gains.items()
        }
        content["faithfulness"] = {"rows": found.texts, "means": found.means, "better_than_random": better}
    write_report(path, (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode())
