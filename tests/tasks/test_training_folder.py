"""A run's folder: who may write there, what may be deleted, and what is refused when a run goes on."""

import csv
import io
import json
import multiprocessing
import os
import shutil
import signal

import pytest
from rich.console import Console

from regard.errors import TaskError
from regard.tasks import RunFolder
from tests.tasks.reversing import Reversing, train


@pytest.fixture
def run(tmp_path):
    train(tmp_path / "run")
    return tmp_path / "run"


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class TestTaking:
    def test_a_new_folder_and_an_empty_one(self, tmp_path):
        (tmp_path / "empty").mkdir()
        for name in ("new/deep", "empty"):
            with RunFolder.take(tmp_path / name) as folder:
                assert not folder.resuming

    def test_a_run_is_left_as_it_is(self, run):
        before = content(run)
        with pytest.raises(TaskError, match=r"holds a run: resume it with --resume, delete it with --force"):
            RunFolder.take(run)
        assert content(run) == before

    def test_other_things_are_never_deleted(self, tmp_path):
        (tmp_path / "thesis.tex").write_text("all my work")
        before = content(tmp_path)
        for wish in ({}, {"force": True}, {"resume": True}):
            with pytest.raises(TaskError, match=r"thesis\.tex.*choose another folder|has no run\.json"):
                RunFolder.take(tmp_path, **wish)
        assert content(tmp_path) == before

    @pytest.mark.parametrize("name", [".film.part", "film.part", ".run.json.x.part"])
    def test_downloads_of_others_are_never_deleted(self, tmp_path, name):
        (tmp_path / name).write_text("half")
        with pytest.raises(TaskError, match="other things"):
            RunFolder.take(tmp_path)
        assert content(tmp_path) == {tmp_path / name: b"half"}

    @pytest.mark.parametrize("name", [".run.json.123.part", ".model.safetensors.part"])
    def test_what_a_killed_training_left_is_deleted(self, tmp_path, name):
        (tmp_path / name).write_text("half")
        RunFolder.take(tmp_path).close()
        assert not (tmp_path / name).exists()

    def test_half_a_checkpoint_is_deleted_when_training_goes_on(self, run):
        half = run / "checkpoints" / ".last.pt.0123abcd.part"
        half.write_text("half")
        RunFolder.take(run, resume=True).close()
        assert not half.exists()

    def test_force_refuses_a_run_beside_other_things(self, run):
        (run / "notes.txt").write_text("mine")
        before = content(run)
        with pytest.raises(TaskError, match=r"also holds notes\.txt: move that"):
            RunFolder.take(run, force=True)
        assert content(run) == before

    def test_force_deletes_a_run_but_not_what_links_lead_to(self, run, tmp_path):
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "kept").write_text("kept")
        (run / "tensorboard").rename(tmp_path / "elsewhere")
        (run / "tensorboard").symlink_to(tmp_path / "other")
        with RunFolder.take(run, force=True) as folder:
            assert not folder.weights.exists()
        assert (tmp_path / "other" / "kept").read_text() == "kept"

    def test_force_trains_anew(self, run):
        before = (run / "model.safetensors").read_bytes()
        train(run, "seed=2", force=True)
        assert (run / "model.safetensors").read_bytes() != before

    @pytest.mark.parametrize(
        ("make", "said"),
        [
            (lambda path: None, "does not exist. Leave out --resume"),
            (lambda path: (path.mkdir(), (path / "a").touch()), "has no run.json"),
        ],
    )
    def test_resume_needs_a_run(self, tmp_path, make, said):
        make(tmp_path / "run")
        with pytest.raises(TaskError, match=said):
            RunFolder.take(tmp_path / "run", resume=True)
        assert not (tmp_path / "run" / "run.json").exists()

    def test_resume_and_force_exclude_each_other(self, run):
        with pytest.raises(TaskError, match="resume or force; got both"):
            RunFolder.take(run, resume=True, force=True)

    def test_a_file_is_no_folder(self, tmp_path):
        (tmp_path / "run").touch()
        with pytest.raises(TaskError, match="is a file: choose another"):
            RunFolder.take(tmp_path / "run")

    def test_other_processes_leave_it_to_the_first(self, run, monkeypatch):
        monkeypatch.setenv("RANK", "1")
        monkeypatch.setenv("WORLD_SIZE", "2")
        before = content(run)
        RunFolder.take(run, force=True).close()
        assert content(run) == before


def hold(path, ready):
    with RunFolder.take(path):
        ready.set()
        signal.pause()


def test_two_trainings_cannot_share_a_folder_and_a_dead_one_holds_none(tmp_path):
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    other = context.Process(target=hold, args=(tmp_path / "run", ready))
    other.start()
    try:
        assert ready.wait(60)
        for wish in ({}, {"resume": True}, {"force": True}):
            with pytest.raises(TaskError, match="another training is at work in this folder"):
                RunFolder.take(tmp_path / "run", **wish)
    finally:
        os.kill(other.pid, signal.SIGKILL)
        other.join()
    RunFolder.take(tmp_path / "run", resume=True).close()


class TestGoingOn:
    def test_more_updates(self, run, tmp_path):
        train(run, "updates=60", resume=True)
        train(tmp_path / "whole", "updates=60")
        assert (run / "model.safetensors").read_bytes() == (tmp_path / "whole" / "model.safetensors").read_bytes()

    def test_nothing_is_left_to_do(self, run):
        before = (run / "model.safetensors").read_bytes(), (run / "metrics.csv").read_bytes()
        train(run, resume=True)
        assert ((run / "model.safetensors").read_bytes(), (run / "metrics.csv").read_bytes()) == before

    def test_from_the_beginning_where_nothing_was_saved(self, tmp_path):
        RunFolder.take(tmp_path / "run").close()
        (tmp_path / "run" / ".parts.part").mkdir()
        train(tmp_path / "run", resume=True)
        train(tmp_path / "whole")
        one, two = (tmp_path / name / "model.safetensors" for name in ("run", "whole"))
        assert one.read_bytes() == two.read_bytes()
        assert not (tmp_path / "run" / ".parts.part").exists()

    @pytest.mark.parametrize(
        "given", ["training.rate=0.5", "training.seed=9", "task.width=8", "data.max_length=9", "training.average=3"]
    )
    def test_settings_that_would_change_the_past_are_named(self, run, given):
        name, value = given.split("=")
        with pytest.raises(TaskError, match=f"{name}={value} rather than"):
            train(run, given, resume=True)

    @pytest.mark.parametrize("given", ["updates=31", "minutes=9", "patience=7", "check_every=15"])
    def test_settings_that_may_change(self, run, given):
        train(run, given, resume=True)
        name, value = given.split("=")
        assert f"  {name}: {value}" in (run / "config.yaml").read_text()

    @pytest.mark.parametrize("changed", [{"seed": 5}, {"valid": False}])
    def test_other_rows_are_refused(self, run, changed):
        with pytest.raises(
            TaskError, match=r"expected the rows of the (training|validation) side that it began with"
        ):
            train(run, resume=True, **changed)

    def test_another_task_is_refused(self, run):
        class Other(Reversing):
            name = "other"

        with pytest.raises(TaskError, match=r"expected settings for the task .*Other'; got those for"):
            train(run, resume=True, task=Other())

    @pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 no state", b"\0\xff no state", None])
    def test_a_damaged_state_is_said(self, run, damage):
        path = run / "checkpoints" / "last.pt"
        path.write_bytes(path.read_bytes()[:-100] if damage is None else damage)
        with pytest.raises(TaskError, match=r"last\.pt: expected the state of a training"):
            train(run, "updates=40", resume=True)

    def test_what_to_do_is_said_by_what_is_left(self, run):
        last, best = (run / "checkpoints" / name for name in ("last.pt", "best.pt"))
        best.write_bytes(b"")
        for damaged, advice in (
            (last, "Delete it: training goes on from best.pt"),
            (best, "Begin anew with --force"),
        ):
            damaged.write_bytes(b"")
            with pytest.raises(TaskError, match=rf"{damaged.name}: expected.*{advice}"):
                train(run, "updates=40", resume=True)
            damaged.unlink()

    def test_without_its_last_state_it_goes_on_from_the_best_check(self, run):
        weights = (run / "model.safetensors").read_bytes()
        (run / "checkpoints" / "last.pt").unlink()
        train(run, resume=True)
        assert (run / "model.safetensors").read_bytes() == weights

    @pytest.mark.parametrize("gone", ["checkpoints", "config.yaml"])
    def test_without_what_it_takes_to_go_on_nothing_is_written(self, run, gone):
        path = run / gone
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        before = content(run)
        with pytest.raises(TaskError, match=f"expected {gone}.*it is gone.*--force"):
            train(run, resume=True)
        assert content(run) == before

    @pytest.mark.parametrize("damage", [b"\0\xff", b"update,loss\n\nx,1\n7", b"nothing\n1\n"])
    def test_damaged_metrics_do_not_stop_it(self, run, damage):
        (run / "metrics.csv").write_bytes(damage)
        train(run, "updates=40", resume=True)
        with (run / "metrics.csv").open() as file:
            assert [line["update"] for line in csv.DictReader(file)] == ["40"]

    @pytest.mark.parametrize("damage", [None, b"", b"no weights"])
    def test_best_weights_that_are_lost_come_back(self, run, damage):
        path = run / "model.safetensors"
        before = path.read_bytes()
        if damage is None:
            path.unlink()
        else:
            path.write_bytes(damage)
        train(run, resume=True)
        assert path.read_bytes() == before


def test_checks_of_a_sitting_that_was_killed_are_not_averaged(run, tmp_path):
    """A kill between the weights of a check and the state of it leaves weights that are later than the state."""
    for name in ("killed", "whole"):
        train(tmp_path / name, "average=2", "updates=20")
    checkpoints = tmp_path / "killed" / "checkpoints"
    shutil.copy(checkpoints / "weights-00000020.safetensors", checkpoints / "weights-00000030.safetensors")
    lines = [
        train(
            tmp_path / name, "average=2", "updates=20", resume=True, console=Console(file=io.StringIO())
        ).folder.weights.read_bytes()
        for name in ("killed", "whole")
    ]
    assert lines[0] == lines[1]


def test_what_is_noted_stays_beside_what_is_new(run):
    folder = RunFolder(run)
    before = folder.facts
    folder.note(other=[1, "ü"])
    assert folder.facts == {**before, "other": [1, "ü"]}
    assert json.loads((run / "run.json").read_text(encoding="utf-8")) == folder.facts
