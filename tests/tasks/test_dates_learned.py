"""Without any file, dates of many languages are learned as a user learns them: by the command, to the end."""

import os
import subprocess
import sys

import pytest

from regard.tasks import load_run
from regard.tasks.training.metrics import read_metrics

pytestmark = pytest.mark.slow


def test_dates_are_written_right_98_times_in_100(tmp_path):
    command = [sys.executable, "-m", "regard_command", "train", "translation", "--out", str(tmp_path / "dates")]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=900, check=False, env=os.environ | {"COLUMNS": "200"}
    )
    assert done.returncode == 0, done.stderr
    assert float(read_metrics(tmp_path / "dates" / "metrics.csv")[-1]["exact"]) >= 98
    run = load_run(tmp_path / "dates")
    right = {"5. April 2026": "2026-04-05", "July 4, 2031": "2031-07-04", "14 juillet 2042": "2042-07-14"}
    assert {line: answer.text for line, answer in zip(right, run.predict(right), strict=True)} == right
