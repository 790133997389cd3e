"""How the benchmarks measure: candidates take turns in one process for time, and a process each for memory."""

import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

import torch


def medians(candidates: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median seconds of each candidate over rounds in which all take turns, after one warm-up."""
    _round(candidates)
    measured = [_round(candidates) for _ in range(rounds)]
    return {name: median(each[name] for each in measured) for name in candidates}


def turns(candidates: Mapping[str, Callable[[], object]], seconds: float) -> list[dict[str, float]]:
    """Return the seconds of each candidate in rounds in which all take turns, at least one, after one warm-up."""
    _round(candidates)
    measured, stop = [_round(candidates)], time.perf_counter() + seconds
    while time.perf_counter() < stop:
        measured.append(_round(candidates))
    return measured


def _round(candidates: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Return the seconds of each candidate when it runs once."""
    times = {}
    for name, run in candidates.items():
        start = time.perf_counter()
        run()
        times[name] = time.perf_counter() - start
    return times


def peak_megabytes(module: str, *arguments: str) -> float:
    """Return the peak memory of a process of its own, as it prints it itself."""
    command = [sys.executable, "-m", module, *arguments]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(printed.split()[-1])


def own_peak_megabytes() -> float:
    """Return the peak memory of this process so far, as Linux counts it since the program started."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def machine() -> str:
    """Return what measures: processor, threads, versions."""
    return (
        f"{platform.machine()}, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()},"
        f" Python {platform.python_version()}, torch {torch.__version__}"
    )


def rounds_for(run: Callable[[], object], seconds: float) -> int:
    """Return how often a candidate can run within some seconds, at least 3 and at most 31 times."""
    start = time.perf_counter()
    run()
    return max(3, min(31, int(seconds / max(1e-9, time.perf_counter() - start))))
