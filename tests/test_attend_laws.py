"""Laws that attention obeys whatever the formula: what cannot matter, and what must come out the same."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor

import regard
from regard import Attention, attend, packed
from regard.engines import strips
from regard.engines.contract import Problem
from tests.attend_cases import (
    CASES,
    KINDS,
    PLAIN,
    TOLERANCES,
    Call,
    Case,
    call_of,
    engines,
    equal,
    gradients,
    grouped,
    leaves,
    oblong,
    run,
    square,
)
from tests.attend_masks import booleans, everyone, first_causal, infinities, near, padded, randoms, three_documents

EXACT = TOLERANCES[torch.float64]
# Kinds to which it is nothing where a key stands, or whose parameters say it by an axis of keys.
PLACELESS = [k for k in KINDS if not k.startswith(("ALiBi", "relative", "score_mod", "several", "bias"))]
# Kinds that ask only how far a key stands from its query, and nothing of how many keys there are.
SHIFTED = [k for k in KINDS if not k.startswith(("bias", "several")) and k != "sigmoid"]
kinds = pytest.mark.parametrize("kind", KINDS)


def with_kind(case: Case, kind: str) -> Case:
    return replace(case, kind=kind)


def all_gradients(call: Call, engine: str, inputs: tuple[Tensor, ...], mechanism: Attention | None = None):
    """Return output, and gradients of everything for one cotangent."""
    mechanism = call.mechanism(*inputs) if mechanism is None else mechanism
    output = run(engine, *inputs[:3], mechanism).output
    return output, gradients(output, inputs, randoms(*output.shape, seed=9, dtype=output.dtype))


@engines
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if KINDS[case.kind].sums])
def test_weights_of_a_query_that_sees_a_key_sum_to_one(name, engine):
    call = call_of(name)
    value = torch.ones_like(call.tensors[2])
    output = call.attend(engine, *call.tensors[:2], value, *call.inputs[3:]).output
    sees = (call.meaning.table(call.places, torch.float64) > -torch.inf).any(-1)
    equal(output, sees.double().unsqueeze(-1).expand_as(output), EXACT, "sum of weights")


@engines
@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if not kind.sums and "sink" in name])
def test_a_sink_takes_weight_and_leaves_the_rest_as_it_was(kind, engine):
    call, plain = call_of(with_kind(square(everyone), kind)), KINDS[kind]
    ones = torch.ones_like(call.tensors[2])
    with_sink = call.attend(engine, *call.tensors[:2], ones, *call.inputs[3:], want=("lse",))
    assert plain.parameters
    without = call.mechanism(*call.inputs, weigh=regard.softmax())
    bare = run(engine, *call.tensors[:2], ones, without, want=("lse",))
    equal(with_sink.output[..., 0], (bare.lse - with_sink.lse).exp(), EXACT, "sum of weights")
    assert (with_sink.output < 1).all()


@engines
@pytest.mark.parametrize("meaning", [everyone, booleans, infinities], ids=lambda meaning: meaning.__name__)
@pytest.mark.parametrize("kind", PLACELESS)
def test_the_order_of_keys_does_not_matter(kind, meaning, engine):
    call = call_of(with_kind(oblong(5, 9, meaning), kind))
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    mask = None if call.meaning.mask is None else call.meaning.mask[..., order]
    query, key, value = call.tensors
    before = run(engine, *call.tensors, call.mechanism()).output
    after = run(engine, query, key[:, :, order], value[:, :, order], call.mechanism(mask=mask)).output
    equal(after, before, EXACT, "output")


@engines
def test_a_bias_that_is_ordered_with_its_keys_means_the_same(engine):
    call, order = call_of(with_kind(oblong(5, 9, everyone), "bias")), torch.arange(9).flip(0)
    query, key, value, table = call.inputs
    after = call.attend(engine, query, key.flip(2), value.flip(2), table[..., order]).output
    equal(after, call.attend(engine).output, EXACT, "output")


@engines
@kinds
def test_the_same_number_added_to_all_scores_of_a_row_changes_no_weight_that_is_relative(kind, engine):
    if "sigmoid" in kind or not KINDS[kind].sums or kind.startswith("bias"):
        pytest.skip("not relative, or has a bias already")
    call = call_of(with_kind(square(first_causal), kind))
    rows = randoms(2, 1, 7, 1, seed=5, dtype=torch.float64)
    mechanism = call.mechanism()
    shifted = replace(mechanism, modify=(*mechanism.modifiers, rows))
    equal(run(engine, *call.tensors, shifted).output, call.attend(engine).output, EXACT, "output")


@engines
@pytest.mark.parametrize("kind", SHIFTED)
def test_packed_documents_are_what_they_are_alone(kind, engine):
    ends = [0, 3, 3, 10, 17]
    call = call_of(with_kind(Case((2, 4, 17, 4), (2, 2, 17, 4), (2, 2, 17, 4)), kind))
    together = run(engine, *call.tensors, call.mechanism(mask=packed(ends))).output
    for start, stop in pairwise(ends):
        alone = call.attend(engine, *(t[:, :, start:stop] for t in call.tensors), *call.inputs[3:]).output
        equal(together[:, :, start:stop], alone, EXACT, "output")


LEADS = {
    "no heads": ((), (), ()),
    "heads alone": ((4,), (2,), (2,)),
    "five axes": ((2, 3, 4), (2, 3, 2), (2, 3, 2)),
    "six axes": ((2, 1, 3, 4), (2, 1, 3, 2), (2, 1, 3, 2)),
    "one batch of keys": ((3, 4), (1, 2), (1, 2)),
    "one batch of queries": ((1, 4), (3, 2), (3, 2)),
    "batches that broadcast both ways": ((2, 1, 4), (1, 3, 2), (2, 3, 2)),
    "heads of keys without batch": ((2, 3, 4), (2,), (1, 2)),
}


@engines
@pytest.mark.parametrize("lead", LEADS)
def test_axes_that_lead_are_folded_into_one_batch(lead, engine):
    heads = [(*axes[-1:],) or (1,) for axes in LEADS[lead]]
    batch = torch.broadcast_shapes(*(axes[:-1] for axes in LEADS[lead]))
    query, key, value = leaves(
        *(
            randoms(*axes, count, 4, seed=seed, dtype=torch.float64)
            for seed, (axes, count) in enumerate(zip(LEADS[lead], (5, 7, 7), strict=True))
        )
    )
    four = [
        t.expand(*batch, *h, *t.shape[-2:]).reshape(-1, *h, *t.shape[-2:])
        for t, h in zip((query, key, value), heads, strict=True)
    ]
    mechanism, want = Attention(mask=regard.causal()), ("lse", "entropy", "received", "distance", "map")
    result, expected = (run(engine, *t, mechanism, want) for t in ((query, key, value), four))
    whole = (*batch, *heads[0]) if lead != "no heads" else ()
    assert result.output.shape == (*whole, 5, 4)
    assert result.lse.shape == result.entropy.shape == result.distance.mean.shape == (*whole, 5)
    assert result.received.shape == (*whole, 7)
    assert result.map.mean.shape == (*whole, 5, 7)
    equal(result.output.flatten(), expected.output.flatten(), 0.0, "output")
    equal(result.entropy.flatten(), expected.entropy.flatten(), 0.0, "entropy")
    cotangent = randoms(*result.output.shape, seed=9, dtype=torch.float64)
    ours = gradients(result.output, (query, key, value), cotangent)
    theirs = gradients(expected.output, (query, key, value), cotangent.view_as(expected.output))
    for actual, wanted in zip(ours, theirs, strict=True):
        equal(actual, wanted, EXACT, "gradient")


@engines
@pytest.mark.parametrize("kind", ["additive", "bilinear a head", "cosine a head", "sparsemax", "ALiBi", "argmax"])
def test_axes_that_lead_are_folded_for_every_kind(kind, engine):
    call = call_of(with_kind(Case((6, 4, 5, 4), (6, 2, 7, 4), (6, 2, 7, 3)), kind))
    five = (t.unflatten(0, (2, 3)) for t in call.tensors)
    output = run(engine, *five, call.mechanism()).output
    equal(output, call.attend(engine).output.unflatten(0, (2, 3)), EXACT, "output")


@engines
@kinds
def test_grouped_heads_are_heads_repeated(kind, engine):
    call = call_of(with_kind(grouped(first_causal), kind))
    if kind == "additive a head":
        pytest.skip("keys are projected before they are repeated")
    inputs = leaves(*call.inputs)
    query, key, value = inputs[:3]
    repeated = (query, key.repeat_interleave(3, 1), value.repeat_interleave(3, 1), *inputs[3:])
    cotangent = randoms(2, 6, 5, 4, seed=9, dtype=torch.float64)
    few, many = call.attend(engine, *inputs).output, call.attend(engine, *repeated).output
    equal(few, many, EXACT, "output")
    for actual, wanted in zip(gradients(few, inputs, cotangent), gradients(many, inputs, cotangent), strict=True):
        equal(actual, wanted, EXACT, "gradient")


# How calls are cut.

CUTS = {"single rows": (8, 1, 1), "small strips": (40, 3, 4), "wide strips": (1 << 20, 512, 1)}


def cut(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    for name, size in zip(("ELEMENTS", "_MOST_ROWS", "_KEYS"), CUTS[how], strict=True):
        monkeypatch.setattr(strips, name, size)


MEANINGS = (everyone, near, padded, infinities, three_documents)


@pytest.mark.parametrize(
    ("meaning", "how"),
    [*((each, "small strips") for each in MEANINGS), (infinities, "single rows"), (near, "wide strips")],
    ids=lambda each: each if isinstance(each, str) else each.__name__,
)
@kinds
def test_strips_of_any_size_agree(kind, meaning, how, monkeypatch):
    call = call_of(with_kind(grouped(meaning, 3), kind))
    inputs = leaves(*call.inputs)
    whole, expected = all_gradients(call, "reference", inputs)
    cut(monkeypatch, how)
    output, found = all_gradients(call, "tiled", inputs)
    equal(output, whole, EXACT, "output")
    for what, actual, wanted in zip(("query", "key", "value", *call.kind.parameters), found, expected, strict=True):
        equal(actual, wanted, EXACT, f"gradient of {what}")


@pytest.mark.parametrize("how", CUTS)
@pytest.mark.parametrize("sink", [None, 0.3])
def test_the_log_sum_exp_is_that_of_strips_of_any_size(sink, how, monkeypatch):
    call = call_of(grouped(infinities))
    mechanism = call.mechanism(weigh=regard.softmax(sink), modify=regard.soft_cap(3.0))
    expected = run("reference", *call.tensors, mechanism, want=("lse",)).lse
    cut(monkeypatch, how)
    equal(run("tiled", *call.tensors, mechanism, want=("lse",)).lse, expected, EXACT, "lse")


def test_strips_longer_than_one_agree_on_a_long_call():
    """Without changing how calls are cut: more queries and more keys than one strip has."""
    call = call_of(with_kind(Case((1, 2, 1500, 4), (1, 1, 1500, 4), (1, 1, 1500, 4), near), "additive"))
    inputs = leaves(*call.inputs)
    pairs = zip(*(all_gradients(call, engine, inputs)[1] for engine in ("tiled", "reference")), strict=True)
    for actual, wanted in pairs:
        equal(actual, wanted, 1e-8, "gradient")


# How tensors lie, and how masks are written.


@engines
@pytest.mark.parametrize("layout", ["positions before heads", "width before positions", "every other", "expanded"])
@pytest.mark.parametrize(
    "name", ["plain", "causal", "booleans", "grouped heads", "wider values", "sparsemax; square"]
)
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
    result, expected = call.attend(engine, *laid), call.formula(*plain)
    equal(result.output, expected.output, EXACT, "output")
    cotangent = lay(randoms(*result.output.shape, seed=9, dtype=torch.float64))
    for actual, wanted in zip(
        gradients(result.output, laid, cotangent), gradients(expected.output, plain, cotangent), strict=True
    ):
        equal(actual, wanted, EXACT, "gradient")


@engines
@pytest.mark.parametrize("name", PLAIN)
def test_a_rule_and_its_dense_form_mean_the_same(name, engine):
    call = call_of(name)
    rule = call.mechanism().rule
    if rule.adds:
        pytest.skip("adds numbers")
    sizes = Problem.of(*call.tensors, call.mechanism()).sizes
    dense = run(engine, *call.tensors, call.mechanism(mask=rule.dense(sizes)))
    equal(call.attend(engine).output, dense.output, EXACT, "output")


@engines
@kinds
def test_settings_of_torch_change_nothing(kind, engine):
    """The tensors alone say in which type is computed."""
    call = call_of(with_kind(grouped(first_causal), kind), torch.float32)
    outside = call.attend(engine).output
    with torch.autocast("cpu", dtype=torch.bfloat16):
        autocast = call.attend(engine).output
    with torch.inference_mode():
        inference = call.attend(engine).output
    for inside in (autocast, inference):
        assert inside.dtype == torch.float32
        equal(inside, outside, TOLERANCES[torch.float32], "output")


@kinds
def test_a_mechanism_may_be_used_again_for_another_call(kind):
    call = call_of(with_kind(square(everyone), kind))
    mechanism = call.mechanism()
    first = attend(*call.tensors, mechanism).output
    attend(*(t + 1 for t in call.tensors), mechanism)
    assert torch.equal(attend(*call.tensors, mechanism).output, first)
