"""One table of calls, every engine, many laws; what each call means is written out for the oracle, beside it."""

import itertools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.testing import assert_close

import regard
from regard import Attention, Mask, attend, causal, explain, full, padding, window
from regard.attend import WANTED, Attended
from regard.engines.choose import DENSE_LIMIT, ENGINES
from regard.engines.contract import Problem
from regard.engines.kernel import call_and_catch, call_kernel
from regard.engines.log_weights import log_sum_exp
from regard.engines.observe import observe
from regard.engines.partial import Partial
from regard.engines.statistics import STATISTICS, Statistics
from regard.errors import EngineError, MaskError, ShapeError, WantError
from regard.mechanisms.masks import as_mask
from regard.shapes import FLOATS, compute_dtype
from tests import oracle

# How far an engine may be from the formula, relative to the largest number of the result. An engine that is
# less exact by nature gets an entry of its own, (engine, type).
TOLERANCES: dict[torch.dtype | tuple[str, torch.dtype], float] = {
    torch.float64: 1e-10,
    torch.float32: 1e-5,
    torch.bfloat16: 2e-2,
    torch.float16: 2e-3,
}
PROPERTY = settings(deadline=None, max_examples=25)


@dataclass(frozen=True, eq=False)
class Places:
    """Index tensors that broadcast to (B, H, Nq, Nk), and how many queries and keys there are."""

    b: Tensor
    h: Tensor
    q: Tensor
    k: Tensor
    queries: int
    keys: int

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return len(self.b), self.h.shape[1], self.queries, self.keys


@dataclass(frozen=True, eq=False)
class Meaning:
    """A mask as it is given to regard, and what it means: who may see whom, and what is added."""

    mask: Mask | Tensor | None
    allowed: Tensor | None = None
    bias: Tensor | None = None


def randoms(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def coins(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.6


# Masks: each returns what regard is given and what it means.


def everyone(p: Places, dtype: torch.dtype) -> Meaning:
    return Meaning(None)


def first_causal(p: Places, dtype: torch.dtype) -> Meaning:
    return Meaning(causal(), p.k <= p.q)


def last_causal(p: Places, dtype: torch.dtype) -> Meaning:
    return Meaning(causal(align="last"), p.keys - p.k >= p.queries - p.q)


def near(p: Places, dtype: torch.dtype) -> Meaning:
    return Meaning(window(2, 1), (p.k >= p.q - 2) & (p.k <= p.q + 1))


def near_past(p: Places, dtype: torch.dtype) -> Meaning:
    return Meaning(causal() & window(3), (p.k <= p.q) & (p.k >= p.q - 3))


def near_last(p: Places, dtype: torch.dtype) -> Meaning:
    gap = (p.k - p.keys) - (p.q - p.queries)
    return Meaning(window(1, 0, align="last"), (gap == 0) | (gap == -1))


def near_or_first(p: Places, dtype: torch.dtype) -> Meaning:
    return Meaning(
        causal() & (window(1) | (torch.arange(p.keys) == 0)), (p.k <= p.q) & ((p.k >= p.q - 1) | (p.k == 0))
    )


def future(p: Places, dtype: torch.dtype) -> Meaning:
    return Meaning(~causal(), p.k > p.q)


def padded(p: Places, dtype: torch.dtype) -> Meaning:
    """The first item is whole, the second half, the third empty."""
    lengths = torch.tensor([p.keys, p.keys // 2, 0])[: len(p.b)]
    return Meaning(padding(lengths), p.k < lengths[p.b])


def padded_causal(p: Places, dtype: torch.dtype) -> Meaning:
    plain = padded(p, dtype)
    return Meaning(causal() & plain.mask, plain.allowed & (p.k <= p.q))


def booleans(p: Places, dtype: torch.dtype) -> Meaning:
    table = coins(*p.shape)
    return Meaning(table, table)


def booleans_of_heads(p: Places, dtype: torch.dtype) -> Meaning:
    table = coins(p.shape[1], p.queries, 1)
    return Meaning(table, table)


def booleans_of_keys(p: Places, dtype: torch.dtype) -> Meaning:
    table = coins(p.shape[0], 1, 1, p.keys)
    return Meaning(table, table)


def nobody(p: Places, dtype: torch.dtype) -> Meaning:
    return Meaning(torch.tensor(False), torch.tensor(False))


def numbers(p: Places, dtype: torch.dtype) -> Meaning:
    table = randoms(p.shape[1], p.queries, p.keys, seed=3, dtype=dtype)
    return Meaning(table, None, table)


def numbers_of_keys(p: Places, dtype: torch.dtype) -> Meaning:
    table = randoms(p.keys, seed=3, dtype=dtype)
    return Meaning(table, None, table)


def infinities(p: Places, dtype: torch.dtype) -> Meaning:
    """Numbers, some of them -inf, the whole row of the last query among them."""
    table = randoms(p.shape[0], 1, p.queries, p.keys, seed=3, dtype=dtype)
    table = table.masked_fill(coins(p.queries, p.keys), -torch.inf)
    table[..., -1, :] = -torch.inf
    return Meaning(table, None, table)


def least_numbers(p: Places, dtype: torch.dtype) -> Meaning:
    """The least finite number where others write -inf."""
    table = torch.zeros(p.queries, p.keys, dtype=dtype).masked_fill(
        coins(p.queries, p.keys), torch.finfo(dtype).min
    )
    table[:, 0] = 0.0
    return Meaning(table, None, table)


def least_numbers_only(p: Places, dtype: torch.dtype) -> Meaning:
    """The same, and the last query has nothing else: all its scores round to one number."""
    table = least_numbers(p, dtype).bias.clone()
    table[-1] = torch.finfo(dtype).min
    return Meaning(table, None, table)


def numbers_and_rule(p: Places, dtype: torch.dtype) -> Meaning:
    table = randoms(p.queries, p.keys, seed=3, dtype=dtype)
    return Meaning(causal() & table, p.k <= p.q, table)


def numbers_twice(p: Places, dtype: torch.dtype) -> Meaning:
    one, two = randoms(p.queries, p.keys, seed=3, dtype=dtype), randoms(p.keys, seed=4, dtype=dtype)
    return Meaning(as_mask(one) & two, None, one.double() + two.double())


@dataclass(frozen=True)
class Case:
    """Shapes (batch, heads, positions, width), a mask, a scale."""

    query: tuple[int, int, int, int]
    key: tuple[int, int, int, int]
    value: tuple[int, int, int, int]
    meaning: Callable[[Places, torch.dtype], Meaning] = everyone
    scale: float | None = None


def square(meaning: Callable[[Places, torch.dtype], Meaning], batch: int = 2, scale: float | None = None) -> Case:
    return Case(*[(batch, 2, 7, 4)] * 3, meaning, scale)


def oblong(queries: int, keys: int, meaning: Callable[[Places, torch.dtype], Meaning]) -> Case:
    return Case((2, 2, queries, 4), (2, 2, keys, 4), (2, 2, keys, 4), meaning)


CASES = {
    "plain": square(everyone),
    "one token": Case(*[(1, 1, 1, 1)] * 3),
    "one key": oblong(5, 1, everyone),
    "one query": oblong(1, 5, everyone),
    "odd sizes": Case((3, 5, 31, 13), (3, 5, 17, 13), (3, 5, 17, 13)),
    "long": Case((1, 2, 257, 8), (1, 2, 1025, 8), (1, 2, 1025, 8)),
    "long, causal": Case((1, 2, 1025, 8), (1, 2, 1025, 8), (1, 2, 1025, 8), first_causal),
    "long, window": Case((1, 2, 1025, 8), (1, 2, 1031, 8), (1, 2, 1031, 8), near_last),
    "grouped heads": Case((2, 6, 5, 4), (2, 2, 7, 4), (2, 2, 7, 4)),
    "grouped heads, booleans": Case((2, 6, 5, 4), (2, 2, 7, 4), (2, 2, 7, 4), booleans),
    "one key head": Case((2, 3, 5, 4), (2, 1, 7, 4), (2, 1, 7, 4), first_causal),
    "wider values": Case((2, 2, 5, 4), (2, 2, 7, 4), (2, 2, 7, 9), padded),
    "narrower values": Case((2, 2, 5, 9), (2, 2, 7, 9), (2, 2, 7, 4), first_causal),
    "grouped heads, wider values": Case((2, 4, 5, 4), (2, 2, 7, 4), (2, 2, 7, 5), infinities),
    "values without width": Case((2, 2, 5, 4), (2, 2, 7, 4), (2, 2, 7, 0)),
    "scale": square(everyone, scale=0.7),
    "scale zero": square(first_causal, scale=0.0),
    "negative scale": square(first_causal, scale=-1.3),
    "scale, wider values": Case((2, 2, 5, 4), (2, 2, 7, 4), (2, 2, 7, 9), near, 0.3),
    "scale and numbers": square(numbers, scale=0.3),
    "causal": square(first_causal),
    "causal, more queries": oblong(9, 5, first_causal),
    "causal, more keys": oblong(5, 9, first_causal),
    "causal, last aligned": square(last_causal),
    "causal, last aligned, more queries": oblong(9, 5, last_causal),
    "causal, last aligned, more keys": oblong(5, 9, last_causal),
    "causal, last aligned, one query": oblong(1, 9, last_causal),
    "window": square(near),
    "window, more queries": oblong(11, 4, near),
    "window into the past": square(near_past),
    "window, last aligned": oblong(9, 5, near_last),
    "window or first": square(near_or_first),
    "future only": square(future),
    "padding": square(padded, batch=3),
    "padding and causal": square(padded_causal, batch=3),
    "booleans": square(booleans),
    "booleans of heads": square(booleans_of_heads),
    "booleans of keys": square(booleans_of_keys),
    "nobody sees": square(nobody),
    "numbers": square(numbers),
    "numbers of keys": square(numbers_of_keys),
    "infinities": square(infinities),
    "least numbers": square(least_numbers),
    "least numbers only": square(least_numbers_only),
    "numbers and causal": square(numbers_and_rule),
    "numbers twice": square(numbers_twice),
    "no keys": oblong(5, 0, everyone),
    "no keys, causal": oblong(5, 0, first_causal),
    "no keys, booleans": oblong(5, 0, booleans),
    "no queries": oblong(0, 5, everyone),
    "no queries, causal": oblong(0, 5, last_causal),
    "no queries, booleans": oblong(0, 5, booleans),
    "no batch items": square(everyone, batch=0),
    "no batch items, booleans": square(booleans, batch=0),
    "no batch items, padding": square(padded, batch=0),
    "no heads": Case(*[(2, 0, 7, 4)] * 3),
}


@dataclass(frozen=True, eq=False)
class Call:
    """The tensors of a case and what its mask means."""

    query: Tensor
    key: Tensor
    value: Tensor
    meaning: Meaning
    scale: float | None

    @property
    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.query, self.key, self.value

    @property
    def mechanism(self) -> Attention:
        return Attention(mask=self.meaning.mask, scale=self.scale)

    def attend(self, engine: str, *tensors: Tensor, want: tuple[str, ...] = ()) -> Attended:
        """Run on an engine, on these tensors or on the call's own; skip what the engine does not take."""
        return run(engine, *(tensors or self.tensors), self.mechanism, want=want)

    def formula(self, *tensors: Tensor) -> oracle.Dense:
        return oracle.attention(*(tensors or self.tensors), self.meaning.allowed, self.meaning.bias, self.scale)


def run(
    engine: str, query: Tensor, key: Tensor, value: Tensor, mechanism: Attention, want: tuple[str, ...] = ()
) -> Attended:
    problem = Problem(query, key, value, mechanism)
    reasons = next(each for each in ENGINES if each.name == engine).against(problem)
    if reasons:
        pytest.skip("; ".join(reasons))
    return attend(query, key, value, mechanism, engine=engine, want=want)


def places(batch: int, heads: int, queries: int, keys: int) -> Places:
    b, h, q, k = torch.meshgrid(
        *map(torch.arange, (batch, heads, queries, keys)),
        indexing="ij",
    )
    return Places(b[:, :1, :1, :1], h[:1, :, :1, :1], q[:1, :1, :, :1], k[:1, :1, :1], queries, keys)


def call_of(name: str, dtype: torch.dtype = torch.float64) -> Call:
    case = CASES[name]
    batch, heads, queries, _ = case.query
    at = places(batch, heads, queries, case.key[2])
    query, key, value = (
        randoms(*shape, seed=seed, dtype=dtype) for seed, shape in enumerate((case.query, case.key, case.value))
    )
    return Call(query, key, value, case.meaning(at, dtype), case.scale)


def equal(actual: Tensor, expected: Tensor, tolerance: float, what: str) -> None:
    """Assert that numbers agree, up to a part of the largest; NaN and infinities stand at the same places."""
    finite = expected.detach()[expected.isfinite()]
    largest = max(1.0, float(finite.abs().max())) if finite.numel() else 1.0
    assert_close(
        actual.double(),
        expected.double(),
        rtol=tolerance,
        atol=tolerance * largest,
        equal_nan=True,
        msg=lambda text: f"{what}: {text}",
    )


def tolerance_of(engine: str, dtype: torch.dtype) -> float:
    return TOLERANCES.get((engine, dtype), TOLERANCES[dtype])


def gradients(output: Tensor, tensors: tuple[Tensor, ...], cotangent: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(output, tensors, cotangent.to(output.dtype))


def leaves(*tensors: Tensor) -> tuple[Tensor, ...]:
    return tuple(tensor.detach().clone().requires_grad_() for tensor in tensors)


engines = pytest.mark.parametrize("engine", [each.name for each in ENGINES])
cases = pytest.mark.parametrize("name", CASES)
dtypes = pytest.mark.parametrize("dtype", FLOATS, ids=lambda dtype: str(dtype).removeprefix("torch."))


# The laws of the table.


@engines
@dtypes
@cases
def test_output_and_lse_are_those_of_the_formula(name, dtype, engine):
    call, tolerance = call_of(name, dtype), tolerance_of(engine, dtype)
    result, expected = call.attend(engine, want=("lse",)), call.formula()
    equal(result.output, expected.output, tolerance, "output")
    equal(result.lse, expected.lse, tolerance, "lse")
    assert result.output.dtype == dtype
    assert result.lse.dtype == compute_dtype(dtype)


@engines
@dtypes
@cases
def test_gradients_are_those_of_the_formula(name, dtype, engine):
    call, tolerance = call_of(name, dtype), tolerance_of(engine, dtype)
    given, exact = leaves(*call.tensors), leaves(*(tensor.double() for tensor in call.tensors))
    output, expected = call.attend(engine, *given).output, call.formula(*exact).output
    cotangent = randoms(*expected.shape, seed=9, dtype=dtype).double()
    pairs = zip(gradients(output, given, cotangent), gradients(expected, exact, cotangent), strict=True)
    for what, (actual, wanted) in zip(("query", "key", "value"), pairs, strict=True):
        equal(actual, wanted, tolerance, f"gradient of {what}")


@engines
@cases
def test_a_query_that_sees_no_key_has_output_0_and_gradient_0(name, engine):
    call = call_of(name)
    blind = call.formula().lse == -torch.inf
    query, key, value = leaves(*call.tensors)
    result = call.attend(engine, query, key, value, want=("lse",))
    assert torch.equal(result.lse == -torch.inf, blind)
    assert not result.output[blind].any()
    (gradient,) = gradients(result.output, (query,), torch.ones_like(result.output))
    assert not gradient[blind].any()


@engines
@pytest.mark.parametrize("layout", ["positions before heads", "width before positions", "every other", "expanded"])
@pytest.mark.parametrize("name", ["plain", "causal", "booleans", "grouped heads", "wider values"])
def test_layout_in_memory_changes_nothing(name, layout, engine):
    lay: Callable[[Tensor], Tensor] = {
        "positions before heads": lambda t: t.transpose(1, 2).contiguous().transpose(1, 2),
        "width before positions": lambda t: t.transpose(2, 3).contiguous().transpose(2, 3),
        "every other": lambda t: t.repeat_interleave(2, dim=-1)[..., ::2],
        "expanded": lambda t: t[..., :1].expand_as(t),
    }[layout]
    call = call_of(name)
    laid = tuple(lay(tensor.detach()).requires_grad_() for tensor in call.tensors)
    plain = leaves(*(tensor.contiguous() for tensor in laid))
    result, expected = call.attend(engine, *laid, want=("lse",)), call.formula(*plain)
    equal(result.output, expected.output, TOLERANCES[torch.float64], "output")
    equal(result.lse, expected.lse, TOLERANCES[torch.float64], "lse")
    cotangent = lay(randoms(*result.output.shape, seed=9, dtype=torch.float64))
    for actual, wanted in zip(
        gradients(result.output, laid, cotangent), gradients(expected.output, plain, cotangent), strict=True
    ):
        equal(actual, wanted, TOLERANCES[torch.float64], "gradient")


@engines
@cases
def test_a_rule_and_its_dense_form_mean_the_same(name, engine):
    call = call_of(name)
    rule, sizes = call.mechanism.rule, Problem(*call.tensors, Attention()).sizes
    if rule.adds:
        pytest.skip("adds numbers")
    dense = run(engine, *call.tensors, Attention(mask=rule.dense(sizes), scale=call.scale), want=("lse",))
    ruled = call.attend(engine, want=("lse",))
    equal(ruled.output, dense.output, TOLERANCES[torch.float64], "output")
    equal(ruled.lse, dense.lse, TOLERANCES[torch.float64], "lse")


@engines
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("meaning", [everyone, booleans, infinities], ids=lambda meaning: meaning.__name__)
def test_the_order_of_keys_does_not_matter(meaning, seed, engine):
    at = places(2, 2, 5, 9)
    query, key, value = (
        randoms(2, 2, count, 4, seed=seed + i, dtype=torch.float64) for i, count in enumerate((5, 9, 9))
    )
    order = torch.randperm(9, generator=torch.Generator().manual_seed(seed))
    mask = meaning(at, torch.float64).mask
    before = run(engine, query, key, value, Attention(mask=mask), want=("lse", "entropy"))
    mask = None if mask is None else mask[..., order]
    after = run(engine, query, key[:, :, order], value[:, :, order], Attention(mask=mask), want=("lse", "entropy"))
    for name in ("output", "lse", "entropy"):
        equal(getattr(after, name), getattr(before, name), TOLERANCES[torch.float64], name)


# NaN, infinity and rubbish.

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
    clean, dirty = leaves(*call.tensors), leaves(*call.tensors)
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
    for position in (0, call.query.shape[2] - 1):
        query = call.query.clone()
        query[:, :, position, 1] = bad
        spoilt = torch.zeros_like(expected.lse, dtype=torch.bool)
        spoilt[:, :, position] = expected.lse[:, :, position] > -torch.inf
        result = call.attend(engine, query, call.key, call.value, want=("lse",))
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


# What is added.


@engines
@dtypes
@pytest.mark.parametrize("added", FLOATS, ids=lambda dtype: f"mask {str(dtype).removeprefix('torch.')}")
def test_an_added_mask_may_have_another_type_than_the_queries(added, dtype, engine):
    query, key, value = (randoms(2, 2, 5, 4, seed=seed, dtype=dtype) for seed in range(3))
    table = randoms(5, 5, seed=4, dtype=added)
    result = run(engine, query, key, value, Attention(mask=table), want=("lse",))
    expected = oracle.attention(query, key, value, bias=table)
    equal(result.output, expected.output, tolerance_of(engine, dtype), "output")
    equal(result.lse, expected.lse, tolerance_of(engine, dtype), "lse")


@engines
@dtypes
@pytest.mark.parametrize("added", FLOATS, ids=lambda dtype: f"mask {str(dtype).removeprefix('torch.')}")
def test_the_least_number_of_any_type_is_never_taken_for_minus_infinity(added, dtype, engine):
    """Adding the same number to a whole row leaves the weights as they are, up to rounding of the scores."""
    query, key, value = (randoms(1, 2, 4, 4, seed=seed, dtype=dtype) for seed in range(3))
    table = torch.zeros(4, 4, dtype=added)
    table[1] = torch.finfo(added).min
    output = run(engine, query * 0, key, value, Attention(mask=table)).output
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
def test_a_float_mask_and_the_boolean_mask_of_its_finite_entries_mean_the_same(engine):
    call, table = call_of("plain"), coins(7, 7)
    added = torch.zeros(7, 7, dtype=torch.float64).masked_fill(~table, -torch.inf)
    equal(
        run(engine, *call.tensors, Attention(mask=added)).output,
        run(engine, *call.tensors, Attention(mask=table)).output,
        TOLERANCES[torch.float64],
        "output",
    )


@engines
@pytest.mark.parametrize("shape", [(7,), (7, 7), (2, 1, 7, 7), (2, 2, 7, 1)])
def test_an_added_mask_gets_the_gradient_of_the_formula(shape, engine):
    call = call_of("plain")
    table, exact = leaves(*[randoms(*shape, seed=4, dtype=torch.float64)] * 2)
    output = run(engine, *call.tensors, Attention(mask=table)).output
    expected = oracle.attention(*call.tensors, bias=exact).output
    cotangent = randoms(*output.shape, seed=9, dtype=torch.float64)
    (actual,), (wanted,) = gradients(output, (table,), cotangent), gradients(expected, (exact,), cotangent)
    equal(actual, wanted, TOLERANCES[torch.float64], "gradient")


# Derivatives, numerically.

DIFFERENTIATED = {
    "plain": Attention(),
    "causal, scale": Attention(mask=causal(), scale=0.9),
    "last aligned, a blind query": Attention(mask=causal(align="last")),
    "booleans": Attention(mask=coins(4, 3, seed=1)),
    "numbers": Attention(mask=randoms(2, 4, 3, seed=5, dtype=torch.float64)),
}
differentiated = pytest.mark.parametrize("mechanism", DIFFERENTIATED.values(), ids=DIFFERENTIATED)


def small(value_width: int) -> tuple[Tensor, ...]:
    shapes = ((1, 2, 4, 2), (1, 1, 3, 2), (1, 1, 3, value_width))
    return leaves(*(randoms(*shape, seed=seed, dtype=torch.float64) for seed, shape in enumerate(shapes)))


@engines
@differentiated
@pytest.mark.parametrize("value_width", [1, 2, 3])
def test_first_derivatives(value_width, mechanism, engine):
    assert gradcheck(lambda *tensors: run(engine, *tensors, mechanism).output, small(value_width))


@differentiated
def test_second_derivatives_of_the_reference(mechanism):
    assert gradgradcheck(lambda *tensors: attend(*tensors, mechanism, engine="reference").output, small(3))


def test_derivatives_of_an_added_mask():
    table = randoms(4, 3, seed=5, dtype=torch.float64).requires_grad_()
    query, key, value = small(2)

    def output(added: Tensor) -> Tensor:
        return attend(query, key, value, Attention(mask=causal() & added)).output

    assert gradcheck(output, (table,))
    assert gradgradcheck(output, (table,))


def test_the_fused_engine_refuses_second_derivatives_rather_than_giving_wrong_ones():
    query, key, value = small(2)
    output = attend(query, key, value, engine="fused").output
    (gradient,) = torch.autograd.grad(output.square().sum(), query, create_graph=True)
    with pytest.raises(RuntimeError, match="not implemented"):
        torch.autograd.grad(gradient.sum(), query)


# Partials.


@st.composite
def partials(draw, count):
    """Return partial results over disjoint keys, some of them over no keys at all."""
    seeds = st.integers(0, 2**31)
    made = []
    for _ in range(count):
        seed = draw(seeds)
        blind = coins(2, 3, 5, seed=seed)
        output, lse = (randoms(*shape, seed=seed, dtype=torch.float64) for shape in ((2, 3, 5, 4), (2, 3, 5)))
        lse = draw(st.sampled_from([1.0, 30.0, 1000.0])) * lse
        made.append(Partial(output.masked_fill(blind[..., None], 0.0), lse.masked_fill(blind, -torch.inf)))
    return made


def same(actual: Partial, expected: Partial) -> None:
    equal(actual.output, expected.output, TOLERANCES[torch.float64], "output")
    equal(actual.lse, expected.lse, TOLERANCES[torch.float64], "lse")


@PROPERTY
@given(partials(2))
def test_join_is_commutative(parts):
    a, b = parts
    same(a.join(b), b.join(a))


@PROPERTY
@given(partials(3))
def test_join_is_associative(parts):
    a, b, c = parts
    same(a.join(b).join(c), a.join(b.join(c)))


@PROPERTY
@given(partials(1))
def test_nothing_is_the_identity_of_join(parts):
    (a,) = parts
    sizes = Problem(*[a.output] * 3, Attention()).sizes
    nothing = Partial.nothing(sizes, a.output)
    same(a.join(nothing), a)
    same(nothing.join(a), a)
    same(nothing.join(nothing), nothing)


@engines
@dtypes
@pytest.mark.parametrize("name", ["plain", "causal", "grouped heads", "infinities", "padding", "wider values"])
def test_parts_of_the_keys_join_to_the_whole(name, dtype, engine):
    call = call_of(name, dtype)
    keys = call.key.shape[2]
    allowed = torch.ones(()) > 0 if call.meaning.allowed is None else call.meaning.allowed
    added = torch.zeros(()) if call.meaning.bias is None else call.meaning.bias
    table = torch.where(allowed, added.to(dtype), -torch.inf).expand(*call.query.shape[:3], keys)
    joined = None
    for chosen in (slice(0, 1), slice(1, 1), slice(1, 4), slice(4, keys)):
        part = run(
            engine,
            call.query,
            call.key[:, :, chosen],
            call.value[:, :, chosen],
            Attention(mask=table[..., chosen], scale=call.scale),
            want=("lse",),
        )
        partial = Partial(part.output, part.lse)
        joined = partial if joined is None else joined.join(partial)
    expected = call.formula()
    assert joined.output.dtype == dtype
    equal(joined.output, expected.output, 3 * tolerance_of(engine, dtype), "output")
    equal(joined.lse, expected.lse, tolerance_of(engine, dtype), "lse")


# Log-sum-exp and the kernel below.


@pytest.mark.parametrize("tile", [1, 3, 512])
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if 0 not in case.query + case.key])
def test_streamed_lse_is_that_of_the_scores(name, tile):
    if CASES[name].query[2] > tile * 100:
        pytest.skip("too many tiles")
    call = call_of(name)
    streamed = log_sum_exp(Problem(*call.tensors, call.mechanism), tile=tile)
    equal(streamed, call.formula().lse, TOLERANCES[torch.float64], "lse")


@pytest.mark.parametrize("mode", ["grad", "no grad", "inference"])
@dtypes
@pytest.mark.parametrize("mask", ["none", "causal", "added"])
@pytest.mark.parametrize("key_heads", [1, 2, 4])
def test_catching_gives_what_the_kernel_gives(key_heads, mask, dtype, mode):
    query = randoms(2, 4, 6, 8, seed=1, dtype=dtype).requires_grad_(mode == "grad")
    key, value = (randoms(2, key_heads, 9, 8, seed=seed, dtype=dtype) for seed in (2, 3))
    added = randoms(2, 1, 6, 9, seed=4, dtype=dtype) if mask == "added" else None
    modes = {"grad": torch.enable_grad, "no grad": torch.no_grad, "inference": torch.inference_mode}
    with modes[mode]():
        caught, called = (
            function(query, key, value, added, mask == "causal", 0.3) for function in (call_and_catch, call_kernel)
        )
    assert torch.equal(caught[0], called[0])
    assert caught[1] is not None
    assert torch.equal(caught[1], called[1])
    assert caught[0].requires_grad == (mode == "grad")


# Statistics.

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


def flat(statistics: Statistics) -> list[tuple[str, Tensor]]:
    """Return the output, lse and statistics as names and tensors, each field of a nested record by itself."""
    found = []
    for field in fields(statistics):
        part = getattr(statistics, field.name)
        inner = {field.name: part} if isinstance(part, Tensor) else vars(part) if hasattr(part, "mean") else {}
        found += [(f"{field.name} {name}", each) for name, each in inner.items() if isinstance(each, Tensor)]
    return found


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
    queries: int, keys: int, meaning: Callable[[Places, torch.dtype], Meaning], dtype: torch.dtype, seed: int
) -> Call:
    query, key, value = (
        2 * randoms(2, heads, count, 5, seed=seed + i, dtype=dtype)
        for i, (heads, count) in enumerate([(2, queries), (1, keys), (1, keys)])
    )
    return Call(query, key, value, meaning(places(2, 2, queries, keys), dtype), None)


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
    call = looked_at(queries, keys, meaning, dtype, seed)
    call = replace(call, scale=sharpness / math.sqrt(call.query.shape[-1]))
    result = call.attend("fused", want=("distance",))
    equal_spread(result, oracle.statistics(call.formula().weights), dtype)


@engines
@cases
def test_statistics_of_every_case_are_those_of_the_dense_weights(name, engine):
    call = call_of(name)
    result, expected = call.attend(engine, want=STATISTICS), oracle.statistics(call.formula().weights)
    equal_statistics(result, expected, TOLERANCES[torch.float64])
    equal_spread(result, expected, torch.float64)


@pytest.mark.parametrize("meaning", [padded, booleans, infinities, near], ids=lambda meaning: meaning.__name__)
def test_statistics_of_many_heads_are_those_of_the_dense_weights(meaning):
    """So many that they are prepared in several groups, and each group is walked over in several parts."""
    shapes = [(3, heads, count, 64) for heads, count in ((26, 70), (13, 600), (13, 600))]
    query, key, value = (randoms(*shape, seed=seed) for seed, shape in enumerate(shapes))
    call = Call(query, key, value, meaning(places(3, 26, 70, 600), torch.float32), None)
    result = call.attend("fused", want=STATISTICS)
    equal_statistics(result, oracle.statistics(call.formula().weights), 10 * TOLERANCES[torch.float32])


@PROPERTY
@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from([1, 2, 5, 64]), st.sampled_from(LOOKED_AT))
def test_the_map_has_at_most_so_many_cells(queries, keys, cells, meaning):
    call = looked_at(queries, keys, meaning, torch.float64, 0)
    problem, dense = Problem(*call.tensors, call.mechanism), call.formula()
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
    allowed = torch.tensor(True) if call.meaning.allowed is None else call.meaning.allowed
    added = torch.zeros((), dtype=torch.float64) if call.meaning.bias is None else call.meaning.bias
    table = torch.where(allowed, added, -torch.inf).expand(2, 2, 31, 257)
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
    plain, looked = (leaves(*call.tensors) for _ in range(2))
    without, beside = call.attend(engine, *plain).output, call.attend(engine, *looked, want=WANTED).output
    assert torch.equal(without, beside)
    cotangent = torch.ones_like(without)
    for one, other in zip(gradients(without, plain, cotangent), gradients(beside, looked, cotangent), strict=True):
        assert torch.equal(one, other)


@engines
def test_lse_and_statistics_carry_no_gradient(engine):
    call = call_of("causal")
    result = call.attend(engine, *leaves(*call.tensors), want=WANTED)
    assert [name for name, tensor in flat(result) if tensor.requires_grad] == ["output output"]


@engines
def test_looking_works_in_inference_mode_and_after_it(engine):
    call = looked_at(11, 13, first_causal, torch.float64, 0)
    with torch.inference_mode():
        inside = call.attend(engine, want=WANTED)
    after = call.attend(engine, *leaves(*call.tensors), want=WANTED)
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


def test_what_was_not_asked_for_is_none():
    call = call_of("plain")
    for wanted in ((), ("lse",), ("entropy", "map")):
        result = attend(*call.tensors, want=wanted)
        assert {name for name in WANTED if getattr(result, name) is not None} == set(wanted)


# Which engine.


def asking_mask(length: int) -> Tensor:
    """Return a mask (length, length) that asks for a gradient and takes no memory."""
    return torch.zeros((), requires_grad=True).expand(length, length)


def test_auto_takes_the_first_engine_that_can():
    call = call_of("plain")
    result = attend(*call.tensors)
    able = [each.name for each in ENGINES if not each.against(Problem(*call.tensors, Attention()))]
    assert result.engine == result.explanation.chosen == able[0]


def test_auto_turns_to_the_reference_where_the_mask_asks_for_a_gradient():
    call = call_of("plain")
    assert attend(*call.tensors, Attention(mask=asking_mask(7))).engine == "reference"
    with torch.no_grad():
        assert attend(*call.tensors, Attention(mask=asking_mask(7))).engine == ENGINES[0].name


@engines
def test_an_engine_asked_for_by_name_runs(engine):
    call = call_of("causal")
    result = call.attend(engine)
    assert result.engine == result.explanation.chosen == engine
    assert str(explain(*call.tensors, call.mechanism, engine=engine)) == str(result.explanation)


def test_an_explanation_prints_a_line_an_engine():
    call = call_of("plain")
    lines = str(explain(*call.tensors)).splitlines()
    assert len(lines) == len(ENGINES)
    assert "-> fused: taken; 0.0 MB beside inputs and output" in lines
    assert (
        "   reference: not taken, able, but an engine before it is preferred; 0.0 MB beside inputs and output"
        in lines
    )


def test_an_explanation_says_why_an_engine_is_not_taken():
    call = call_of("plain")
    text = str(explain(*call.tensors, Attention(mask=asking_mask(7))))
    assert (
        "   fused: not taken, the mask asks for a gradient, and torch's fused kernels give none to masks;" in text
    )
    assert "-> reference: taken;" in text
    assert '   fused: not taken, engine="reference" was asked for;' in str(
        explain(*call.tensors, engine="reference")
    )


def test_explaining_runs_nothing():
    huge = torch.zeros(()).expand(64, 64, 1 << 20, 64)
    assert explain(huge, huge, huge, Attention(mask=causal())).chosen == "fused"


def dense_only(pairs: int) -> tuple[tuple[Tensor, Tensor, Tensor], Attention]:
    """Return a call with at least so many weights that only the reference can compute, in next to no memory."""
    length = math.isqrt(pairs - 1) + 1
    tensor = torch.zeros(()).expand(1, 1, length, 1)
    return (tensor, tensor, tensor), Attention(mask=asking_mask(length))


def test_auto_never_takes_a_dense_engine_for_a_large_call():
    tensors, mechanism = dense_only(DENSE_LIMIT)
    assert explain(*tensors, mechanism).chosen is None
    with pytest.raises(EngineError) as refused:
        attend(*tensors, mechanism)
    message = str(refused.value)
    assert "no engine takes this call" in message
    assert "the mask asks for a gradient" in message
    assert 'too large to take unasked; ask for it with engine="reference"' in message
    assert explain(*tensors, mechanism, engine="reference").chosen == "reference"


def test_the_limit_of_dense_calls_is_one_of_bytes():
    tensors, mechanism = dense_only(1 << 10)
    reference = ENGINES[[each.name for each in ENGINES].index("reference")]
    assert reference.memory(Problem(*tensors, mechanism)) <= DENSE_LIMIT
    assert explain(*tensors, mechanism).chosen == "reference"


# Refusals: what is wrong -> the call, the error, and what its message must say.


def zeros(*shape: int, **options: torch.dtype | str) -> Tensor:
    return torch.zeros(shape, **options)


FITTING = zeros(2, 4, 3, 8)
NAMES = "distance, entropy, first, lse, map, received, received_max"
REFUSALS: dict[str, tuple[Callable[[], object], type[regard.errors.RegardError], tuple[str, ...]]] = {
    "three axes": (
        lambda: attend(FITTING[0], FITTING[0], FITTING[0]),
        ShapeError,
        ("expected query (B, H, Nq, D)", "four axes", "unsqueeze", "got query (4, 3, 8) float32 on cpu"),
    ),
    "data types": (
        lambda: attend(FITTING, FITTING.double(), FITTING),
        ShapeError,
        ("expected one data type", "key (2, 4, 3, 8) float64"),
    ),
    "whole numbers": (
        lambda: attend(*[FITTING.long()] * 3),
        ShapeError,
        ("expected float64, float32, bfloat16 or float16", "got query (2, 4, 3, 8) int64"),
    ),
    "devices": (
        lambda: attend(FITTING, FITTING.to("meta"), FITTING),
        ShapeError,
        ("expected all three on one device", "key (2, 4, 3, 8) float32 on meta"),
    ),
    "batch": (
        lambda: attend(FITTING, FITTING[:1], FITTING[:1]),
        ShapeError,
        ("expected the same batch size", "key (1, 4, 3, 8)"),
    ),
    "width": (
        lambda: attend(FITTING, FITTING[..., 1:], FITTING),
        ShapeError,
        ("expected query and key of the same width", "key (2, 4, 3, 7)"),
    ),
    "no width": (
        lambda: attend(FITTING[..., :0], FITTING[..., :0], FITTING),
        ShapeError,
        ("expected queries of width at least 1", "query (2, 4, 3, 0)"),
    ),
    "number of values": (
        lambda: attend(FITTING, FITTING, FITTING[:, :, 1:]),
        ShapeError,
        ("expected as many values as keys", "value (2, 4, 2, 8)"),
    ),
    "value heads": (
        lambda: attend(FITTING, FITTING[:, :2], FITTING),
        ShapeError,
        ("expected as many value heads as key heads", "key (2, 2, 3, 8)"),
    ),
    "heads no multiple": (
        lambda: attend(FITTING, FITTING[:, :3], FITTING[:, :3]),
        ShapeError,
        ("expected query heads (4) to be a multiple of key heads (3)", "got"),
    ),
    "fewer heads than key heads": (
        lambda: attend(FITTING[:, :2], FITTING, FITTING),
        ShapeError,
        ("expected query heads (2) to be a multiple of key heads (4)", "got"),
    ),
    "no key heads": (
        lambda: attend(FITTING, FITTING[:, :0], FITTING[:, :0]),
        ShapeError,
        ("expected query heads (4) to be a multiple of key heads (0)", "got"),
    ),
    "lengths": (
        lambda: attend(*[FITTING] * 3, Attention(mask=padding([1]))),
        MaskError,
        ("expected 2 lengths", "got shape (1,)"),
    ),
    "lengths beyond the keys": (
        lambda: explain(*[FITTING] * 3, Attention(mask=padding([1, 4]))),
        MaskError,
        ("expected lengths from 0 to 3", "got [1, 4]"),
    ),
    "mask size": (
        lambda: attend(*[FITTING] * 3, Attention(mask=coins(3, 4))),
        MaskError,
        ("expected a shape that broadcasts to (B, H, Nq, Nk) = (2, 4, 3, 3)", "got (3, 4)"),
    ),
    "mask of key heads": (
        lambda: attend(FITTING, FITTING[:, :2], FITTING[:, :2], Attention(mask=coins(2, 3, 3))),
        MaskError,
        ("(2, 4, 3, 3)", "got (2, 3, 3)"),
    ),
    "unknown wish": (
        lambda: attend(*[FITTING] * 3, want=("lse", "weights")),
        WantError,
        (f"expected names out of {NAMES}", "got weights"),
    ),
    "lone string": (
        lambda: attend(*[FITTING] * 3, want="lse"),
        WantError,
        ('expected a collection of names such as ("entropy",)', "got 'lse'"),
    ),
    "unknown engine": (
        lambda: attend(*[FITTING] * 3, engine="quick"),
        EngineError,
        ('expected "auto" or one of', *(each.name for each in ENGINES), "got 'quick'"),
    ),
    "unknown engine, explaining": (
        lambda: explain(*[FITTING] * 3, engine="quick"),
        EngineError,
        ('expected "auto" or one of', "got 'quick'"),
    ),
    "an engine that cannot": (
        lambda: attend(*[FITTING] * 3, Attention(mask=asking_mask(3)), engine="fused"),
        EngineError,
        (
            "no engine takes this call",
            "fused: not taken, the mask asks for a gradient",
            'reference: not taken, engine="fused" was asked for',
        ),
    ),
}


@pytest.mark.parametrize("wrong", REFUSALS)
def test_a_mistake_is_refused_with_what_was_expected_and_got(wrong):
    call, error, words = REFUSALS[wrong]
    with pytest.raises(error) as refused:
        call()
    assert [word for word in words if word not in str(refused.value)] == []


@pytest.mark.parametrize(
    ("error", "builtin"),
    [(ShapeError, ValueError), (MaskError, ValueError), (WantError, ValueError), (EngineError, RuntimeError)],
)
def test_refusals_are_also_python_errors_of_their_kind(error, builtin):
    assert issubclass(error, builtin)
    assert issubclass(error, regard.errors.RegardError)


def test_combining_numbers_with_or_and_not_is_refused():
    for combine in (lambda: causal() | zeros(3, 3), lambda: ~as_mask(zeros(3, 3)), lambda: full() | zeros(3)):
        with pytest.raises(MaskError, match="float mask"):
            combine()


def test_default_scale_is_one_over_the_root_of_the_width_of_queries():
    assert Attention().scale_for(16) == 0.25
    assert Attention(scale=2.0).scale_for(16) == 2.0
    query, key, value = (randoms(1, 1, 3, width, seed=width) for width in (16, 16, 64))
    assert torch.equal(attend(query, key, value).output, attend(query, key, value, Attention(scale=0.25)).output)


def test_pairs_of_seeds_differ():
    """The table would be blind to mixed-up tensors if two of them were the same."""
    tensors = [randoms(3, seed=seed) for seed in range(5)]
    assert not any(torch.equal(one, other) for one, other in itertools.combinations(tensors, 2))
