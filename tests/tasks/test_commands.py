"""`regard train`, `evaluate` and `predict` as people use them: files, streams, and every mistake they make."""

import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import regard
from regard.cli import main
from regard.tasks import Scores, load_run
from tests.tasks import reversing, translating

TASK = "tests.tasks.reversing:Reversing"
SMALL = [
    f"--set={each}"
    for each in ("updates=20", "check_every=10", "warmup=5", "batch_tokens=64", "rate=0.01", "task.width=16")
]
TRANSLATION = [
    f"--set={each}"
    for each in ("updates=4", "check_every=2", "warmup=1", "batch_tokens=200", "width=16", "layers=1", "heads=2",
                 "hidden=16", "tokenizer=words")
]  # fmt: skip


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run the command line in this process, in a folder of its own; return its exit code and what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / ".cache"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / ".cache")
    reversing_table(tmp_path / "rows.tsv", reversing.rows(60, 3))
    return lambda *arguments, stdin=b"": call(monkeypatch, capsys, arguments, stdin)


def call(monkeypatch, capsys, arguments, stdin=b""):
    monkeypatch.setattr(sys, "argv", ["regard", *map(str, arguments)])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
    with pytest.raises(SystemExit) as stop:
        main()
    printed = capsys.readouterr()
    return stop.value.code or 0, printed.out, printed.err


def reversing_table(path, rows):
    lines = ["source\ttarget", *("\t".join(row.values()) for row in rows)]
    Path(path).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return the folder of a run of digits."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    reversing.train(folder)
    return folder


@pytest.fixture(scope="module")
def translator(tmp_path_factory):
    """Return the folder of a run of the made-up language, which few updates have taught nothing."""
    from regard.tasks import RunFolder, Settings, fit

    sets = [each.removeprefix("--set=") for each in TRANSLATION]
    with RunFolder.take(tmp_path_factory.mktemp("translator") / "run") as folder:
        rows = translating.rows(100)
        fit(translating.TASK, Settings.read(translating.TASK, None, sets), rows, rows[:10], folder)
    return folder.path


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".arrow"}


# Training


def test_training_ends_with_scores_and_commands_that_work(run):
    code, out, err = run("train", TASK, "--out", "a run", *SMALL)
    assert code == 0, err
    first, *commands = out.splitlines()
    assert first.startswith("exact ")
    assert first.endswith("in a run")
    assert "update 20: loss" in err
    words = [shlex.split(line) for line in commands]
    # This task has nothing to look into, so that no command says --look.
    assert [each[:3] for each in words] == [["regard", name, "a run"] for name in ("predict", "evaluate")]
    code, out, err = run(*words[0][1:])
    assert code == 0, err
    assert len(out.strip()) == len(words[0][3])
    code, out, err = run(*("rows.tsv" if each == "FILE" else each for each in words[1][1:]))
    assert code == 0, err


def test_a_report_of_one_row_lies_in_the_folder_or_why_not_is_told(run, tmp_path):
    reversing_table(tmp_path / "pairs.tsv", translating.rows(40))
    command = "train", "translation", "--train", "pairs.tsv", "--out", "r", *TRANSLATION
    assert run(*command)[0] == 0
    report = tmp_path / "r/report.html"
    assert "mean of heads" in report.read_text(encoding="utf-8")
    report.unlink()
    code, _, err = run(*command, "--resume")
    assert "training had ended with update 4; to go on, raise training.updates" in err
    assert (code, report.exists(), f"wrote {Path('r/report.html')}, what it attends to" in err) == (0, True, True)
    command = *command, "--set=source_attention=linear"
    code, out, err = run(*command, "--force")
    assert (code, report.exists()) == (0, False)
    assert out.startswith("BLEU ")
    (line,) = [line for line in err.splitlines() if "report.html could not be drawn: " in line]
    assert "expected a model whose attention to the source has weights to look into" in line
    assert "--look" not in out
    assert "Traceback" not in err


def test_rows_are_held_out_where_none_are_given_and_bad_ones_are_told(run, tmp_path):
    with (tmp_path / "rows.tsv").open("ab") as file:
        file.write(b"12\n\xff\t1\n\t3\n")
    code, _, err = run("train", TASK, "--train", "rows.tsv", "--out", "r", *SMALL)
    assert code == 0, err
    assert "3 of 63 rows left out" in err
    assert "3 of 60 rows are held out to validate on" in err
    assert load_run("r").settings.training.updates == 20
    assert run("train", TASK, "--train", "rows.tsv", "--out", "s", "--strict", *SMALL)[0] == 2
    assert not list((tmp_path / "s").glob("model*"))


def test_two_files_of_text_are_given_one_after_the_other(run, tmp_path):
    rows = reversing.rows(60, 4)
    for name in ("source", "target"):
        (tmp_path / f"t.{name}").write_text("".join(f"{row[name]}\n" for row in rows))
    files = "--train", "t.source", "--train", "t.target"
    code, _, err = run("train", TASK, *files, "--valid", "rows.tsv", "--out", "r", *SMALL)
    assert code == 0, err
    assert "held out" not in err
    code, _, err = run("train", TASK, "--train", "t.source", "t.target", "--out", "s", *SMALL)
    assert (code, "got 't.target'. For two files, write --train twice" in err) == (2, True)


@pytest.mark.parametrize(("model", "changed"), [("transformer", "attention"), ("searching", "source_attention")])
def test_the_choice_of_attention_is_one_that_the_model_has(run, tmp_path, model, changed):
    reversing_table(tmp_path / "pairs.tsv", translating.rows(40))
    code, _, err = run("train", "translation", "--train", "pairs.tsv", "--out", "r", *TRANSLATION,
                       f"--set=model={model}", "--attention", "bilinear; entmax15")  # fmt: skip
    assert code == 0, err
    settings = load_run("r").settings.task
    assert getattr(settings, changed) == "bilinear; entmax15"
    assert {settings.attention, settings.source_attention} <= {"bilinear; entmax15", "dot", "usual"}


def test_an_example_like_an_option_is_no_option(run, tmp_path):
    lines = [{"source": f"--{row['source']}", "target": f"{row['target']} ."} for row in translating.rows(101)]
    reversing_table(tmp_path / "pairs.tsv", lines)
    code, out, err = run("train", "translation", "--train", "pairs.tsv", "--out", "r", *TRANSLATION)
    assert code == 0, err
    # SacreBLEU's advice on parameters that users do not have.
    assert "token" not in err
    for command in out.splitlines()[1:3]:
        assert "--" in command
        assert run(*shlex.split(command)[1:])[0] == 0
    assert (tmp_path / "look.html").exists()


def test_settings_of_a_run_train_another_alike(run, tmp_path):
    assert run("train", TASK, "--out", "one", *SMALL)[0] == 0
    code, _, err = run("train", TASK, "--out", "two", "--config", "one/config.yaml")
    assert code == 0, err
    assert (tmp_path / "one/model.safetensors").read_bytes() == (tmp_path / "two/model.safetensors").read_bytes()
    assert (tmp_path / "one/config.yaml").read_bytes() == (tmp_path / "two/config.yaml").read_bytes()


def test_a_run_is_overwritten_only_when_that_is_said_and_goes_on_when_that_is(run, tmp_path):
    command = "train", TASK, "--out", "r"
    assert run(*command, *SMALL)[0] == 0
    before = content(tmp_path / "r")
    for wrong, said in (
        ([], "--resume"),
        (["--resume", "--force"], "both"),
        (["--resume", "--set=seed=2"], "seed=2"),
    ):
        code, _, err = run(*command, *SMALL, *wrong)
        assert (code, said in err) == (2, True), err
        assert content(tmp_path / "r") == before
    # What is not said again is as it was.
    code, _, err = run(*command, "--set=updates=30", "--resume")
    assert code == 0, err
    assert "update 30: loss" in err
    assert "update 20: loss" not in err
    code, _, err = run(*command, *SMALL, "--force")
    assert code == 0, err
    assert (tmp_path / "r/model.safetensors").read_bytes() == before[tmp_path / "r/model.safetensors"]


def test_after_a_mistake_the_same_command_without_it_works(run, tmp_path):
    command = "train", "translation", "--train", "rows.tsv", "--out", "r", *TRANSLATION
    for wrong in (["--train", "missing.tsv"], ["--attention", "nonsense"]):
        assert run(*command, *wrong)[0] == 2
    code, _, err = run(*command)
    assert code == 0, err
    before = content(tmp_path / "r")
    assert run(*command, "--force", "--train", "missing.tsv")[0] == 2
    assert content(tmp_path / "r") == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train"], "Missing argument"),
        (["train", TASK], "Missing option '--out'"),
        (["train", "translaton", "--out", "o"], "Did you mean 'translation'?"),
        (["train", "no_such:Task", "--out", "o"], "No module named 'no_such'"),
        (["train", "json:loads", "--out", "o"], "expected a class that is a regard.tasks.Task"),
        (["train", TASK, "--out", ""], "Invalid value for '--out': expected a name"),
        (["predict", "RUN", "a", "--look", ""], "Invalid value for '--look': expected a name"),
        (["train", TASK, "--out", "o", "--set", "widht=3"], "Did you mean width?"),
        (["train", TASK, "--out", "o", "--set", "width=a"], "expected a whole number; got 'a'"),
        (["train", TASK, "--out", "o", "--config", "missing.yaml"], "cannot read missing.yaml"),
        (["train", TASK, "--out", "o", "--attention", "dot"], "reversing sets it itself"),
        (["train", TASK, "--out", "o", "--valid", "rows.tsv"], "--valid: expected --train too"),
        (["train", TASK, "--out", "o", "--train", "missing.tsv"], "there is no file missing.tsv"),
        (["train", TASK, "--out", "o", "--train", "rows.tsv", "--valid", "rows.tsv"], "the same ones in both"),
        (["train", TASK, "--out", "o", "--train", "empty.tsv"], "empty.tsv is empty"),
        (["train", TASK, "--out", "o", "--train", "one.tsv"], "expected at least 2 rows"),
        (["train", TASK, "--out", "rows.tsv"], "expected a folder; rows.tsv is a file"),
        (
            ["train", TASK, "--out", "rows.tsv/deep/o", "--train", "missing.tsv"],
            "rows.tsv is a file: choose another",
        ),
        (["train", TASK, "--out", "a" * 300], "cannot write aaa"),
        (["train", TASK, "--out", "a" * 300, "--force"], "cannot write aaa"),
        (["train", TASK, "--out", "a" * 300, "--resume"], "cannot write aaa"),
        (["train", TASK, "--out", ".", "--force"], "."),
        (
            ["train", "translation", "--out", "o", "--train", "missing.tsv", "--attention", "nonsense"],
            "task.attention: attention: no word is called 'nonsense'",
        ),
        (
            ["train", "translation", "--out", "o", "--train", "rows.tsv", "--set", "hidden=10000000000000"],
            "there is not enough memory: choose a smaller model",
        ),
        (["train", "translation", "--out", "o", "--set", "source=target"], "expected two columns"),
        (["evaluate", "RUN"], "Missing option '--data'"),
        (["evaluate", "RUN", "--data", "missing.tsv"], "there is no file missing.tsv"),
        (["evaluate", "RUN", "--data", "rows.tsv", "b.tsv"], "For two files, write --data twice"),
        (["evaluate", "RUN", "--data", "rows.tsv", "--json", "no/a.json"], "does not exist"),
        (["evaluate", "RUN", "--data", "rows.tsv", "--alignments", "gold"], "expected a task that aligns words"),
        (["evaluate", "RUN", "--data", "rows.tsv", "--faithfulness", "9"], "expected a task that can remove words"),
        (["evaluate", ".", "--data", "rows.tsv"], "expected a run's folder"),
        (["predict"], "Missing argument"),
        (["predict", "missing", "a"], "expected a run's folder"),
        (["predict", "RUN"], "expected a text, --file"),
        (
            ["predict", "RUN", "-x"],
            "got '-x'. See: regard predict --help; a text that begins with \"-\" stands behind",
        ),
        (["train", TASK, "--otu", "o"], "expected an option of regard train; got '--otu'. Did you mean --out"),
        (["predict", "RUN", "--file"], "expected a value after --file; got none. See: regard predict --help"),
        (["train", "translation", "--set"], "expected a value after --set; got none. See: regard train --help"),
        (["evaluate", "RUN", "--json"], "expected a value after --json; got none. See: regard evaluate --help"),
        (["train", "translation", "--resume=1"], "'--resume' does not take a value. See: regard train --help"),
        (["--version=1"], "'--version' does not take a value. See: regard --help"),
        (["--nothing"], "expected an option of regard; got '--nothing'. See: regard --help"),
        (["evaluate", "RUN", "--data", "rows.tsv", "--words-from", "2"], "Invalid value for '--words-from'"),
        (["nothing"], "No such command 'nothing'. See: regard --help"),
        (["predict", "RUN", "1", "2"], "got also '2': put the text in quotes"),
        (["predict", "RUN", "1", "--file", "rows.tsv"], "got both"),
        (["predict", "RUN", "--file", "missing.txt"], "cannot read missing.txt"),
        (["predict", "RUN", "--file", "."], "cannot read"),
        (["predict", "RUN", "letters"], "expected digits"),
        (["predict", "RUN", "1", "--look", "a.txt"], "ends in one of"),
        (["predict", "RUN", "1", "--look", "no/a.html"], "does not exist"),
        (["predict", "RUN", "-", "--look", "a.html"], "--look: expected one line of text"),
        (["predict", "RUN", "1\n2", "--look", "a.html"], "--look: expected one line of text"),
        (["predict", "RUN", "", "--look", "a.html"], "--look: expected one line of text"),
        (["predict", "RUN", "1", "--target", "2"], "--target: expected --look too"),
        (["predict", "RUN", "1", "--against", "RUN"], "--against: expected --look too"),
    ],
)
def test_a_mistake_gets_one_message_and_exit_code_2(run, trained, tmp_path, arguments, said):
    (tmp_path / "empty.tsv").touch()
    reversing_table(tmp_path / "one.tsv", reversing.rows(1, 3))
    before = content(tmp_path) | content(trained)
    code, out, err = run(*(trained if each == "RUN" else each for each in arguments))
    assert code == 2
    assert said in err
    assert err.startswith("regard: ") or "\nregard: " in err
    assert "Usage:" not in err
    assert "Traceback" not in err
    assert not out
    after = content(tmp_path) | content(trained)
    assert {path: after.get(path) for path in before} == before
    new = after.keys() - before.keys()
    assert not [path for path in new if path.suffix in (".pt", ".safetensors", ".part", ".html", ".png")]


def test_no_command_gets_help(run):
    code, out, err = run()
    assert (code, out) == (2, "")
    assert "Usage: regard" in err
    assert "predict" in err


def test_a_side_in_another_order_is_put_right_where_names_tell(run, tmp_path):
    rows = translating.rows(60)
    for name, part in (("train", rows[:40]), ("other", rows[40:])):
        for end, side in (("en", "source"), ("de", "target")):
            (tmp_path / f"{name}.{end}").write_text("".join(f"{row[side]}\n" for row in part))
    train = "train", "translation", *TRANSLATION, "--out", "r", "--train", "train.en", "--train", "train.de"
    swapped = "other.de", "other.en"
    code, _, err = run(*train, "--valid", swapped[0], "--valid", swapped[1])
    assert code == 0, err
    assert err.splitlines()[:2] == [
        "train.en is source, train.de is target",
        "other.en is source, other.de is target, by their names, as in training",
    ]
    reversing_table(tmp_path / "table.tsv", rows[40:])
    expected = run("evaluate", "r", "--data", "table.tsv", "--faithfulness", "0")[1]
    for given in (swapped, swapped[::-1], ["other"]):
        data = [word for name in given for word in ("--data", name)]
        assert run("evaluate", "r", *data, "--faithfulness", "0")[1] == expected
        assert load_run("r").evaluate(given).values["chrF"] == pytest.approx(float(expected.split()[4]), abs=0.005)


class Forgetful(reversing.Reversing):
    def answer(self, model, items, parts, settings):
        raise MemoryError


def test_an_end_of_the_memory_is_told_where_a_run_is_evaluated(run, trained, tmp_path):
    shutil.copytree(trained, tmp_path / "r")
    config = tmp_path / "r/config.yaml"
    config.write_text(config.read_text().replace("reversing:Reversing", "test_commands:Forgetful"))
    code, out, err = run("evaluate", "r", "--data", "rows.tsv")
    assert (code, out, err.splitlines()[-1]) == (
        2, "", "regard: there is not enough memory: give shorter rows, or --faithfulness 0",
    )  # fmt: skip


class Unscored(reversing.Reversing):
    metrics = ()

    def score(self, answers, rows, settings):
        return Scores({})


class Undecided(reversing.Reversing):
    def score(self, answers, rows, settings):
        return Scores({"exact": float("nan")})


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Unscored", r"validation loss \d\.\d+, by the weights of update \d+, in r"),
        ("Undecided", "the weights of update 20, the last, as no check could be compared, in r"),
    ],
)
def test_a_training_ends_where_no_metric_decides(run, name, said):
    code, out, err = run("train", f"tests.tasks.test_commands:{name}", *SMALL, "--out", "r")
    assert code == 0, err
    assert re.fullmatch(said, out.splitlines()[0])
    assert len(list(load_run("r").predict(["12"]))) == 1


# Answers


def test_every_line_gets_a_line_in_its_place(run, trained, tmp_path):
    lines = [row["source"] for row in reversing.rows(700, 9)]
    lines[5:5] = ["", "   "]
    text = "\n".join(lines)
    (tmp_path / "lines.txt").write_text(text)
    expected = [answer.text for answer in load_run(trained).predict(lines)]
    for arguments, stdin in ((["--file", "lines.txt"], b""), (["-"], f"{text}\n".encode()), ([text], b"")):
        code, out, err = run("predict", trained, *arguments, stdin=stdin)
        assert (code, err) == (0, "")
        assert out.split("\n") == [*expected, ""]
    assert expected[5:7] == ["", ""]


def test_nothing_in_nothing_out(run, trained):
    assert run("predict", trained, "-") == (0, "", "")
    assert run("predict", trained, "") == (0, "\n", "")


def test_lines_before_a_bad_one_are_answered(run, trained):
    code, out, err = run("predict", trained, "-", stdin=b"12\n\xff\n34\n")
    assert (code, len(out.splitlines())) == (2, 1)
    assert "line 2 of standard input has other bytes" in err


def test_a_line_without_end_is_cut_and_that_is_told_once(run, translator, tmp_path):
    line = "one three " * 1000
    (tmp_path / "long.txt").write_text(f"{line}\none\n")
    expected = run("predict", translator, line[:2000])[1]
    code, out, err = run("predict", translator, "--file", "long.txt")
    assert (code, out.splitlines()[0]) == (0, expected.strip("\n"))
    assert re.fullmatch(r"'one three.*' has more than 2,000 letters \(data.max_length\): only .*\n", err)
    code, _, err = run("predict", translator, line, "--look", "a.json")
    assert (code, err.count("has more than")) == (0, 1)
    assert json.loads((tmp_path / "a.json").read_text())["facts"][0][:2005] == f"read: {line[:1999]}"


@pytest.mark.parametrize("name", ["a.html", "a.png", "a.json"])
def test_what_was_attended_to_is_written(run, translator, tmp_path, name):
    code, out, err = run("predict", translator, "one three", "--look", name)
    assert (code, err) == (0, f"wrote {name}\n")
    assert out == run("predict", translator, "one three")[1]
    assert (tmp_path / name).stat().st_size > 1000


def test_two_runs_are_shown_beside_one_another(run, translator, trained):
    look = "predict", translator, "one three", "--look", "a.json", "--against"
    assert run(*look, translator)[0] == 0
    found = json.loads(Path("a.json").read_text())
    assert found["title"] == "one three (run, attention=dot) (first)"
    assert found["beside"]["title"] == "one three (run, attention=dot) (second)"
    assert found["groups"] == found["beside"]["groups"]
    code, _, err = run(*look, "missing")
    assert (code, "expected a run's folder" in err) == (2, True)


def test_a_text_that_names_a_file_is_a_text_with_a_hint(run, trained, tmp_path):
    (tmp_path / "12").write_text("34\n")
    code, out, err = run("predict", trained, "12")
    assert (code, out) == run("predict", trained, "-", stdin=b"12\n")[:2]
    assert err == "12 is a file: to answer its lines, write --file 12\n"
    assert run("predict", trained, "1" * 4000)[1:] == run("predict", trained, "-", stdin=b"1" * 4000)[1:]


def test_a_given_answer_can_be_looked_into(run, translator, tmp_path):
    hostile = "eins </script><b> שלום"
    code, _, err = run("predict", translator, "one three", "--look", "a.json", "--target", hostile)
    assert code == 0, err
    groups = json.loads((tmp_path / "a.json").read_text())["groups"]
    cross = next(group for group in groups if group["name"] == "cross-attention")
    assert cross["query_words"][0] == "eins"
    assert cross["key_words"][:2] == ["one", "three"]


# Scores


def test_scores_are_printed_and_written(run, trained, tmp_path):
    code, out, err = run("evaluate", trained, "--data", "rows.tsv", "--json", "scores.json")
    assert code == 0, err
    found = json.loads((tmp_path / "scores.json").read_text())
    rows = reversing.rows(60, 3)
    answers = load_run(trained).predict(row["source"] for row in rows)
    right = sum(answer.text == row["target"] for answer, row in zip(answers, rows, strict=True))
    assert (found["rows"], found["scores"]) == (60, {"exact": pytest.approx(100 * right / 60)})
    assert out.splitlines()[0].split() == ["exact", f"{100 * right / 60:.2f}"]
    assert run("evaluate", trained, "--data", "rows.tsv", "--strict")[0] == 0


def test_alignments_and_faithfulness_are_reported(run, translator, tmp_path):
    rows = [row for row in translating.rows(60, 5) if len(row["source"].split()) > 3][:12]
    reversing_table(tmp_path / "pairs.tsv", rows)
    links = [" ".join(f"{place}-{place}" for place in range(len(row["source"].split()))) for row in rows]
    (tmp_path / "gold").write_text("".join(f"{line}\n" for line in links))
    options = "--alignments", "gold", "--faithfulness", "5", "--json", "a.json"
    code, out, err = run("evaluate", translator, "--data", "pairs.tsv", *options)
    assert code == 0, err
    assert "nrefs:1|case:mixed" in out
    assert "Without the words that attention highlights" in out
    assert "sufficiency: what it loses" in out
    found = json.loads((tmp_path / "a.json").read_text())
    assert set(found["scores"]) == {"BLEU", "chrF", "exact", "alignment error rate"}
    assert found["faithfulness"]["rows"] == 5
    assert "attention" in found["faithfulness"]["better_than_random"]["comprehensiveness"]
    (tmp_path / "gold").write_text("0-0\n")
    code, _, err = run("evaluate", translator, "--data", "pairs.tsv", "--alignments", "gold")
    assert (code, "expected an alignment for each of 12 pairs" in err) == (2, True)
    (tmp_path / "gold").write_text("0-99\n" * 12)
    code, _, err = run("evaluate", translator, "--data", "pairs.tsv", "--alignments", "gold")
    assert (code, "expected links within" in err) == (2, True)


def test_faithfulness_is_checked_where_nobody_says_otherwise(run, translator):
    rows = [row for row in translating.rows(60, 5) if len(row["source"].split()) > 3]
    for count, options, checked in ((30, [], 20), (12, [], 12), (12, ["--faithfulness", "0"], 0)):
        reversing_table("pairs.tsv", rows[:count])
        code, out, err = run("evaluate", translator, "--data", "pairs.tsv", *options)
        assert (code, "not checked" in err) == (0, False)
        assert ("attention highlights" in out) == bool(checked)
        assert not checked or f"over {checked} rows)" in out
    reversing_table("pairs.tsv", rows[:4])
    code, out, err = run("evaluate", translator, "--data", "pairs.tsv")
    assert (code, "attention highlights" in out) == (0, False)
    assert "not checked: faithfulness: expected at least 5 rows" in err
    assert run("evaluate", translator, "--data", "pairs.tsv", "--faithfulness", "20")[0] == 2


def test_of_several_processes_one_speaks(run, trained, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("RANK", "1")
    assert run("evaluate", trained, "--data", "rows.tsv") == (0, "", "")
    assert run("evaluate", "missing", "--data", "rows.tsv")[1:] == ("", "")
    assert run("train", TASK, "--out", "o", "--set", "widht=3") == (2, "", "")


# Processes of their own


def test_a_text_is_utf_8_whatever_the_terminal_is(tmp_path, translator, monkeypatch):
    for name, value in {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}.items():
        monkeypatch.setenv(name, value)
    command = ["predict", translator, "ü one", "--look", "a.json", "--target", "ä eins"]
    process = started(tmp_path, *command)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    words = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert "\ufffd one" in json.loads(words)["facts"][0]


PROGRAM = ("-c", "import regard.cli; regard.cli.main()")


def started(folder, *arguments, launcher=PROGRAM, before=(), **options):
    paths = [Path(regard.__file__).parents[1], Path(__file__).parents[2]]
    return subprocess.Popen(
        [*before, sys.executable, *launcher, *map(str, arguments)],
        cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths)), "OMP_NUM_THREADS": "1"},
        # Whatever runs the tests may ignore interrupts, and its children would too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), **options,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sent", "code", "how"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "told to end")]
)
def test_a_signal_says_how_to_go_on_and_that_ends_as_if_nothing_had_happened(tmp_path, sent, code, how):
    command = ["train", TASK, *SMALL, "--set=updates=400", "--out"]
    process = started(tmp_path, *command, "stopped")
    metrics = tmp_path / "stopped/metrics.csv"
    while process.poll() is None and not (metrics.exists() and len(metrics.read_text().splitlines()) > 3):
        time.sleep(0.02)
    process.send_signal(sent)
    out, err = process.communicate(timeout=240)
    assert (process.returncode, out) == (code, ""), err
    last = err.splitlines()[-1]
    assert last == f"regard: {how}; what was learned is in stopped: go on with the same command and --resume"
    assert "Traceback" not in err
    for arguments in ([*command, "stopped", "--resume"], [*command, "whole"]):
        process = started(tmp_path, *arguments)
        _, err = process.communicate(timeout=240)
        assert process.returncode == 0, err
    one, other = (tmp_path / name / "model.safetensors" for name in ("stopped", "whole"))
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.slow
def test_a_stream_that_never_ends_is_answered_line_by_line(tmp_path, trained):
    process = started(tmp_path, "predict", trained, "-")
    run = load_run(trained)
    for line in ("12", "", "987"):
        process.stdin.write(f"{line}\n")
        process.stdin.flush()
        assert process.stdout.readline() == "".join(f"{answer.text}\n" for answer in run.predict([line]))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=240)
    assert (process.returncode, out, err) == (130, "", "regard: interrupted\n")


@pytest.mark.slow
def test_who_reads_no_further_ends_it_without_a_word(tmp_path, trained):
    (tmp_path / "lines.txt").write_text("12\n" * 100_000)
    process = started(tmp_path, "predict", trained, "--file", "lines.txt")
    assert len(process.stdout.readline()) == 3
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate(timeout=240)
    assert process.returncode in (1, -signal.SIGPIPE)
    assert err == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("closed", "said"),
    [(">&-", "expected standard output to be open"), ("<&-", "expected standard input to be open"), ("2>&-", "")],
)
def test_a_stream_that_is_closed_is_told(tmp_path, trained, closed, said):
    process = started(tmp_path, "predict", trained, "-", before=["sh", "-c", f'exec "$@" {closed}', "sh"])
    out, err = process.communicate("12\n", timeout=240)
    assert (process.returncode, len(out)) == ((2, 0) if said else (0, 3))
    assert said in err
    assert "Traceback" not in err


@pytest.mark.slow
def test_two_processes_train_together_and_one_speaks(tmp_path):
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "regard_command")
    command = ("train", TASK, *SMALL, "--out", "r")
    process = started(tmp_path, *command, launcher=launcher)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    assert out.count("exact") == 1
    assert err.count("update 20: loss") == 1
    process = started(tmp_path, *command, launcher=launcher)
    out, err = process.communicate(timeout=240)
    assert process.returncode != 0
    assert err.count("holds a run") == 1


def test_the_state_of_torch_is_left_alone(run, trained):
    before = torch.get_rng_state(), torch.is_grad_enabled()
    assert run("predict", trained, "12")[0] == 0
    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.is_grad_enabled() == before[1]
