"""What looking costs on CUDA: the kernel's statistics and log-sum-exp, relative to the fused forward.

    python -m benchmarks.gpu             8,192 to 131,072 positions
    python -m benchmarks.gpu --quick     up to 32,768

Times are medians of rounds in which the candidates take turns, by CUDA's own events; memory is the most that was
allocated, beyond what was there before. "Streaming" is the pass in plain torch, for calls that the kernel does not
know; it is run at the smallest length alone, where the two are compared number by number as well.
"""

import argparse
import platform
from collections.abc import Callable, Mapping
from statistics import median
from unittest.mock import patch

import torch
from rich.console import Console
from torch import Tensor
from torch.nn import functional as F

from regard import Attention, causal
from regard.engines.contract import Problem
from regard.engines.gpu import terms
from regard.engines.log_weights import log_sum_exp
from regard.engines.observe import observe
from regard.engines.statistics import Statistics

HEADS, KEY_HEADS = 16, 4
LENGTHS = (8192, 16384, 32768, 65536, 131072)
QUICK = 32768
CASES = [
    (torch.bfloat16, 128, True),
    (torch.bfloat16, 128, False),
    (torch.bfloat16, 64, True),
    (torch.float16, 128, True),
    (torch.float32, 64, True),
]


def medians(candidates: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median milliseconds of each candidate over rounds in which all take turns, after two warm-ups."""
    for run in candidates.values():
        run()
        run()
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, run in candidates.items():
            start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            run()
            stop.record()
            torch.cuda.synchronize()
            times[name].append(start.elapsed_time(stop))
    return {name: median(values) for name, values in times.items()}


def megabytes(run: Callable[[], object]) -> float:
    """Return by how much the allocated memory rises at most."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 1e6


def problem_of(length: int, width: int, dtype: torch.dtype, is_causal: bool) -> Problem:
    """Return a call of grouped heads."""
    generator = torch.Generator("cuda").manual_seed(0)
    query, key, value = (
        torch.randn(1, heads, length, width, generator=generator, device="cuda", dtype=dtype)
        for heads in (HEADS, KEY_HEADS, KEY_HEADS)
    )
    return Problem.of(query, key, value, Attention(mask=causal() if is_causal else None))


def streaming(problem: Problem, lse: Tensor) -> Statistics:
    """Return the statistics by the pass in plain torch."""
    with patch.object(terms, "against", return_value=["the benchmark asks for the other way"]):
        return observe(problem, lse)


def disagreement(problem: Problem, lse: Tensor) -> str:
    """Return how far the two ways are apart at most."""
    ways = observe(problem, lse), streaming(problem, lse)
    found = {
        name: [getattr(each, name) for each in ways] for name in ("entropy", "received", "received_max", "first")
    }
    return ", ".join(f"{name} {float((one - other).abs().max()):.1e}" for name, (one, other) in found.items())


def measure(console: Console, length: int, width: int, dtype: torch.dtype, is_causal: bool, rounds: int) -> None:
    """Print the row of one case."""
    problem = problem_of(length, width, dtype, is_causal)
    lse = log_sum_exp(problem)
    if reasons := terms.against(problem, lse):
        raise SystemExit(f"the kernel does not take this call: {'; '.join(reasons)}")
    # Not every fused kernel takes grouped heads.
    key, value = (each.repeat_interleave(problem.sizes.group, 1) for each in (problem.key, problem.value))
    runs: dict[str, Callable[[], object]] = {
        "fused": lambda: F.scaled_dot_product_attention(problem.query, key, value, is_causal=is_causal),
        "statistics": lambda: observe(problem, lse),
        "of queries": lambda: observe(problem, lse, ("entropy", "distance", "first")),
        "of keys": lambda: observe(problem, lse, ("received", "received_max", "map")),
        "lse": lambda: log_sum_exp(problem),
    }
    if length == LENGTHS[0]:
        runs["streaming"] = lambda: streaming(problem, lse)
        console.print(f"largest differences to the streaming pass: {disagreement(problem, lse)}")
    times = medians(runs, rounds)
    case = f"{str(dtype).removeprefix('torch.')}, width {width}, {'causal' if is_causal else 'full'}, {length:,}"
    row = [f"{times['fused']:.2f}"]
    row += [f"{times[name] / times['fused']:.2f}" if name in times else "" for name in COLUMNS]
    row.append(f"{megabytes(runs['statistics']):,.0f}")
    console.print(f"{case:<42}" + "".join(f"{cell:>13}" for cell in row))


COLUMNS = ("statistics", "of queries", "of keys", "lse", "streaming")


def main() -> None:
    """Measure, if there is CUDA."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"no more than {QUICK:,} positions")
    parser.add_argument("--rounds", type=int, default=7, help="how often each candidate runs")
    given = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("this benchmark takes CUDA, and torch finds none; nothing was measured")
    import triton  # type: ignore[import-untyped,import-not-found,unused-ignore]

    console = Console(width=140, highlight=False)
    console.print(
        f"{torch.cuda.get_device_name()}, Python {platform.python_version()}, torch {torch.__version__},"
        f" triton {triton.__version__}; batch 1, {HEADS} heads, {KEY_HEADS} key heads"
    )
    console.print("Ratios to the fused forward")
    console.print(f"{'':<42}" + "".join(f"{name:>13}" for name in ("fused, ms", *COLUMNS, "+ MB")))
    with torch.no_grad():
        for dtype, width, is_causal in CASES:
            for length in LENGTHS:
                # float32 is multiplied without tensor cores, so long ones take minutes.
                if length <= (QUICK if given.quick or dtype == torch.float32 else LENGTHS[-1]):
                    measure(console, length, width, dtype, is_causal, given.rounds)


if __name__ == "__main__":
    main()
