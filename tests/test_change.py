"""Changes equal their dense formulas, whatever way a module attends, and leave nothing behind."""

import threading
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

import regard
from regard.errors import ChangeError
from tests import dense
from tests.change_cases import (
    BATCH,
    CAUSAL,
    CHANGES,
    HEADS,
    KEYS,
    QUERIES,
    SOME,
    WAYS,
    Formula,
    Way,
    changed,
    hides,
    tensors,
)


def close(got, wanted, atol=1e-12):
    torch.testing.assert_close(got, wanted, rtol=1e-13, atol=atol)


# Formulas


@pytest.mark.parametrize("heads", [None, SOME], ids=["all", "some"])
@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("way", WAYS)
def test_every_change_equals_its_formula_however_a_module_attends(way, name, heads):
    attends, groups, options = WAYS[way]
    make, formula = CHANGES[name]
    given_tensors = tensors(1, groups)
    model = Way(attends)
    with regard.change(model, make(heads)), regard.watch(model, want=("rows", "values")) as seen:
        got = model(*given_tensors)
    close(got, changed([(formula, heads)], *given_tensors, **options))
    # What was watched is the changed call: its weights times its values are the output before it was edited.
    (site,) = seen
    V = site.values.repeat_interleave(HEADS // site.values.shape[1], 1)
    before_output = Formula(formula.hidden, formula.values)
    close(site.weights() @ V, changed([(before_output, heads)], *given_tensors, **options), atol=1e-9)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CHANGES)
def test_gradients_through_a_change_are_those_of_the_formula(way, name):
    attends, groups, options = WAYS[way]
    make, formula = CHANGES[name]
    inputs = [t.requires_grad_() for t in tensors(2, groups)]
    model = Way(attends)
    with regard.change(model, make(SOME)):
        got = model(*inputs)
    wanted = changed([(formula, SOME)], *inputs, **options)
    weight = torch.randn(got.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for mine, theirs in zip(
        torch.autograd.grad((got * weight).sum(), inputs, allow_unused=True),
        torch.autograd.grad((wanted * weight).sum(), inputs, allow_unused=True),
        strict=True,
    ):
        close(mine, theirs)


@pytest.mark.parametrize("name", CHANGES)
def test_causal_calls_keep_their_corner(name):
    make, formula = CHANGES[name]
    q, k, v = tensors(3)
    model = Way(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True))
    with regard.change(model, make(SOME, kind="self")):
        got = model(q, k, v)
    if name == "hide from some":  # of a call that is causal by its first positions, queries stand at them
        formula = Formula(lambda nq, nk: hides([0])(nq, nk) & (torch.arange(nq) >= 5)[:, None])
    if name == "mean":
        return
    close(got, changed([(formula, SOME)], q, k, v, **CAUSAL))


@pytest.mark.parametrize("name", ["hide", "swap", "knock out", "mean"])
def test_three_axes_are_one_head_each(name):
    make, formula = CHANGES[name]
    q, k, v = (t.flatten(0, 1) for t in tensors(4))
    model = Way(F.scaled_dot_product_attention)
    with regard.change(model, make()):
        got = model(q, k, v)
    assert got.shape == q.shape
    close(got, changed([(formula, None)], *(t.unsqueeze(1) for t in (q, k, v))).squeeze(1))


@pytest.mark.parametrize("lead", [(), (3,), (2, 3)])
@pytest.mark.parametrize("name", ["hide", "swap", "scale"])
def test_calls_with_other_leading_axes_come_back_in_their_shape(lead, name):
    make, formula = CHANGES[name]
    q, k, v = (t[0, 0] for t in tensors(4))
    k, v = (t.expand(*lead, HEADS, *t.shape) for t in (k, v))
    q = q.expand(HEADS, *q.shape)  # torch broadcasts it to those of the keys
    model = Way(F.scaled_dot_product_attention)
    with regard.change(model, make()):
        got = model(q, k, v)
    assert got.shape == (*lead, HEADS, *q.shape[-2:])
    close(
        got.reshape(-1, 1, *q.shape[-2:])[:1],
        changed([(formula, None)], q[None, :1], *(t.reshape(-1, 1, *t.shape[-2:])[:1] for t in (k, v))),
    )


WEIGHINGS = {
    "sparsemax": regard.sparsemax(),
    "entmax": regard.entmax(1.5),
    "sigmoid": regard.sigmoid(),
    "top k": regard.top_k(3),
    "hard": regard.hard(),
}


@pytest.mark.parametrize("weigh", WEIGHINGS)
@pytest.mark.parametrize("name", CHANGES)
def test_attention_that_weighs_otherwise_is_changed_alike(weigh, name):
    """Hidden keys are masked ones, so the reference engine with the mask is the oracle."""
    make, formula = CHANGES[name]
    mechanism = regard.Attention(weigh=WEIGHINGS[weigh])
    q, k, v = tensors(5)
    model = Way(lambda q, k, v: regard.attend(q, k, v, mechanism).output)
    with regard.change(model, make(SOME)):
        got = model(q, k, v)

    def weights(q, k, allowed):
        ones = torch.eye(KEYS, dtype=q.dtype).expand(BATCH, HEADS, -1, -1)
        masked = regard.Attention(weigh=WEIGHINGS[weigh], mask=allowed)
        return regard.attend(q, k, ones, masked, engine="reference").output

    close(got, changed([(formula, SOME)], q, k, v, weights), atol=1e-9)


def test_what_attend_hands_out_is_of_the_changed_call():
    q, k, v = tensors(6)
    kept = []

    def attends(q, k, v):
        kept.append(regard.attend(q, k, v, want=("received", "entropy")))
        return kept[0].output

    with regard.change(model := Way(attends), regard.hide([0, 3], heads=SOME)):
        model(q, k, v)
    allowed = torch.ones(1, HEADS, QUERIES, KEYS, dtype=torch.bool)
    for head in SOME:
        allowed[:, head, :, [0, 3]] = False
    P = dense.weights(q, k, allowed=allowed)
    close(kept[0].received, dense.received(P), atol=1e-9)
    close(kept[0].entropy, dense.entropy(P), atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(
    picks=st.lists(
        st.tuples(st.sampled_from(sorted(CHANGES)), st.sampled_from([None, (0,), (1, 3), (2, 3)])), max_size=4
    ),
    way=st.sampled_from(["sdpa", "sdpa grouped", "attend", "matmul", "einsum"]),
    split=st.integers(0, 4),
)
def test_changes_compose_in_the_order_given_and_those_of_outer_blocks_first(picks, way, split):
    attends, groups, options = WAYS[way]
    inputs = tensors(7, groups)
    model = Way(attends)
    changes = [CHANGES[name][0](heads) for name, heads in picks]
    wanted = changed([(CHANGES[name][1], heads) for name, heads in picks], *inputs, **options)
    with regard.change(model, *changes):
        close(model(*inputs), wanted)
    with regard.change(model, *changes[:split]), regard.change(model, *changes[split:]):
        close(model(*inputs), wanted)


def test_functions_are_applied_in_the_order_given():
    q, k, v = tensors(7)
    model = Way(F.scaled_dot_product_attention)
    double, add = (lambda t: t * 2), (lambda t: t + 1)
    for kind, ends in ((regard.change_values, lambda Z: Z * 2 + 1), (regard.change_output, lambda Z: Z * 2 + 1)):
        with regard.change(model, kind(double), kind(add)):
            close(model(q, k, v), ends(F.scaled_dot_product_attention(q, k, v)))


def test_a_query_that_is_left_without_keys_hands_on_nothing_and_has_no_gradient_but_0():
    for way in ("sdpa", "sdpa added mask", "attend", "matmul", "einsum"):
        model = Way(WAYS[way][0])
        inputs = [t.requires_grad_() for t in tensors(8)]
        with regard.change(model, regard.hide(range(KEYS), queries=[4])):  # query 2 stands at key 4
            got = model(*inputs)
        assert not got[:, :, 2].any()
        assert got[:, :, 3].all()
        grads = torch.autograd.grad(got.sum(), inputs)
        assert all(bool(grad.isfinite().all()) for grad in grads)
        assert not grads[0][:, :, 2].any()


def test_large_negative_numbers_of_a_mask_go_on_forbidding_where_all_else_is_hidden():
    """A causal mask of finfo.min: with key 0 hidden, query 0 sees nothing, rather than the future."""
    q, k, v = tensors(9, queries=KEYS)
    least = torch.finfo(torch.float64).min
    mask = torch.zeros(KEYS, KEYS, dtype=torch.float64).masked_fill(~dense.causal(KEYS, KEYS), least)
    with regard.change(model := Way(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, mask)), regard.hide(0)):
        got = model(q, k, v)
    allowed = dense.causal(KEYS, KEYS)
    close(got, changed([(Formula(hides([0])), None)], q, k, v, allowed=allowed))
    assert not got[:, :, 0].any()


def test_hidden_keys_and_dropped_weights_go_together():
    """Of attention written out with dropout, the weights that are left grow by what the hidden ones had."""
    q, k, v = tensors(10)

    def attends(q, k, v):
        torch.manual_seed(0)
        return F.dropout(dense.scores(q, k).softmax(-1), 0.5) @ v

    P = dense.weights(q, k)
    torch.manual_seed(0)
    kept = F.dropout(torch.ones_like(P), 0.5)
    with regard.change(model := Way(attends), regard.hide(0)):
        got = model(q, k, v)
    shown = dense.weights(q, k, allowed=torch.arange(KEYS) > 0)
    close(got, (shown * kept) @ v)


def test_padding_is_left_out_of_means():
    """Padded on the right, nobody sees padded keys, though they look; on the left, causal, they see nothing."""
    q, k, v = tensors(11, queries=KEYS)
    real = torch.ones(BATCH, KEYS, dtype=torch.bool)
    real[1, -3:] = False
    for ours, allowed in (
        (real, real[:, None, None]),
        (real.flip(-1), real.flip(-1)[:, None, None] & dense.causal(KEYS, KEYS)),
    ):
        model = Way(lambda q, k, v, mask=allowed: F.scaled_dot_product_attention(q, k, v, attn_mask=mask))
        Z = model(q, k, v)
        with regard.change(model, regard.knock_out(2, by="mean")):
            got = model(q, k, v)
        for item in range(BATCH):
            close(got[item, 2], Z[item, 2, ours[item]].mean(0).expand(KEYS, -1))
            close(got[item, [0, 1, 3]], Z[item, [0, 1, 3]])


# Laws


def interrupt(_):
    raise KeyboardInterrupt


def encoder(layers=2, **settings):
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(16, HEADS, 20, dropout=0.0, batch_first=True, dtype=torch.float64)
    return nn.TransformerEncoder(layer, layers, **settings).eval()


def source():
    return torch.randn(BATCH, KEYS, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_scaling_by_1_changes_nothing_beyond_rounding():
    model, x = encoder(), source()
    with torch.no_grad(), regard.change(model, regard.scale_heads(1)):
        close(model(x), model(x))
    with torch.no_grad():
        plain = model(x)
        with regard.change(model, regard.scale_heads(1)):
            close(model(x), plain)


@pytest.mark.parametrize("way", WAYS)
def test_every_head_knocked_out_one_by_one_is_no_attention(way):
    attends, groups, _ = WAYS[way]
    model = Way(attends)
    with regard.change(model, *(regard.knock_out(head) for head in range(HEADS))):
        got = model(*tensors(1, groups))
    assert not got.any()


def test_the_model_is_the_same_afterwards_also_after_an_error():
    model, x = encoder(), source()
    parameters = {name: p.clone() for name, p in model.state_dict().items()}
    names = (F.scaled_dot_product_attention, torch._transformer_encoder_layer_fwd, F.softmax)
    with torch.no_grad():
        plain = model(x)
        with regard.change(model, regard.hide(0)):
            assert not torch.equal(model(x), plain)
        assert torch.equal(model(x), plain)
        with pytest.raises(KeyboardInterrupt), regard.change(model, regard.hide(0)):
            interrupt(model(x))
        assert torch.equal(model(x), plain)

        def fails(_):
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError), regard.change(model, regard.change_output(fails)):
            model(x)
        assert torch.equal(model(x), plain)
    assert all(torch.equal(parameters[name], p) for name, p in model.state_dict().items())
    assert names == (F.scaled_dot_product_attention, torch._transformer_encoder_layer_fwd, F.softmax)
    assert not torch.nn.modules.module._global_forward_pre_hooks


def test_a_function_that_writes_in_place_writes_into_a_copy():
    def zero(t):
        t[:] = 0
        return t

    q, k, v = tensors(12)
    kept = v.clone()
    model = Way(F.scaled_dot_product_attention)
    with regard.change(model, regard.change_values(zero, SOME), regard.change_output(zero, 0)):
        got = model(q, k, v)
    assert torch.equal(v, kept)
    close(got[:, 2], F.scaled_dot_product_attention(q, k, v)[:, 2])
    assert not got[:, [0, 1, 3]].any()


def test_other_threads_meanwhile_see_the_model_as_it_is():
    model, x = encoder(), source()
    found = []

    def other():
        with torch.no_grad():
            found.append(model(x))

    with torch.no_grad():
        plain = model(x)
        with regard.change(model, regard.knock_out()):
            thread = threading.Thread(target=other)
            thread.start()
            thread.join()
            assert not torch.equal(model(x), plain)
    close(found[0], plain)


def test_another_model_meanwhile_is_as_it_is():
    model, other, x = encoder(1), encoder(2), source()
    with torch.no_grad():
        plain = other(x)
        with regard.change(model, regard.knock_out()):
            close(other(x), plain)
            model(x)


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("way", ["sdpa", "matmul", "attend"])
def test_checkpointed_modules_are_changed_alike_when_they_run_again(way, reentrant):
    model = Way(WAYS[way][0])
    grads = []
    for run in (model, lambda *t: checkpoint(model, *t, use_reentrant=reentrant)):
        inputs = [t.requires_grad_() for t in tensors(13)]
        with regard.change(model, regard.hide(0, heads=SOME), regard.shift_values(1, 0), regard.scale_heads(2, 2)):
            grads.append(torch.autograd.grad(run(*inputs).square().sum(), inputs) if not reentrant else None)
            if reentrant:
                run(*inputs).square().sum().backward()
                grads[-1] = [t.grad for t in inputs]
    for mine, theirs in zip(*grads, strict=True):
        close(mine, theirs)


@pytest.mark.parametrize("inner", ["watch", "change"])
def test_watching_sees_the_changed_weights_in_either_nesting(inner):
    model = Way(F.scaled_dot_product_attention)
    q, k, v = tensors(14)
    blocks = [lambda: regard.watch(model), lambda: regard.change(model, regard.hide(0, heads=SOME))]
    first, second = blocks[::-1] if inner == "watch" else blocks
    with first() as a, second() as b:
        model(q, k, v)
    allowed = torch.ones(1, HEADS, QUERIES, KEYS, dtype=torch.bool)
    allowed[:, list(SOME), :, 0] = False
    seen = a if a is not None else b
    dense.statistics_equal(seen.sites[0], dense.weights(q, k, allowed=allowed), atol=1e-9)


# Torch's own modules


def by_hand(layer, x, formula, heads, allowed=None):
    """Return what nn.MultiheadAttention gives on x, by its projections and the formula."""
    q, k, v = (
        t.unflatten(-1, (HEADS, -1)).transpose(1, 2)
        for t in (x @ layer.in_proj_weight.T + layer.in_proj_bias).chunk(3, -1)
    )
    return layer.out_proj(changed([(formula, heads)], q, k, v, allowed=allowed).transpose(1, 2).flatten(2))


@pytest.mark.parametrize("need_weights", [False, True])
@pytest.mark.parametrize("kind", [nn.MultiheadAttention, regard.MultiheadAttention])
@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("grad", [False, True])
def test_multihead_attention_in_evaluation_is_changed(name, kind, need_weights, grad):
    torch.manual_seed(0)
    layer = kind(16, HEADS, batch_first=True, dtype=torch.float64).eval()
    nn.init.normal_(layer.in_proj_bias)
    make, formula = CHANGES[name]
    x = source()
    with torch.set_grad_enabled(grad), regard.change(layer, make(SOME)):
        got, _ = layer(x, x, x, need_weights=need_weights)
    close(got, by_hand(layer, x, formula, SOME))


PADDING = torch.arange(KEYS) >= torch.tensor([[KEYS], [KEYS - 3]])


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_an_encoder_in_evaluation_does_not_take_its_fast_path_unchanged(name, padded, nested):
    """Without changes torch's fast path runs, with padding on nested tensors; a change must reach its layers."""
    make, formula = CHANGES[name]
    stack, x = encoder(1, enable_nested_tensor=nested), source()
    (layer,) = stack.layers
    real = ~PADDING if padded else torch.ones_like(PADDING)
    if padded and name == "mean":
        return
    with torch.no_grad(), regard.change(stack, make(SOME)):
        got = stack(x, src_key_padding_mask=PADDING if padded else None)
    inner = layer.norm1(x + by_hand(layer.self_attn, x, formula, SOME, real[:, None, None]))
    wanted = layer.norm2(inner + layer.linear2(layer.linear1(inner).relu()))
    close(got[real], wanted[real])


def test_layers_paths_and_kinds_choose():
    torch.manual_seed(0)
    model = nn.Transformer(16, HEADS, 2, 2, 20, batch_first=True).eval()
    x = torch.randn(1, 5, 16)
    y = torch.randn(1, 4, 16)
    met = []

    def note(t):
        met.append(tuple(t.shape[1:3]))
        return t

    def paths(**place):
        met.clear()
        with torch.no_grad(), regard.change(model, regard.change_output(note, **place)):
            model(x, y)
        return met

    own, on_encoder = (HEADS, 4), (HEADS, 4)
    assert paths() == [(HEADS, 5)] * 2 + [own, on_encoder] * 2
    assert paths(paths="encoder") == [(HEADS, 5)] * 2
    assert paths(paths="decoder", layers=1) == [own, on_encoder]
    assert len(paths(kind="cross")) == 2
    assert len(paths(paths=("encoder.layers.0", "decoder.layers.1.self_attn"))) == 2
    assert len(paths(paths=lambda path: path.endswith("multihead_attn"), layers=[0])) == 1


def test_queries_of_cross_attention_count_from_the_first():
    torch.manual_seed(0)
    layer = nn.TransformerDecoderLayer(16, HEADS, 20, batch_first=True, dtype=torch.float64).eval()
    x, y = torch.randn(1, 4, 16, dtype=torch.float64), source()[:1]
    with (
        torch.no_grad(),
        regard.change(layer, regard.hide(3, queries=1, kind="cross")),
        regard.watch(layer) as seen,
    ):
        layer(x, y)
    P = seen["multihead_attn"].weights()
    assert not P[:, :, 1, 3].any()
    assert P[:, :, [0, 2, 3], 3].all()


def test_compiled_models_are_changed():
    model = Way(F.scaled_dot_product_attention)
    compiled = torch.compile(model, backend="eager")
    q, k, v = tensors(15)
    with regard.change(compiled, regard.hide(0)):
        got = compiled(q, k, v)
    close(got, changed([(Formula(hides([0])), None)], q, k, v))


def test_inference_mode_and_autocast_are_no_hindrance():
    q, k, v = (t.float() for t in tensors(16))
    model = Way(F.scaled_dot_product_attention)
    with torch.inference_mode(), regard.change(model, regard.hide(0, heads=SOME), regard.shift_values(1, 2)):
        got = model(q, k, v)
        with torch.autocast("cpu", torch.bfloat16):
            rough = model(q, k, v)
    wanted = changed([(Formula(hides([0])), SOME), (CHANGES["shift"][1], ())], q, k, v)
    close(got[:, SOME], wanted[:, SOME], atol=1e-5)
    assert rough.dtype == torch.bfloat16
    close(rough.float(), got, atol=0.05)


# Mistakes


def test_a_change_that_meets_no_call_raises_at_the_end_and_says_where_calls_came_from():
    model, x = encoder(), source()
    for change, said in (
        (regard.knock_out(layers=7), "layers=\\[7\\]"),
        (regard.knock_out(layers=[1, 7]), "knock_out at layers=\\[7\\]: expected to meet"),
        (regard.hide(0, paths=["layers.0", "decoder"]), "paths=\\['decoder'\\]"),
        (regard.hide(0, kind="cross"), "kind=cross"),
        (regard.hide(0, paths=lambda path: False), "lambda"),
    ):
        with torch.no_grad(), pytest.raises(ChangeError, match=said) as error, regard.change(model, change):
            model(x)
        assert "layers.0.self_attn, layers.1.self_attn" in str(error.value)
    with (
        pytest.raises(ChangeError, match=r"knock_out at all calls.*Calls came from: none"),
        regard.change(nn.Linear(2, 2), regard.knock_out()),
    ):
        pass


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: regard.knock_out(0.5), "heads: expected a whole number, several, or None for all; got 0.5"),
        (lambda: regard.knock_out(True), "got True"),
        (lambda: regard.knock_out("3"), "got '3'"),
        (lambda: regard.knock_out([]), "at least one"),
        (lambda: regard.knock_out(by="median"), "by: expected"),
        (lambda: regard.knock_out(layers=-1), "layers: expected numbers from 0"),
        (lambda: regard.knock_out(layers="all"), "layers: expected a whole number"),
        (lambda: regard.knock_out(kind="own"), "kind: expected"),
        (lambda: regard.knock_out(paths=[]), "paths: expected"),
        (lambda: regard.knock_out(paths=3), "paths: expected"),
        (lambda: regard.knock_out(layer=3), "got layer="),
        (lambda: regard.scale_heads("2"), "by: expected a number"),
        (lambda: regard.hide(1.5), "keys: expected positions"),
        (lambda: regard.hide("it"), "keys: expected positions"),
        (lambda: regard.hide(True), "keys: expected positions"),
        (lambda: regard.hide([[1, 2]]), "keys: expected positions"),
        (lambda: regard.hide(torch.ones(2, 2, 2).bool()), "keys: expected positions"),
        (lambda: regard.hide(0, queries=["a"]), "queries: expected positions"),
        (lambda: regard.swap_values([1, 2]), "places: expected"),
        (lambda: regard.swap_values({0: 1.5}), "places: expected"),
        (lambda: regard.shift_values(0.5), "by: expected a whole number"),
    ],
)
def test_what_has_no_meaning_is_refused_at_once(make, said):
    with pytest.raises(ChangeError, match=said):
        make()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (regard.knock_out(HEADS), f"heads: expected numbers from 0 to {HEADS - 1} at the model; got \\[{HEADS}\\]"),
        (regard.hide(torch.zeros(3, KEYS, dtype=torch.bool)), "keys: expected booleans .* for a batch of 2"),
        (regard.change_values(lambda V: V[:, :1]), "change_values: expected a function that keeps the shape"),
        (regard.change_output(lambda V: None), "change_output: .* it made NoneType"),
        ("knock_out", "expected changes such as .* got str"),
    ],
)
def test_what_does_not_fit_the_call_is_refused(change, said):
    model = Way(F.scaled_dot_product_attention)
    with pytest.raises(ChangeError, match=said), regard.change(model, change):
        model(*tensors(1))


def test_a_model_that_is_none_is_refused():
    with pytest.raises(ChangeError, match=r"model: expected a torch\.nn\.Module"), regard.change("bert"):
        pass


def test_calls_that_cannot_be_changed_are_refused_rather_than_left():
    model = Way(F.scaled_dot_product_attention)
    q, k, v = tensors(1)
    with pytest.raises(ChangeError, match="vmap"), regard.change(model, regard.knock_out()):
        torch.func.vmap(model)(q, k, v)


def test_positions_that_a_call_does_not_have_do_not_count():
    model = Way(F.scaled_dot_product_attention)
    q, k, v = tensors(1)
    plain = model(q, k, v)
    for change, wide in product(
        (regard.hide([KEYS, 99, -99]), regard.swap_values({99: 0, 0: 99}), regard.hide([])), (True, False)
    ):
        with regard.change(model, change):
            close(model(q, k, v), plain)
        assert wide in (True, False)
