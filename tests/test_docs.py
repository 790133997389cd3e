"""The docs are true: their code runs, their links lead somewhere, their options and numbers are the program's."""

import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F
from typer.main import get_command

import regard
from regard.cli import app, room
from regard.engines import choose, fused, large_rows, rows
from regard.engines.statistics import STATISTICS
from regard.reports.build import MOST_WORDS
from regard.reports.page import budget, codes
from regard.watch import head_kinds, recorder, site
from tests.demo import needs_demo

ROOT = Path(regard.__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md")])
README = (ROOT / "README.md").read_text(encoding="utf-8")
LOOKING = (ROOT / "docs/looking.md").read_text(encoding="utf-8")


def blocks(text, language):
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_headings_stand_between_empty_lines(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    lines = ["", *text.splitlines(), ""]
    for above, line, below in zip(lines, lines[1:], lines[2:], strict=False):
        assert not line.startswith("#") or not (above or below), f"{page.name}: {line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            path, _, anchor = target.partition("#")
            aim = page.parent / path if path else page
            assert aim.exists(), f"{page.name} links to {target}"
            assert not anchor or anchor in headings(aim)


def parts():
    """Return the names of the functions that make parts of a mechanism."""
    rooms = ("masks", "modifiers", "scores", "weighing")
    functions = {name: getattr(regard, name) for name in regard.__all__}
    return [
        name
        for name, each in functions.items()
        if inspect.isfunction(each) and any(f"regard.mechanisms.{room}" in each.__module__ for room in rooms)
    ]


MECHANISMS = parts()


def headings(page):
    lines = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}


def test_the_python_of_the_readme_runs(tmp_path):
    code = "\n".join(blocks(README, "python"))
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "torch.Size([1, 4, 9])" in done.stdout
    assert "torch.Size([1, 8, 1024, 64]) tiled" in done.stdout
    assert (tmp_path / "seen.html").is_file()


def test_the_commands_of_the_readme_exist():
    lines = [line for block in blocks(README, "console") for line in block.splitlines()]
    make = {line.split()[2] for line in lines if line.startswith("$ make")}
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert make <= targets
    known = {option for parameter in get_command(app).commands["look"].params for option in parameter.opts}
    known |= {
        option for parameter in get_command(app).commands["look"].params for option in parameter.secondary_opts
    }
    used = set(re.findall(r" (--[\w-]+)", "\n".join(line for line in lines if "regard look" in line)))
    assert used <= known


@needs_demo
@pytest.mark.slow
def test_the_first_command_of_the_readme_works(tmp_path):
    line = next(line for block in blocks(README, "console") for line in block.splitlines() if "regard look" in line)
    program = Path(sys.executable).parent / "regard"
    done = subprocess.run(
        [program, "look", re.search('"(.*)"', line)[1]], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "72 heads" in done.stdout


def test_the_numbers_of_the_docs_are_the_programs():
    assert f"at most {recorder.KEEP_LENGTH:,} positions" in LOOKING
    assert f"at most {site.DENSE_LIMIT:,} numbers" in LOOKING
    assert f"more than {MOST_WORDS} words" in LOOKING
    heads = (ROOT / "docs/heads.md").read_text(encoding="utf-8")
    assert f"is at least {head_kinds.DOMINANT}" in heads
    assert f"at least {head_kinds.REACH} of the queries" in heads
    assert f"at least {head_kinds.MOSTLY_LOCAL} of the weight lies within {head_kinds.LOCAL} positions" in heads
    assert f"at least {head_kinds.BROAD} of that of even" in heads
    attend = (ROOT / "docs/attend.md").read_text(encoding="utf-8")
    assert f"up to {rows.LONGEST:,} keys" in attend
    assert f"from {fused.SMALL:,} pairs" in attend
    assert f"numbers beyond {large_rows.LARGE:g} added" in attend
    assert f"below {choose.DENSE_LIMIT >> 20} MiB" in attend


def test_every_statistic_and_mask_is_documented():
    attend = (ROOT / "docs/attend.md").read_text(encoding="utf-8")
    assert all(f"`{name}" in LOOKING for name in STATISTICS)
    assert all(f"`{name}(" in attend for name in MECHANISMS)


@pytest.mark.parametrize("page", ["attend", "page"])
def test_the_python_of_the_docs_runs(page, capsys):
    found = blocks((ROOT / f"docs/{page}.md").read_text(encoding="utf-8"), "python")
    assert found
    for block in found:
        exec(compile(block, f"docs/{page}.md", "exec"), {})


def test_the_limits_of_the_page_are_the_programs():
    page = (ROOT / "docs/page.md").read_text(encoding="utf-8")
    assert f"together up to {budget.FULL:,} weights" in page
    assert f"below {budget.PAGE // 1_000_000} MB" in page
    assert f"at most {room.MOST_KEPT >> 30} GiB" in page
    assert f"{room.CELLS_ALONE} cells a side alone" in page
    assert f"{codes.MOST_POINTS:,} points a head" in page
    assert {view.name for view in (ROOT / "web/src/views").iterdir() if view.is_dir()} - {"parts", "grid"} == {
        name.lower() for name in re.findall(r"^\*\*(\w+)\.\*\* ", page[page.index("## Views") :], re.MULTILINE)
    }


def test_every_field_of_the_json_file_is_documented(tmp_path):
    with regard.watch() as seen:
        F.scaled_dot_product_attention(*torch.randn(3, 1, 1, 3, 4))
    content = json.loads(regard.report(seen, ["a", "b", "c"]).save(tmp_path / "a.json").read_text(encoding="utf-8"))
    group = content["groups"][0]
    fields = {*content, *group, *group["heads"][0], *group["heads"][0]["links"][0]}
    page = (ROOT / "docs/json.md").read_text(encoding="utf-8")
    assert not {field for field in fields if f"`{field}`" not in page}
