"""`regard train`: learn a task from a user's files, and say what to do with what was learned."""

import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from regard.cli.ending import interruptible, say
from regard.cli.memory import enough_memory
from regard.cli.own_tasks import task_of
from regard.cli.tables import read_and_tell
from regard.cli.usage import named_path
from regard.errors import InputError, TaskError
from regard.tasks.contract import Row, Task
from regard.tasks.data.read import Table, check_apart
from regard.tasks.extra import extra
from regard.tasks.held_out import hold_out
from regard.tasks.run import Run
from regard.tasks.settings import Settings, settings_of
from regard.tasks.training.folder import RunFolder

# An example is cut off here where a command is shown with it.
_SHOWN = 60


def train(
    context: typer.Context,
    task: Annotated[str, typer.Argument(help="What to learn, as regard tasks lists it, or module:Class.")],
    out: Annotated[Path, typer.Option(parser=named_path, metavar="FOLDER", help="The folder for what is learned.")],
    data: Annotated[
        list[Path] | None,
        typer.Option(
            "--train",
            metavar="FILE",
            help="What to learn from: .tsv, .csv, .jsonl, .parquet, a folder, or two files of text, one after the"
            " other; default: the task's own data.",
        ),
    ] = None,
    valid: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="What decides which weights are best; default: rows held out of --train."
        ),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Read settings from this file, YAML or JSON.")] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Set one thing; regard tasks TASK lists all. Repeatable."),
    ] = None,
    attention: Annotated[
        str | None, typer.Option(metavar="WORDS", help='Which attention, such as "dot; causal & window(64)".')
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first bad row.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --out, with its settings.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Delete the run in --out first.")] = False,
) -> None:
    """Learn a task from files, or from the task's own data where none is given."""
    if context.args:
        raise InputError(f"expected options; got {' '.join(context.args)!r}. For two files, write --train twice")
    if valid and not data:
        raise InputError("--valid: expected --train too")
    found = task_of(task)
    file = _settings_of_run(out) if resume and config is None else config
    settings = _settings(
        found, file, [*(sets or ()), *(["data.strict=yes"] if strict else [])], attention, not data
    )
    first = int(os.environ.get("RANK", "0")) == 0
    console, progress = Console(quiet=not first), Console(stderr=True, quiet=not first)
    with extra():
        from regard.tasks.training.fit import fit
    with interruptible():
        # Says why not before the data are read, which may take long.
        if resume or (_holds_something(out) and not force):
            RunFolder.take(out, resume=resume, force=force).close()
        _check_place(out)
        with progress.status("reading the data"):
            sides = _own(found, settings) if data is None else _read(found, settings, data, valid, progress)
    left = f"what was learned is in {out}: go on with the same command and --resume"
    smaller = enough_memory("choose a smaller model, or smaller batches by training.batch_tokens")
    with interruptible(left), smaller, RunFolder.take(out, resume=resume, force=force) as folder:
        learned, checked = sides
        run = fit(found, settings, learned.rows, checked.rows, folder, named=learned.named, console=progress)
    for line in _ended(run, out, checked.rows[0]):
        say(console, line)


def _settings_of_run(out: Path) -> Path | None:
    """Return the file with the settings of a run, if there is one that can be seen."""
    file = RunFolder(out).config
    try:
        return file if file.exists() else None
    except OSError:  # told when the folder is taken
        return None


def _settings(
    task: Task[Any, Any], config: Path | None, sets: Sequence[str], attention: str | None, own: bool
) -> Settings[Any]:
    """Return the settings of a run, which learns from files or from the task's own data."""
    defaults = task.defaults_without_files() if own else None
    settings = Settings.read(task, config, sets, defaults=defaults)
    if attention is None:
        return settings
    name = f"task.{task.attention_setting(settings.task)}"
    if not any(field.full == name for field in settings_of(task)):
        raise TaskError(f"--attention: expected a task whose attention can be chosen; {task.name} sets it itself")
    return Settings.read(task, config, [*sets, f"{name}={attention}"], defaults=defaults)


def _holds_something(out: Path) -> bool:
    try:
        return out.is_dir() and any(out.iterdir())
    except OSError as error:
        raise TaskError(f"cannot write {out}: {error.strerror or error}") from error


def _check_place(out: Path) -> None:
    """Raise where no folder can be made, as far as can be told without making it."""
    nearest = next(each for each in (out, *out.parents) if each.exists())
    if not nearest.is_dir():
        raise TaskError(f"expected a folder; {nearest} is a file: choose another name")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise TaskError(f"cannot write {out}: no permission to write in {nearest}")


def _own(task: Task[Any, Any], settings: Settings[Any]) -> tuple[Table, Table]:
    rows = task.own_rows(settings.task, settings.training.seed)
    if rows is None:
        raise TaskError(f"--train: expected a file, as {task.name} has no data of its own; it needs {task.needs}")
    return Table(rows[0]), Table(rows[1])


def _read(
    task: Task[Any, Any], settings: Settings[Any], data: Sequence[Path], valid: Sequence[Path] | None, told: Console
) -> tuple[Table, Table]:
    """Return the rows to train and to validate on, and tell what was left out."""
    table = read_and_tell(task, settings, data, told)
    if valid is None:
        rows, checked = hold_out(table)
        told.print(f"{len(checked):,} of {len(table):,} rows are held out to validate on")
    else:
        rows, checked = table, read_and_tell(task, settings, valid, told, named=table.named)
        check_apart(rows, checked)
    return rows, checked


def _ended(run: Run, out: Path, example: Row) -> Iterator[str]:
    """Yield what was reached, and what can be done with it."""
    finished = run.folder.facts["finished"]
    best = finished["best"]
    # Where nothing is scored, the best is the loss turned negative.
    reached = f"{run.task.metrics[0]} {best:.4g}" if best is not None and run.task.metrics else ""
    if best is not None and not run.task.metrics:
        reached = f"validation loss {-best:.4g}"
    yield f"{reached}{reached and ', by '}the weights of {finished['weights']}, in {out}"
    line = run.line_of(example)[:_SHOWN]
    # What begins like an option stands behind all of them.
    text = f"-- {shlex.quote(line)}" if line.startswith("-") else shlex.quote(line)
    looks = (f"--look look.html {text}",) if run.folder.report.exists() else ()
    for rest in (text, *looks):
        yield f"  regard predict {shlex.quote(str(out))} {rest}"
    yield f"  regard evaluate {shlex.quote(str(out))} --data FILE"
