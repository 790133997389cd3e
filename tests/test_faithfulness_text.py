"""Text models asked again with words removed, against single runs; what maps highlight, against dense weights."""

import re
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
import transformers

import regard
from regard.errors import ShapeError, WantError, WatchError
from tests import models
from tests.demo import needs_demo

# Two tokens that stay, and five words, one of them of two tokens.
IDS = torch.tensor([[2, 17, 23, 31, 9, 44, 12, 3]])
WORDS = [-1, 0, 1, 1, 2, 3, 4, -1]
KEEPS = torch.tensor(
    [[1, 1, 1, 1, 1], [1, 0, 1, 1, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0], [0, 1, 0, 1, 1]], dtype=torch.bool
)
TARGET = torch.tensor([[7, 8, 1]])
TOKENIZER = SimpleNamespace(
    pad_token_id=0, mask_token_id=4, unk_token_id=None, bos_token_id=2, eos_token_id=3, decode=str
)

CLASSES = {
    "encoder": (transformers.BertModel, models.bert),
    "classifier": (transformers.BertForSequenceClassification, models.bert),
    "masked": (transformers.BertForMaskedLM, models.bert),
    "gpt2": (transformers.GPT2LMHeadModel, models.gpt2),
    "llama": (transformers.LlamaForCausalLM, models.llama),
    "gpt2 classifier": (transformers.GPT2ForSequenceClassification, models.gpt2),
    "t5": (transformers.T5ForConditionalGeneration, models.t5),
    "bart": (transformers.BartForConditionalGeneration, models.bart),
}


def build(name):
    kind, config = CLASSES[name]
    torch.manual_seed(0)
    model = kind(deepcopy(config())).eval().double()
    models.sharpen(model)
    return model


def inputs_of(name):
    ids, words = IDS.clone(), list(WORDS)
    if name == "masked":
        ids[0, 4] = 4
        words = [-1, 0, 1, 1, -1, 2, 3, -1]
    inputs = {"input_ids": ids}
    if name in ("t5", "bart"):
        inputs |= {"labels": TARGET, "decoder_input_ids": torch.tensor([[0, 7, 8]])}
    return inputs, words


def by_hand(model, name, inputs, words, keep, way):
    """Return what the model answers to one variant, run singly; `full` is the whole text's answer or None."""
    stays = torch.tensor([number < 0 or bool(keep[number]) for number in words])
    ids, seen = inputs["input_ids"][0], torch.ones(len(words), dtype=torch.long)
    if way == "delete":
        ids, seen = ids[stays], seen[stays]
    elif way == "hide":
        seen = stays.long()
    else:
        ids = ids.where(stays, 4)
    given = {"input_ids": ids[None], "attention_mask": seen[None]}
    if "labels" in inputs:
        logits = model(**given, decoder_input_ids=inputs["decoder_input_ids"]).logits[0]
        return logits.log_softmax(-1)[torch.arange(3), TARGET[0]].mean()
    if name == "encoder":
        hidden = model(**given).last_hidden_state[0]
        return hidden[seen.bool()].mean(0)
    logits = model(**given).logits[0]
    if "classifier" in name:
        return logits.softmax(-1)
    place = int((ids == 4).nonzero()[0]) if name == "masked" else int(seen.nonzero()[-1])
    return logits[place].softmax(-1)


@pytest.mark.parametrize("way", ["delete", "hide", "mask"])
@pytest.mark.parametrize("name", CLASSES)
@torch.no_grad()
def test_answers_are_those_of_the_model_run_on_each_variant_alone(name, way):
    if (name, way) in {("gpt2 classifier", "hide"), ("masked", "mask")}:
        pytest.skip("reads the answer where the oracle does not look")
    model, (inputs, words) = build(name), inputs_of(name)
    answer = regard.text_answer(model, TOKENIZER, inputs, words, remove=way)
    keeps = KEEPS[:, : answer.units]
    expected = [by_hand(model, name, inputs, words, keep, way) for keep in keeps]
    if name == "encoder":
        expected = [F.cosine_similarity(each, expected[0], dim=0) for each in expected]
    elif "labels" not in inputs:
        best = expected[0].argmax()
        expected = [each[best] for each in expected]
    torch.testing.assert_close(answer(keeps), torch.stack(expected), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", [name for name in CLASSES if name != "encoder"])
def test_gradient_times_input_is_the_slope_as_a_word_grows_longer(name):
    model, (inputs, words) = build(name), inputs_of(name)
    answer = regard.text_answer(model, TOKENIZER, inputs, words)
    embeddings = model.get_input_embeddings()(inputs["input_ids"]).detach()
    slopes = [_slope(model, answer, inputs, words, embeddings, unit) for unit in range(answer.units)]
    torch.testing.assert_close(answer.gradient_times_input(), torch.stack(slopes), rtol=1e-3, atol=2e-4)


@torch.no_grad()
def _slope(model, answer, inputs, words, embeddings, unit, step=1e-3):
    own = (torch.tensor(words) == unit).double().view(1, -1, 1)
    ends = []
    for factor in (1 + step * own, 1 - step * own):
        rest = {key: value for key, value in inputs.items() if key not in ("input_ids", "labels")}
        logits = model(inputs_embeds=embeddings * factor, **rest).logits[0]
        if answer.reader.kind == "target":
            ends.append(logits.log_softmax(-1)[torch.arange(3), TARGET[0]].mean())
        else:
            place = {"masked token": 4, "next token": -1}.get(answer.reader.kind)
            chosen = logits if place is None else logits[place]
            ends.append(chosen.softmax(-1)[answer.wanted])
    return (ends[0] - ends[1]) / (2 * step)


def test_of_an_embedding_it_is_how_far_its_direction_turns():
    model, (inputs, words) = build("encoder"), inputs_of("encoder")
    answer = regard.text_answer(model, TOKENIZER, inputs, words)
    embeddings = model.get_input_embeddings()(inputs["input_ids"]).detach()

    def direction(factors):
        per_token = torch.cat([factors, factors.new_ones(1)])[torch.tensor(words)].view(1, -1, 1)
        hidden = model(inputs_embeds=embeddings * per_token).last_hidden_state[0]
        return F.normalize(hidden.mean(0), dim=0)

    jacobian = torch.autograd.functional.jacobian(direction, torch.ones(5, dtype=torch.float64))
    torch.testing.assert_close(answer.gradient_times_input(), jacobian.norm(dim=0), rtol=1e-2, atol=1e-4)


def test_rare_words_are_those_of_large_token_numbers():
    answer = regard.text_answer(build("encoder"), TOKENIZER, {"input_ids": IDS}, WORDS)
    assert answer.rarity().tolist() == [17, 31, 9, 44, 12]


@pytest.mark.parametrize(
    ("name", "place"),
    [("encoder", None), ("classifier", 0), ("gpt2 classifier", 7), ("gpt2", 7), ("masked", 4), ("t5", None)],
)
def test_the_answer_is_read_at_a_place(name, place):
    inputs, words = inputs_of(name)
    assert regard.text_answer(build(name), TOKENIZER, inputs, words).place == place


@torch.no_grad()
def test_a_text_without_special_tokens_gets_one_in_front():
    model = build("gpt2")
    answer = regard.text_answer(model, TOKENIZER, {"input_ids": IDS[:, 1:5]}, [0, 1, 2, 3])
    nothing = model(torch.tensor([[2]])).logits[0, -1].softmax(-1)
    best = model(torch.cat([torch.tensor([[2]]), IDS[:, 1:5]], 1)).logits[0, -1].argmax()
    assert float(answer(torch.zeros(1, 4, dtype=torch.bool))) == pytest.approx(float(nothing[best]))
    assert answer.position().argmax() == 3


@torch.no_grad()
def test_words_are_scored_by_the_weights_of_the_record():
    model, words = build("encoder"), torch.tensor(WORDS)
    with regard.watch(model) as seen:
        model(IDS)
    dense = [site.weights()[0].double() for site in seen]
    scores = regard.word_scores(seen, WORDS, shown=(seen.sites[1], 2), place=0)
    expected = {
        "head shown": dense[1][2].sum(0),
        "all heads": torch.stack(dense).mean((0, 1)).sum(0),
        "rollout": regard.rollout(seen, [0])[0, 0].double(),
        "last layer": dense[-1][:, 0].mean(0),
    }
    for name, weights in expected.items():
        by_word = torch.stack([weights[words == unit].sum() for unit in range(5)])
        torch.testing.assert_close(scores[name], by_word, rtol=1e-4, atol=1e-6)


@torch.no_grad()
def test_of_an_encoder_decoder_cross_attention_is_scored():
    model, (inputs, words) = build("bart"), inputs_of("bart")
    with regard.watch(model) as seen:
        model(input_ids=IDS, decoder_input_ids=inputs["decoder_input_ids"])
    scores = regard.word_scores(seen, words, place=None)
    cross = torch.stack([site.weights()[0].mean(0) for site in seen if site.kind == "cross"]).mean(0).sum(0)
    by_word = torch.stack([cross[torch.tensor(words) == unit].sum() for unit in range(5)])
    torch.testing.assert_close(scores["all heads"], by_word.double(), rtol=1e-4, atol=1e-6)


def test_mistakes_are_named():
    model, short = build("encoder"), {"input_ids": IDS}
    with pytest.raises(WantError, match="expected one of delete, hide"):
        regard.text_answer(model, TOKENIZER, short, WORDS, remove="burn")
    with pytest.raises(WantError, match="'unk' needs a token"):
        regard.text_answer(model, TOKENIZER, short, WORDS, remove="unk")
    with pytest.raises(ShapeError, match="a word for each of its"):
        regard.text_answer(model, TOKENIZER, short, WORDS[1:])
    with pytest.raises(ShapeError, match="every number from 0"):
        regard.text_answer(model, TOKENIZER, short, [-1, 0, 2, 2, 3, 4, 5, -1])
    with pytest.raises(WatchError, match="decoder_input_ids and labels"):
        regard.text_answer(build("t5"), TOKENIZER, short, WORDS)
    bare = SimpleNamespace(**vars(TOKENIZER) | {"bos_token_id": None, "eos_token_id": None})
    with pytest.raises(WatchError, match="at least one token that stays"):
        regard.text_answer(model, bare, {"input_ids": IDS[:, 1:3]}, [0, 1])
    masked, words = inputs_of("masked")
    with pytest.raises(ShapeError, match="masked token 4"):
        regard.text_answer(build("masked"), TOKENIZER, masked, [*words[:4], 4, *words[5:]])
    with torch.no_grad(), regard.watch(model) as seen:
        model(IDS)
    with pytest.raises(WatchError, match="over the 7 tokens"):
        regard.word_scores(seen, WORDS[1:])


@needs_demo
@pytest.mark.slow
def test_the_python_of_its_page_runs(tmp_path):
    page = (Path(__file__).parents[1] / "docs" / "faithfulness.md").read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL))
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "means over 5 texts" in done.stdout
    assert "changes the answer less than removing random ones" in done.stdout
