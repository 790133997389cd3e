"""`regard look` as people use it: texts, models, files, and every mistake they make."""

import io
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from regard.cli import main
from tests.demo import needs_demo

SENTENCE = "The animal didn't cross the street because it was too tired."


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run the command line in this process and return its exit code and what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def call(*arguments, stdin=b""):
        monkeypatch.setattr(sys, "argv", ["regard", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as stop:
            main()
        printed = capsys.readouterr()
        return stop.value.code or 0, printed.out, printed.err

    return call


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Save a tiny random model of an architecture with a tokenizer of whole words; return its folder."""
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

    shape = {"vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    makers = {
        "bert": lambda: transformers.BertModel(
            transformers.BertConfig(**shape, intermediate_size=16, max_position_embeddings=12)
        ),
        "llama": lambda: transformers.LlamaModel(
            transformers.LlamaConfig(**shape, intermediate_size=16, num_key_value_heads=1)
        ),
        "bart": lambda: transformers.BartForConditionalGeneration(
            transformers.BartConfig(
                vocab_size=60, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
                decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_position_embeddings=40,
                pad_token_id=1, bos_token_id=0, eos_token_id=2, decoder_start_token_id=2, forced_eos_token_id=2,
            )
        ),
        "t5": lambda: transformers.T5ForConditionalGeneration(
            transformers.T5Config(
                vocab_size=60, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, pad_token_id=1,
                eos_token_id=2, decoder_start_token_id=1,
            )
        ),
        "fnet": lambda: transformers.FNetModel(
            transformers.FNetConfig(
                vocab_size=60, hidden_size=16, num_hidden_layers=1, intermediate_size=16,
            )
        ),
    }  # fmt: skip

    def save(name):
        folder = tmp_path_factory.mktemp(name)
        torch.manual_seed(0)
        makers[name]().save_pretrained(folder)
        words = Tokenizer(models.WordLevel(unk_token="<unk>"))
        words.pre_tokenizer = pre_tokenizers.Whitespace()
        trainer = trainers.WordLevelTrainer(vocab_size=60, special_tokens=["<s>", "<pad>", "</s>", "<unk>"])
        words.train_from_iterator([SENTENCE], trainer)
        words.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
        )
        transformers.PreTrainedTokenizerFast(
            tokenizer_object=words, unk_token="<unk>", pad_token="<pad>", bos_token="<s>", eos_token="</s>",
        ).save_pretrained(folder)  # fmt: skip
        return folder

    return save


@needs_demo
def test_the_default_model_reads_a_sentence_and_writes_every_format(run, tmp_path):
    names = ["--html", "a.html", "--png", "a.png", "--json", "a.json"]
    code, out, _ = run("look", SENTENCE, *names)
    assert code == 0
    assert "all-MiniLM-L6-v2" in out
    assert "72 heads" in out
    assert "seen: 6 attention calls in 6 modules" in out
    assert {path.name for path in tmp_path.iterdir()} == {"a.html", "a.png", "a.json"}
    heads = json.loads((tmp_path / "a.json").read_text())["groups"][0]["heads"]
    assert len(heads) == 72
    assert heads[2]["kind"] == "previous"


@needs_demo
def test_words_join_their_tokens(run):
    _, joined, _ = run("look", "unbelievably", "--words")
    _, apart, _ = run("look", "unbelievably", "--tokens")
    assert "3 words, 7 tokens" in joined
    assert "7 words, 7 tokens" not in joined
    assert "7 words, 7 tokens" in apart
    assert "unbelievably" in joined
    assert "unbelievably" not in apart


@needs_demo
@pytest.mark.parametrize("text", ["日本語 のテキスト", "עברית", "🐈‍⬛", "a", "</script><b>", "x" * 3000])
def test_odd_texts_are_shown(run, text):
    code, _, err = run("look", text, "--html", "a.html", "--png", "a.png")
    assert code == 0, err


@needs_demo
def test_text_comes_from_a_file_or_standard_input(run, tmp_path):
    (tmp_path / "text.txt").write_text("\ufeffGrüße aus Köln", encoding="utf-8")
    assert "Köln" in run("look", "--file", "text.txt")[1]
    assert "Köln" in run("look", "-", stdin="Grüße aus Köln".encode())[1]


@needs_demo
def test_long_texts_say_how_many_tokens_and_offer_the_beginning(run):
    code, _, err = run("look", "tired " * 700)
    assert code == 2
    assert "702 tokens" in err
    assert "--max-tokens 512" in err
    assert run("look", "tired " * 700, "--max-tokens", "20")[0] == 0


@needs_demo
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["look"], "expected a text"),
        (["look", ""], "is empty"),
        (["look", "   \n"], "is empty"),
        (["look", "a", "--file", "b"], "got both"),
        (["look", "--file", "missing.txt"], "cannot read missing.txt"),
        (["look", "--file", "."], "cannot read"),
        (["look", "--file", "binary.txt"], "binary data"),
        (["look", "--file", "latin.txt"], "UTF-8"),
        (["look", "a", "--model", "no/such-model"], "it is no folder here, and the hub could not be reached"),
        (["look", "a", "--model", "."], "cannot load the model"),
        (["look", "a", "--html", "no/folder/a.html"], "does not exist"),
        (["look", "a", "--html", "latin.txt/a.html"], "latin.txt is a file, not a folder"),
        (["look", "a", "--html", "latin.txt/b/a.html"], "latin.txt is a file, not a folder"),
        (["look", "a", "--html", f"{'a' * 251}.html"], "cannot write"),
        (["look", "a", "--html", "a.png"], "--html: expected"),
        (["look", "a", "--png", "a.jpg"], "--png: expected"),
        (["look", "a", "--json", "."], "--json: expected"),
        (["look", "a", "--layer", "6"], "layer from 0 to 5"),
        (["look", "a", "--head", "-1"], "head from 0 to 11"),
        (["look", "a", "--by", "beauty"], "--by: expected"),
        (["look", "a", "--target", "b"], "--target: expected an encoder-decoder"),
        (["look", "a", "--max-tokens", "0"], "--max-tokens"),
        (["look", "a", "--nonsense"], "got '--nonsense'"),
        (["look", "the", "cat", "sat"], "expected one text; got also 'cat sat': put the text in quotes"),
        (["lock"], "No such command"),
    ],
)
def test_a_mistake_gets_one_message_and_exit_code_2(run, tmp_path, arguments, said):
    (tmp_path / "binary.txt").write_bytes(b"a\0b")
    (tmp_path / "latin.txt").write_bytes("Köln".encode("latin-1"))
    before = set(tmp_path.rglob("*"))
    code, out, err = run(*arguments)
    assert code == 2
    assert said in err
    assert "Traceback" not in err
    assert not out
    assert set(tmp_path.rglob("*")) == before


def test_a_decoder_is_shown(run, tiny):
    code, out, err = run("look", SENTENCE, "--model", tiny("llama"))
    assert code == 0, err
    assert "self-attention" in out


def test_an_encoder_decoder_shows_three_sorts_of_attention(run, tiny, tmp_path):
    folder = tiny("bart")
    code, _, err = run("look", SENTENCE, "--model", folder, "--target", "the tired animal", "--json", "a.json")
    assert code == 0, err
    groups = {group["name"]: group for group in json.loads((tmp_path / "a.json").read_text())["groups"]}
    assert set(groups) == {"self-attention", "decoder self-attention", "cross-attention"}
    cross = groups["cross-attention"]
    assert cross["query_words"] == ["</s>", "<s>", "the", "tired", "animal"]
    assert "street" in cross["key_words"]


def test_an_encoder_decoder_writes_its_own_side(run, tiny):
    code, out, err = run("look", SENTENCE, "--model", tiny("bart"))
    assert (code, "cross-attention" in out) in [(0, True), (2, False)]
    assert code == 0 or "generates nothing" in err


@pytest.mark.parametrize(("most", "said"), [(15, "the first 15 of 16 tokens"), (16, " words, 16 tokens")])
def test_what_is_cut_off_is_said(run, tiny, tmp_path, most, said):
    options = ["--model", tiny("bart"), "--target", SENTENCE, "--max-tokens", most]
    code, out, err = run("look", SENTENCE, *options, "--json", "a.json", "--html", "a.html")
    assert code == 0, err
    assert " ".join(out.split()).count(said) == 2
    (about,) = json.loads((tmp_path / "a.json").read_text())["facts"]
    assert about.count(said) == 2
    assert about in (tmp_path / "a.html").read_text()


@needs_demo
def test_the_default_model_has_a_name(run):
    code, out, err = run("look", SENTENCE, "--model", "demo", "--against", "demo")
    assert code == 0, err
    assert out.count("What all-MiniLM-L6-v2 attended to") == 2


def test_a_model_is_handed_only_what_it_takes(run, tiny):
    import transformers

    folder = tiny("t5")
    settings = folder / "tokenizer_config.json"
    names = {"model_input_names": ["input_ids", "attention_mask", "token_type_ids"]}
    settings.write_text(json.dumps(json.loads(settings.read_text()) | names))
    assert "token_type_ids" in transformers.AutoTokenizer.from_pretrained(folder)(SENTENCE)
    code, out, err = run("look", SENTENCE, "--model", folder)
    assert (code, "cross-attention" in out) in [(0, True), (2, False)]
    assert code == 0 or "generates nothing" in err
    assert run("look", SENTENCE, "--model", folder, "--target", "the animal", "--check")[0] == 0
    assert run("survey", folder, "--text", SENTENCE, "--out", "found")[0] == 0


def test_a_model_without_attention_says_so(run, tiny):
    code, _, err = run("look", SENTENCE, "--model", tiny("fnet"))
    assert code == 2
    assert "shows no attention" in err
    assert "no module looks like attention" in err


def test_a_model_with_few_positions_says_so(run, tiny):
    folder = tiny("bert")
    code, _, err = run("look", SENTENCE, "--model", folder)
    assert code == 2
    assert "--max-tokens 12" in err
    assert run("look", SENTENCE, "--model", folder, "--max-tokens", "12")[0] == 0


@pytest.mark.slow
def test_ctrl_c_while_pytorch_is_imported_ends_with_one_line():
    command = "import regard_command; print(flush=True); regard_command.main()"
    process = subprocess.Popen(
        [sys.executable, "-c", command, "look", "tired"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    process.stdout.readline()
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "regard: interrupted\n")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no folder that denies what it allows")
def test_a_place_that_cannot_be_written_is_told_before_the_model_is_loaded(run):
    code, _, err = run("look", "a", "--model", "no/such-model", "--html", "/proc/a.html")
    assert code == 2
    assert "cannot write /proc/a.html" in err


@needs_demo
@pytest.mark.slow
def test_ctrl_c_leaves_nothing_half_written(tmp_path):
    command = [sys.executable, "-c", "import regard.cli; print('ready', flush=True); regard.cli.main()"]
    process = subprocess.Popen(
        [*command, "look", "tired " * 400, "--html", "a.html", "--png", "a.png"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # Whatever runs the tests may ignore interrupts, and its children would too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n"
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "interrupted" in err
    assert not list(Path(tmp_path).iterdir())
