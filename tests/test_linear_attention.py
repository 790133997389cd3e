"""Linear attention: one definition, three forms that agree, in one pass or continued from a state."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

import regard
from regard import attend, explain
from regard.errors import EngineError, MechanismError, ShapeError, WantError

KINDS = ("linear", "performer", "retention", "gated", "gated by channel", "delta", "gated delta")


def drawn(seed, batch, heads, count, width=5, value_width=3):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    query, key = normal(2, batch, heads, count, width)
    return query, F.normalize(key, dim=-1), normal(batch, heads, count, value_width)


def mechanism(kind, query):
    generator = torch.Generator().manual_seed(1)
    steps = torch.rand(2, *query.shape, generator=generator, dtype=torch.float64)
    beta, decay = steps[0, ..., 0], -3 * steps[1]
    return {
        "linear": regard.linear(),
        "performer": regard.performer(query.shape[-1], 7),
        "retention": regard.retention(query.shape[1]),
        "gated": regard.gated_linear(decay[..., 0]),
        "gated by channel": regard.gated_linear(decay),
        "delta": regard.delta_rule(beta),
        "gated delta": regard.gated_delta_rule(beta, decay[..., 0]),
    }[kind]


def part(of, positions):
    """Return a mechanism for some positions only."""
    cut = {
        name: getattr(of, name)[:, :, positions]
        for name in ("log_decay", "beta")
        if getattr(of, name) is not None and getattr(of, name).shape[2] > 1
    }
    return regard.LinearAttention(**{**vars(of), **cut})


def by_products_of_matrices(query, key, value, of):
    """Return outputs from the transition of every step as a matrix, every pair of positions by itself."""
    if of.features is not None:
        query, key = of.features(query), of.features(key)
    else:
        query = query * query.shape[-1] ** -0.5
    steps, width = query.shape[:3], key.shape[-1]
    one = torch.eye(width, dtype=torch.float64)
    gates = torch.ones(*steps, width, dtype=torch.float64)
    if of.log_decay is not None:
        log_decay = of.log_decay if of.log_decay.ndim == 4 else of.log_decay.unsqueeze(-1)
        gates = log_decay.to(torch.float64).exp().expand(*steps, width)
    beta = torch.ones(steps, dtype=torch.float64) if of.beta is None else of.beta
    forgets = 0.0 if of.beta is None else beta[..., None, None] * key[..., :, None] * key[..., None, :]
    transition = (one - forgets) @ torch.diag_embed(gates)
    outputs = torch.zeros(*steps, value.shape[-1], dtype=torch.float64)
    for t in range(steps[2]):
        total = torch.zeros(*steps[:2], dtype=torch.float64)
        for j in range(t + 1):
            written = key[:, :, j, :, None]
            for i in range(j + 1, t + 1):
                written = transition[:, :, i] @ written
            weight = beta[:, :, j] * (query[:, :, t, None] @ written).flatten(1)
            outputs[:, :, t] += weight[..., None] * value[:, :, j]
            total += weight
        if of.normalise:
            outputs[:, :, t] /= total[..., None]
    return outputs


@pytest.mark.parametrize("engine", ["recurrent", "chunked", "dense"])
@pytest.mark.parametrize("kind", KINDS)
def test_each_form_is_the_formula(kind, engine):
    query, key, value = drawn(0, 2, 2, 9)
    of = mechanism(kind, query)
    found = attend(query, key, value, of, engine=engine)
    torch.testing.assert_close(found.output, by_products_of_matrices(query, key, value, of), rtol=1e-10, atol=1e-10)
    assert found.engine == engine


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    count=st.integers(1, 150),
    cut=st.integers(0, 150),
    batch=st.integers(1, 2),
    seed=st.integers(0, 99),
)
def test_forms_agree_and_a_state_goes_on(kind, count, cut, batch, seed):
    query, key, value = drawn(seed, batch, 2, count)
    of, cut = mechanism(kind, query), min(cut, count)
    whole = attend(query, key, value, of, engine="recurrent")
    for engine in ("chunked", "dense"):
        found = attend(query, key, value, of, engine=engine)
        torch.testing.assert_close(found.output, whole.output, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(found.state, whole.state, rtol=1e-9, atol=1e-9)
    first, rest = (tuple(each[:, :, at] for each in (query, key, value)) for at in (slice(cut), slice(cut, None)))
    begun = attend(*first, part(of, slice(cut)))
    ended = attend(*rest, part(of, slice(cut, None)).after(begun.state))
    torch.testing.assert_close(torch.cat([begun.output, ended.output], 2), whole.output, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(ended.state, whole.state, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_the_recurrence(kind):
    query, key, value = drawn(3, 1, 2, 70)
    of = mechanism(kind, query)
    gradients = []
    for engine in ("recurrent", "chunked"):
        inputs = [each.clone().requires_grad_() for each in (query, key, value)]
        inside = [t.clone().requires_grad_() for t in (of.log_decay, of.beta) if t is not None]
        named = dict(zip([n for n in ("log_decay", "beta") if getattr(of, n) is not None], inside, strict=True))
        found = attend(*inputs, regard.LinearAttention(**{**vars(of), **named}), engine=engine)
        gradients.append(torch.autograd.grad(found.output.sin().sum() + found.state.sum(), [*inputs, *inside]))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-8)


def test_linear_attention_both_ways_is_a_weighted_mean():
    query, key, value = drawn(4, 2, 2, 6)
    weights = regard.elu_plus_one(query) @ regard.elu_plus_one(key).mT
    expected = weights / weights.sum(-1, keepdim=True) @ value
    both = attend(query[:, :, :4], key, value, regard.linear(causal=False)).output
    torch.testing.assert_close(both, expected[:, :, :4])


def test_performer_comes_near_softmax_with_more_features():
    query, key, value = drawn(5, 1, 2, 50, width=8)
    query = query / 2
    expected = F.scaled_dot_product_attention(query, key, value)
    errors = [
        float((attend(query, key, value, regard.performer(8, count, causal=False)).output - expected).norm())
        for count in (8, 256, 8192)
    ]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.05 * float(expected.norm())


def test_random_features_estimate_the_exponential_without_bias():
    query, key, _ = drawn(6, 1, 1, 4, width=4)
    features = [regard.positive_random_features(4, 64, seed) for seed in range(400)]
    estimates = torch.stack([each(query) @ each(key).mT for each in features])
    expected = (query @ key.mT / 2).exp()
    deviation = estimates.std(0) / len(features) ** 0.5
    assert bool(((estimates.mean(0) - expected).abs() < 4.5 * deviation).all())


def test_gates_that_close_at_once_forget_without_overflow():
    query, key, value = (each.float() for each in drawn(7, 1, 2, 130))
    closed = torch.full((1, 2, 130), -1e4)
    for of in (regard.gated_linear(closed), regard.gated_linear(closed.unsqueeze(-1).expand(1, 2, 130, 5))):
        expected = (query * key).sum(-1, keepdim=True) * value * 5**-0.5
        torch.testing.assert_close(attend(query, key, value, of, engine="chunked").output, expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_outputs_have_the_type_of_the_inputs_and_states_are_kept_exactly(dtype):
    query, key, value = drawn(8, 1, 2, 40)
    expected = attend(query, key, value, regard.linear()).output
    found = attend(*(each.to(dtype) for each in (query, key, value)), regard.linear())
    assert found.output.dtype == dtype
    assert found.state.dtype == torch.float32
    torch.testing.assert_close(found.output.double(), expected, rtol=0.03, atol=0.03)


def test_key_heads_are_shared_and_leading_axes_kept():
    query, key, value = drawn(9, 6, 4, 10)
    of = regard.linear()
    shared = attend(query, key[:, :2], value[:, :2], of).output
    repeated = [each[:, :2].repeat_interleave(2, 1) for each in (key, value)]
    torch.testing.assert_close(shared, attend(query, *repeated, of).output)
    split = attend(*(each.unflatten(0, (2, 3)) for each in (query, key, value)), of)
    torch.testing.assert_close(split.output.flatten(0, 1), attend(query, key, value, of).output)
    again = attend(*(each.unflatten(0, (2, 3)) for each in (query, key, value)), of.after(split.state))
    assert again.state.shape == split.state.shape


def test_no_positions_give_no_output_and_the_state_as_it_was():
    query, key, value = drawn(10, 1, 2, 0)
    state = torch.ones(1, 2, 5, 4, dtype=torch.float64)
    found = attend(query, key, value, regard.linear().after(state))
    assert found.output.shape == (1, 2, 0, 3)
    assert torch.equal(found.state, state)


def test_explain_says_which_form_and_why():
    query, key, value = drawn(11, 1, 2, 9)
    told = explain(query, key, value, regard.linear())
    assert told.chosen == "chunked" == attend(query, key, value, regard.linear()).engine
    assert "9 positions" in str(told)
    assert explain(query[:, :, :1], key[:, :, :1], value[:, :, :1], regard.linear()).chosen == "recurrent"


@pytest.mark.parametrize(
    ("error", "wrong"),
    [
        (ShapeError, lambda q, k, v: attend(q[:, :, :3], k, v, regard.linear())),
        (ShapeError, lambda q, k, v: attend(q, k, v, regard.retention(3))),
        (ShapeError, lambda q, k, v: attend(q, k, v, regard.delta_rule(torch.ones(1, 2, 4)))),
        (ShapeError, lambda q, k, v: attend(q, k, v, regard.linear().after(torch.ones(1, 2, 5, 3)))),
        (EngineError, lambda q, k, v: attend(q, k, v, regard.linear(), engine="fused")),
        (WantError, lambda q, k, v: attend(q, k, v, regard.linear(), want=("entropy",))),
        (MechanismError, lambda q, k, v: attend(q, k, v, regard.performer(4))),
        (MechanismError, lambda q, k, v: regard.performer(0)),
        (MechanismError, lambda q, k, v: regard.retention(0)),
        (MechanismError, lambda q, k, v: regard.delta_rule(0.5)),
        (MechanismError, lambda q, k, v: regard.gated_linear(0.5)),
        (MechanismError, lambda q, k, v: regard.gated_delta_rule(v, [0.5])),
        (MechanismError, lambda q, k, v: regard.linear("elu")),
        (MechanismError, lambda q, k, v: regard.linear().after(0.0)),
        (MechanismError, lambda q, k, v: regard.LinearAttention(kind="x", beta=v, normalise=True)),
        (MechanismError, lambda q, k, v: regard.LinearAttention(kind="x", log_decay=v, causal=False)),
    ],
)
def test_what_does_not_fit_is_refused(error, wrong):
    with pytest.raises(error, match="expected"):
        wrong(*drawn(12, 1, 2, 9))


def test_a_number_of_heads_that_does_not_fit_is_told():
    with pytest.raises(ShapeError, match=r"retention: .*got \(1, 4, 1\), 4 heads where queries have 2"):
        attend(*drawn(12, 1, 2, 9), regard.retention(4))


@pytest.mark.parametrize(
    ("beta", "length", "log_decay", "grows"),
    [
        (1.0, 1.0, 0.0, False),
        (1.9, 1.0, 0.0, False),
        (0.4, 2.0, 0.0, False),
        (2.1, 1.0, 0.0, True),
        (1.0, 1.5, 0.0, True),
        (0.5, 1.0, 0.8, True),
    ],
)
def test_states_grow_only_beyond_the_ranges_that_are_documented(beta, length, log_decay, grows):
    query, key, value = drawn(13, 1, 1, 600)
    same = length * torch.nn.functional.normalize(key[..., :1, :], dim=-1).expand_as(key)
    gates = (torch.full((1, 1, 600), number) for number in (beta, log_decay))
    state = attend(query, same, value, regard.gated_delta_rule(*gates)).state
    assert bool(state.abs().max() > 1e6) == grows
