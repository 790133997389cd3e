"""Every case of the table, on every engine, in every data type, is what the formula says."""

import itertools

import pytest
import torch

from regard import Attention, attend
from regard.attend import WANTED
from regard.engines.choose import ENGINES
from regard.engines.contract import Problem
from regard.shapes import compute_dtype
from tests.attend_cases import CASES, call_of, cases, equal, gradients, leaves, typed_cases
from tests.attend_masks import randoms


@typed_cases
def test_output_and_lse_are_those_of_the_formula(name, dtype, engine):
    call = call_of(name, dtype)
    tolerance, expected = call.tolerance(engine, dtype), call.formula()
    result = call.attend(engine, want=() if expected.lse is None else ("lse",))
    equal(result.output, expected.output, tolerance, "output")
    assert result.output.dtype == dtype
    if expected.lse is not None:
        equal(result.lse, expected.lse, tolerance, "lse")
        assert result.lse.dtype == compute_dtype(dtype)


@typed_cases
def test_gradients_are_those_of_the_formula(name, dtype, engine):
    call = call_of(name, dtype)
    given, exact = leaves(*call.inputs), leaves(*(tensor.double() for tensor in call.inputs))
    output, expected = call.attend(engine, *given).output, call.formula(*exact).output
    cotangent = randoms(*expected.shape, seed=9, dtype=dtype).double()
    pairs = zip(gradients(output, given, cotangent), gradients(expected, exact, cotangent), strict=True)
    names = ("query", "key", "value", *call.kind.parameters)
    for what, (actual, wanted) in zip(names, pairs, strict=True):
        equal(actual, wanted, call.tolerance(engine, dtype), f"gradient of {what}")


@pytest.mark.parametrize("name", CASES)
def test_an_engine_beside_the_reference_takes_every_case(name):
    call = call_of(name)
    problem = Problem.of(*call.tensors, call.mechanism())
    assert [each.name for each in ENGINES if not each.against(problem) and each.name != "reference"]


@cases
def test_a_query_that_sees_no_key_has_output_0_and_gradient_0(name, engine):
    call = call_of(name)
    allowed = call.meaning.table(call.places, torch.float64) > -torch.inf
    blind = ~allowed.any(-1)
    inputs = leaves(*call.inputs)
    result = call.attend(engine, *inputs)
    assert not result.output[blind].any()
    (gradient,) = gradients(result.output, inputs[:1], torch.ones_like(result.output))
    assert not gradient[blind].any()


def test_default_scale_is_one_over_the_root_of_the_width_of_queries():
    query, key, value = (randoms(1, 1, 3, width, seed=width) for width in (16, 16, 64))
    assert torch.equal(attend(query, key, value).output, attend(query, key, value, Attention(scale=0.25)).output)


def test_what_was_not_asked_for_is_none():
    call = call_of("plain")
    for wanted in ((), ("lse",), ("entropy", "map")):
        result = attend(*call.tensors, want=wanted)
        assert {name for name in WANTED if getattr(result, name) is not None} == set(wanted)


@pytest.mark.parametrize("name", CASES)
def test_a_mechanism_says_in_words_what_it_is(name):
    words = str(call_of(name).mechanism())
    assert words
    assert "<" not in words


def test_pairs_of_seeds_differ():
    """The table would be blind to mixed-up tensors if two of them were the same."""
    tensors = [randoms(3, seed=seed) for seed in (*range(5), *range(20, 24))]
    assert not any(torch.equal(one, other) for one, other in itertools.combinations(tensors, 2))
