"""`regard look`: run a text model over a text and show what every head attended to."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console

from regard.cli.model import TextModel, load, quiet
from regard.cli.text import read_text
from regard.cli.words import axis_of
from regard.engines.statistics import STATISTICS as KEPT
from regard.errors import InputError
from regard.reports.panels import Axis
from regard.reports.report import Report, format_of, report
from regard.reports.terminal import STATISTICS, as_text
from regard.reports.writing import check_writable
from regard.watch.record import Record
from regard.watch.watching import watch

_GENERATED = 64


def look(
    text: Annotated[str | None, typer.Argument(help='The text, or "-" for standard input.')] = None,
    file: Annotated[Path | None, typer.Option(help="Read the text from this file, UTF-8.")] = None,
    model: Annotated[
        str | None, typer.Option(help="A folder or hub id; default: MiniLM-L6 of regard[demo].")
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
    html: Annotated[Path | None, typer.Option(help="Write the page to this file.")] = None,
    png: Annotated[Path | None, typer.Option(help="Write the picture to this file; .svg and .pdf too.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the statistics to this file.")] = None,
) -> None:
    """Run a text model over a text and show, exactly, what every head attended to."""
    outputs = _outputs(html, png, json)
    if by not in STATISTICS:
        raise InputError(f"--by: expected one of {', '.join(STATISTICS)}; got {by!r}")
    content = read_text(text, file)
    console, progress = Console(), Console(stderr=True)
    try:
        with progress.status("loading the model") as status:
            loaded = load(model)
            status.update("reading the text")
            shown = _look(loaded, content, target, words, max_tokens, layer, head, status.update)
        console.print(as_text(shown.title, shown.facts, shown.groups, shown.coverage, by))
        for path in outputs:
            with progress.status(f"writing {path}"):
                shown.save(path)
            console.print(f"wrote {path}", markup=False, highlight=False, soft_wrap=True)
    except KeyboardInterrupt:
        progress.print("regard: interrupted; no file was left half-written")
        raise typer.Exit(130) from None


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


def _look(
    loaded: TextModel,
    text: str,
    target: str | None,
    whole_words: bool,
    max_tokens: int | None,
    layer: int | None,
    head: int | None,
    say: Callable[[str], None],
) -> Report:
    source, inputs = _encoded(loaded, text, whole_words, max_tokens)
    targets: Axis | None = None
    decoder: dict[str, Any] = {}
    with torch.no_grad():
        if loaded.has_encoder_and_decoder:
            say("writing the decoder's side")
            targets, decoder = _decoder_side(loaded, inputs, target, whole_words, max_tokens)
        elif target is not None:
            raise InputError(
                f"--target: expected an encoder-decoder; {loaded.name} has no decoder beside an encoder"
            )
        say("running the model")
        with watch(
            loaded.model, want=(*KEPT, "rows"), on_site=lambda site: say(f"looked into {site.name}")
        ) as seen:
            loaded.model(**inputs, **decoder)
    if not seen.sites:
        raise InputError(f"{loaded.name} shows no attention.\n{seen.coverage}")
    say("putting words together")
    facts = _facts(loaded, seen, source, targets)
    return report(
        seen,
        source,
        target=targets,
        title=f"What {loaded.name} attended to",
        facts=facts,
        layer=layer,
        head=head,
    )


def _encoded(
    loaded: TextModel, text: str, whole_words: bool, max_tokens: int | None
) -> tuple[Axis, dict[str, Any]]:
    """Return the words of a text and the model's inputs."""
    tokenizer = loaded.tokenizer
    options = {} if max_tokens is None else {"truncation": True, "max_length": max_tokens}
    try:
        encoding = tokenizer(
            text, return_tensors="pt", return_offsets_mapping=tokenizer.is_fast, verbose=False, **options
        )
    except (ValueError, OverflowError) as error:
        raise InputError(f"--max-tokens {max_tokens}: too few for this tokenizer ({error})") from error
    count = int(encoding["input_ids"].shape[1])
    if count == 0:
        raise InputError("expected a text with at least one token; the tokenizer finds none in it")
    if loaded.positions is not None and count > loaded.positions:
        raise InputError(
            f"the text has {count} tokens, and {loaded.name} takes {loaded.positions}."
            f" Shorten it, or read its beginning with --max-tokens {loaded.positions}"
        )
    axis = axis_of(encoding, tokenizer, text, whole_words)
    names = {"input_ids", "attention_mask", "token_type_ids"} & set(encoding)
    return axis, {name: encoding[name] for name in names}


def _decoder_side(
    loaded: TextModel, inputs: dict[str, Any], target: str | None, whole_words: bool, max_tokens: int | None
) -> tuple[Axis, dict[str, Any]]:
    """Return the words on the decoder's side, shifted right as in training, and the inputs for them."""
    if target is None:
        room = _GENERATED if loaded.positions is None else min(_GENERATED, max(1, loaded.positions - 2))
        with quiet():
            generated = loaded.model.generate(**inputs, max_new_tokens=room, num_beams=1, do_sample=False)
        target = loaded.tokenizer.decode(generated[0], skip_special_tokens=True)
        if not target.strip():
            raise InputError(
                f"{loaded.name} generates nothing for this text; hand in the decoder's side with --target"
            )
    axis, encoded = _encoded(loaded, target, whole_words, max_tokens)
    start = loaded.model.config.decoder_start_token_id
    if start is None:
        raise InputError(f"{loaded.name} names no token that its decoder starts with (decoder_start_token_id)")
    ids = encoded["input_ids"]
    shifted = torch.cat([ids.new_full((1, 1), start), ids[:, :-1]], 1)
    return _after_start(axis, str(loaded.tokenizer.convert_ids_to_tokens(start))), {"decoder_input_ids": shifted}


def _after_start(axis: Axis, start: str) -> Axis:
    """Return the words of inputs that are shifted by a start token; the last token falls away."""
    kept = axis.groups[:-1]
    count = kept[-1] + 1 if kept else 0
    return Axis(
        words=(start, *axis.words[:count]),
        groups=(0, *(group + 1 for group in kept)),
        special=(True, *axis.special[:count]),
        separators=tuple(place + 1 for place in axis.separators if place < len(kept)),
    )


def _facts(loaded: TextModel, seen: Record, source: Axis, target: Axis | None) -> tuple[str, ...]:
    sides = f"{len(source.words)} words, {len(source.groups)} tokens"
    if target is not None:
        sides += f"; decoder: {len(target.words)} words, {len(target.groups)} tokens"
    heads = sum(site.sizes.heads for site in seen.sites)
    kind = type(loaded.model).__name__
    return (f"{kind}: {len(seen.sites)} attention calls, {heads} heads; {sides}",)
