"""Statistics of the weights are those of the dense matrix, whatever the mechanism and however it was computed."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

import regard
from regard import Attention
from regard.attend import WANTED
from regard.engines.contract import Problem
from regard.engines.observe import observe
from regard.engines.statistics import STATISTICS, Statistics
from regard.shapes import compute_dtype
from tests import oracle
from tests.attend_cases import (
    CASES,
    KINDS,
    TOLERANCES,
    Call,
    Case,
    call_of,
    dtypes,
    engines,
    equal,
    flat,
    gradients,
    leaves,
    run,
)
from tests.attend_masks import (
    Meaning,
    Places,
    booleans,
    booleans_of_keys,
    everyone,
    first_causal,
    infinities,
    last_causal,
    least_numbers,
    least_numbers_only,
    near,
    near_or_first,
    numbers,
    padded,
)

PROPERTY = settings(deadline=None, max_examples=25)

SIZES = (1, 3, 31, 257, 1025)
LOOKED_AT = [
    least_numbers_only,
    everyone,
    first_causal,
    last_causal,
    near,
    near_or_first,
    padded,
    booleans_of_keys,
    infinities,
    least_numbers,
]
# A spread is the root of a difference, so it has half the digits; 0.04 is what its docstring says.
SPREAD = {torch.float64: 1e-4, torch.float32: 4e-2}
SPREAD_SHARE = 1e-4


def equal_statistics(actual: Statistics, expected: oracle.DenseStatistics, tolerance: float) -> None:
    for name in ("entropy", "received", "received_max", "first"):
        equal(getattr(actual, name), getattr(expected, name), tolerance, name)
    equal(actual.distance.mean, expected.mean, tolerance, "distance mean")
    equal(actual.map.mean, expected.map_mean, tolerance, "map mean")
    equal(actual.map.max, expected.map_max, tolerance, "map max")
    assert (actual.map.query_cell, actual.map.key_cell) == (expected.query_cell, expected.key_cell)


def equal_spread(actual: Statistics, expected: oracle.DenseStatistics, dtype: torch.dtype) -> None:
    spread = actual.distance.spread.double()
    assert_close(spread, expected.spread, rtol=SPREAD_SHARE, atol=SPREAD[dtype], equal_nan=True)


def looked_at(
    queries: int,
    keys: int,
    meaning: Callable[[Places, torch.dtype], Meaning],
    dtype: torch.dtype,
    seed: int,
    scale: float | None = None,
    kind: str = "softmax",
) -> Call:
    shapes = ((2, 2, queries, 5), (2, 1, keys, 5), (2, 1, keys, 5))
    call = call_of(Case(*shapes, meaning, scale, kind), dtype, seed)
    return replace(call, inputs=(*(2 * tensor for tensor in call.tensors), *call.inputs[3:]))


lengths = st.sampled_from(SIZES)
computed = st.sampled_from([torch.float64, torch.float32])
seeds = st.integers(0, 2**31)


@PROPERTY
@given(lengths, lengths, st.sampled_from(LOOKED_AT), computed, seeds)
def test_statistics_are_those_of_the_dense_weights(queries, keys, meaning, dtype, seed):
    call = looked_at(queries, keys, meaning, dtype, seed)
    result = call.attend("fused", want=STATISTICS)
    equal_statistics(result, oracle.statistics(call.formula().weights), 10 * TOLERANCES[dtype])


@PROPERTY
@given(lengths, lengths, st.sampled_from(LOOKED_AT), computed, seeds, st.sampled_from([1.0, 5.0, 20.0]))
def test_spread_of_distance_is_that_of_the_dense_weights(queries, keys, meaning, dtype, seed, sharpness):
    call = looked_at(queries, keys, meaning, dtype, seed, sharpness / math.sqrt(5))
    result = call.attend("fused", want=("distance",))
    equal_spread(result, oracle.statistics(call.formula().weights), dtype)


@engines
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if KINDS[case.kind].soft])
def test_statistics_of_every_case_are_those_of_the_dense_weights(name, engine):
    call = call_of(name)
    result, expected = call.attend(engine, want=STATISTICS), oracle.statistics(call.formula().weights)
    equal_statistics(result, expected, TOLERANCES[torch.float64])
    equal_spread(result, expected, torch.float64)


SOFT = [name for name, kind in KINDS.items() if kind.soft and name != "softmax"]


@PROPERTY
@given(lengths, lengths, st.sampled_from(LOOKED_AT[1:]), computed, seeds, st.sampled_from(SOFT))
def test_statistics_of_every_kind_are_those_of_the_dense_weights(queries, keys, meaning, dtype, seed, kind):
    call = looked_at(queries, keys, meaning, dtype, seed, kind=kind)
    result = call.attend("tiled", want=STATISTICS)
    equal_statistics(result, oracle.statistics(call.formula().weights), 10 * TOLERANCES[dtype])


@engines
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("kind", ["softmax", *SOFT])
def test_statistics_of_half_types_are_those_of_their_float32_scores(kind, dtype, engine):
    call = call_of(Case((2, 4, 9, 4), (2, 2, 7, 4), (2, 2, 7, 4), first_causal, None, kind), dtype)
    result = call.attend(engine, want=STATISTICS)
    equal_statistics(result, oracle.statistics(call.formula().weights), 2 * call.tolerance(engine, dtype))


@pytest.mark.parametrize("kind", [name for name in SOFT if not KINDS[name].sums])
def test_what_a_sink_takes_is_missing_from_what_keys_receive(kind):
    call = looked_at(31, 67, first_causal, torch.float64, 0, kind=kind)
    result = call.attend("tiled", want=WANTED)
    bare = run("tiled", *call.tensors, call.mechanism(weigh=regard.softmax()), want=("lse",))
    equal(result.received.sum(-1), (bare.lse - result.lse).exp().sum(-1), TOLERANCES[torch.float64], "received")
    assert (result.received.sum(-1) < 31).all()


@pytest.mark.parametrize("dropout", [0.3, 1.0])
def test_statistics_are_of_the_weights_before_dropout(dropout):
    call = looked_at(31, 67, first_causal, torch.float64, 0)
    result = run("tiled", *call.tensors, call.mechanism(dropout=dropout, seed=3), want=STATISTICS)
    equal_statistics(result, oracle.statistics(call.formula().weights), TOLERANCES[torch.float64])


@pytest.mark.parametrize("meaning", [padded, booleans, infinities, near], ids=lambda meaning: meaning.__name__)
def test_statistics_of_many_heads_are_those_of_the_dense_weights(meaning):
    """So many that they are prepared in several groups, and each group is walked over in several parts."""
    shapes = [(3, heads, count, 64) for heads, count in ((26, 70), (13, 600), (13, 600))]
    call = call_of(Case(*shapes, meaning), torch.float32)
    result = call.attend("fused", want=STATISTICS)
    equal_statistics(result, oracle.statistics(call.formula().weights), 10 * TOLERANCES[torch.float32])


@PROPERTY
@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from([1, 2, 5, 64]), st.sampled_from(LOOKED_AT))
def test_the_map_has_at_most_so_many_cells(queries, keys, cells, meaning):
    call = looked_at(queries, keys, meaning, torch.float64, 0)
    problem, dense = Problem.of(*call.tensors, call.mechanism()), call.formula()
    seen, expected = observe(problem, dense.lse, ("map",), cells=cells).map, oracle.statistics(dense.weights, cells)
    assert max(seen.mean.shape[-2:]) <= cells
    equal(seen.mean, expected.map_mean, TOLERANCES[torch.float64], "mean")
    equal(seen.max, expected.map_max, TOLERANCES[torch.float64], "max")


@pytest.mark.parametrize("name", STATISTICS)
def test_a_statistic_asked_for_alone_is_that_asked_for_among_others(name):
    call = looked_at(31, 257, near_or_first, torch.float32, 0)
    alone, among = call.attend("fused", want=(name,)), call.attend("fused", want=STATISTICS)
    asked = [(label, tensor) for label, tensor in flat(among) if label.split()[0] in ("output", name)]
    for (label, actual), (same_label, expected) in zip(flat(alone), asked, strict=True):
        assert label == same_label
        assert torch.equal(actual, expected)


@pytest.mark.parametrize("meaning", LOOKED_AT, ids=lambda meaning: meaning.__name__)
def test_statistics_of_a_batch_are_those_of_its_items(meaning):
    call = looked_at(31, 257, meaning, torch.float64, 0)
    table = call.meaning.table(call.places, torch.float64)
    together = flat(call.attend("fused", want=WANTED))
    for item in range(2):
        one = slice(item, item + 1)
        query, key, value = (tensor[one] for tensor in call.tensors)
        alone = run("fused", query, key, value, Attention(mask=table[one]), want=WANTED)
        for (name, actual), (_, expected) in zip(flat(alone), together, strict=True):
            tolerance = SPREAD[torch.float64] if "spread" in name else TOLERANCES[torch.float64]
            equal(actual, expected[one], tolerance, name)


@PROPERTY
@given(st.sampled_from(SIZES), st.sampled_from(SIZES), st.sampled_from(LOOKED_AT))
def test_weights_add_up(queries, keys, meaning):
    """What keys receive is what queries that see some key give, one each; the map holds the same mass."""
    call = looked_at(queries, keys, meaning, torch.float64, 0)
    result = call.attend("fused", want=WANTED)
    given_out = (result.lse > -torch.inf).sum(-1).double()
    equal(result.received.sum(-1), given_out, TOLERANCES[torch.float64], "received")
    assert (result.received_max <= result.received + TOLERANCES[torch.float64]).all()
    assert (result.map.max >= result.map.mean - TOLERANCES[torch.float64]).all()
    assert (result.entropy <= math.log(keys) + TOLERANCES[torch.float64]).all()
    assert (result.entropy >= -TOLERANCES[torch.float64]).all()


@engines
@dtypes
@pytest.mark.parametrize("name", ["plain", "causal", "infinities", "grouped heads", "wider values"])
def test_looking_changes_nothing(name, dtype, engine):
    call = call_of(name, dtype)
    plain, looked = (leaves(*call.inputs) for _ in range(2))
    without, beside = call.attend(engine, *plain).output, call.attend(engine, *looked, want=WANTED).output
    assert torch.equal(without, beside)
    cotangent = torch.ones_like(without)
    for one, other in zip(gradients(without, plain, cotangent), gradients(beside, looked, cotangent), strict=True):
        assert torch.equal(one, other)


@engines
def test_lse_and_statistics_carry_no_gradient(engine):
    call = call_of("causal")
    result = call.attend(engine, *leaves(*call.inputs), want=WANTED)
    assert [name for name, tensor in flat(result) if tensor.requires_grad] == ["output output"]


@engines
def test_looking_works_in_inference_mode_and_after_it(engine):
    call = looked_at(11, 13, first_causal, torch.float64, 0)
    with torch.inference_mode():
        inside = call.attend(engine, want=WANTED)
    after = call.attend(engine, *leaves(*call.inputs), want=WANTED)
    for (name, actual), (_, expected) in zip(flat(after), flat(inside), strict=True):
        equal(actual, expected, TOLERANCES[torch.float64], name)


@contextmanager
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextmanager
def default_float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


SETTINGS = {
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "deterministic": deterministic,
    "default float64": default_float64,
    "no grad": torch.no_grad,
    "inference": torch.inference_mode,
}


@engines
@pytest.mark.parametrize("meaning", [first_causal, numbers], ids=lambda meaning: meaning.__name__)
@pytest.mark.parametrize("setting", SETTINGS)
def test_settings_of_torch_change_nothing(setting, meaning, engine):
    """The tensors alone say in which type is computed."""
    call = looked_at(31, 67, meaning, torch.float32, 0)
    outside = flat(call.attend(engine, want=WANTED))
    with SETTINGS[setting]():
        inside = flat(call.attend(engine, want=WANTED))
    for (name, actual), (_, expected) in zip(inside, outside, strict=True):
        assert actual.dtype == expected.dtype
        equal(actual, expected, TOLERANCES[torch.float32], name)


@dtypes
def test_statistics_have_the_type_of_the_computation(dtype):
    call = call_of("causal", dtype)
    seen = flat(call.attend("fused", want=WANTED))
    assert {tensor.dtype for name, tensor in seen if name != "output output"} == {compute_dtype(dtype)}
