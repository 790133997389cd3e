"""`regard look`: run a text model over a text and show what every head attended to."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from regard.cli.check import Check
from regard.cli.differing import has_every_weight
from regard.cli.effect import Asked
from regard.cli.ending import interruptible, say
from regard.cli.model import load, load_both
from regard.cli.reading import read_and_watch, read_beside
from regard.cli.request import Request
from regard.cli.text import read_text
from regard.errors import InputError
from regard.reports.report import format_of
from regard.reports.terminal import STATISTICS, as_text
from regard.reports.writing import check_writable
from regard.watch.faithfulness.intervals import LEAST_DRAWS
from regard.watch.faithfulness.variants import WAYS

_DRAWS = 79
_UNCHANGED = {
    "--check": "A check is of the unchanged model",
    "--against": "Two models are compared as they are",
}


def look(
    context: typer.Context,
    text: Annotated[str | None, typer.Argument(help='The text, or "-" for standard input.')] = None,
    file: Annotated[Path | None, typer.Option(help="Read the text from this file, UTF-8.")] = None,
    model: Annotated[str | None, typer.Option(help='A folder or hub id; default, or "demo": MiniLM-L6.')] = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="A second model that reads the same text, to be shown beside the first."
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(help="Encoder-decoders: the decoder's text; default: what the model generates."),
    ] = None,
    layer: Annotated[
        int | None, typer.Option(help="The layer to show; default: of the head most worth reading.")
    ] = None,
    head: Annotated[int | None, typer.Option(help="The head to show, likewise.")] = None,
    by: Annotated[str, typer.Option(help=f"What colours the grid: {', '.join(STATISTICS)}.")] = STATISTICS[0],
    words: Annotated[bool, typer.Option("--words/--tokens", help="Join the tokens of a word, or not.")] = True,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Read at most this many tokens.")] = None,
    knock_out: Annotated[
        str | None,
        typer.Option(
            metavar="LAYER.HEAD[,...]", help="Silence heads, say what that does to the output, and show that run."
        ),
    ] = None,
    hide: Annotated[
        list[str] | None,
        typer.Option(metavar="WORD", help="Hide a word from attention, likewise; may be repeated."),
    ] = None,
    heads_that_matter: Annotated[
        bool, typer.Option("--heads-that-matter", help="Say which heads, each silenced, move the output most.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Check: does removing what the map highlights change the answer?")
    ] = False,
    remove: Annotated[
        str | None,
        typer.Option(help=f"--check: how words are removed: {', '.join(WAYS)}; default: {WAYS[0]}."),
    ] = None,
    draws: Annotated[
        int | None, typer.Option(min=LEAST_DRAWS, help=f"--check: how many random orders; default: {_DRAWS}.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="--check: what the random orders are drawn from; default: 0.")
    ] = None,
    pin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WORD",
            help="--html: keep every weight of a word of a long text, where it stands first; may be repeated.",
        ),
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write the page to this file.")] = None,
    png: Annotated[Path | None, typer.Option(help="Write the picture to this file; .svg and .pdf too.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the statistics to this file.")] = None,
) -> None:
    """Run a text model over a text and show, exactly, what every head attended to."""
    if context.args:
        raise InputError(f"expected one text; got also {' '.join(context.args)!r}: put the text in quotes")
    outputs = _outputs(html, png, json)
    if by not in STATISTICS:
        raise InputError(f"--by: expected one of {', '.join(STATISTICS)}; got {by!r}")
    asked = Asked.of(knock_out, hide or ())
    if asked is not None and (check or against is not None):
        other = "--check" if check else "--against"
        raise InputError(f"expected {other}, or --knock-out and --hide; got both. {_UNCHANGED[other]}")
    if pin and html is None:
        raise InputError("--pin: expected --html too, since pins stand on the page alone")
    needy = {"--check": check, "--png": png is not None, "--json": json is not None, "--pin": bool(pin)}
    request = Request(
        text=read_text(text, file),
        target=target,
        whole_words=words,
        max_tokens=max_tokens,
        layer=layer,
        head=head,
        pins=tuple(pin or ()),
        check=_check(check, remove, draws, seed),
        asked=asked,
        beside=bool(outputs),
        heads_that_matter=heads_that_matter,
        every_weight=tuple(option for option, given in needy.items() if given),
    )
    console, progress = Console(), Console(stderr=True)
    with interruptible("no file was left half-written"):
        with progress.status("loading the model") as status:
            if against is None:
                loaded = load(model)
                status.update("reading the text")
                shown = read_and_watch(loaded, request, status.update)
            else:
                shown = read_beside(*load_both(model, against), request, status.update)
        short = against is not None
        for each in (shown, *([shown.other] if short and shown.other is not None else [])):
            groups = each.groups if has_every_weight(each) else ()
            console.print(as_text(each.title, each.facts, groups, each.coverage, by, each.check, short=short))
        for path in outputs:
            with progress.status(f"writing {path}"):
                shown.save(path)
            say(console, f"wrote {path}")


def _check(asked: bool, remove: str | None, draws: int | None, seed: int | None) -> Check | None:
    """Return how to check the map, if that is asked.

    Raises:
        InputError: an unknown way to remove words, or options of a check that is not asked for.
    """
    options = {"--remove": remove, "--draws": draws, "--seed": seed}
    if not asked and (lone := [option for option, value in options.items() if value is not None]):
        raise InputError(f"{', '.join(lone)}: expected --check too, which alone takes them into account")
    if remove is not None and remove not in WAYS:
        raise InputError(f"--remove: expected one of {', '.join(WAYS)}; got {remove!r}")
    return Check(remove or WAYS[0], _DRAWS if draws is None else draws, seed or 0) if asked else None


def _outputs(html: Path | None, png: Path | None, json: Path | None) -> list[Path]:
    """Return the files to write, once it is certain that they can be written."""
    endings = {
        "--html": (html, (".html",)),
        "--png": (png, (".png", ".svg", ".pdf")),
        "--json": (json, (".json",)),
    }
    for option, (path, allowed) in endings.items():
        if path is not None:
            if path.suffix.lower() not in allowed:
                raise InputError(
                    f"{option}: expected a file name that ends in {' or '.join(allowed)}; got {path.name!r}"
                )
            format_of(path)
            check_writable(path)
    return [path for path, _ in endings.values() if path is not None]
