"""Numbers added to scores, as a mask or as a bias: of any type, any size, with a gradient of their own."""

import pytest
import torch

from regard import Attention
from regard.mechanisms.masks import as_mask
from regard.shapes import FLOATS
from tests import oracle
from tests.attend_cases import TOLERANCES, call_of, dtypes, engines, equal, gradients, leaves, run, tolerance_of
from tests.attend_masks import coins, randoms

ways = pytest.mark.parametrize("way", ["mask", "bias"])


@engines
@dtypes
@ways
@pytest.mark.parametrize("added", FLOATS, ids=lambda dtype: f"added {str(dtype).removeprefix('torch.')}")
def test_what_is_added_may_have_another_type_than_the_queries(added, way, dtype, engine):
    query, key, value = (randoms(2, 2, 5, 4, seed=seed, dtype=dtype) for seed in range(3))
    table = randoms(5, 5, seed=4, dtype=added)
    result = run(engine, query, key, value, Attention(**{way: table}), want=("lse",))
    expected = oracle.attention(query, key, value, bias=table)
    equal(result.output, expected.output, tolerance_of(engine, dtype), "output")
    equal(result.lse, expected.lse, tolerance_of(engine, dtype), "lse")


@engines
@dtypes
@ways
@pytest.mark.parametrize("added", FLOATS, ids=lambda dtype: f"added {str(dtype).removeprefix('torch.')}")
def test_the_least_number_of_any_type_is_never_taken_for_minus_infinity(added, way, dtype, engine):
    """Adding the same number to a whole row leaves the weights as they are, up to rounding of the scores."""
    query, key, value = (randoms(1, 2, 4, 4, seed=seed, dtype=dtype) for seed in range(3))
    table = torch.zeros(4, 4, dtype=added)
    table[1] = torch.finfo(added).min
    output = run(engine, query * 0, key, value, Attention(**{way: table})).output
    mean = value.double().mean(-2, keepdim=True).expand(value.shape)
    equal(output, mean, tolerance_of(engine, dtype), "output")


@engines
def test_a_sum_of_added_masks_that_overflows_means_the_same_on_every_engine(engine):
    least = torch.zeros(5, 5)
    least[1] = torch.finfo(torch.float32).min
    query, key, value = (randoms(1, 2, 5, 4, seed=seed) for seed in range(3))
    mechanism = Attention(mask=as_mask(least) & least)
    result, expected = (run(each, query, key, value, mechanism, want=("lse",)) for each in (engine, "reference"))
    equal(result.output, expected.output, TOLERANCES[torch.float32], "output")
    equal(result.lse, expected.lse, TOLERANCES[torch.float32], "lse")
    assert not result.output[result.lse == -torch.inf].any()


@engines
@ways
def test_infinite_numbers_and_the_boolean_mask_of_finite_ones_mean_the_same(way, engine):
    call, table = call_of("plain"), coins(7, 7)
    added = torch.zeros(7, 7, dtype=torch.float64).masked_fill(~table, -torch.inf)
    equal(
        run(engine, *call.tensors, Attention(**{way: added})).output,
        run(engine, *call.tensors, Attention(mask=table)).output,
        TOLERANCES[torch.float64],
        "output",
    )


@engines
@ways
@pytest.mark.parametrize("shape", [(7,), (7, 7), (2, 1, 7, 7), (2, 2, 7, 1)])
def test_what_is_added_gets_the_gradient_of_the_formula(shape, way, engine):
    call = call_of("plain")
    table, exact = leaves(*[randoms(*shape, seed=4, dtype=torch.float64)] * 2)
    output = run(engine, *call.tensors, Attention(**{way: table})).output
    expected = oracle.attention(*call.tensors, bias=exact).output
    cotangent = randoms(*output.shape, seed=9, dtype=torch.float64)
    (actual,), (wanted,) = gradients(output, (table,), cotangent), gradients(expected, (exact,), cotangent)
    equal(actual, wanted, TOLERANCES[torch.float64], "gradient")


@engines
@ways
def test_a_row_of_minus_infinity_is_a_query_that_sees_no_key(way, engine):
    call, table = call_of("plain"), torch.zeros(7, 7, dtype=torch.float64)
    table[3] = -torch.inf
    inputs = leaves(*call.inputs)
    result, expected = (
        run(engine, *inputs, mechanism, want=("lse", "entropy", "received"))
        for mechanism in (Attention(**{way: table}), Attention(mask=table == 0))
    )
    for name in ("output", "lse", "entropy", "received"):
        equal(getattr(result, name), getattr(expected, name), TOLERANCES[torch.float64], name)
    cotangent = randoms(*result.output.shape, seed=9, dtype=torch.float64)
    both = zip(*(gradients(each.output, inputs, cotangent) for each in (result, expected)), strict=True)
    for actual, wanted in both:
        equal(actual, wanted, TOLERANCES[torch.float64], "gradient")


@engines
@ways
def test_large_numbers_added_to_whole_rows_change_nothing_but_the_log_sum_exp(way, engine):
    call, rows = call_of("plain"), torch.tensor([0.0, 5e3, -5e3, 1e4, 0.0, -1e4, 3.0], dtype=torch.float64)[:, None]
    inputs = leaves(*call.inputs)
    result, plain = (run(engine, *inputs, m, want=("lse",)) for m in (Attention(**{way: rows}), Attention()))
    equal(result.output, plain.output, 1e-9, "output")
    equal(result.lse, plain.lse + rows[:, 0], TOLERANCES[torch.float64], "lse")
    cotangent = randoms(*result.output.shape, seed=9, dtype=torch.float64)
    both = zip(*(gradients(each.output, inputs, cotangent) for each in (result, plain)), strict=True)
    for actual, wanted in both:
        equal(actual, wanted, 1e-9, "gradient")


@engines
def test_a_mask_that_adds_and_a_bias_add_up(engine):
    call = call_of("plain")
    one, two = randoms(7, 7, seed=3, dtype=torch.float64), randoms(2, 1, 7, seed=4, dtype=torch.float64)
    output = run(engine, *call.tensors, Attention(mask=one, bias=two)).output
    equal(output, run(engine, *call.tensors, Attention(mask=one + two)).output, TOLERANCES[torch.float64], "output")
