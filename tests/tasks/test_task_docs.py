"""The pages on tasks are true: their commands run, their code prints what they say, the task on them learns."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import regard
from regard.tasks.translation import TranslationSettings

ROOT = Path(regard.__file__).parents[2]
PAGES = {
    name: (ROOT / f"docs/{name}.md").read_text(encoding="utf-8")
    for name in ("tasks", "translation", "write-a-task")
}


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", PAGES[page], re.DOTALL)


def commands(page):
    """Yield what a page's consoles are told, line by line, without prompts."""
    for block in blocks(page, "console"):
        yield from re.sub(r"\n> ", "\n", block).removeprefix("$ ").split("\n$ ")


@pytest.fixture
def shell(tmp_path):
    """Run shell commands in a folder of their own, `regard` being this one; return what they print."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/regard"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m regard_command "$@"\n')
    program.chmod(0o755)
    surroundings = os.environ | {
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "src"),
        "HF_DATASETS_CACHE": str(tmp_path / "cache"),
        "OMP_NUM_THREADS": "1",
    }

    def call(command):
        done = subprocess.run(
            ["sh", "-c", command], cwd=tmp_path, env=surroundings, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout

    return call


@pytest.mark.slow
def test_two_files_of_text_become_an_aligned_picture(shell, tmp_path):
    printed = [shell(command) for command in commands("translation")]
    assert len((tmp_path / "pairs/train.de").read_text().splitlines()) == 24
    *_, answer, scores, _, same_answer = printed
    assert answer == same_answer == "das olde horse sieht das Haus .\n"
    assert "horse" in (tmp_path / "horse.html").read_text(encoding="utf-8")
    assert scores.startswith("BLEU")
    assert "attention highlights" in scores
    assert (tmp_path / "scores.json").exists()
    (code,) = blocks("translation", "python")
    shell(f"{shlex.quote(sys.executable)} -W error -c {shlex.quote(code)}")
    usual, changed = "en-de, attention=dot", "attention=dot, source_attention=entmax15"
    for name, runs in (("both", (usual, f"other, {changed}")), ("given", (usual,))):
        page = (tmp_path / f"{name}.html").read_text(encoding="utf-8")
        assert all(f"({run})" in page for run in runs)


@pytest.mark.slow
def test_the_task_on_the_page_learns_and_answers(shell, tmp_path):
    code = blocks("write-a-task", "python")
    (tmp_path / "reverse.py").write_text(code[0], encoding="utf-8")
    words = ["abc", "cab", "hagefb"]
    (tmp_path / "more.tsv").write_text("word\tbackwards\n" + "".join(f"{word}\t{word[::-1]}\n" for word in words))
    about, trained, answer, scores = (shell(command) for command in commands("write-a-task"))
    assert "Writes words backwards." in about
    assert float(re.match(r"exact ([\d.]+)", trained)[1]) > 90
    assert answer == "ebag\n"
    assert scores.split() == ["exact", "100.00"]
    assert (tmp_path / "gabe.html").exists()
    command = f"{shlex.quote(sys.executable)} -W error -c {shlex.quote(code[1])}"
    assert shell(command) == blocks("write-a-task", "text")[0]


def test_the_code_of_the_page_on_tasks_prints_what_it_says(shell, tmp_path):
    for side, count in (("train", 20), ("valid", 5)):
        rows = "".join(f"a b {number}\tb a {number}\n" for number in range(count))
        (tmp_path / f"{side}.tsv").write_text(f"source\ttarget\n{rows}")
    (code,) = blocks("tasks", "python")
    assert shell(f"{shlex.quote(sys.executable)} -c {shlex.quote(code)}") == blocks("tasks", "text")[0]


def test_the_pages_name_options_and_settings_that_there_are():
    from typer.testing import CliRunner

    from regard.cli import app

    helped = {
        name: CliRunner().invoke(app, [name, "--help"]).output for name in ("train", "evaluate", "predict", "tasks")
    }
    for page in PAGES:
        for command in re.findall(
            r"^\$ (?:torchrun .*--no-python )?regard .*(?:\\\n> .*)*", PAGES[page], re.MULTILINE
        ):
            name = re.search(r"regard (\w+)", command)[1]
            assert all(
                option in helped[name] for option in re.findall(r" (--[a-z-]+)", command.split(" regard ")[-1])
            )
    named = set(re.findall(r"--set (\w+)=", PAGES["translation"]))
    known = {*vars(TranslationSettings()), "updates", "warmup", "check_every", "rate", "batch_tokens"}
    assert named <= known
