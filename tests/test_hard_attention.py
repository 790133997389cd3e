"""Hard attention: each query attends to one key, the best or one drawn, and learns by what it chose."""

import math

import pytest
import torch
from torch import Tensor

import regard
from regard import Attention, attend, causal, hard, softmax, window
from regard.engines import strips
from tests.attend_cases import TOLERANCES, Case, call_of, engines, equal, gradients, leaves, run, wavy
from tests.attend_masks import everyone, first_causal, infinities, near_last, padded, randoms

EXACT = TOLERANCES[torch.float64]
MEANINGS = pytest.mark.parametrize(
    "meaning", [everyone, first_causal, padded, infinities, near_last], ids=lambda meaning: meaning.__name__
)
either = pytest.mark.parametrize("sample", [False, True], ids=["argmax", "sampled"])


def small(meaning=everyone, kind: str = "softmax"):
    return call_of(Case((2, 4, 6, 4), (2, 2, 9, 4), (2, 2, 9, 3), meaning, None, kind))


def repeated(queries: int, keys: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    """Return a call in which one query stands so many times, with no key that is all but never drawn."""
    query, key, value = (randoms(1, 1, n, 3, seed=s, dtype=torch.float64) for s, n in enumerate((1, keys, keys)))
    return query.expand(1, 1, queries, 3) / 2, key, value


@engines
@either
@MEANINGS
def test_the_output_is_the_value_of_the_key_that_was_chosen(meaning, sample, engine):
    call = small(meaning)
    result = run(engine, *call.tensors, call.mechanism(weigh=hard(sample=sample), seed=4))
    allowed = call.meaning.table(call.places, torch.float64) > -torch.inf
    assert torch.equal(result.chosen == -1, ~allowed.any(-1))
    assert result.chosen.dtype == torch.long
    place = result.chosen.clamp(min=0).unsqueeze(-1)
    assert allowed.gather(-1, place).squeeze(-1)[result.chosen >= 0].all()
    values = call.tensors[2].repeat_interleave(2, 1)
    wanted = values.gather(2, place.expand(*place.shape[:3], 3)).masked_fill((result.chosen == -1)[..., None], 0.0)
    equal(result.output, wanted, 0.0, "output")


@engines
@either
@MEANINGS
@pytest.mark.parametrize("kind", ["softmax", "additive", "score_mod", "cosine a head"])
def test_the_log_probability_is_that_of_the_softmax_with_its_gradient(kind, meaning, sample, engine):
    call = small(meaning, kind)
    inputs, exact = leaves(*call.inputs), leaves(*call.inputs)
    result = run(engine, *inputs[:3], call.mechanism(*inputs, weigh=hard(sample=sample), seed=4))
    weights, sees = call.formula(*exact).weights, result.chosen >= 0
    chosen = weights.gather(-1, result.chosen.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    expected = torch.where(sees, torch.where(sees, chosen, 1.0).log(), 0.0)
    equal(result.log_probability, expected, EXACT, "log-probability")
    cotangent = randoms(*expected.shape, seed=9, dtype=torch.float64)
    both = zip(
        gradients(result.log_probability, inputs, cotangent), gradients(expected, exact, cotangent), strict=True
    )
    for what, (actual, wanted) in zip(("query", "key", "value", *call.kind.parameters), both, strict=True):
        equal(actual, wanted, EXACT, f"gradient of {what}")


@engines
def test_output_and_log_probability_give_their_gradients_together(engine):
    call = small(first_causal)
    inputs = leaves(*call.tensors)
    result = run(engine, *inputs, Attention(mask=causal(), weigh=hard(sample=True), seed=4))
    both = torch.autograd.grad(result.output.square().sum() + result.log_probability.sum(), inputs)
    again = run(engine, *inputs, Attention(mask=causal(), weigh=hard(sample=True), seed=4))
    apart = [
        one + other
        for one, other in zip(
            gradients(again.output, inputs, 2 * again.output.detach()),
            gradients(again.log_probability, inputs, torch.ones_like(again.log_probability)),
            strict=True,
        )
    ]
    for actual, wanted in zip(both, apart, strict=True):
        equal(actual, wanted, EXACT, "gradient")


@engines
def test_scores_get_no_gradient_through_the_output(engine):
    inputs = leaves(*small().tensors)
    output = run(engine, *inputs, Attention(weigh=hard())).output
    for gradient in gradients(output, inputs[:2], torch.ones_like(output)):
        assert not gradient.any()


@engines
def test_argmax_takes_the_first_of_those_that_tie(engine):
    query, key, value = small().tensors
    key = torch.zeros_like(key)
    assert not run(engine, query, key, value, Attention(weigh=hard())).chosen.any()
    late = run(engine, query, key, value, Attention(mask=window(0, 3), weigh=hard())).chosen
    assert torch.equal(late, torch.arange(6).expand_as(late))


@engines
@pytest.mark.parametrize("seed", [0, 1, -7, 2**61 + 5])
def test_draws_follow_the_softmax(seed, engine):
    count, keys = 6000, 6
    tensors = repeated(count, keys)
    chosen = run(engine, *tensors, Attention(weigh=hard(sample=True), seed=seed)).chosen
    found = torch.bincount(chosen.flatten(), minlength=keys).double()
    expected = count * call_weights(tensors)
    # Five degrees of freedom; a true sampler is beyond 30 once in 70,000 seeds.
    assert float(((found - expected).square() / expected).sum()) < 30


def call_weights(tensors: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    query, key, _ = tensors
    return torch.softmax(key[0, 0] @ query[0, 0, 0] / math.sqrt(3), -1)


@pytest.mark.parametrize("axis", [0, 1, 2], ids=["batch", "heads", "queries"])
def test_draws_along_each_axis_are_independent(axis):
    """Two neighbours choose the same key as often as chance lets them."""
    shape = [1, 1, 1]
    shape[axis] = 6000
    query, key, value = repeated(1)
    query, key, value = query.expand(*shape, 3), *(t.expand(*shape[:2], 6, 3) for t in (key, value))
    chosen = attend(query, key, value, Attention(weigh=hard(sample=True), seed=3)).chosen.flatten()
    meet = (chosen[0::2] == chosen[1::2]).double()
    chance = float(call_weights((query, key, value)).square().sum())
    assert abs(float(meet.mean()) - chance) < 4.5 * math.sqrt(chance * (1 - chance) / len(meet))


@engines
@pytest.mark.parametrize("size", [(8, 1, 1), (60, 4, 2)], ids=["single rows", "small strips"])
@MEANINGS
def test_draws_are_the_same_on_every_engine_and_in_strips_of_any_size(meaning, size, engine, monkeypatch):
    call = small(meaning)
    mechanism = call.mechanism(weigh=hard(sample=True), seed=11)
    expected = run("reference", *call.tensors, mechanism)
    for name, number in zip(("ELEMENTS", "_MOST_ROWS", "_KEYS"), size, strict=True):
        monkeypatch.setattr(strips, name, number)
    result = run(engine, *call.tensors, mechanism)
    assert torch.equal(result.chosen, expected.chosen)
    equal(result.log_probability, expected.log_probability, EXACT, "log-probability")


@engines
def test_reinforce_converges_to_the_gradient_of_the_expected_reward(engine):
    """The reward is linear in the output, so its expectation is that of soft attention."""
    count = 8000
    (query, key, value), reward = repeated(1), randoms(3, seed=7, dtype=torch.float64)
    many = query.expand(1, 1, count, 3).clone().requires_grad_()
    (exact,) = leaves(query)
    result = run(engine, many, key, value, Attention(weigh=hard(sample=True), seed=2))
    scored = (result.output @ reward).detach() * result.log_probability
    (estimates,) = torch.autograd.grad(scored.sum(), many)
    (wanted,) = torch.autograd.grad((attend(exact, key, value).output @ reward).sum(), exact)
    error = estimates[0, 0].std(0) / math.sqrt(count)
    assert ((estimates[0, 0].mean(0) - wanted[0, 0, 0]).abs() < 4.5 * error).all()
    assert (error < 0.1 * wanted.abs().max()).all()


@engines
@either
@MEANINGS
@pytest.mark.parametrize("kind", ["softmax", "score_mod"])
def test_straight_through_is_hard_forward_and_soft_backward(kind, meaning, sample, engine):
    call = small(meaning, kind)
    inputs = leaves(*call.inputs)

    def output(weigh: object) -> Tensor:
        return run(engine, *inputs[:3], call.mechanism(*inputs, weigh=weigh, seed=5)).output

    through, soft = output(hard(sample=sample, straight_through=True)), output(softmax())
    assert torch.equal(through, output(hard(sample=sample)))
    cotangent = randoms(*through.shape, seed=9, dtype=torch.float64)
    scored = (inputs[0], inputs[1], *inputs[3:])
    for actual, wanted in zip(
        gradients(through, scored, cotangent), gradients(soft, scored, cotangent), strict=True
    ):
        equal(actual, wanted, EXACT, "gradient of what makes scores")
    (actual,) = gradients(through, inputs[2:3], cotangent)
    (wanted,) = gradients(output(hard(sample=sample)), inputs[2:3], cotangent)
    equal(actual, wanted, EXACT, "gradient of value")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@engines
def test_the_same_key_is_drawn_in_every_type_where_scores_are_the_same(engine, dtype):
    """Vectors of small whole numbers have the same scores in every type."""
    query, key, value = (torch.randint(-2, 3, (2, 2, 9, 4)).double() for _ in range(3))
    mechanism = Attention(scale=0.5, weigh=hard(sample=True), seed=6)
    expected = run("reference", query, key, value, mechanism)
    result = run(engine, *(t.to(dtype) for t in (query, key, value)), mechanism)
    assert (result.chosen != expected.chosen).sum() <= 1  # the noise has 24 bits, and may tie in one type
    assert result.log_probability.dtype == torch.float32


# Seeds.


def drawn(mechanism: Attention) -> regard.Attended:
    return attend(*repeated(50), mechanism)


def test_torchs_generator_settles_the_draws():
    mechanism = Attention(weigh=hard(sample=True))
    torch.manual_seed(3)
    first, second = drawn(mechanism), drawn(mechanism)
    torch.manual_seed(3)
    again = drawn(mechanism)
    assert torch.equal(first.chosen, again.chosen)
    assert first.seed == again.seed != second.seed
    assert not torch.equal(first.chosen, second.chosen)


def test_the_seed_of_a_result_repeats_the_call():
    first = drawn(Attention(weigh=hard(sample=True), dropout=0.5))
    again = drawn(Attention(weigh=hard(sample=True), dropout=0.5, seed=first.seed))
    assert torch.equal(first.chosen, again.chosen)
    assert torch.equal(first.output, again.output)
    assert again.seed == first.seed


def test_a_seed_leaves_torchs_generator_alone():
    before = torch.get_rng_state()
    drawn(Attention(weigh=hard(sample=True), dropout=0.5, seed=3))
    drawn(Attention())
    assert torch.equal(torch.get_rng_state(), before)


def test_explaining_leaves_torchs_generator_alone():
    before = torch.get_rng_state()
    regard.explain(*repeated(50), Attention(weigh=hard(sample=True), dropout=0.5))
    assert torch.equal(torch.get_rng_state(), before)


def test_what_is_not_left_to_chance_has_no_seed():
    assert drawn(Attention()).seed is None
    assert drawn(Attention(seed=5)).seed is None
    assert drawn(Attention(weigh=hard())).seed is None


def test_soft_attention_chooses_nothing():
    result = drawn(Attention())
    assert result.chosen is None
    assert result.log_probability is None


@engines
@either
def test_a_call_without_keys_chooses_nothing(sample, engine):
    query, key, value = leaves(*(randoms(1, 2, n, 3, seed=n, dtype=torch.float64) for n in (4, 0, 0)))
    result = run(engine, query, key, value, Attention(weigh=hard(sample=sample), seed=1))
    assert (result.chosen == -1).all()
    assert not result.output.any()
    assert not result.log_probability.any()


@engines
def test_a_score_mod_may_learn_by_reinforce_alone(engine):
    (table,) = leaves(randoms(4, seed=3, dtype=torch.float64))
    result = run(engine, *small().tensors, Attention(modify=wavy(table), weigh=hard(sample=True), seed=1))
    result.log_probability.sum().backward()
    assert table.grad.any()
