"""What the kernel computes is what the streaming pass computes; run by `test_gpu_summary` in a process of its own.

On a machine with CUDA it runs there, else in Triton's interpreter, which must be told so before Triton is imported
(TRITON_INTERPRET=1).
"""

import os
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

import regard
from regard import Attention
from regard.engines.contract import Problem
from regard.engines.gpu import launch, terms
from regard.engines.log_weights import log_sum_exp
from regard.engines.observe import observe
from regard.engines.statistics import STATISTICS, Statistics
from regard.mechanisms.walk import with_tensors
from tests import oracle

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"

if DEVICE == "cpu" and not INTERPRETED:
    pytest.skip("takes CUDA, or TRITON_INTERPRET=1", allow_module_level=True)

TOLERANCE = 1e-5
# A spread is the root of a difference, and a moment that of a float32 sum: 0.04 is what is said of it.
SPREAD = 4e-2
WHOLE = (2, 2, 1, 40, 70, 20)  # B, H, G, Nq, Nk, D


def randoms(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def problem_of(
    mechanism: Attention, shape: tuple[int, ...] = WHOLE, dtype: torch.dtype = torch.float32, seed: int = 0
) -> Problem:
    B, H, G, Nq, Nk, D = shape
    query, key = randoms(B, H, Nq, D, seed=seed), randoms(B, G, Nk, D, seed=seed + 1)
    return Problem.of(query.to(dtype), key.to(dtype), key.to(dtype), mechanism)


def on_device(problem: Problem) -> Problem:
    moved = {name: getattr(problem, name).to(DEVICE) for name in ("query", "key", "value")}
    return replace(problem, **moved, mechanism=with_tensors(problem.mechanism, lambda tensor: tensor.to(DEVICE)))


def summary(problem: Problem, lse: Tensor, cells: int = 3, want: tuple[str, ...] = STATISTICS) -> Statistics:
    assert terms.unsuited(problem, lse) == []
    cell = tuple(max(1, -(-count // cells)) for count in (problem.sizes.queries, problem.sizes.keys))
    found = launch.summary(on_device(problem), lse.to(DEVICE), frozenset(want), cell)
    return with_tensors(found, lambda tensor: tensor.cpu())


def equal(problem: Problem, cells: int = 3, tolerance: float = TOLERANCE) -> None:
    """The log-sum-exp and every statistic are those of the streaming pass."""
    lse = log_sum_exp(problem)
    found = launch.log_sum_exp(on_device(problem)).cpu()
    if problem.sums_to_one:
        assert_close(found, lse, rtol=tolerance, atol=tolerance, equal_nan=True)
    streamed, made = observe(problem, lse, cells=cells), summary(problem, lse, cells)
    for name in ("entropy", "received", "received_max", "first"):
        close(name, getattr(made, name), getattr(streamed, name), tolerance)
    reach = max(problem.sizes.queries, problem.sizes.keys)
    close("mean distance", made.distance.mean, streamed.distance.mean, tolerance * reach)
    close("spread", made.distance.spread, streamed.distance.spread, max(SPREAD, tolerance * reach))
    close("map mean", made.map.mean, streamed.map.mean, tolerance)
    close("map max", made.map.max, streamed.map.max, tolerance)
    assert (made.map.query_cell, made.map.key_cell) == (streamed.map.query_cell, streamed.map.key_cell)


def close(name: str, made: Tensor, streamed: Tensor, tolerance: float) -> None:
    assert made.dtype == streamed.dtype
    assert_close(made, streamed, rtol=tolerance, atol=tolerance, equal_nan=True, msg=lambda text: f"{name}: {text}")


def booleans(*shape: int) -> Tensor:
    return randoms(*shape, seed=5) < 0.3


def some_infinite(*shape: int) -> Tensor:
    table = randoms(*shape, seed=6).masked_fill(booleans(*shape), -torch.inf)
    table[..., -1, :] = -torch.inf
    return table


MECHANISMS: dict[str, Callable[[], Attention]] = {
    "full": Attention,
    "causal": lambda: Attention(mask=regard.causal()),
    "causal, last aligned": lambda: Attention(mask=regard.causal(align="last")),
    "window": lambda: Attention(mask=regard.window(9, 3)),
    "causal window, last aligned": lambda: Attention(
        mask=regard.causal(align="last") & regard.window(13, align="last")
    ),
    "bands aligned differently": lambda: Attention(mask=regard.causal(align="last") & regard.window(30)),
    "very wide window": lambda: Attention(mask=regard.window(10**12) & regard.causal()),
    "future": lambda: Attention(mask=regard.causal() & regard.window(2) & regard.causal(align="last")),
    "lengths": lambda: Attention(mask=regard.padding([60, 0])),
    "lengths twice": lambda: Attention(mask=regard.padding([60, 65]) & regard.causal() & regard.padding([69, 33])),
    "keys": lambda: Attention(mask=booleans(2, 1, 1, 70)),
    "heads": lambda: Attention(mask=booleans(2, 40, 1)),
    "booleans": lambda: Attention(mask=booleans(2, 2, 40, 70)),
    "nobody": lambda: Attention(mask=torch.tensor(False)),
    "added": lambda: Attention(mask=randoms(2, 40, 70, seed=3)),
    "added to keys": lambda: Attention(mask=randoms(2, 1, 1, 70, seed=3)),
    "added infinities": lambda: Attention(mask=some_infinite(2, 1, 40, 70)),
    "added in half": lambda: Attention(mask=some_infinite(2, 1, 40, 70).half()),
    "bias": lambda: Attention(bias=randoms(1, 2, 40, 70, seed=3)),
    "all of it": lambda: Attention(
        modify=regard.soft_cap(2.0),
        bias=randoms(2, 1, 70, seed=3),
        mask=regard.causal() & booleans(2, 1, 1, 70) & regard.padding([70, 50]),
    ),
    "soft cap": lambda: Attention(modify=regard.soft_cap(30.0)),
    "scale": lambda: Attention(scale=0.7),
    "sink": lambda: Attention(weigh=regard.softmax(sink=randoms(2, seed=9))),
    "cosine": lambda: Attention(score=regard.cosine(0.2)),
}


@pytest.mark.parametrize("name", MECHANISMS)
def test_statistics_are_those_of_the_streaming_pass(name):
    equal(problem_of(MECHANISMS[name]()))


SHAPES = {
    "one token": (1, 1, 1, 1, 1, 1),
    "one query": (1, 2, 1, 1, 130, 8),
    "one key": (1, 2, 2, 65, 1, 8),
    "more queries than keys": (1, 2, 2, 130, 33, 8),
    "whole blocks": (1, 1, 1, 64, 64, 16),
    "one more than blocks": (1, 1, 1, 129, 65, 17),
    "many small items": (5, 3, 3, 3, 4, 4),
    "one key head": (1, 6, 1, 20, 30, 8),
    "wide": (1, 1, 1, 20, 30, 200),
}


@pytest.mark.parametrize("causal", [None, regard.causal(align="last")], ids=str)
@pytest.mark.parametrize("shape", SHAPES)
def test_statistics_of_every_shape_are_those_of_the_streaming_pass(shape, causal):
    equal(problem_of(Attention(mask=causal), SHAPES[shape]))


@pytest.mark.parametrize("cells", [1, 2, 7, 64])
def test_the_map_has_cells_of_any_size(cells):
    equal(problem_of(Attention(mask=regard.causal()), (1, 1, 1, 37, 67, 4)), cells)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("width", [20, 130])
@pytest.mark.parametrize("mask", [None, regard.causal()], ids=str)
def test_statistics_of_half_types_are_those_of_the_streaming_pass(dtype, width, mask):
    if dtype == torch.bfloat16 and INTERPRETED:
        pytest.skip("Triton's interpreter multiplies no bfloat16")
    equal(problem_of(Attention(mask=mask), (1, 2, 1, 150, 70, width), dtype))


@pytest.mark.parametrize("scale", [10.0, 100.0])
def test_statistics_of_large_scores_are_as_exact_as_the_scores(scale):
    problem = problem_of(Attention(mask=regard.causal(), scale=scale))
    largest = scale * float((problem.query.abs().amax() * problem.key.abs().amax()) * problem.sizes.width)
    equal(problem, tolerance=2 * torch.finfo(torch.float32).eps * largest)


def test_vectors_lie_in_any_order():
    problem = problem_of(Attention(mask=booleans(70, 40).T))
    query, key = (t.transpose(1, 2).contiguous().transpose(1, 2) for t in (problem.query, problem.key))
    equal(replace(problem, query=query, key=key.transpose(2, 3).contiguous().transpose(2, 3)))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_nan_stays_where_it_is_seen():
    problem = problem_of(Attention(mask=regard.causal()))
    problem.key[0, 0, 20] = torch.nan
    equal(problem)


@pytest.mark.parametrize("name", STATISTICS)
def test_a_statistic_asked_for_alone_is_that_asked_for_among_others(name):
    problem = problem_of(Attention(mask=regard.causal()), (1, 2, 2, 40, 50, 8))
    lse = log_sum_exp(problem)
    alone, among = (vars(summary(problem, lse, want=want))[name] for want in ((name,), STATISTICS))
    pairs = (
        [(alone, among)]
        if isinstance(alone, Tensor)
        else zip(vars(alone).values(), vars(among).values(), strict=True)
    )
    for one, other in pairs:
        if isinstance(one, Tensor):
            # Without keys' statistics, blocks are cut differently.
            assert_close(one, other, rtol=1e-6, atol=1e-6)
    assert [key for key, value in vars(summary(problem, lse, want=(name,))).items() if value is not None] == [name]


@pytest.mark.parametrize("room", [1, 5000, 20000])
def test_launches_of_any_size_say_the_same(room, monkeypatch):
    problem = problem_of(Attention(mask=regard.causal()), (2, 2, 1, 40, 70, 8))
    lse = log_sum_exp(problem)
    whole = summary(problem, lse)
    monkeypatch.setattr(launch, "STRIPS", room)
    parts = summary(problem, lse)
    for name in ("entropy", "received", "received_max", "first"):
        assert_close(getattr(parts, name), getattr(whole, name), rtol=1e-6, atol=1e-6)
    assert torch.equal(parts.map.mean, whole.map.mean)
    assert torch.equal(parts.map.max, whole.map.max)


@pytest.mark.parametrize("scale", [0.1, 3.0])
def test_distances_over_many_positions_keep_their_precision(scale, monkeypatch):
    """131,072 keys, in tiles larger than those of the GPU, so that the interpreter gets through them."""
    if INTERPRETED:
        monkeypatch.setattr(launch, "_tile", lambda problem: (16, 4096, 4))
    problem = problem_of(Attention(scale=scale, mask=regard.causal(align="last")), (1, 1, 1, 5, 131072, 4))
    expected = oracle.statistics(oracle.attention(*vectors(problem), causal_last(5, 131072), scale=scale).weights)
    made = summary(problem, log_sum_exp(problem), want=("distance",)).distance
    assert_close(made.mean.double(), expected.mean, rtol=1e-5, atol=1e-2)
    assert_close(made.spread.double(), expected.spread, rtol=1e-5, atol=SPREAD)


def vectors(problem: Problem) -> tuple[Tensor, Tensor, Tensor]:
    return problem.query, problem.key, problem.value


def causal_last(queries: int, keys: int) -> Tensor:
    return torch.arange(keys) <= torch.arange(queries)[:, None] + keys - queries
