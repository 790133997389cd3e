"""`regard look` with two runs on one page, with pinned words, with long texts, and with options that go nowhere."""

import json
import re

import pytest
import torch
import transformers

import regard
from regard.cli import room
from regard.cli.model import load
from tests import test_look
from tests.demo import needs_demo
from tests.test_look import SENTENCE
from tests.test_look_effect import flat

run, tiny = test_look.run, test_look.tiny


def runs_of(path):
    """Return the runs that stand in a page's index."""
    page = path.read_text(encoding="utf-8")
    return json.loads(re.search(r'<script type="application/json" id="index">(.*?)</script>', page)[1])["runs"]


def fully(run):
    return [
        head["map"]["form"] == "full" for group in run["groups"] for at in group["layers"] for head in at["heads"]
    ]


@pytest.fixture
def decoder(tiny):
    """Save a decoder with room for long texts; return its folder."""
    place = tiny("llama")
    config = transformers.AutoConfig.from_pretrained(place)
    config.max_position_embeddings = 10_000
    config.save_pretrained(place)
    return place


@needs_demo
def test_two_models_stand_on_one_page(run, tiny, tmp_path):
    files = ["--html", "a.html", "--json", "a.json", "--png", "a.png"]
    code, out, err = run(
        "look", "the tired animal", "--against", tiny("llama"), "--layer", "1", "--head", "0", *files
    )
    assert code == 0, err
    first, second = runs_of(tmp_path / "a.html")
    assert first["title"] == "What all-MiniLM-L6-v2 attended to"
    assert second["title"].startswith("What llama")
    assert [len(each["groups"][0]["layers"]) for each in (first, second)] == [6, 2]
    assert [each["groups"][0]["shown"] for each in (first, second)] == [[1, 0], [1, 0]]
    assert first["title"] in flat(out)
    assert second["title"] in flat(out)
    content = json.loads((tmp_path / "a.json").read_text())
    assert content["beside"]["title"] == second["title"]
    assert len(content["beside"]["groups"][0]["heads"]) == 4


def test_two_models_over_the_same_words_are_told_apart_head_by_head(run, tiny):
    one, other = tiny("llama"), tiny("llama")
    torch.manual_seed(1)
    transformers.LlamaModel(transformers.AutoConfig.from_pretrained(other)).save_pretrained(other)
    code, out, err = run("look", SENTENCE, "--model", one, "--against", other)
    assert code == 0, err
    inputs = load(str(one)).tokenizer(SENTENCE, return_tensors="pt")
    weights = []
    for place in (one, other):
        model = load(str(place)).model
        with torch.no_grad(), regard.watch(model) as seen:
            model(input_ids=inputs["input_ids"])
        weights.append([site.weights()[0].double() for site in seen])
    apart = {
        (layer, head): 0.5 * (a[head] - b[head]).abs().sum(-1).mean().item()
        for layer, (a, b) in enumerate(zip(*weights, strict=True))
        for head in range(2)
    }
    named = ", ".join(f"{a}.{b} {v:.3f}" for (a, b), v in sorted(apart.items(), key=lambda each: -each[1]))
    assert f"(share of the weight that lies on other words): {named}." in flat(out)
    _, same, _ = run("look", SENTENCE, "--model", one, "--against", one)
    assert "No head differs from the run beside it." in flat(same)


def test_models_whose_folders_end_alike_are_named_whole(run, tiny, tmp_path):
    places = [tmp_path / name / "last" for name in ("one", "other")]
    for place in places:
        place.parent.mkdir()
        tiny("llama").rename(place)
    code, _, err = run("look", "a", "--model", places[0], "--against", places[1], "--html", "a.html")
    assert code == 0, err
    assert [each["title"] for each in runs_of(tmp_path / "a.html")] == [
        f"What {place} attended to" for place in places
    ]


def test_a_second_model_is_not_asked_for_what_it_does_not_have(run, tiny, tmp_path):
    target = ["--target", "the tired animal", "--pin", "tired", "--html", "a.html"]
    code, _, err = run("look", SENTENCE, "--model", tiny("bart"), "--against", tiny("llama"), *target)
    assert code == 0, err
    assert [len(each["groups"]) for each in runs_of(tmp_path / "a.html")] == [3, 1]


def test_a_changed_run_stands_beside_the_unchanged_one(run, tiny, tmp_path):
    code, _, err = run("look", SENTENCE, "--model", tiny("llama"), "--hide", "tired", "--html", "a.html")
    assert code == 0, err
    changed, unchanged = runs_of(tmp_path / "a.html")
    assert changed["title"].startswith("With 'tired' hidden: what llama")
    assert unchanged["title"].startswith("Unchanged: what llama")
    assert "The maps are those of the changed run." in changed["facts"]
    assert "The maps are those of the unchanged run." in unchanged["facts"]
    assert changed["groups"][0]["shown"] == unchanged["groups"][0]["shown"]


def test_what_a_changed_encoder_decoder_writes_stands_beside_what_it_wrote(run, tiny, tmp_path):
    asked = ["--knock-out", "cross:0.1", "--target", "the tired animal", "--html", "a.html"]
    code, _, err = run("look", SENTENCE, "--model", tiny("bart"), *asked)
    assert code == 0, err
    assert [len(each["groups"]) for each in runs_of(tmp_path / "a.html")] == [3, 3]


@pytest.mark.slow
def test_a_long_text_is_in_cells_with_exact_rows_of_pinned_words(run, decoder, tmp_path):
    text = "street " * 2400 + "tired animal"
    code, out, err = run("look", text, "--model", decoder, "--pin", "tired", "--html", "a.html", "--json", "a.json")
    assert code == 0, err
    assert "2404 tokens" in out
    (shown,) = runs_of(tmp_path / "a.html")
    assert not any(fully(shown))
    rows = shown["groups"][0]["layers"][0]["heads"][0]["rows"]
    assert 2401 in rows["queries"]


def test_a_text_that_is_too_long_for_every_weight_keeps_the_maps(run, decoder, tmp_path, monkeypatch):
    monkeypatch.setattr(room, "MOST_KEPT", 2 * 2 * 16 * 4 * 100)
    text = "street " * 200
    code, out, err = run("look", text, "--model", decoder, "--html", "a.html")
    assert code == 0, err
    assert "Queries and keys were not kept" in flat(out)
    assert "up to 100 tokens" in flat(out)
    (shown,) = runs_of(tmp_path / "a.html")
    assert not any(fully(shown))
    for options in (["--png", "b.png"], ["--json", "b.json"], ["--check"], ["--pin", "street", "--html", "b.html"]):
        code, _, err = run("look", text, "--model", decoder, *options)
        assert code == 2
        assert f"{options[0]}: expected at most 100 tokens" in flat(err)
        assert "got 202" in flat(err)
    code, out, err = run("look", text, "--model", decoder, "--max-tokens", "100", "--json", "b.json")
    assert code == 0, err
    assert "were not kept" not in flat(out)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--pin", "dog", "--html", "a.html"],
            "--pin: expected words of the text (The, animal, didn, ', t, cross,",
        ),
        (["--pin", "<s>", "--html", "a.html"], "got <s>"),
        (["--pin", "", "--html", "a.html"], "--pin: expected words of the text"),
        (["--pin", "tired"], "--pin: expected --html too"),
        (["--remove", "mask"], "--remove: expected --check too"),
        (["--draws", "99", "--seed", "1"], "--draws, --seed: expected --check too"),
        (["--remove", "burn", "--check"], "--remove: expected one of"),
        (["--against", "."], "the folder has no usable text model"),
        (["--against", ""], "cannot load the model ''"),
        (["--against", ".", "--hide", "tired"], "expected --against, or --knock-out and --hide; got both"),
    ],
)
def test_a_mistake_gets_one_message_and_exit_code_2(run, tiny, tmp_path, options, said):
    code, out, err = run("look", SENTENCE, "--model", tiny("llama"), *options)
    assert code == 2
    assert said in flat(err)
    assert "Traceback" not in err
    assert not out
    assert not list(tmp_path.iterdir())


def test_a_word_that_stands_in_neither_text_nor_target_cannot_be_pinned(run, tiny):
    options = ["--model", tiny("bart"), "--target", "the tired animal", "--html", "a.html"]
    assert run("look", SENTENCE, *options, "--pin", "street", "--pin", "the")[0] == 0
    code, _, err = run("look", SENTENCE, *options, "--pin", "dog")
    assert code == 2
    assert "got dog" in flat(err)


def test_a_message_lists_only_so_many_words(run, decoder):
    text = " ".join(f"{letter}{number}" for letter in "abcdefghij" for number in range(100))
    code, _, err = run("look", text, "--model", decoder, "--hide", "dog")
    assert code == 2
    assert len(err) < 500


def test_whole_texts_that_a_tokenizer_takes_for_one_word_are_parted_where_tokens_are_marked():
    from tokenizers import Tokenizer, models, pre_tokenizers

    pieces = ["▁the", "▁c", "at", "▁s", "a", "t", "<unk>"]
    merges = [("▁", "t"), ("▁t", "h"), ("▁th", "e"), ("▁", "c"), ("a", "t"), ("▁", "s")]
    letters = ["▁", "t", "h", "e", "c", "a", "s", "▁t", "▁th"]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys([*letters, *pieces]))}
    raw = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Metaspace(split=False)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=raw, unk_token="<unk>")
    encoding = tokenizer("the cat  sat", return_tensors="pt")
    assert set(encoding.word_ids(0)) == {0}
    axis = regard.words(encoding, "the cat  sat")
    assert [word for word in axis.words if word != "▁"] == ["the", "cat", "sat"]
    assert axis.tokens[:3] == ("the", "c", "at")
