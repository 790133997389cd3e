"""`regard look` without some heads or words: what it says of the output, for every sort of model, and mistakes."""

import json
import re

import pytest
import torch
import transformers

import regard
from tests import test_look
from tests.demo import folder, needs_demo
from tests.models import sharpen
from tests.test_look import SENTENCE

run, tiny = test_look.run, test_look.tiny


def flat(out):
    return " ".join(out.split())


@needs_demo
@pytest.mark.slow
def test_how_far_the_embedding_of_the_default_model_moves(run, tmp_path):
    code, out, err = run(
        "look", SENTENCE, "--knock-out", "0.3,5.1", "--hide", "animal", "--json", "a.json", "--heads-that-matter"
    )
    assert code == 0, err
    model = transformers.AutoModel.from_pretrained(folder(), attn_implementation="sdpa").eval()
    inputs = transformers.AutoTokenizer.from_pretrained(folder())(SENTENCE, return_tensors="pt")
    found = regard.effect(
        model,
        inputs,
        regard.knock_out(3, layers=0),
        regard.knock_out(1, layers=5),
        regard.hide(2),
        read=lambda output: output.last_hidden_state[0].mean(0),
    )
    assert f"has a cosine of {found.cosine:.4f} with the unchanged one" in flat(out)
    assert "Without head 3 of layer 0, head 1 of layer 5 and with 'animal' hidden" in flat(out)
    content = json.loads((tmp_path / "a.json").read_text())
    assert "The maps are those of the changed run." in content["facts"]
    (group,) = content["groups"]
    place = group["key_words"].index("animal")
    assert all(head["received_by_token"][place] == 0 for head in group["heads"])
    listed = re.findall(r"(\d)\.(\d+) (0\.\d{4})", content["facts"][-1])
    moved = regard.head_effects(
        model, inputs, read=lambda output: output.last_hidden_state[0].mean(0), measure=lambda e: 1 - e.cosine
    )
    wanted = [(path.split(".")[2], str(head), f"{value:.4f}") for (path, head), value in list(moved.items())[:10]]
    assert listed == wanted


@pytest.mark.parametrize("kind", [transformers.LlamaForCausalLM, transformers.LlamaForSequenceClassification])
def test_how_the_distribution_of_a_decoder_moves(run, tiny, kind):
    place = tiny("llama")
    torch.manual_seed(0)
    config = transformers.AutoConfig.from_pretrained(place)
    config.pad_token_id = 1
    kind(config).save_pretrained(place)
    code, out, err = run("look", SENTENCE, "--model", place, "--knock-out", "0.1", "--hide", "tired")
    assert code == 0, err
    model = kind.from_pretrained(place, attn_implementation="sdpa").eval()
    inputs = transformers.AutoTokenizer.from_pretrained(place)(SENTENCE, return_tensors="pt")
    inputs.pop("token_type_ids", None)
    words = transformers.AutoTokenizer.from_pretrained(place).convert_ids_to_tokens(inputs["input_ids"][0])
    logits = "classes" if "Sequence" in kind.__name__ else "the next token"
    found = regard.effect(
        model,
        inputs,
        regard.knock_out(1, layers=0),
        regard.hide(words.index("tired")),
        read=lambda output: output.logits[0] if output.logits.ndim == 2 else output.logits[0, -1],
    )
    assert f"{logits} is {found.divergence:.4f} nats" in flat(out)
    p, best = found.after.softmax(-1).max(-1)
    assert f"{float(p):.3f}" in flat(out).split("Likeliest: ")[1].split(",")[0]
    assert int(best) >= 0


@pytest.fixture
def writer(tiny):
    """Save an encoder-decoder that writes words of its own; return its folder."""
    place = tiny("bart")
    model = transformers.BartForConditionalGeneration.from_pretrained(place)
    sharpen(model)
    model.generation_config.forced_eos_token_id = None
    model.final_logits_bias[:, [0, 1, 2, 3]] = -1e4  # special tokens
    model.final_logits_bias[:, 16:] = -1e4  # tokens without a word
    model.save_pretrained(place)
    return place


@pytest.mark.parametrize("knocked", ["encoder:0.1", "decoder:0.0", "cross:0.1,encoder:0.0"])
def test_what_an_encoder_decoder_writes(run, writer, tmp_path, knocked):
    code, _, err = run(
        "look", SENTENCE, "--model", writer, "--knock-out", knocked, "--hide", "tired", "--json", "a.json"
    )
    assert code == 0, err
    content = json.loads((tmp_path / "a.json").read_text())
    now, before = content["facts"][-2:]
    model = transformers.BartForConditionalGeneration.from_pretrained(writer).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(writer)
    words = tokenizer(SENTENCE, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        written = model.generate(words, max_new_tokens=38, num_beams=1, do_sample=False)
    text = tokenizer.decode(written[0], skip_special_tokens=True)
    assert before == f"Unchanged, the model writes: {text}"
    assert now.startswith("It writes")
    groups = {group["name"]: group for group in content["groups"]}
    for name in ("self-attention", "cross-attention"):
        hidden = groups[name]["key_words"].index("tired")
        assert all(head["received_by_token"][hidden] == 0 for head in groups[name]["heads"])
    assert any(max(head["received_by_token"]) > 0 for head in groups["decoder self-attention"]["heads"])


def test_what_is_cut_off_of_what_a_model_writes_is_said(run, writer):
    code, out, err = run("look", SENTENCE, "--model", writer, "--max-tokens", "8")
    assert code == 0, err
    assert re.search(r"decoder: \d+ words, the first 8 of \d+ tokens", flat(out))


def test_how_a_target_of_an_encoder_decoder_fares(run, tiny):
    place = tiny("bart")
    options = ["--model", place, "--target", "the tired animal", "--heads-that-matter"]
    code, out, err = run("look", SENTENCE, *options, "--knock-out", "cross:0.1")
    assert code == 0, err
    assert re.search(r"mean log-probability of -\d\.\d{3}, unchanged of -\d\.\d{3} \(divergence \d", flat(out))
    assert all(f"{side}:0." in flat(out).split("move")[-1] for side in ("encoder", "decoder", "cross"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--knock-out", "3"],
            "--knock-out: expected LAYER.HEAD, or several with commas, such as 0.3,2.11; got '3'",
        ),
        (["--knock-out", ""], "--knock-out: expected LAYER.HEAD"),
        (["--knock-out", "0.9"], "--knock-out: expected a head from 0 to 1; got 9"),
        (["--knock-out", "7.0"], "--knock-out: expected a layer from 0 to 1; got 7"),
        (["--knock-out", "cross:0.0"], "--knock-out: expected 0.0 of"),
        (["--hide", "dog"], "--hide: expected words of the text (The, animal, didn, ', t, cross,"),
        (["--hide", "tired", "--hide", ""], "--hide: expected a word of the text; got ''"),
        (["--hide", "tired", "--hide", "cat"], "; got cat"),
        (["--hide", "tired", "--check"], "expected --check, or --knock-out and --hide; got both"),
    ],
)
def test_a_mistake_gets_one_message_and_exit_code_2(run, tiny, tmp_path, options, said):
    code, out, err = run("look", SENTENCE, "--model", tiny("llama"), "--json", "a.json", *options)
    assert code == 2
    assert said in flat(err)
    assert "Traceback" not in err
    assert not out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("side", ["encoder", "decoder", "cross"])
def test_sides_have_their_own_layers(run, writer, side):
    code, _, err = run("look", SENTENCE, "--model", writer, "--knock-out", f"{side}:1.0")
    assert code == 2
    assert "--knock-out: expected a layer from 0 to 0; got 1" in flat(err)


def test_an_encoder_decoder_wants_to_know_which_side(run, tiny):
    code, _, err = run("look", SENTENCE, "--model", tiny("bart"), "--knock-out", "0.1")
    assert code == 2
    assert "--knock-out: expected encoder:0.1 or decoder:0.1 or cross:0.1 of" in flat(err)
