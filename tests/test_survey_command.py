"""`regard survey` as people use it: what it writes and shows, and every mistake they make."""

import base64
import csv
import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import regard
from regard import Survey, survey, write_survey
from regard.cli import main
from regard.errors import ReportError, WatchError
from regard.reports.survey_facts import COLORS
from regard.reports.survey_picture import as_survey_picture
from regard.reports.survey_table import shortened
from regard.watch.head_kinds import KINDS
from regard.watch.survey import running
from regard.watch.survey.findings import TOTALS
from regard.watch.tally import BLOCKS, STATISTICS
from tests import survey_cases as cases

PAGE = (Path(regard.__file__).parents[2] / "docs/survey.md").read_text(encoding="utf-8")
FILES = {TOTALS, "survey.json", "survey.csv", "survey.png", "survey.html"}
EVIL = "</script><img src=x onerror=alert(1)> a {{title}} b"


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run the command line in this process and return its exit code and what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["regard", "survey", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        printed = capsys.readouterr()
        return stop.value.code or 0, printed.out, printed.err

    return call


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return cases.save(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    out = tmp_path_factory.mktemp("a") / "a"
    return survey(cases.model(), cases.tokenizer(), [EVIL, "a b c d"], out, name="<i>Grüße")


# Reports


def test_every_field_of_the_json_file_is_documented(found, tmp_path):
    write_survey(found, tmp_path)
    content = json.loads((tmp_path / "survey.json").read_text(encoding="utf-8"))
    assert len(content["heads"]) == 4
    head = content["heads"][0]
    example = head["examples"]["worth"][0]
    fields = {*content, *content["settings"], *head, *head["statistics"]["worth"], *example, *example["links"][0]}
    assert not {field for field in (*fields, *STATISTICS) if f"`{field}`" not in PAGE}
    assert f"{BLOCKS} blocks" in PAGE


def test_the_table_says_what_the_tally_says(found, tmp_path):
    write_survey(found, tmp_path)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "survey.csv").read_text(encoding="utf-8"))))
    for row, head in zip(rows, found.tally.heads(), strict=True):
        assert (row["site"], int(row["head"]), row["kind"]) == (head.site, head.head, head.kind)
        for name in STATISTICS:
            estimate = head.statistics[name]
            given = [row[f"{name}{part}"] for part in ("", "_error", "_low", "_high")]
            told = [estimate.mean, estimate.error, estimate.low, estimate.high]
            assert given == ["" if each is None else str(each) for each in told]


def test_the_page_asks_for_nothing_and_runs_nothing_but_its_own(found, tmp_path):
    write_survey(found, tmp_path)
    page = (tmp_path / "survey.html").read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    for element in ("script", "style"):
        (inside,) = re.findall(f"<{element}>(.*?)</{element}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{element}-src 'sha256-{digest}'" in policy
    assert "<img" not in page
    assert "<i>Gr" not in page
    assert "&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt; a {{title}} b" in page
    assert not re.search(r"https?://|\bstyle=|\son\w+=|@import|url\(", page.replace(" onerror=", ""))


def test_pictures_come_in_every_format(found):
    assert as_survey_picture(found).startswith(b"\x89PNG")
    assert b"<svg" in as_survey_picture(found, "svg")


def test_reports_need_a_folder(found, tmp_path):
    with pytest.raises(ReportError, match="expected a folder"):
        write_survey(found, tmp_path / "missing")


# The command


def test_a_corpus_is_surveyed_and_shown(run, saved, tmp_path):
    (tmp_path / "texts.txt").write_text("\n".join(cases.texts(9)))
    code, out, err = run(saved, "texts.txt", "--out", "out")
    assert code == 0, err
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    assert "9 documents" in out
    assert "The 4 heads most worth reading" in out
    assert "±" in out
    assert run("out")[1].splitlines()[:3] == out.splitlines()[:3]
    code, shown, err = run("out", "--out", "again")
    assert (code, shown) == (2, "")
    assert "--out: expected a corpus to survey, or --against" in err


def test_two_models_are_compared_after_or_at_once(run, saved, tmp_path):
    (tmp_path / "texts.txt").write_text("\n".join(cases.texts(9)))
    other = cases.save(tmp_path / "other", seed=1)
    assert run(other, "texts.txt", "--out", "b")[0] == 0
    code, out, err = run(saved, "texts.txt", "--out", "a", "--against", "b")
    assert code == 0, err
    assert "The surest differences" in out
    assert "in pairs" in out
    assert {path.name for path in (tmp_path / "a").iterdir()} == {*FILES, "against.json", "against.csv"}
    code, again, err = run("--against", "b", "a", "--out", "c")
    assert code == 0, err
    assert "The surest differences" in again
    for name in ("against.json", "against.csv"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "c" / name).read_bytes()
    content = json.loads((tmp_path / "c" / "against.json").read_text(encoding="utf-8"))
    fields = {*content, *content["differences"][0]}
    assert not {field for field in fields if f"`{field}`" not in PAGE}
    code, _, err = run("a", "--against", "b", "--out", "c")
    assert code == 2
    assert "holds against.json" in err


def test_one_text_is_a_corpus(run, saved, tmp_path):
    code, out, err = run(saved, "--text", "a b c d", "--out", "out")
    assert code == 0, err
    assert "1 documents, 6 tokens" in out
    assert Survey.load(tmp_path / "out").tally.documents == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["MODEL", "texts.txt"], "--out: expected a folder"),
        (["MODEL"], "expected a corpus or --text"),
        (["MODEL", "texts.txt", "--text", "a", "--out", "o"], "got both"),
        (["MODEL", "--text", " ", "--out", "o"], "--text is empty"),
        (["MODEL", "missing.txt", "--out", "o"], "neither a file"),
        (["MODEL", "bad.txt", "--out", "o"], "expected at least one document"),
        (["MODEL", "bad.txt", "--out", "o", "--strict"], "--strict: bad.txt, line 1 is not in UTF-8"),
        (["MODEL", "texts.txt", "--out", "texts.txt"], "is a file"),
        (["MODEL", "texts.txt", "--out", "o", "--max-tokens", "999"], "--max-tokens: expected from 3 to 24"),
        (["MODEL", "texts.txt", "--out", "o", "--limit", "0"], "--limit"),
        (["MODEL", "texts.txt", "--out", "o", "--against", "nothing"], "expected a folder with a finished survey"),
        (["MODEL", "texts.txt", "--out", "o", "--resume", "--force"], "got both"),
        (["MODEL", "texts.txt", "--out", "o", "--target-field", "x"], "decoder's text"),
        (["--against", "damaged", "damaged"], "is damaged"),
    ],
)
def test_a_mistake_gets_one_message_and_exit_code_2(run, saved, tmp_path, arguments, said):
    (tmp_path / "texts.txt").write_text("a b c")
    (tmp_path / "bad.txt").write_bytes(b"\xff")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / TOTALS).write_bytes(b"damaged")
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    code, out, err = run(*(saved if each == "MODEL" else each for each in arguments))
    assert code == 2
    assert said in err
    assert "Traceback" not in err
    assert not out
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == before


def test_of_several_processes_one_tells_a_mistake_that_all_make(run, saved, monkeypatch):
    told = []
    for number in ("0", "1"):
        monkeypatch.setenv("LOCAL_RANK", number)
        codes, _, errors = zip(run(saved, "missing.txt", "--out", "o"), run("--nonsense"), strict=True)
        assert codes == (2, 2)
        told.append(tuple(map(bool, errors)))
    assert told == [(True, True), (False, False)]


def test_a_mistake_that_one_process_makes_is_told_by_it(run, saved, monkeypatch, tmp_path):
    (tmp_path / "bad.txt").write_bytes(b"\xff")
    monkeypatch.setenv("LOCAL_RANK", "1")
    code, _, err = run(saved, "bad.txt", "--out", "o", "--strict")
    assert (code, "--strict: bad.txt, line 1" in err) == (2, True)


def test_what_an_interrupt_breaks_on_its_way_is_an_interrupt(run, saved, monkeypatch):
    def broken(*_, **__):
        try:
            raise KeyboardInterrupt
        finally:
            raise WatchError("the wreckage")

    monkeypatch.setattr(running, "survey", broken)
    code, _, err = run(saved, "--text", "a b", "--out", "o")
    assert (code, err.count("interrupted"), "wreckage" in err) == (130, 1, False)


@pytest.mark.slow
def test_ctrl_c_says_how_to_go_on(saved, tmp_path):
    (tmp_path / "texts.txt").write_text("\n".join(cases.texts(20_000)))
    command = [sys.executable, "-c", "import regard.cli; regard.cli.main()", "survey"]
    process = subprocess.Popen(
        [*command, saved, "texts.txt", "--out", "out"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(regard.__file__).parents[1])},
        # Whatever runs the tests may ignore interrupts, and its children would too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    while process.poll() is None and not documents(tmp_path):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "--resume" in err
    assert "Traceback" not in err
    assert documents(tmp_path)


def documents(folder):
    """Return how many documents the state in a folder counts."""
    states = list((folder / "out").glob("state-*"))
    return Survey.unpacked(states[0].read_bytes(), "")[0].tally.documents if states else 0


def test_every_kind_has_its_own_colour():
    assert len(set(COLORS.values())) == len(KINDS)


@pytest.mark.parametrize(
    ("sites", "short"),
    [
        (["e.0.a.self", "e.10.a.self"], ["0", "10"]),
        (["a.b"], ["a.b"]),
        (["h.1.1.x", "h.1.x"], ["1.x", "x"]),
        (["x.0", "x.0#1"], ["0", "0#1"]),
        (["d.0.self", "d.0.cross", "e.0.self"], ["d.0.self", "d.0.cross", "e.0.self"]),
    ],
)
def test_names_of_sites_are_shortened_to_what_tells_them_apart(sites, short):
    assert list(shortened(sites).values()) == short
