"""Changed Hugging Face models: fused and written-out attention become the same other model."""

from functools import cache

import pytest
import torch
import transformers
from torch.nn import functional as F
from transformers.integrations import sdpa_attention

import regard
from tests import dense
from tests.models import FAMILIES, TOKENS, left_padded

CHANGES = {
    "one head": lambda **place: regard.knock_out(1, layers=1, **place),
    "mean": lambda **place: regard.knock_out([0, 3], by="mean", **place),
    "scale": lambda **place: regard.scale_heads(3.0, [2], **place),
    "hide": lambda **place: regard.hide([0, 4], heads=[1, 2], **place),
    "hide from one": lambda **place: regard.hide([0, 1], queries=3, **place),
    "swap": lambda **place: regard.swap_values({1: 5, 5: 1}, [0, 3], **place),
    "shift": lambda **place: regard.shift_values(1, 2, **place),
}


@cache
def pair(family):
    return FAMILIES[family].pair()


def close(got, wanted, atol=1e-5):
    torch.testing.assert_close(got, wanted, rtol=0, atol=atol)


@torch.no_grad()
def run(model, inputs, *changes):
    with regard.change(model, *changes):
        return model(**inputs)[0]


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("family", ["bert", "bert padded", "gpt2", "llama", "t5", "bart"])
def test_fused_and_written_out_models_change_alike(family, name):
    inputs = FAMILIES[family].inputs()
    eager, fast = (run(model, inputs, CHANGES[name]()) for model in pair(family))
    with torch.no_grad():
        plain = pair(family)[1](**inputs)[0]
    close(fast, eager, atol=2e-5)
    assert (fast - plain).abs().max() > 1e-3
    with torch.no_grad():
        assert torch.equal(pair(family)[1](**inputs)[0], plain)


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("family", ["t5", "bart"])
def test_cross_attention_alone_changes_alike(family, name):
    inputs = FAMILIES[family].inputs()
    eager, fast = pair(family)
    close(
        run(fast, inputs, CHANGES[name](kind="cross")), run(eager, inputs, CHANGES[name](kind="cross")), atol=2e-5
    )
    with torch.no_grad(), regard.change(fast, CHANGES[name](kind="cross")), regard.watch(fast) as seen:
        fast(**inputs)
        plain = [site for site in seen if site.kind == "self"]
    with torch.no_grad(), regard.watch(fast) as unchanged:
        fast(**inputs)
    first = next(site for site in unchanged if site.kind == "self")
    assert torch.equal(plain[0].weights(), first.weights())


@pytest.mark.parametrize("family", ["llama left padded", "gpt2 left padded"])
def test_padding_on_the_left_does_not_move_what_real_tokens_get(family):
    """Means, too, are those of the real tokens: the item that is not padded and the one that is change as alone."""
    model = FAMILIES[family].build("sdpa")
    inputs = FAMILIES[family].inputs()
    real = left_padded()[1].bool()
    change = regard.knock_out([0, 3], by="mean"), regard.shift_values(0)
    positions = (left_padded().cumsum(-1) - 1).clamp(min=0)
    both = run(model, {**inputs, "position_ids": positions}, *change)
    alone = run(model, {"input_ids": inputs["input_ids"][1:, real]}, *change)
    close(both[1:, real], alone)


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_hidden_keys_are_those_of_a_mask(implementation):
    """Hiding a token from all is the model's own padding mask, but that its own position still runs."""
    eager, fast = pair("bert")
    model = fast if implementation == "sdpa" else eager
    inputs = FAMILIES["bert"].inputs()
    mask = torch.ones_like(inputs["input_ids"])
    mask[:, 4] = 0
    with torch.no_grad():
        wanted = model(**inputs, attention_mask=mask)[0]
    close(run(model, inputs, regard.hide(4)), wanted)


def test_a_watched_changed_model_shows_the_changed_weights():
    eager, fast = pair("llama")
    inputs = FAMILIES["llama"].inputs()
    change = regard.hide([0, 4], heads=[1, 2])
    records = []
    for model in (eager, fast):
        with torch.no_grad(), regard.change(model, change), regard.watch(model) as seen:
            model(**inputs)
        records.append(seen)
    for a, b in zip(*records, strict=True):
        close(a.weights(), b.weights())
        assert not b.weights()[:, [1, 2]][..., [0, 4]].any()
        assert b.weights()[:, [0, 3], 1:, 0].all()
    assert {site.engine for site in records[1]} == {"flash_attention"}


# Generation


@cache
def writer(kind):
    family = FAMILIES[kind]
    heads = {"gpt2": transformers.GPT2LMHeadModel, "llama": transformers.LlamaForCausalLM}
    torch.manual_seed(0)
    model = heads[kind](family.config).eval()
    model.set_attn_implementation("sdpa")
    return model


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("kind", ["gpt2", "llama"])
@pytest.mark.parametrize(
    "change", [regard.hide([0, 3]), regard.hide(2, heads=[1, 3]), regard.swap_values({1: 4}, [2])]
)
def test_generation_with_a_cache_goes_on_changing(kind, change, implementation):
    """Each step's logits are those of the whole text at once, changed alike."""
    model = writer(kind)
    model.set_attn_implementation(implementation)
    words = FAMILIES[kind].inputs()["input_ids"][:, :7]
    with torch.no_grad(), regard.change(model, change):
        written = model.generate(
            words,
            max_new_tokens=5,
            do_sample=False,
            output_logits=True,
            return_dict_in_generate=True,
            eos_token_id=None,
            pad_token_id=0,
        )
        whole = model(written.sequences).logits
    steps = torch.stack(written.logits, 1)
    close(steps, whole[:, 6:-1])
    with torch.no_grad():
        plain = model(written.sequences).logits[:, 6:-1]
    assert (plain - steps).abs().max() > 1e-4


@pytest.mark.parametrize("padded", [False, True])
def test_a_single_grouped_step_is_changed_as_its_query_heads(padded, monkeypatch):
    """With a mask, the library hands over the heads of a group as queries; heads are still those of the model."""
    packed = []
    own = sdpa_attention.pack_gqa
    monkeypatch.setattr(sdpa_attention, "pack_gqa", lambda *given: packed.append(given) or own(*given))
    model = writer("llama")
    model.set_attn_implementation("sdpa")
    words = FAMILIES["llama"].inputs()["input_ids"]
    mask = left_padded() if padded else torch.ones_like(left_padded())
    changes = regard.knock_out([1]), regard.hide(9, heads=2), regard.swap_values({8: 12}, [0, 3])
    with torch.no_grad(), regard.change(model, *changes):
        whole = model(words, attention_mask=mask).logits[:, -1]
        past = model(words[:, :-1], attention_mask=mask[:, :-1], use_cache=True).past_key_values
        assert not packed
        with regard.watch(model) as seen:
            step = model(words[:, -1:], attention_mask=mask, past_key_values=past, use_cache=True).logits[:, -1]
    close(step, whole)
    assert bool(packed) is padded
    assert {(site.sizes.heads, site.sizes.queries, site.sizes.keys) for site in seen} == {(4, 1, TOKENS)}
    assert not seen.sites[0].weights()[:, 2, :, 9].any()


def test_an_encoder_decoder_generates_under_a_change():
    torch.manual_seed(0)
    model = transformers.BartForConditionalGeneration(FAMILIES["bart"].config).eval()
    words = FAMILIES["bart"].inputs()["input_ids"]
    options = {
        "max_new_tokens": 5,
        "do_sample": False,
        "num_beams": 1,
        "output_logits": True,
        "return_dict_in_generate": True,
        "forced_eos_token_id": None,
    }
    with torch.no_grad(), regard.change(model, regard.hide([0, 2], kind="cross", heads=[0, 1])):
        written = model.generate(words, **options)
        whole = model(words, decoder_input_ids=written.sequences).logits
    steps = torch.stack(written.logits, 1)
    close(steps, whole[:, : steps.shape[1]])


# Effects


def test_the_effect_on_a_model_is_told_by_its_formulas():
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(FAMILIES["llama"].config).eval()
    inputs = FAMILIES["llama"].inputs()
    change = regard.knock_out(1, layers=0)
    with torch.no_grad():
        before = model(**inputs).logits.double()
        with regard.change(model, change):
            after = model(**inputs).logits.double()
    found = regard.effect(model, inputs, change)
    assert torch.equal(found.before, before)
    assert torch.equal(found.after, after)
    p, q = before.softmax(-1), after.softmax(-1)
    assert found.divergence == pytest.approx(float((p * (p / q).log()).sum(-1).mean()), rel=1e-9)
    assert found.distance == pytest.approx(
        float((after - before).square().sum().sqrt() / before.square().sum().sqrt())
    )
    assert found.cosine == pytest.approx(float(F.cosine_similarity(before, after, dim=-1).mean()))
    assert torch.equal(found.seen_before.sites[0].weights(), found.seen_after.sites[0].weights())
    assert "distance" in repr(found)


def test_every_head_of_a_model_by_itself():
    eager, fast = pair("bert")
    inputs = FAMILIES["bert"].inputs()
    told = []
    found = regard.head_effects(fast, inputs, on_head=lambda path, head: told.append((path, head)))
    wanted = {}
    for layer in range(2):
        for head in range(4):
            one = regard.effect(eager, inputs, regard.knock_out(head, layers=layer))
            wanted[f"encoder.layer.{layer}.attention.self", head] = one.distance
    assert told == list(wanted)
    assert list(found) == sorted(found, key=lambda each: -found[each])
    assert found == pytest.approx(wanted, rel=1e-3)
    by_mean = regard.head_effects(fast, inputs, by="mean", measure=lambda effect: 1 - effect.cosine)
    one = regard.effect(fast, inputs, regard.knock_out(2, layers=1, by="mean"))
    assert by_mean["encoder.layer.1.attention.self", 2] == pytest.approx(1 - one.cosine)


def test_an_interrupted_sweep_leaves_the_model_as_it_was():
    _, fast = pair("bert")
    inputs = FAMILIES["bert"].inputs()
    with torch.no_grad():
        plain = fast(**inputs)[0]

    def stop(path, head):
        if head == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        regard.head_effects(fast, inputs, on_head=stop)
    with torch.no_grad():
        assert torch.equal(fast(**inputs)[0], plain)
    dense.close(regard.effect(fast, inputs, regard.scale_heads(1)).difference, torch.zeros_like(plain))


def test_what_cannot_be_read_is_refused():
    _, fast = pair("bert")
    inputs = FAMILIES["bert"].inputs()
    change = regard.knock_out(0)
    with pytest.raises(
        regard.errors.ChangeError, match=r"read: expected a floating-point tensor; got torch\.int64"
    ):
        regard.effect(fast, inputs, change, read=lambda output: output[0].argmax(-1))
    with pytest.raises(regard.errors.ChangeError, match="read: expected an output that holds a tensor; got dict"):
        regard.effect(torch.nn.Identity(), ({"a": 1},), change)
    with pytest.raises(regard.errors.ChangeError, match="expected at least one attention call"):
        regard.head_effects(torch.nn.Linear(2, 2), torch.randn(1, 2))
    with pytest.raises(regard.errors.ChangeError, match='by: expected "zero" or "mean"'):
        regard.head_effects(fast, inputs, by="median")
