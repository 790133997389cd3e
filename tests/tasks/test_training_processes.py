"""Training in processes of its own: stopped in every way and resumed, and shared by two under torchrun."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from regard.tasks.training.weights import read_weights
from tests.tasks.reversing import train

ROOT = Path(__file__).parent.parent.parent
MODULE = "tests.tasks.reversing"
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")

pytestmark = pytest.mark.slow


def in_process(folder, *sets, launcher=("-W", "error"), **asked):
    words = json.dumps({"folder": str(folder), "sets": sets, **asked})
    return subprocess.run(
        [sys.executable, *launcher, "-m", MODULE, words],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def measured(folder):
    """The lines of metrics but the time they took."""
    with (folder / "metrics.csv").open() as file:
        return [{name: value for name, value in line.items() if name != "seconds"} for line in csv.DictReader(file)]


def test_a_training_that_is_stopped_and_resumed_ends_with_the_same_bits(tmp_path):
    sets = ("accumulate=2", "average=2", "keep=5", "precision=bfloat16")
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    done = in_process(whole, *sets)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    # In the third update after a check; within a check; in the second half of an update.
    ends = (("SIGKILL", 28, -signal.SIGKILL), ("SIGTERM", 21, 128 + signal.SIGTERM), ("SIGINT", 16, 130))
    for number, (name, at, code) in enumerate(ends):
        ended = in_process(stopped, *sets, at=at, signal=name, resume=number > 0)
        assert ended.returncode == code, ended.stderr
    assert in_process(stopped, *sets, resume=True).returncode == 0
    files = sorted(path.relative_to(whole) for path in whole.rglob("*.safetensors"))
    assert len(files) == 4
    for file in files:
        assert (stopped / file).read_bytes() == (whole / file).read_bytes(), file
    assert measured(stopped) == measured(whole)


@pytest.mark.parametrize(("strategy", "accumulate", "sittings"), [("ddp", 2, (20,)), ("fsdp", 1, (10, 20))])
def test_two_processes_equal_one(tmp_path, strategy, accumulate, sittings):
    sets = ("dropout=0", f"accumulate={accumulate}", "average=2", "width=32")
    for updates in sittings:
        asked = (*sets, f"strategy={strategy}", f"updates={updates}")
        done = in_process(tmp_path / "two", *asked, launcher=TORCHRUN, resume=updates != sittings[0])
        assert done.returncode == 0, done.stderr
    train(tmp_path / "one", *sets, "updates=20")
    one, two = (read_weights(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, atol=1e-5, rtol=1e-5)
    for alone, shared in zip(*(measured(tmp_path / name) for name in ("one", "two")), strict=True):
        assert {name: float(value) for name, value in shared.items()} == pytest.approx(
            {name: float(value) for name, value in alone.items()}, rel=1e-4
        )


def test_a_process_that_fails_ends_all(tmp_path):
    done = in_process(tmp_path / "run", launcher=TORCHRUN, at=15, rank="1")
    assert done.returncode == 1
    assert "this process fails" in done.stderr
    assert not (tmp_path / "run" / "model.safetensors").exists() or measured(tmp_path / "run")[-1]["update"] == "10"
