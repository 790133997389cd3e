"""What attending costs, against the best peer that can do the same job, side by side in one run.

    python -m benchmarks.attend                  every table
    python -m benchmarks.attend --only window    the tables whose names begin so
    python -m benchmarks.attend --plot FILE      cost against visited share, as a picture

Times are medians of rounds in which the candidates take turns in one process; memory is what the peak of a process
of its own rises by while the call runs.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor
from torch.nn import functional as F

import regard
from benchmarks.measure import machine, medians, own_peak_megabytes, peak_megabytes, rounds_for
from regard import Attention

HEADS, WIDTH = 8, 64
Call = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Case:
    """One row of a table.

    Attributes:
        name: what is computed.
        length: queries and keys.
        ours: regard's way.
        peers: other ways, the first of them what the ratio is to.
        backward: whether the gradient is computed as well.
        dtype: of the inputs.
        value_width: width of the values.
    """

    name: str
    length: int
    ours: Call
    peers: dict[str, Call]
    backward: bool = False
    dtype: torch.dtype = torch.float32
    value_width: int = WIDTH


def attended(mechanism: Attention, engine: str = "auto") -> Call:
    """Return a call of `regard.attend`."""
    return lambda q, k, v: regard.attend(q, k, v, mechanism, engine=engine).output


def sdpa(**options: Any) -> Call:
    """Return a call of torch's function."""
    return lambda q, k, v: F.scaled_dot_product_attention(q, k, v, **options)


def eager(weigh: Callable[[Tensor], Tensor] | None = None, allowed: Tensor | None = None) -> Call:
    """Return attention by plain tensor operations."""

    def call(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
        scores = scores if allowed is None else scores.masked_fill(~allowed, -torch.inf)
        return (scores.softmax(-1) if weigh is None else weigh(scores)) @ v

    return call


def compiled_flex(length: int, mask_mod: Callable[..., Tensor]) -> Call:
    """Return compiled FlexAttention; compiling happens in the warm-up."""
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    block_mask = create_block_mask(mask_mod, None, None, length, length, device="cpu")
    compiled: Any = torch.compile(flex_attention, dynamic=False)
    return lambda q, k, v: compiled(q, k, v, block_mask=block_mask)


def fused() -> Iterator[Case]:
    """Yield what one fused call covers."""
    for length in (512, 1024, 2048, 4096):
        for backward in (False, True):
            yield Case("full", length, attended(Attention()), {"F.sdpa": sdpa()}, backward)
    causal = {"F.sdpa": sdpa(is_causal=True)}
    yield Case("causal", 2048, attended(Attention(mask=regard.causal())), causal)
    yield Case("values twice as wide", 2048, attended(Attention()), {"F.sdpa": sdpa()}, value_width=2 * WIDTH)


def window() -> Iterator[Case]:
    """Yield causal attention to 256 keys."""
    length = 4096
    mask = regard.causal() & regard.window(255)

    def near(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return (q >= k) & (q - k < 256)

    causal = sdpa(is_causal=True)
    ours = attended(Attention(mask=mask))
    yield Case("window 256", length, ours, {"compiled Flex": compiled_flex(length, near), "causal F.sdpa": causal})
    yield Case("window 256", length, ours, {"causal F.sdpa": causal}, backward=True)


def documents() -> Iterator[Case]:
    """Yield eight documents of 512 positions packed into one sequence, causal within each."""
    length = 4096
    numbers = torch.arange(length) // 512

    def own(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return (q >= k) & (q // 512 == k // 512)

    causal = sdpa(is_causal=True)
    ours = attended(Attention(mask=regard.causal() & regard.documents(numbers)))
    yield Case("documents", length, ours, {"compiled Flex": compiled_flex(length, own), "causal F.sdpa": causal})
    yield Case("documents", length, ours, {"causal F.sdpa": causal}, backward=True)


def functions() -> Iterator[Case]:
    """Yield a mask given as a function, at causal density; it is asked anew at every call."""
    length = 4096
    ours = attended(Attention(mask=lambda b, h, q, k: q >= k))
    yield Case("mask_mod q >= k", length, ours, {"causal F.sdpa": sdpa(is_causal=True)})
    yield Case("mask_mod q >= k", length, ours, {"causal F.sdpa": sdpa(is_causal=True)}, backward=True)


def patterns() -> Iterator[Case]:
    """Yield sparse patterns of the literature, against torch's function with the mask written out."""
    length = 4096
    masks = {
        "window 128 and 4 global": regard.window(64) | regard.global_tokens(4),
        "strided 64": regard.strided(64),
        "fixed 128, 8": regard.fixed(128, 8),
        "BigBird, 3 random of 64": regard.random_blocks(64, 3) | regard.window(64) | regard.global_tokens(64),
        "image 64 x 64, radius 3": regard.neighbourhood(64, 64, 3),
    }
    for name, mask in masks.items():
        written_out = mask.dense(length, heads=HEADS)
        yield Case(
            name, length, attended(Attention(mask=mask)), {"F.sdpa, dense mask": sdpa(attn_mask=written_out)}
        )


def half() -> Iterator[Case]:
    """Yield bfloat16."""
    for length in (128, 256, 512, 1024, 2048, 4096):
        for backward in (False, True):
            peers = {"F.sdpa": sdpa(), "eager": eager()}
            yield Case("bfloat16", length, attended(Attention()), peers, backward, torch.bfloat16)
    yield Case("float16", 512, attended(Attention()), {"F.sdpa": sdpa()}, True, torch.float16)


def weighings() -> Iterator[Case]:
    """Yield other ways to weigh, against packages that compute them with the full matrix."""
    import entmax
    from x_transformers.attend import Attend

    def theirs(**options: Any) -> Call:
        attend = Attend(heads=HEADS, **options)
        return lambda q, k, v: attend(q, k, v)[0]

    length = 2048
    rows: list[tuple[str, Attention, dict[str, Call]]] = [
        (
            "sparsemax",
            Attention(weigh=regard.sparsemax()),
            {"entmax": eager(lambda s: entmax.sparsemax(s, dim=-1))},
        ),
        ("entmax 1.5", Attention(weigh=regard.entmax()), {"entmax": eager(lambda s: entmax.entmax15(s, dim=-1))}),
        ("top 32", Attention(weigh=regard.top_k(32)), {"x-transformers": theirs(sparse_topk=32)}),
        ("soft cap 50", Attention(modify=regard.soft_cap(50.0)), {"x-transformers": theirs(softclamp_logits=True)}),
        ("sigmoid", Attention(weigh=regard.sigmoid()), {"x-transformers": theirs(sigmoid=True)}),
    ]
    for name, mechanism, peers in rows:
        for backward in (False, True):
            yield Case(name, length, attended(mechanism), peers, backward)


TABLES: dict[str, Callable[[], Iterator[Case]]] = {
    "fused": fused,
    "window": window,
    "documents": documents,
    "mask_mod": functions,
    "patterns": patterns,
    "bfloat16": half,
    "weighings": weighings,
}


def memory_cases() -> dict[str, tuple[int, Attention]]:
    """Return what is measured for memory: names, lengths and mechanisms, 8 heads of width 64."""
    generator = torch.Generator().manual_seed(0)
    W, U = torch.randn(2, 32, WIDTH, generator=generator) / 8
    additive = regard.additive(W, U, torch.randn(32, generator=generator))
    return {
        "sparsemax": (8192, Attention(weigh=regard.sparsemax())),
        "entmax": (8192, Attention(weigh=regard.entmax())),
        "additive": (8192, Attention(score=additive)),
        "hard-sampled": (16384, Attention(weigh=regard.hard(sample=True), seed=0)),
        "window": (32768, Attention(mask=regard.causal() & regard.window(255))),
    }


def inputs(case_length: int, dtype: torch.dtype, grad: bool, value_width: int = WIDTH) -> list[Tensor]:
    """Return query, key and value."""
    generator = torch.Generator().manual_seed(0)
    widths = (WIDTH, WIDTH, value_width)
    made = [torch.randn(1, HEADS, case_length, width, generator=generator).to(dtype) for width in widths]
    return [tensor.requires_grad_(grad) for tensor in made]


def timed(call: Call, given: list[Tensor], backward: bool) -> Callable[[], object]:
    """Return a run of forward, or of forward and backward."""
    if not backward:
        return lambda: call(*given)
    return lambda: torch.autograd.grad(call(*given).sum(), given)


def print_table(name: str, cases: Iterator[Case], seconds: float, console: Console) -> None:
    """Measure and print the rows of a table as they come."""
    console.print(f"\n{name}\n| case | length | pass | regard, ms | peers, ms | regard / peer |")
    console.print("|---|---:|---|---:|---|---|")
    for case in cases:
        given = inputs(case.length, case.dtype, case.backward, case.value_width)
        ways = {"regard": case.ours, **case.peers}
        runs = {way: timed(call, given, case.backward) for way, call in ways.items()}
        rounds = rounds_for(runs["regard"], seconds)
        times = medians(runs, rounds)
        peers = ", ".join(f"{way} {times[way] * 1e3:,.1f}" for way in case.peers)
        ratios = ", ".join(f"{times['regard'] / times[way]:.2f}" for way in case.peers)
        which = "forward + backward" if case.backward else "forward"
        console.print(
            f"| {case.name} | {case.length:,} | {which} | {times['regard'] * 1e3:,.1f} | {peers} | {ratios} |"
        )


def print_memory(console: Console) -> None:
    """Measure memory, a process each."""
    console.print(
        "\nmemory\n| mechanism | length | pass | + MB | one matrix of scores, MB |\n|---|---:|---|---:|---:|"
    )
    for name, (length, _) in memory_cases().items():
        for which in ("forward", "backward"):
            risen = peak_megabytes("benchmarks.attend", "--memory-of", name, "--pass", which)
            console.print(f"| {name} | {length:,} | {which} | {risen:,.0f} | {HEADS * length**2 * 4 / 1e6:,.0f} |")


def own_memory(name: str, which: str) -> None:
    """Print by how much the peak of this process rises in one call."""
    length, mechanism = memory_cases()[name]
    run = timed(attended(mechanism), inputs(length, torch.float32, which == "backward"), which == "backward")
    small = inputs(64, torch.float32, which == "backward")
    timed(attended(mechanism), small, which == "backward")()
    before = own_peak_megabytes()
    run()
    print(own_peak_megabytes() - before)


def plot(path: Path, seconds: float) -> None:
    """Draw time per call against the share of pairs that the mask leaves, for lengths from 512 to 32,768."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for length in (512, 1024, 2048, 4096, 8192, 16384, 32768):
        points = []
        given = inputs(length, torch.float32, grad=False)
        whole = medians({"full": timed(sdpa(), given, False)}, 1 if length > 8192 else 3)["full"]
        for back in (length // 64, length // 16, length // 8, length // 4, length // 2, length):
            mask = regard.causal() & regard.window(back)
            share = mask.count(length) / length**2
            run = timed(attended(Attention(mask=mask), "tiled"), given, False)
            points.append((share, medians({"ours": run}, rounds_for(run, seconds))["ours"] / whole))
        axes.plot(*zip(*points, strict=True), marker="o", label=f"{length:,}")
        print(length, [(round(share, 4), round(cost, 3)) for share, cost in points], flush=True)
    axes.plot([0.01, 1], [0.01, 1], color="gray", linestyle=":", label="cost = share")
    axes.set(xscale="log", yscale="log", xlabel="share of pairs that the mask allows")
    axes.set(
        ylabel="time / torch's fused call without a mask", title="Causal windows: cost follows what is visited"
    )
    axes.legend(title="positions", fontsize=8)
    figure.savefig(path, dpi=130)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="the tables whose names begin so")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each candidate may run")
    parser.add_argument(
        "--plot", type=Path, help="draw cost against visited share into this file, and nothing else"
    )
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    parser.add_argument("--pass", dest="which", default="forward", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.memory_of:
        own_memory(given.memory_of, given.which)
        return
    if given.plot:
        plot(given.plot, given.seconds)
        return
    console = Console(width=200, highlight=False, markup=False)
    console.print(machine())
    for name, cases in TABLES.items():
        if name.startswith(given.only):
            print_table(name, cases(), given.seconds, console)
    if "memory".startswith(given.only):
        print_memory(console)


if __name__ == "__main__":
    main()
