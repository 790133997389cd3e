"""Dropout: each weight is dropped by itself, by a number that depends on the seed and its place alone."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import regard
from regard import Attention, attend, causal
from regard.engines import strips
from regard.mechanisms.grid import Grid
from regard.mechanisms.random import gumbel, hashed, uniform
from regard.shapes import Sizes
from tests.attend_cases import KINDS, TOLERANCES, Case, call_of, engines, equal, gradients, leaves, run
from tests.attend_masks import first_causal, infinities, padded, randoms

EXACT = TOLERANCES[torch.float64]
PROPERTY = settings(deadline=None, max_examples=50)
kinds = pytest.mark.parametrize("kind", KINDS)


def weights(engine: str, query: Tensor, key: Tensor, mechanism: Attention) -> Tensor:
    """Return the weights after dropout: attention over values that are a unit matrix."""
    keys = key.shape[2]
    one = torch.eye(keys, dtype=key.dtype).expand(*key.shape[:2], keys, keys)
    return run(engine, query, key, one, mechanism).output


def small(kind: str = "softmax", meaning=first_causal):
    return call_of(Case((2, 4, 6, 4), (2, 2, 9, 4), (2, 2, 9, 3), meaning, None, kind))


def even(length: int, heads: int = 2) -> tuple[Tensor, Tensor]:
    """Return queries and keys of which every weight is 1 / length."""
    return (torch.zeros(2, heads, length, 2, dtype=torch.float64),) * 2


@engines
@kinds
@pytest.mark.parametrize("dropout", [0.1, 0.5])
def test_a_weight_is_dropped_or_grows_by_what_dropped_ones_leave(dropout, kind, engine):
    call = small(kind)
    before = weights(engine, *call.tensors[:2], call.mechanism())
    after = weights(engine, *call.tensors[:2], call.mechanism(dropout=dropout, seed=3))
    kept = after != 0
    equal(after, torch.where(kept, before / (1 - dropout), 0.0), EXACT, "weights")


@engines
@pytest.mark.parametrize("dropout", [0.01, 0.1, 0.37, 0.5, 0.9])
def test_the_share_that_is_dropped_is_what_was_asked_for(dropout, engine):
    query, key = even(96)
    dropped = (weights(engine, query, key, Attention(dropout=dropout, seed=5)) == 0).double()
    spread = math.sqrt(dropout * (1 - dropout))
    assert abs(float(dropped.mean()) - dropout) < 4.5 * spread / math.sqrt(dropped.numel())
    for axis in range(4):
        others = [each for each in range(4) if each != axis]
        shares, count = dropped.mean(others), dropped.numel() / dropped.shape[axis]
        assert ((shares - dropout).abs() < 5 * spread / math.sqrt(count)).all()


@engines
@pytest.mark.parametrize("kind", ["softmax", "sparsemax", "sigmoid"])
def test_the_expectation_is_attention_without_dropout(kind, engine):
    call, count = small(kind), 400
    expected = call.attend(engine).output
    drawn = torch.stack(
        [run(engine, *call.tensors, call.mechanism(dropout=0.3, seed=seed)).output for seed in range(count)]
    )
    error = drawn.std(0) / math.sqrt(count) + 1e-9
    assert ((drawn.mean(0) - expected).abs() / error).max() < 5


@engines
@kinds
@pytest.mark.parametrize("size", [(60, 4, 2)], ids=["small strips"])
def test_the_same_weights_are_dropped_on_every_engine_and_in_strips_of_any_size(size, kind, engine, monkeypatch):
    call = small(kind, padded)
    inputs = leaves(*call.inputs)
    cotangent = randoms(2, 4, 6, 3, seed=9, dtype=torch.float64)
    mechanism = call.mechanism(*inputs, dropout=0.4, seed=7)
    wanted = run("reference", *inputs[:3], mechanism).output
    expected = gradients(wanted, inputs, cotangent)
    for name, number in zip(("ELEMENTS", "_MOST_ROWS", "_KEYS"), size, strict=True):
        monkeypatch.setattr(strips, name, number)
    output = run(engine, *inputs[:3], mechanism).output
    equal(output, wanted, EXACT, "output")
    for actual, each in zip(gradients(output, inputs, cotangent), expected, strict=True):
        equal(actual, each, EXACT, "gradient")


@engines
@kinds
def test_dropping_nothing_and_dropping_everything(kind, engine):
    call = small(kind, infinities)
    inputs = leaves(*call.inputs)
    nothing = run(engine, *inputs[:3], call.mechanism(*inputs, dropout=0.0, seed=1)).output
    assert torch.equal(nothing, call.attend(engine, *inputs).output)
    everything = run(engine, *inputs[:3], call.mechanism(*inputs, dropout=1.0, seed=1)).output
    assert not everything.any()
    for gradient in gradients(everything, inputs, torch.ones_like(everything)):
        assert not gradient.any()


@engines
def test_the_gradient_is_that_of_the_weights_that_were_kept(engine):
    call = small()
    inputs, exact = leaves(*call.tensors), leaves(*call.tensors)
    mechanism = Attention(mask=causal(), dropout=0.4, seed=7)
    kept = weights("reference", *call.tensors[:2], mechanism) != 0
    output = run(engine, *inputs, mechanism).output
    dense = call.formula(*exact).weights * kept / 0.6
    wanted = dense @ exact[2].repeat_interleave(2, 1)
    cotangent = randoms(*output.shape, seed=9, dtype=torch.float64)
    for actual, each in zip(gradients(output, inputs, cotangent), gradients(wanted, exact, cotangent), strict=True):
        equal(actual, each, EXACT, "gradient")


def test_torchs_generator_settles_what_is_dropped_and_the_seed_repeats_it():
    query, key = even(30)
    torch.manual_seed(8)
    first, second = (attend(query, key, key, Attention(dropout=0.5)) for _ in range(2))
    torch.manual_seed(8)
    third = attend(query, key, key, Attention(dropout=0.5))
    assert first.seed == third.seed != second.seed
    masks = [weights("reference", query, key, Attention(dropout=0.5, seed=each.seed)) for each in (first, second)]
    assert not torch.equal(*masks)


def test_seeds_batch_items_heads_queries_and_keys_are_dropped_apart():
    query, key = even(64)
    one, other = (weights("reference", query, key, Attention(dropout=0.5, seed=s)) != 0 for s in (1, 2))
    pairs = {
        "seeds": (one, other),
        "batch": (one[0], one[1]),
        "heads": (one[:, 0], one[:, 1]),
        "queries": (one[:, :, :-1], one[:, :, 1:]),
        "keys": (one[..., :-1], one[..., 1:]),
        "diagonals": (one[:, :, :-1, 1:], one[:, :, 1:, :-1]),
    }
    for name, (left, right) in pairs.items():
        same = (left == right).double()
        assert abs(float(same.mean()) - 0.5) < 4.5 * 0.5 / math.sqrt(same.numel()), name


def test_sampling_and_dropout_by_one_seed_are_independent():
    query, key = even(64)
    one = torch.ones(2, 2, 64, 1, dtype=torch.float64)
    mechanism = Attention(weigh=regard.hard(sample=True), dropout=0.5, seed=3)
    kept = (attend(query, key, one, mechanism).output != 0).double()
    assert abs(float(kept.mean()) - 0.5) < 4.5 * 0.5 / math.sqrt(kept.numel())


# The numbers themselves.


def mixed(state: int) -> int:
    state ^= state >> 16
    state = state * 0x7FEB352D % 2**32
    state ^= state >> 15
    state = state * 0x846CA68B % 2**32
    return state ^ state >> 16


def by_hand(seed: int, *indices: int) -> int:
    """The hash in Python's own whole numbers."""

    def row(one: int, other: int) -> int:
        state = mixed(mixed(one % 2**32) ^ other % 2**32)
        for index in indices[:-1]:
            state = mixed((state + index * 0x9E3779B9) % 2**32)
        return state

    start, step = row(seed, seed >> 32), row(seed >> 32, ~seed)
    return mixed((start + indices[-1] * (step | 1)) % 2**32) >> 1


place = st.integers(0, 2**31 - 1)


@PROPERTY
@given(st.integers(-(2**63), 2**64), st.tuples(place, place, place, place))
def test_the_hash_is_that_of_whole_numbers(seed, indices):
    assert int(hashed(seed, *(torch.tensor(index) for index in indices))) == by_hand(seed, *indices)


@pytest.mark.parametrize("seed", [0, 1, -1, 2**40])
def test_numbers_are_even_between_0_and_1_and_their_gumbels_are_gumbels(seed):
    sizes = Sizes.of(300, 300, 1, 2)
    grid = Grid.whole(sizes, torch.device("cpu"))
    numbers = uniform(seed, grid).double().flatten()
    assert 0 < float(numbers.min()) < float(numbers.max()) < 1
    # Kolmogorov and Smirnov: the largest distance from the straight line.
    ordered, count = numbers.sort().values, numbers.numel()
    distance = (ordered - torch.arange(1, count + 1) / count).abs().max()
    assert float(distance) < 2.5 / math.sqrt(count)
    noise = gumbel(seed, grid).double()
    assert noise.isfinite().all()
    assert abs(float(noise.mean()) - 0.5772156649) < 4.5 * math.pi / math.sqrt(6 * count)


@engines
def test_dropout_of_half_types_drops_what_float32_drops(engine):
    query, key = even(40)
    dropped = [
        weights(engine, query.to(dtype), key.to(dtype), Attention(dropout=0.3, seed=4)) == 0
        for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16)
    ]
    assert all(torch.equal(dropped[0], each) for each in dropped[1:])
