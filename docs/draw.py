"""Draw the pictures of README and docs anew, from the real model: `make picture`."""

import tempfile
from pathlib import Path

import torch

import regard
from regard.cli.model import load
from regard.cli.words import axis_of
from regard.reports.panels import Axis

IMAGES = Path(__file__).parent / "images"
SENTENCE = "The animal didn't cross the street because it was too tired."


def look() -> regard.Report:
    """Return the report on one sentence, the head with the pronoun's link in front."""
    loaded = load(None)
    encoding = loaded.tokenizer(SENTENCE, return_tensors="pt", return_offsets_mapping=True)
    words: Axis = axis_of(encoding, loaded.tokenizer, SENTENCE, whole_words=True)
    with torch.no_grad(), regard.watch(loaded.model) as seen:
        loaded.model(input_ids=encoding["input_ids"], attention_mask=encoding["attention_mask"])
    return regard.report(seen, words, title=f"What {loaded.name} attended to", layer=5, head=11)


def photograph(report: regard.Report, path: Path) -> None:
    """Save a picture of the page as Chromium shows it."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1300, "height": 860})
        page.goto(report.save(Path(folder) / "page.html").resolve().as_uri())
        page.wait_for_selector("#grid button[aria-pressed=true]")
        page.hover(f"#queries span:nth-of-type({report.groups[0].queries.words.index('it') + 1})")
        page.screenshot(path=path)
        browser.close()


if __name__ == "__main__":
    shown = look()
    shown.save(IMAGES / "look.png")
    photograph(shown, IMAGES / "page.png")
