"""`regard tasks`: what it shows of tasks, and that the command line starts without what they need."""

import pytest
from typer.testing import CliRunner

from regard.cli import app
from regard.tasks.choose import TASKS

OWN = '''
from dataclasses import dataclass
from typing import Literal

from regard.tasks import Task


@dataclass(frozen=True)
class OwnSettings:
    """Of a task.

    Attributes:
        width: how wide [bold]it[/bold] is.
        order: which way.
        most: at most.
    """

    width: int = 8
    order: Literal["pre", "post"] = "pre"
    most: int | None = None


class Own(Task):
    name, about, needs = "own", "Learns [red]nothing[/red].", "no data"
    metrics, settings = ("exact", "other"), OwnSettings

    def defaults_without_files(self):
        return {"width": 4, "training.updates": 7, "order": "pre"}


Own.__abstractmethods__ = frozenset()
'''


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the command line where a task of one's own lies; return its result."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "own_task.py").write_text(OWN)
    return lambda *arguments: CliRunner().invoke(app, arguments)


def test_a_task_of_ones_own_is_shown_with_every_setting(run):
    result = run("tasks", "own_task:Own")
    assert result.exit_code == 0
    lines = [" ".join(line.split()) for line in result.output.splitlines()]
    assert lines[:3] == ["own_task:Own Learns [red]nothing[/red].", "needs: no data", "reports: exact, other"]
    assert "task.width=8 how wide [bold]it[/bold] is. (without files 4)" in lines
    assert any(line.startswith("training.updates=") and line.endswith(" (without files 7)") for line in lines)
    assert "task.order=pre which way. (one of pre, post)" in lines
    assert "task.most=none at most. (a whole number or none)" in lines
    assert any(line.startswith("training.betas=0.9,0.98 ") for line in lines)
    assert any(line.startswith("data.strict=no ") for line in lines)


def test_every_task_is_listed(run):
    result = run("tasks")
    assert result.exit_code == 0, result.exception
    assert all(name in result.output for name in TASKS)
    assert result.output.count("needs: ") == result.output.count("reports: ") == len(TASKS)
