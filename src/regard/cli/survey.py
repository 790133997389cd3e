"""`regard survey`: statistics of every head of a text model over a corpus, and what differs between two surveys."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

from regard.cli.ending import interruptible, say
from regard.cli.model import TextModel, load, quiet
from regard.errors import InputError
from regard.reports.survey import write_survey
from regard.reports.survey_against import AGAINST, write_comparison
from regard.reports.survey_table import comparison_text, survey_text
from regard.watch.survey import running
from regard.watch.survey.comparing import compare_surveys
from regard.watch.survey.corpus import open_corpus
from regard.watch.survey.findings import TOTALS, Survey
from regard.watch.survey.state import check_folder


def survey(
    model: Annotated[
        str, typer.Argument(help='A folder or hub id, "demo" for MiniLM-L6; or the folder of a finished survey.')
    ],
    corpus: Annotated[
        str | None,
        typer.Argument(help="A file (.txt, .jsonl, .parquet), a folder or glob of such, or a saved data set."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The folder for what is found.")] = None,
    against: Annotated[
        Path | None, typer.Option(help="Show what differs from another finished survey, in this folder.")
    ] = None,
    text: Annotated[str | None, typer.Option(help="Survey this one text instead of a corpus.")] = None,
    field: Annotated[
        str, typer.Option(help="The field that holds the text (.jsonl, .parquet, data sets).")
    ] = "text",
    target_field: Annotated[
        str | None,
        typer.Option(help="Encoder-decoders: the field of the decoder's text; default: only the encoder."),
    ] = None,
    whole: Annotated[bool, typer.Option("--whole", help=".txt: a file is a document, not a line.")] = False,
    split: Annotated[str | None, typer.Option(help="The part of a saved dictionary of data sets.")] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Cut documents off here; default: what the model takes, at most 2048.")
    ] = None,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Documents of the same length that run together at most.")
    ] = 8,
    limit: Annotated[int | None, typer.Option(min=1, help="Read the first this many documents.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at a line that cannot be read.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the survey in --out.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the survey in --out.")] = False,
) -> None:
    """Run a text model over a corpus: exact statistics of every head, with intervals, examples and comparison."""
    first = int(os.environ.get("RANK", "0")) == 0
    console, progress = Console(quiet=not first), Console(stderr=True, quiet=not first)
    other = None if against is None else Survey.load(against)
    read = _corpus(model, corpus, text)
    if read is None:
        if out is not None:
            if other is None:
                raise InputError("--out: expected a corpus to survey, or --against another survey")
            _check_against(out, force)
        found = Survey.load(model)
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
        console.print(survey_text(found))
    else:
        if out is None:
            raise InputError("--out: expected a folder for what is found; got none")
        check_folder(out, resume=resume, force=force)
        # Before the model, which may take minutes to load.
        open_corpus(read, field=field, target_field=target_field, whole=whole, split=split)
        with progress.status("loading the model"):
            loaded = load(model)

        def run(told: Callable[[running.Progress], None]) -> Survey:
            return running.survey(
                loaded.model, loaded.tokenizer, read, out, field=field, target_field=target_field, whole=whole,
                split=split, max_tokens=max_tokens, batch_size=batch_size, limit=limit, strict=strict,
                resume=resume, force=force, name=loaded.name, on_progress=told,
            )  # fmt: skip

        found = _run(run, loaded, out, progress)
        if first:
            with progress.status("writing the reports"):
                paths = write_survey(found, out)
            console.print(survey_text(found))
            _wrote(console, paths)
    if other is not None and first:
        comparison = compare_surveys(found, other)
        console.print(comparison_text(comparison))
        if out is not None:
            _wrote(console, write_comparison(comparison, out))


def _corpus(model: str, corpus: str | None, text: str | None) -> str | list[str] | None:
    """Return what to survey, or None where a finished survey is to be shown."""
    if corpus is not None and text is not None:
        raise InputError("expected a corpus or --text, one of the two; got both")
    if text is not None:
        if not text.strip():
            raise InputError("expected some text; --text is empty")
        return [text]
    if corpus is None and not (Path(model) / TOTALS).is_file():
        raise InputError(f"expected a corpus or --text; got none, and {model!r} is no folder of a finished survey")
    return corpus


def _check_against(out: Path, force: bool) -> None:
    if out.exists() and not out.is_dir():
        raise InputError(f"--out: expected a folder; {out} is a file")
    if not force and (there := [name for name in AGAINST if (out / name).exists()]):
        raise InputError(f"{out} holds {there[0]}: choose another folder, or overwrite it with --force")


def _run(
    run: Callable[[Callable[[running.Progress], None]], Survey], loaded: TextModel, out: Path, console: Console
) -> Survey:
    """Survey with progress; what an interrupt leaves is said."""
    columns = (
        SpinnerColumn(),
        TextColumn(f"{loaded.name}: {{task.fields[documents]:,}} documents, {{task.fields[rate]}}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    left = f"what was found is in {out}: continue with --resume"
    with interruptible(left), quiet(), Progress(*columns, console=console, transient=True) as shown:
        task = shown.add_task("survey", total=1.0, documents=0, rate="starting")

        def told(now: running.Progress) -> None:
            elapsed = shown.tasks[0].elapsed or 0.0
            start = shown.tasks[0].fields.setdefault("start", (now, elapsed))
            passed = elapsed - start[1]
            rate = f"{(now.tokens - start[0].tokens) / passed:,.0f} tokens/s" if passed > 1 else "starting"
            shown.update(task, completed=now.done, documents=now.documents, rate=rate)

        return run(told)


def _wrote(console: Console, paths: Sequence[Path]) -> None:
    for path in paths:
        say(console, f"wrote {path}")
