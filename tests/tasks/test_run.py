"""A run that was trained: it streams answers in order, scores, looks, and is loaded as it was."""

import shutil
from dataclasses import replace

import pytest
import torch

from regard.errors import TaskError
from regard.tasks import Answer, load_run
from tests.tasks.reversing import Reversing, Shown, rows, train


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(
        tmp_path_factory.mktemp("runs") / "run",
        "updates=400",
        "check_every=200",
        "dropout=0",
        "width=32",
        valid=False,
    )


def by_one(run, line):
    with torch.inference_mode():
        item = run.task.features(run.task.asked(line, None), run.parts, run.settings.task)
        return run.task.answer(run.model, [item], run.parts, run.settings.task)[0]


class TestPredict:
    @pytest.mark.parametrize("window", [1, 3, 512])
    def test_each_line_has_its_answer_in_its_place(self, run, window):
        lines = [row["source"] for row in rows(50, 7)]
        lines[3] = lines[10] = ""
        lines[11] = " \t"
        found = list(run.predict(lines, window))
        assert len(found) == 50
        for line, answer in zip(lines, found, strict=True):
            if line.strip():
                expected = by_one(run, line)
                assert answer.text == expected.text
                assert answer.log_probability == pytest.approx(expected.log_probability, abs=1e-5)
            else:
                assert answer == Answer("", None, ())

    def test_answers_come_as_soon_as_their_window_is_read(self, run):
        read = []

        def lines():
            for number in range(7):
                read.append(number)
                yield str(number)

        answers = run.predict(lines(), 3)
        assert read == []
        seen = [len(read) for _ in answers]
        assert seen == [3, 3, 3, 6, 6, 6, 7]

    def test_no_line_gives_no_answer(self, run):
        assert list(run.predict([])) == []

    def test_a_window_of_no_line_is_refused(self, run):
        with pytest.raises(TaskError, match="window: expected at least 1"):
            next(run.predict(["1"], 0))


class Lines(Reversing):
    """Takes any line, as long as it is."""

    def asked(self, line, settings):
        return {"source": f"{len(line)}"}


def test_a_line_longer_than_any_of_the_training_is_cut_and_told(run):
    run = replace(run, task=Lines())
    most = run.settings.data.max_length
    told = []
    lines = ["1", "1" * most, "1" * (most + 1), "1" * 1_000_000]
    texts = [answer.text for answer in run.predict(lines, told=told.append)]
    assert texts == [by_one(run, line[:most]).text for line in lines]
    assert len(told) == 2
    assert all("has more than 2,000 letters (data.max_length)" in each for each in told)
    with pytest.warns(UserWarning, match="has more than 2,000 letters"):
        assert run.look(lines[3], "9" * 3000) == run.look(lines[1], "9" * most)


def test_white_space_around_a_line_counts_no_more_than_in_rows_of_the_training(run):
    wide = " " * run.settings.data.max_length
    told = []
    texts = [answer.text for answer in run.predict([f"{wide}12{wide}", wide], told=told.append)]
    assert texts == [by_one(run, "12").text, ""]
    assert run.look(f"{wide}12", f"{wide}34", told=told.append) == run.look("12", "34")
    assert told == []


@pytest.mark.parametrize(("beam", "batches"), [(1, 1), (8192, 50)])
def test_answers_come_in_batches_larger_than_those_of_training(run, monkeypatch, beam, batches):
    calls, answer = [], run.task.answer
    monkeypatch.setattr(run.task, "answer", lambda *given: calls.append(given[1]) or answer(*given))
    monkeypatch.setattr(type(run.settings.task), "beam", beam, raising=False)
    assert len(run.answers([{"source": "12"}] * 50)) == 50
    assert len(calls) == batches


def test_it_has_learned(run):
    assert run.score(rows(200, 0)).values["exact"] > 90


def test_scores_count_each_row_once(run):
    inside = rows(30, 9)
    right = sum(by_one(run, row["source"]).text == row["target"] for row in inside)
    for window in (7, 30, 512):
        assert run.score(inside, window).values["exact"] == pytest.approx(100 * right / 30)


def test_files_are_scored(run, tmp_path):
    inside = rows(30, 9)
    text = "".join(
        f"{row['source']}\t{row['target']}\n" for row in [{"source": "source", "target": "target"}, *inside]
    )
    (tmp_path / "pairs.tsv").write_text(text)
    assert run.evaluate([tmp_path / "pairs.tsv"]) == run.score(inside)


class TestLook:
    def test_the_models_own_answer_and_another(self, run):
        title = f"123 ({run.called})"
        assert run.look("123") == Shown(title, {"source": "123"}, by_one(run, "123"))
        assert run.look("123", "999") == Shown(title, {"source": "123"}, Answer("999"))

    @pytest.mark.parametrize(("line", "target"), [("1\udcff", None), ("1", "2\ud800")])
    def test_what_is_no_text_is_refused(self, run, line, target):
        with pytest.raises(TaskError, match="expected text in UTF-8; got half of a sign at position 1"):
            run.look(line, target)
        with pytest.raises(TaskError, match="half of a sign"):
            list(run.predict(["1", f"{line}{target}"]))

    def test_an_empty_line_is_refused(self, run):
        with pytest.raises(TaskError, match="expected a line of text"):
            run.look(" ")


class TestLoading:
    def test_a_run_is_as_it_was(self, run):
        torch.manual_seed(3)
        expected = torch.rand(2)
        torch.manual_seed(3)
        loaded = load_run(run.folder.path)
        assert torch.equal(torch.rand(2), expected)
        assert loaded.settings == run.settings
        assert type(loaded.task) is Reversing
        assert not loaded.model.training
        for name, tensor in run.model.state_dict().items():
            assert torch.equal(loaded.model.state_dict()[name], tensor)
        assert loaded.model.head.weight is loaded.model.table.weight

    def test_a_folder_without_a_run(self, tmp_path):
        with pytest.raises(TaskError, match=r"expected a run's folder, as regard train makes it"):
            load_run(tmp_path / "none")

    def test_weights_of_another_model(self, run, tmp_path):
        shutil.copytree(run.folder.path, tmp_path / "run")
        config = tmp_path / "run" / "config.yaml"
        config.write_text(config.read_text().replace("width: 32", "width: 8"))
        with pytest.raises(
            TaskError, match=r"model\.safetensors: table\.weight: expected \[11, 8\]; got \[11, 32\]"
        ):
            load_run(tmp_path / "run")

    @pytest.mark.parametrize(
        "place", ["nowhere:Task", "tests.tasks.reversing:None_", "tests.tasks.reversing:Model", "x"]
    )
    def test_a_task_that_is_gone(self, run, tmp_path, place):
        shutil.copytree(run.folder.path, tmp_path / "run")
        config = tmp_path / "run" / "config.yaml"
        config.write_text(config.read_text().replace("tests.tasks.reversing:Reversing", place))
        with pytest.raises(TaskError, match="expected"):
            load_run(tmp_path / "run")

    def test_a_task_that_lies_elsewhere(self, run, tmp_path):
        shutil.copytree(run.folder.path, tmp_path / "run")
        config = tmp_path / "run" / "config.yaml"
        config.write_text(config.read_text().replace("tests.tasks.reversing:Reversing", "balanced:Balanced"))
        with pytest.raises(TaskError, match=r"Run this where balanced\.py lies, or name that folder in PYTHONPATH"):
            load_run(tmp_path / "run")

    def test_lost_parts(self, run, tmp_path):
        shutil.copytree(run.folder.path, tmp_path / "run")
        shutil.rmtree(tmp_path / "run" / "parts")
        with pytest.raises(TaskError, match=r"expected parts.*it is gone"):
            load_run(tmp_path / "run")

    def test_damaged_weights(self, run, tmp_path):
        shutil.copytree(run.folder.path, tmp_path / "run")
        (tmp_path / "run" / "model.safetensors").write_bytes(b"none")
        with pytest.raises(TaskError, match="expected a run's weights"):
            load_run(tmp_path / "run")
