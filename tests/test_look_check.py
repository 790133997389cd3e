"""`regard look --check` as people use it: what it prints and writes, for every sort of model, and every mistake."""

import json

import pytest
import transformers

from tests import test_look
from tests.demo import needs_demo
from tests.test_look import SENTENCE

run, tiny = test_look.run, test_look.tiny
NAMES = ["head shown", "all heads", "gradient x input", "rare words", "position"]


@needs_demo
@pytest.mark.slow
def test_the_default_models_map_is_checked_and_written_everywhere(run, tmp_path):
    code, out, err = run("look", SENTENCE, "--check", "--json", "a.json", "--html", "a.html", "--png", "a.png")
    assert code == 0, err
    check = json.loads((tmp_path / "a.json").read_text())["check"]
    assert [name for name in check["explanations"] if name in NAMES] == NAMES
    assert (check["units"], check["draws"], check["full"]) == (14, 79, 1)
    gain = check["explanations"]["head shown"]["better_than_random"]["comprehensiveness"]
    assert gain["low"] <= gain["mean"] <= gain["high"]
    assert "changes the embedding of the text" in " ".join(out.split())
    assert "Removing rare words first" in " ".join(out.split())
    assert "changes the embedding of the text" in (tmp_path / "a.html").read_text()
    assert all(name in out for name in NAMES)


@needs_demo
@pytest.mark.slow
def test_the_seed_decides(run, tmp_path):
    def found(*options):
        code, _, err = run(
            "look", "One two three four five", "--check", "--draws", 39, "--json", "a.json", *options
        )
        assert code == 0, err
        return json.loads((tmp_path / "a.json").read_text())["check"]

    assert found() == found()
    assert found()["random"] != found("--seed", 1)["random"]
    assert found()["random"] != found("--remove", "mask")["random"]


def test_a_report_without_check_says_nothing_of_one(run, tiny, tmp_path):
    code, out, _ = run("look", SENTENCE, "--model", tiny("llama"), "--json", "a.json")
    assert code == 0
    assert "check" not in json.loads((tmp_path / "a.json").read_text())
    assert "Removing" not in out


@pytest.mark.parametrize(
    ("kind", "about"),
    [
        (transformers.LlamaModel, "the embedding"),
        (transformers.LlamaForCausalLM, "the probability of the next token"),
    ],
)
def test_a_decoder_answers_with_the_head_that_its_files_name(run, tiny, kind, about):
    folder = tiny("llama")
    kind(transformers.AutoConfig.from_pretrained(folder)).save_pretrained(folder)
    code, out, err = run("look", SENTENCE, "--model", folder, "--check", "--draws", 39)
    assert code == 0, err
    assert about in " ".join(out.split())


def test_an_encoder_decoder_answers_with_its_target(run, tiny):
    arguments = ["--model", tiny("bart"), "--target", "the tired animal", "--check", "--draws", 39]
    code, out, err = run("look", SENTENCE, *arguments)
    assert code == 0, err
    assert "the target (mean log-probability of its tokens)" in " ".join(out.split())


def test_an_interrupted_check_leaves_nothing(run, tiny, tmp_path, monkeypatch):
    def interrupted(*_, progress, **__):
        progress(1, 2)
        raise KeyboardInterrupt

    monkeypatch.setattr("regard.cli.check.faithfulness", interrupted)
    code, _, err = run("look", SENTENCE, "--model", tiny("llama"), "--check", "--json", "a.json")
    assert (code, list(tmp_path.iterdir())) == (130, [])
    assert "interrupted" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["the animal street"], "--check: expected a text of at least 4 words; got 3"),
        ([SENTENCE, "--draws", "38"], "--draws"),
        ([SENTENCE, "--seed", "-1"], "--seed"),
        ([SENTENCE, "--remove", "burn"], "--remove: expected one of delete, hide, mask, pad, unk; got 'burn'"),
        ([SENTENCE, "--remove", "mask"], "needs a token that this tokenizer lacks"),
    ],
)
def test_a_mistake_gets_one_message_and_exit_code_2(run, tiny, tmp_path, arguments, said):
    code, out, err = run("look", *arguments, "--model", tiny("llama"), "--check", "--json", "a.json")
    assert code == 2
    assert said in err
    assert "Traceback" not in err
    assert not out
    assert not list(tmp_path.iterdir())
