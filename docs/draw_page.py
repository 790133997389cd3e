"""Photograph the page as Chromium shows it, view by view."""

import io
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import torch
from draw_made import chain, picture, sound
from PIL import Image

import regard
from regard.cli.check import Check
from regard.cli.effect import Asked
from regard.cli.model import load
from regard.cli.reading import read_and_watch
from regard.cli.request import Request

SENTENCE = "The animal didn't cross the street because it was too tired."
SPEECH = Path(__file__).parents[1] / "examples/texts/gettysburg.txt"
PAIR = (
    "The old king lives in a big castle near the sea.",
    "Close to the ocean, the aged ruler dwells in a large palace.",
)


@dataclass(frozen=True)
class Shot:
    """A photograph.

    Attributes:
        name: of the file.
        report: what the page shows.
        address: what is chosen on it.
        size: width and height of the window.
        press: what is clicked first, if anything.
    """

    name: str
    report: regard.Report
    address: dict[str, str]
    size: tuple[int, int] = (1200, 800)
    press: str = ""


def shots() -> Iterator[Shot]:
    """Go through all photographs."""
    read = _reading()
    short = read(Request(SENTENCE, layer=5, head=11))
    long = read(Request(SPEECH.read_text(encoding="utf-8"), layer=5, head=11))
    it = {"queries": "10-11"}
    yield Shot("page", short, it, (1300, 900))
    yield Shot("map", long, {"view": "map", "head": "0.0.2.9"}, (1200, 1000))
    yield Shot("text", long, {"view": "text", "queries": "93-94"})
    yield Shot("lines", short, {"view": "lines", "together": "0.0.2.1_0.0.0.2", **it}, (1200, 760))
    yield Shot("alignment", _pair(), {"view": "alignment"}, (1200, 860), "#alignment-swap-a")
    yield Shot("image", picture(), {"view": "image", "head": "0.0.1.0", "queries": "159-160"}, (1200, 940))
    yield Shot("time", sound(), {"view": "time", "queries": "3-4"})
    yield Shot("contacts", chain(), {"view": "contacts"}, (1200, 1320))
    yield Shot("curves", long, {"view": "curves"}, (1200, 900))
    yield Shot("grid", short, {"sort": "worth", "colour": "relative entropy", "view": "text", **it})
    checked = read(Request(SENTENCE, check=Check("mask", 79, 0)))
    yield Shot("receipt", checked, {"view": "receipt"}, (1200, 1320))
    changed = read(Request(SENTENCE, asked=Asked.of("2.1", ["tired"]), beside=True, layer=5, head=11))
    yield Shot("compare", changed, {"view": "map", **it}, (1200, 920))
    yield Shot("difference", changed, {"view": "map", "compare": "difference", **it}, (1200, 920))
    yield Shot("dark", short, {"theme": "dark", "view": "lines", **it}, (1200, 760))
    yield Shot("phone", short, {"view": "lines", **it}, (390, 844))


def photograph(folder: Path, chosen: Sequence[Shot]) -> None:
    """Save each photograph as a PNG file."""
    with _browser() as browser, tempfile.TemporaryDirectory() as pages:
        for shot in chosen:
            path = shot.report.save(Path(pages) / f"{shot.name}.html").resolve()
            width, height = shot.size
            page = browser.new_page(viewport={"width": width, "height": height})
            page.goto(f"{path.as_uri()}#{urlencode(shot.address)}")
            page.wait_for_selector(".pane[data-ready=true]")
            if shot.press:
                page.click(shot.press)
            page.wait_for_timeout(500)
            _save(page.screenshot(), folder / f"{shot.name}.png")
            page.close()


def _reading() -> Callable[[Request], regard.Report]:
    loaded = load(None)
    return lambda request: read_and_watch(loaded, request, lambda _: None)


def _pair() -> regard.Report:
    """Return the report on two sentences that the model reads as one pair."""
    loaded = load(None)
    encoding = loaded.tokenizer(*PAIR, return_tensors="pt")
    with torch.no_grad(), regard.watch(loaded.model) as seen:
        loaded.model(**encoding)
    words = regard.words(encoding)
    return regard.report(seen, words, title=f"What {loaded.name} attended to", layer=2, head=4)


@contextmanager
def _browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser
        browser.close()


def _save(taken: bytes, path: Path) -> None:
    """Save a picture in 256 colours, which a page hardly needs more of."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.open(io.BytesIO(taken)).convert("RGB").quantize(256).save(path, optimize=True)
