"""Partial results join to the whole; log-sum-exps are streamed, and caught from the kernel below."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regard import Attention
from regard.engines.contract import Problem
from regard.engines.kernel import call_and_catch, call_kernel
from regard.engines.log_weights import log_sum_exp
from regard.engines.partial import Partial
from tests.attend_cases import CASES, KINDS, PLAIN, TOLERANCES, call_of, dtypes, engines, equal, run, tolerance_of
from tests.attend_masks import coins, randoms

PROPERTY = settings(deadline=None, max_examples=25)


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
    query, key, value = call.tensors
    keys = key.shape[2]
    table = call.meaning.table(call.places, dtype)
    joined = None
    for chosen in (slice(0, 1), slice(1, 1), slice(1, 4), slice(4, keys)):
        part = run(
            engine,
            query,
            key[:, :, chosen],
            value[:, :, chosen],
            Attention(mask=table[..., chosen], scale=call.case.scale),
            want=("lse",),
        )
        partial = Partial(part.output, part.lse)
        joined = partial if joined is None else joined.join(partial)
    expected = call.formula()
    assert joined.output.dtype == dtype
    equal(joined.output, expected.output, 3 * tolerance_of(engine, dtype), "output")
    equal(joined.lse, expected.lse, tolerance_of(engine, dtype), "lse")


STREAMED = [name for name, case in CASES.items() if 0 not in case.query + case.key and KINDS[case.kind].soft]


@pytest.mark.parametrize("tile", [1, 3, 512])
@pytest.mark.parametrize("name", STREAMED)
def test_streamed_lse_is_that_of_the_scores(name, tile):
    if CASES[name].query[2] > tile * 25 or (tile == 1 and name not in PLAIN):
        pytest.skip("too many tiles")
    call = call_of(name)
    streamed = log_sum_exp(Problem.of(*call.tensors, call.mechanism()), tile=tile)
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
