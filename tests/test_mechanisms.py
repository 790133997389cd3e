"""Parts of mechanisms by themselves: slopes, buckets, thresholds and limits, as their papers have them."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import regard
from regard import Attention, attend
from tests import oracle
from tests.attend_cases import TOLERANCES, engines, equal, gradients, run
from tests.attend_masks import randoms

EXACT = TOLERANCES[torch.float64]
PROPERTY = settings(deadline=None, max_examples=60)


def weights(S: Tensor, mechanism: Attention, engine: str = "tiled") -> Tensor:
    """Return the weights that a mechanism makes of scores (Nq, Nk): queries are one-hot, values a unit matrix."""
    queries, keys = S.shape
    one = torch.eye(queries, dtype=S.dtype), torch.eye(keys, dtype=S.dtype)
    return run(engine, one[0], S.T.contiguous(), one[1], mechanism).output


def weighed(S: Tensor, weigh: object, engine: str = "tiled") -> Tensor:
    return weights(S, Attention(scale=1.0, weigh=weigh), engine)


# Biases.


@pytest.mark.parametrize("heads", [1, 2, 3, 4, 6, 8, 12, 16, 20, 32, 40])
def test_slopes_of_alibi_are_the_papers(heads):
    zeros = torch.zeros(1, heads, 2, 1)
    lse = attend(
        zeros, zeros, zeros, Attention(bias=regard.alibi(heads), mask=torch.eye(2).flip(0).bool()), want=("lse",)
    ).lse
    equal(-lse[0, :, 0], torch.tensor(oracle.alibi_slopes(heads)), 1e-7, "slopes")


def test_slopes_of_eight_heads_are_those_that_the_paper_writes_out():
    assert oracle.alibi_slopes(8) == [2.0**-power for power in range(1, 9)]


BUCKETS = [(32, 128), (32, 20), (8, 16), (16, 64), (64, 1000), (6, 50)]


def buckets_of(furthest: int, buckets: int, bidirectional: bool, max_distance: int) -> Tensor:
    """Return the buckets of distances from -furthest to furthest, read off statistics of one key or one query."""
    table = torch.arange(buckets, dtype=torch.float64).view(-1, 1)
    mechanism = Attention(
        bias=regard.relative_buckets(table, bidirectional=bidirectional, max_distance=max_distance)
    )
    many, one = (torch.zeros(1, 1, count, 1, dtype=torch.float64) for count in (furthest + 1, 1))
    behind = attend(many, one, one, mechanism, want=("lse",)).lse.flatten()
    # Weights over keys ahead of one query, from which the log-sum-exp is taken off again.
    result = attend(one, many, torch.eye(furthest + 1, dtype=torch.float64)[None, None], mechanism, want=("lse",))
    ahead = result.output.flatten().log() + result.lse.flatten()
    return torch.cat([behind.flip(0), ahead[1:]]).round().long()


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize(("buckets", "max_distance"), BUCKETS)
def test_buckets_of_distances_are_the_papers(buckets, max_distance, bidirectional):
    found = buckets_of(300, buckets, bidirectional, max_distance)
    expected = [oracle.t5_bucket(gap, buckets, bidirectional, max_distance) for gap in range(-300, 301)]
    assert found.tolist() == expected


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize(("buckets", "max_distance"), BUCKETS)
def test_buckets_of_distances_are_those_of_transformers(buckets, max_distance, bidirectional):
    t5 = pytest.importorskip("transformers.models.t5.modeling_t5").T5Attention
    wanted = t5._relative_position_bucket(torch.arange(-1100, 1101), bidirectional, buckets, max_distance)
    expected = [oracle.t5_bucket(gap, buckets, bidirectional, max_distance) for gap in range(-1100, 1101)]
    assert wanted.tolist() == expected


# Weighings.

scores = st.builds(
    lambda queries, keys, seed, sharp: sharp * randoms(queries, keys, seed=seed, dtype=torch.float64),
    st.integers(1, 5),
    st.integers(1, 40),
    st.integers(0, 2**31),
    st.sampled_from([0.01, 1.0, 10.0, 1000.0]),
)


@PROPERTY
@given(scores)
def test_sparsemax_is_that_of_sorting(S):
    equal(weighed(S, regard.sparsemax()), oracle.sparsemax()(S)[0], EXACT, "weights")


@PROPERTY
@given(scores, st.sampled_from([1.01, 1.1, 1.25, 1.5, 1.7, 1.95, 2.0]))
def test_entmax_is_that_of_bisection(S, alpha):
    equal(weighed(S, regard.entmax(alpha)), oracle.entmax(alpha)(S)[0], 1e-8, "weights")


@PROPERTY
@given(scores)
def test_entmax_tends_to_softmax(S):
    equal(weighed(S, regard.entmax(1.0001)), torch.softmax(S, -1), 2e-2, "weights")


def test_entmax_2_is_sparsemax_and_a_known_row_is_known():
    S = torch.tensor([[1.0, 0.8, -1.0], [3.0, 0.0, 0.0], [0.2, 0.2, 0.2]], dtype=torch.float64)
    wanted = torch.tensor([[0.6, 0.4, 0.0], [1.0, 0.0, 0.0], [1 / 3] * 3], dtype=torch.float64)
    equal(weighed(S, regard.sparsemax()), wanted, EXACT, "sparsemax")
    assert torch.equal(weighed(S, regard.entmax(2)), weighed(S, regard.sparsemax()))


@engines
@pytest.mark.parametrize("alpha", [1.1, 1.5, 2.0])
def test_entmax_of_many_keys_in_float32(alpha, engine):
    S = 3 * randoms(3, 5000, seed=2)
    found, wanted = weighed(S, regard.entmax(alpha), engine), oracle.entmax(alpha)(S.double())[0]
    equal(found, wanted, 1e-5, "weights")
    equal(found.double().sum(-1), torch.ones(3, dtype=torch.float64), 1e-5, "sum of weights")


EXTREME = {
    "softmax": regard.softmax(),
    "softmax1": regard.softmax(0.0),
    "sparsemax": regard.sparsemax(),
    "entmax 1.2": regard.entmax(1.2),
    "entmax 1.5": regard.entmax(1.5),
    "sigmoid": regard.sigmoid(),
    "top 2": regard.top_k(2),
    "argmax": regard.hard(),
    "straight-through": regard.hard(straight_through=True),
}


@engines
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("size", [1e4, 1e30])
@pytest.mark.parametrize("name", EXTREME)
def test_extreme_scores_leave_weights_and_gradients_finite(name, size, dtype, engine):
    S = torch.tensor([[size, -size, 0.0], [-size, -size, -size], [size, size, -size]], dtype=dtype)
    query, key = torch.eye(3, dtype=dtype).requires_grad_(), S.T.contiguous().requires_grad_()
    mechanism = Attention(scale=1.0, weigh=EXTREME[name])
    value = torch.eye(3, dtype=dtype).requires_grad_()
    output = run(engine, query, key, value, mechanism).output
    assert output.isfinite().all()
    assert (output >= 0).all()
    assert output[0, 0] == 1
    assert not output[0, 1]
    found = gradients(output, (query, key, value), torch.ones_like(output))
    assert all(gradient.isfinite().all() for gradient in found)


@engines
@pytest.mark.parametrize("k", [1, 3, 9, 50])
def test_top_k_keeps_k_weights_of_a_softmax_among_themselves(k, engine):
    S = randoms(4, 9, seed=1, dtype=torch.float64)
    found, soft = weighed(S, regard.top_k(k), engine), torch.softmax(S, -1)
    assert ((found > 0).sum(-1) == min(k, 9)).all()
    kept = torch.where(found > 0, soft, 0.0)
    equal(found, kept / kept.sum(-1, keepdim=True), EXACT, "weights")


@engines
def test_top_k_keeps_what_ties_with_the_last(engine):
    S = torch.tensor([[1.0, 1.0, 1.0, 0.0], [2.0, 1.0, 1.0, 0.0]], dtype=torch.float64)
    assert (weighed(S, regard.top_k(2), engine) > 0).tolist() == [[True, True, True, False]] * 2


@engines
def test_sigmoid_weighs_each_key_for_itself(engine):
    S = randoms(4, 9, seed=1, dtype=torch.float64)
    equal(weighed(S, regard.sigmoid(), engine), torch.sigmoid(S - math.log(9)), EXACT, "weights")
    equal(weighed(S, regard.sigmoid(0.5), engine), torch.sigmoid(S + 0.5), EXACT, "weights")


@engines
def test_a_sink_of_minus_infinity_is_none_and_softmax1_has_one_of_0(engine):
    S = randoms(4, 9, seed=1, dtype=torch.float64)
    equal(weighed(S, regard.softmax(-math.inf), engine), torch.softmax(S, -1), EXACT, "weights")
    wanted = S.exp() / (1 + S.exp().sum(-1, keepdim=True))
    equal(weighed(S, regard.softmax(0.0), engine), wanted, EXACT, "weights")


@engines
def test_a_large_soft_cap_changes_nothing_and_a_small_one_bounds(engine):
    S = 5 * randoms(4, 9, seed=1, dtype=torch.float64)
    loose = weights(S, Attention(scale=1.0, modify=regard.soft_cap(1e6)), engine)
    equal(loose, torch.softmax(S, -1), 1e-8, "weights")
    tight = weights(S, Attention(scale=1.0, modify=regard.soft_cap(0.1)), engine)
    assert (tight.amax(-1) / tight.amin(-1) <= math.exp(0.2)).all()


# Scores.


@engines
def test_the_length_of_vectors_is_nothing_to_cosine(engine):
    query, key, value = (randoms(2, 5, 4, seed=seed, dtype=torch.float64) for seed in range(3))
    mechanism = Attention(score=regard.cosine(0.3))
    long = run(engine, 100 * query, key * torch.arange(1, 6)[:, None], value, mechanism).output
    equal(long, run(engine, query, key, value, mechanism).output, EXACT, "output")


@engines
def test_a_vector_of_zeros_has_a_cosine_of_0_and_a_finite_gradient(engine):
    query, key, value = (randoms(2, 5, 4, seed=seed, dtype=torch.float64).requires_grad_() for seed in range(3))
    with torch.no_grad():
        query[:, 1] = 0
    output = run(engine, query, key, value, Attention(score=regard.cosine(0.3))).output
    equal(output[:, 1], value.mean(1), EXACT, "output")
    found = torch.autograd.grad(output.square().sum(), (query, key, value))
    assert all(gradient.isfinite().all() for gradient in found)


@engines
def test_modifiers_happen_in_order_and_biases_last(engine):
    S, table = 3 * randoms(4, 9, seed=1, dtype=torch.float64), randoms(4, 9, seed=2, dtype=torch.float64)
    cap = regard.soft_cap(1.0)
    capped_last = weights(S, Attention(scale=1.0, modify=[table, cap]), engine)
    equal(capped_last, torch.softmax(torch.tanh(S + table), -1), EXACT, "bias, then cap")
    for way in ({"modify": [cap, table]}, {"modify": cap, "bias": table}):
        found = weights(S, Attention(scale=1.0, **way), engine)
        equal(found, torch.softmax(torch.tanh(S) + table, -1), EXACT, "cap, then bias")


def test_additive_scores_hold_no_cube(monkeypatch):
    """The largest tensor that is made has queries x keys numbers a head, not times the width."""
    sizes = []
    tanh = torch.tanh
    monkeypatch.setattr(torch, "tanh", lambda t, out=None: (sizes.append(t.numel()), tanh(t, out=out))[1])
    query, key = (randoms(1, 1, 64, 16, seed=seed).requires_grad_() for seed in range(2))
    mechanism = Attention(score=regard.additive(*(randoms(32, 16, seed=s) for s in (3, 4)), randoms(32, seed=5)))
    attend(query, key, key, mechanism, engine="tiled").output.sum().backward()
    assert max(sizes) == 64 * 64
