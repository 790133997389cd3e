"""NaN, infinity and rubbish reach those who may see them, and nobody else."""

import math

import pytest
import torch
from torch import Tensor

from regard import Attention, Mask, causal, padding, window
from regard.attend import WANTED
from tests.attend_cases import KINDS, TOLERANCES, Case, call_of, engines, equal, flat, gradients, leaves, run
from tests.attend_masks import Meaning, Places, randoms

nonfinite = pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf], ids=str)
HIDDEN = 2
hiding = pytest.mark.parametrize("form", ["rule", "booleans", "numbers", "numbers and rule", "empty rows"])


def hide_last_keys(form: str, queries: int, keys: int) -> Mask | Tensor:
    """Return a mask that hides the last HIDDEN keys from every query, in this form."""
    seen = torch.arange(keys) < keys - HIDDEN
    added = torch.zeros(queries, keys).masked_fill(~seen, -torch.inf)
    return {
        "rule": padding([keys - HIDDEN] * 2),
        "booleans": seen,
        "numbers": added,
        "numbers and rule": causal(align="last") & added,
        "empty rows": window(2, align="last") & seen,
    }[form]


def hidden(form: str, bad: float, key_heads: int) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...], Attention]:
    """Return the tensors of a call, the same with something bad in hidden keys and values, and the mechanism."""
    shapes = [(2, heads, count, 4) for heads, count in ((4, 5), (key_heads, 7), (key_heads, 7))]
    clean = leaves(*(randoms(*shape, seed=seed) for seed, shape in enumerate(shapes)))
    dirty = leaves(*clean)
    with torch.no_grad():
        for tensor in dirty[1:]:
            tensor[:, :, -HIDDEN:] = bad
    return clean, dirty, Attention(mask=hide_last_keys(form, 5, 7))


def equal_gradients(
    engine: str, clean: tuple[Tensor, ...], dirty: tuple[Tensor, ...], mechanism: Attention
) -> None:
    expected, actual = (run(engine, *tensors, mechanism).output for tensors in (clean, dirty))
    cotangent = randoms(*expected.shape, seed=9)
    both = zip(gradients(actual, dirty, cotangent), gradients(expected, clean, cotangent), strict=True)
    for one, other in both:
        equal(one, other, TOLERANCES[torch.float32], "gradient")


@engines
@nonfinite
@hiding
@pytest.mark.parametrize("key_heads", [1, 2, 4])
def test_nan_and_infinity_in_masked_keys_and_values_reach_nothing(key_heads, form, bad, engine):
    clean, dirty, mechanism = hidden(form, bad, key_heads)
    expected, result = (run(engine, *tensors, mechanism, want=WANTED) for tensors in (clean, dirty))
    for (name, actual), (_, wanted) in zip(flat(result), flat(expected), strict=True):
        equal(actual, wanted, TOLERANCES[torch.float32], name)
    equal_gradients(engine, clean, dirty, mechanism)


@engines
@nonfinite
@pytest.mark.parametrize("where", ["key", "value"])
@pytest.mark.parametrize("name", ["causal", "grouped heads", "booleans", "padding", "infinities", "wider values"])
def test_exactly_the_queries_that_may_see_a_bad_key_get_nan(name, where, bad, engine):
    call = call_of(name)
    query, key, value = (tensor.clone() for tensor in call.tensors)
    (key if where == "key" else value)[0, -1, 1, 0] = bad
    weights = call.formula().weights
    group = weights.shape[1] // key.shape[1]
    sees = torch.zeros(weights.shape[:3], dtype=torch.bool)
    sees[0, -group:] = weights[0, -group:, :, 1] > 0
    result = call.attend(engine, query, key, value, want=("lse",))
    expected = call.formula()
    equal(
        result.output, expected.output.masked_fill(sees[..., None], math.nan), TOLERANCES[torch.float64], "output"
    )
    equal(result.lse, expected.lse.masked_fill(sees, math.nan), TOLERANCES[torch.float64], "lse")


@engines
@nonfinite
def test_a_bad_key_leaves_the_gradient_of_those_who_do_not_see_it(bad, engine):
    call = call_of("causal")
    clean, dirty = leaves(*call.inputs), leaves(*call.inputs)
    with torch.no_grad():
        dirty[1][:, :, 4] = bad
    before = [call.attend(engine, *tensors).output[:, :, :4].sum() for tensors in (clean, dirty)]
    for actual, wanted in zip(
        torch.autograd.grad(before[1], dirty), torch.autograd.grad(before[0], clean), strict=True
    ):
        equal(actual, wanted, TOLERANCES[torch.float64], "gradient")


@engines
@nonfinite
@pytest.mark.parametrize("name", ["plain", "causal", "padding", "grouped heads", "window, last aligned"])
def test_a_bad_query_spoils_itself_only_and_only_if_it_sees_a_key(name, bad, engine):
    call, expected = call_of(name), call_of(name).formula()
    for position in (0, call.tensors[0].shape[2] - 1):
        query = call.tensors[0].clone()
        query[:, :, position, 1] = bad
        spoilt = torch.zeros_like(expected.lse, dtype=torch.bool)
        spoilt[:, :, position] = expected.lse[:, :, position] > -torch.inf
        result = call.attend(engine, query, *call.tensors[1:], want=("lse",))
        wanted = expected.output.masked_fill(spoilt[..., None], math.nan)
        equal(result.output, wanted, TOLERANCES[torch.float64], "output")
        equal(result.lse, expected.lse.masked_fill(spoilt, math.nan), TOLERANCES[torch.float64], "lse")


@engines
def test_nan_in_an_added_mask_stays_in_its_row(engine):
    call, table = call_of("plain"), torch.zeros(7, 7, dtype=torch.float64)
    expected = call.formula()
    table[3, 2] = math.nan
    output = run(engine, *call.tensors, Attention(mask=table)).output
    expected.output[:, :, 3] = math.nan
    equal(output, expected.output, TOLERANCES[torch.float64], "output")


def last_two_hidden(p: Places, dtype: torch.dtype) -> Meaning:
    return Meaning(padding([p.keys - HIDDEN] * len(p.b)), p.k < p.keys - HIDDEN)


@engines
@pytest.mark.parametrize("bad", [math.nan, math.inf], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_nan_and_infinity_in_masked_keys_and_values_reach_nothing_of_any_kind(kind, bad, engine):
    """Neither the output, nor any gradient, the parameters' own among them."""
    call = call_of(Case((2, 4, 5, 4), (2, 2, 7, 4), (2, 2, 7, 3), last_two_hidden, None, kind))
    clean = leaves(*call.inputs)
    dirty = leaves(*clean)
    with torch.no_grad():
        for tensor in dirty[1:3]:
            tensor[:, :, -HIDDEN:] = bad
    expected, output = (call.attend(engine, *inputs).output for inputs in (clean, dirty))
    equal(output, expected, TOLERANCES[torch.float64], "output")
    cotangent = randoms(*output.shape, seed=9, dtype=torch.float64)
    both = zip(gradients(output, dirty, cotangent), gradients(expected, clean, cotangent), strict=True)
    for what, (actual, wanted) in zip(("query", "key", "value", *call.kind.parameters), both, strict=True):
        equal(actual, wanted, TOLERANCES[torch.float64], f"gradient of {what}")


@engines
@pytest.mark.parametrize("kind", KINDS)
def test_a_query_of_any_kind_that_may_see_nan_gets_nan(kind, engine):
    call = call_of(Case((2, 4, 5, 4), (2, 2, 7, 4), (2, 2, 7, 3), kind=kind))
    query, key, value = (tensor.clone() for tensor in call.tensors)
    value[1, 1, 3, 0] = math.nan
    output = call.attend(engine, query, key, value, *call.inputs[3:]).output
    assert output[1, 2:].isnan().all()
    expected = call.formula().output
    equal(output[0], expected[0], TOLERANCES[torch.float64], "the other item")
    equal(output[1, :2], expected[1, :2], TOLERANCES[torch.float64], "the other heads")
