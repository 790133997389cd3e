"""What the report page costs: its size, making it, opening it, and following the pointer over it.

    python -m benchmarks.page                    everything, as rows of Markdown
    python -m benchmarks.page --only hover       one part: viewers, hover, long, saving
    python -m benchmarks.page --scripts FOLDER   hand BertViz's pages the scripts that they ask a network for:
                                                 require.min.js, d3.min.js and jquery.min.js

Other viewers are measured where they are installed: BertViz by `pip install '.[bench]'`, CircuitsVis by hand.
"""

import argparse
import cProfile
import math
import os
import pstats
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import torch

from benchmarks.browsing import FIELDS, READY, Browser, browser
from benchmarks.measure import machine
from benchmarks.pages import noise, viewers, watched

PARTS = ("viewers", "hover", "long", "saving")
LENGTHS = (16, 128, 512)
# The longest text of which others' pages are made: those of 512 tokens would be 16 times as large.
MOST_OTHERS = 128
# What must stand on a page of each viewer before it can be used.
STANDS = {"regard": READY, "CircuitsVis": "canvas"}
LIMIT = 30.0
# Functions in which the time of saving is spent.
STEPS = {"strongest": "strongest", "cells": "celled", "kinds": "head_kinds", "compression": "pack"}


def timed(run: Callable[[], str], rounds: int) -> tuple[str, float]:
    """Return what is made, and the median seconds that it takes after a first time, which is not counted."""
    made, times = run(), []
    for _ in range(rounds):
        start = time.perf_counter()
        made = run()
        times.append(time.perf_counter() - start)
    return made, median(times)


def row(*cells: object) -> None:
    print("|", " | ".join(map(str, cells)), "|", flush=True)


def head(*names: str) -> None:
    print()
    row(*names)
    print("|" + "|".join("---" if number < 2 else "---:" for number in range(len(names))) + "|")


def seconds(value: float) -> str:
    return f"{value:.2f}" if value < LIMIT else f"not within {LIMIT:.0f}"


def compare_viewers(shown: Browser, folder: Path) -> None:
    """Print size, making and opening of pages of the same heads, by regard and by others."""
    head("tokens", "page", "MB", "regard / it", "made, s", "regard / it", "usable after, s", "regard / it")
    for length in LENGTHS:
        own: tuple[float, float, float] | None = None
        for name, make in viewers(length).items():
            if length > MOST_OTHERS and own is not None:
                continue
            text, taken = timed(make, 5 if own is None else 1)
            path = folder / f"{name}.html"
            path.write_text(text, encoding="utf-8")
            size = path.stat().st_size / 1e6
            selector = STANDS.get(name, "#vis svg")
            opening = median(shown.opening(path, selector, LIMIT) for _ in range(5 if own is None else 1))
            own = own or (size, taken, opening)
            ratios = [
                f"{ours / its:.2g}" if its < math.inf else ""
                for ours, its in zip(own, (size, taken, opening), strict=True)
            ]
            row(length, name, f"{size:.2f}", ratios[0], f"{taken:.2f}", ratios[1], seconds(opening), ratios[2])
            path.unlink()


def hover(shown: Browser, pages: Sequence[tuple[str, Path]]) -> None:
    """Print how soon the page follows the pointer, and shows another head."""
    head("page", "what", "median, ms", "95 %, ms", "worst, ms")
    for name, path in pages:
        for view in FIELDS:
            with shown.opened(path, "" if view == "grid" else f"#view={view}") as page:
                distribution(name, f"hover, {view}", shown.hovering(page, view))
        for view in ("map", "text"):
            with shown.opened(path, f"#view={view}&head=0.0.0.0") as page:
                first = shown.choosing(page, range(1, 12))
                distribution(name, f"another head, {view}", first)
                distribution(name, f"a head seen before, {view}", shown.choosing(page, range(11)))


def distribution(name: str, what: str, times: Sequence[float]) -> None:
    ordered = sorted(times)
    row(name, what, *(f"{each:.0f}" for each in (median(ordered), ordered[int(0.95 * len(ordered))], ordered[-1])))


def long(shown: Browser, pages: Sequence[tuple[str, Path]]) -> None:
    """Print size, opening and memory of pages of long texts."""
    head("page", "size, MB", "usable after, s", "objects, MB", "process, MB")
    for name, path in pages:
        opening = median(shown.opening(path) for _ in range(5))
        with shown.opened(path) as page:
            memory = shown.memory(page)
        size = path.stat().st_size / 1e6
        row(name, f"{size:.1f}", seconds(opening), f"{memory.heap:.0f}", f"{memory.process:.0f}")


def saving() -> None:
    """Print how long a report is saved, and where that time is spent."""
    head("report", "heads", "MB", "saved in, s", *(f"{name}, s" for name in STEPS), "the rest, s")
    for length, layers, heads in ((2048, 12, 12), (8192, 1, 12)):
        report, profile = watched(length, layers, heads), cProfile.Profile()
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            path = profile.runcall(report.save, Path(folder) / "a.html")
            taken, size = time.perf_counter() - start, path.stat().st_size / 1e6
        functions = pstats.Stats(profile).stats  # type: ignore[attr-defined]
        spent = [
            max(each[3] for (file, _, name), each in functions.items() if name == function and "regard" in file)
            for function in STEPS.values()
        ]
        steps = (f"{each:.1f}" for each in (*spent, taken - sum(spent)))
        row(f"{length:,} tokens", layers * heads, f"{size:.1f}", f"{taken:.1f}", *steps)


def load() -> str:
    """Return how busy the machine is, over 1, 5 and 15 minutes."""
    return "load average " + ", ".join(f"{each:.1f}" for each in os.getloadavg())


def main() -> None:
    """Measure, and print rows of Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS, action="append", help="measure this part; may be given again")
    parser.add_argument("--scripts", type=Path, metavar="FOLDER", help="what stands in for a network")
    given = parser.parse_args()
    parts = given.only or PARTS
    print(f"{machine()}; {load()}")
    with torch.no_grad(), browser(given.scripts) as shown, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "viewers" in parts:
            compare_viewers(shown, folder)
        made: dict[str, Callable[[], str]] = {}
        if "hover" in parts:
            made |= {f"{length} tokens, 72 heads": viewers(length)["regard"] for length in LENGTHS[1:]}
        if {"hover", "long"} & {*parts}:
            made["32,000 tokens, 144 heads"] = lambda: noise(32_000, 12, 12)
        if "long" in parts:
            made["100,000 tokens, 2 heads"] = lambda: noise(100_000, 1, 2)
        pages = []
        for number, (title, make) in enumerate(made.items()):
            pages.append((title, folder / f"{number}.html"))
            pages[-1][1].write_text(make(), encoding="utf-8")
        if "hover" in parts:
            hover(shown, pages[:3])
        if "long" in parts:
            long(shown, pages[-2:])
        if "saving" in parts:
            saving()
    print(f"\n{load()}")


if __name__ == "__main__":
    main()
