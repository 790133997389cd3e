"""Training of a tiny task: what is written, what decides, and that checks, repeats and averages are exact."""

import csv
import io
import math
import os
import signal
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console
from torch import nn

from regard.errors import TaskError
from regard.tasks import RunFolder, Scores, load_run
from regard.tasks.data.batches import TokenBatches
from regard.tasks.settings import Settings
from regard.tasks.training import fit, progress
from regard.tasks.training.examples import Examples
from regard.tasks.training.interrupts import Interrupts
from regard.tasks.training.optimizer import make_optimizer
from regard.tasks.training.schedule import rate_at
from regard.tasks.training.settings import TrainingSettings
from regard.tasks.training.weights import read_weights, weights_of
from tests.tasks import translating
from tests.tasks.reversing import Reversing, ReversingSettings, rows, train


def lines(folder):
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def same(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


class TestRate:
    def test_the_inverse_square_root_is_that_of_the_paper(self):
        settings = TrainingSettings(rate=1.0, warmup=40)
        peak = 40**-0.5
        for update in range(1, 200):
            assert rate_at(settings, update) == pytest.approx(min(update**-0.5, update * 40**-1.5) / peak)

    @pytest.mark.parametrize("schedule", ["cosine", "linear"])
    def test_others_fall_to_the_end(self, schedule):
        settings = TrainingSettings(rate=1.0, warmup=10, updates=100, schedule=schedule)
        rates = [rate_at(settings, update) for update in range(1, 101)]
        assert rates[9] == 1
        assert rates[9:] == sorted(rates[9:], reverse=True)
        assert 0 < rates[-1] < 0.02
        assert rate_at(settings, 55) == pytest.approx(0.5, abs=0.01)

    def test_constant_stays(self):
        assert rate_at(TrainingSettings(rate=0.5, warmup=0, schedule="constant"), 10**6) == 0.5

    @pytest.mark.parametrize("schedule", ["inverse_sqrt", "cosine", "linear", "constant"])
    @pytest.mark.parametrize("warmup", [0, 100, 200])
    def test_every_rate_is_positive(self, schedule, warmup):
        settings = TrainingSettings(schedule=schedule, warmup=warmup, updates=100)
        assert all(0 < rate_at(settings, update) <= settings.rate for update in range(1, 101))


class TestSettings:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("updates", 0),
            ("rate", 0.0),
            ("rate", math.inf),
            ("clip", -1.0),
            ("label_smoothing", 1.0),
            ("seed", -1),
            ("seed", 1 << 63),
        ],
    )
    def test_refusals_name_the_setting(self, name, value):
        with pytest.raises(TaskError, match=f"training.{name}: expected .*; got"):
            TrainingSettings(**{name: value})


def test_updates_are_those_of_a_loop_by_hand(tmp_path):
    """AdamW on the mean over all tokens of two batches, its norm cut, at the scheduled rate."""
    sets = ("dropout=0", "accumulate=2", "updates=5", "check_every=5", "clip=0.5", "weight_decay=0.1")
    found = train(tmp_path / "run", *sets).model
    task, own = Reversing(), ReversingSettings(dropout=0)
    settings = Settings.read(task, tmp_path / "run" / "config.yaml").training
    torch.manual_seed(settings.seed)
    model = task.build(None, own).double()
    decaying = [each for each in model.parameters() if each.ndim > 1]
    others = [each for each in model.parameters() if each.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": decaying, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}],
        betas=settings.betas,
        eps=settings.epsilon,
    )
    items = [task.features(row, None, own) for row in rows(200, 0)]
    batches = TokenBatches([task.size(item) for item in items], 64, settings.seed)
    for update in range(5):
        numbers = [*batches.whole(2 * update), *batches.whole(2 * update + 1)]
        total = task.loss(model, task.batch([items[number] for number in numbers], None), settings.label_smoothing)
        optimizer.zero_grad()
        (total.sum / total.count).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        for group in optimizer.param_groups:
            group["lr"] = rate_at(settings, update + 1)
        optimizer.step()
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(found.state_dict()[name].double(), tensor.double(), atol=1e-5, rtol=1e-4)


def test_a_seed_repeats_and_another_differs(tmp_path):
    one, two, other = (
        train(tmp_path / str(number), f"seed={seed}").model.state_dict() for number, seed in enumerate((3, 3, 4))
    )
    assert same(one, two)
    assert not same(one, other)


def test_checks_and_lines_change_nothing(tmp_path):
    """However often the model is checked, and whether it is at all, the last weights have the same bits."""
    states = []
    for name, sets, valid in (
        ("often", ("check_every=3",), True),
        ("once", ("check_every=30",), True),
        ("not", (), False),
    ):
        train(tmp_path / name, *sets, valid=valid)
        states.append(torch.load(tmp_path / name / "checkpoints" / "last.pt", weights_only=True)["weights"])
    assert same(states[0], states[1])
    assert same(states[0], states[2])


def test_training_leaves_the_random_numbers_of_its_caller(tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(tmp_path / "run", "updates=2")
    assert torch.equal(torch.rand(3), expected)


class TestFolder:
    def test_what_is_in_it(self, tmp_path):
        run = train(tmp_path / "run")
        there = {path.name for path in (tmp_path / "run").iterdir()}
        assert there == {
            *("config.yaml", "run.json", "parts", "model.safetensors", "metrics.csv", "tensorboard", "checkpoints"),
            ".lock",
        }
        assert {path.name for path in run.folder.checkpoints.iterdir()} == {"last.pt", "best.pt"}
        assert [path.name.split(".")[0] for path in (tmp_path / "run" / "tensorboard").iterdir()] == ["events"]

    def test_metrics(self, tmp_path):
        train(tmp_path / "run", "updates=60", "check_every=20")
        found = lines(tmp_path / "run")
        assert [line["update"] for line in found] == ["20", "40", "50", "60"]
        assert [line["exact"] != "" for line in found] == [True, True, False, True]
        assert [float(line["tokens"]) for line in found] == sorted(float(line["tokens"]) for line in found)
        assert float(found[-1]["loss"]) < float(found[0]["loss"])
        assert float(found[1]["rate"]) == pytest.approx(0.01 * math.sqrt(10 / 40), rel=1e-5)

    def test_the_same_stands_in_tensorboard(self, tmp_path):
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        train(tmp_path / "run")
        events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
        assert [event.step for event in events.Scalars("exact")] == [10, 20, 30]
        for line, event in zip(lines(tmp_path / "run"), events.Scalars("valid_loss"), strict=True):
            assert float(line["valid_loss"]) == pytest.approx(event.value, rel=1e-5)


@pytest.mark.parametrize("checked", [True, False])
def test_it_ends_with_a_report_of_one_row_or_says_why_not(tmp_path, checked):
    told = Console(file=io.StringIO())
    learned, valid = translating.rows(40), translating.rows(3, seed=7) if checked else None
    sets = "updates=2", "batch_tokens=99", "width=8", "layers=1", "heads=1", "hidden=8", "tokenizer=words"
    for attention, there in (("dot", True), ("linear", False)):
        settings = Settings.read(translating.TASK, None, [*sets, f"source_attention={attention}"])
        with RunFolder.take(tmp_path / "run", force=not there) as folder:
            fit.fit(translating.TASK, settings, learned, valid, folder, console=told)
        assert folder.report.exists() == there
        line = told.file.getvalue().splitlines()[-1]
        if there:
            first = (valid or learned)[0]["source"]
            assert f"read: {first}" in folder.report.read_text(encoding="utf-8")
            assert line == f"wrote {folder.report}, what it attends to in one row"
        else:
            assert line.startswith(f"{folder.report} could not be drawn: expected a model whose attention")


class Told(Reversing):
    """The task with scores that are told."""

    told = ()

    def score(self, answers, rows, settings):
        self.calls = getattr(self, "calls", 0) + 1
        return Scores({"exact": self.told[self.calls - 1]})


class TestBest:
    def test_the_first_metric_decides(self, tmp_path):
        task = Told()
        task.told = (1.0, 5.0, 5.0)
        run = train(tmp_path / "run", "keep=3", task=task)
        assert run.folder.facts["finished"] == pytest.approx(
            {"weights": "update 20", "update": 30, "seconds": run.folder.facts["finished"]["seconds"], "best": 5.0}
        )
        second = read_weights(run.folder.checkpoints / "weights-00000020.safetensors")
        assert same(second, read_weights(run.folder.weights))
        assert same(second, torch.load(run.folder.best, weights_only=True)["weights"])

    def test_patience_ends_a_training_without_gain(self, tmp_path):
        task = Told()
        task.told = (3.0, 1.0, float("nan"))
        run = train(tmp_path / "run", "updates=1000", "patience=2", task=task)
        assert run.folder.facts["finished"]["update"] == 30

    @pytest.mark.parametrize(("score", "weights"), [(3.0, "average of the last 2 checks"), (2.0, "update 30")])
    def test_the_average_is_taken_where_it_is_no_worse(self, tmp_path, score, weights):
        task = Told()
        task.told = (1.0, 2.0, 3.0, score)
        run = train(tmp_path / "run", "average=2", task=task)
        assert run.folder.facts["finished"]["weights"] == weights
        files = sorted(run.folder.checkpoints.glob("weights-*"))
        assert [file.stem for file in files] == ["weights-00000020", "weights-00000030"]
        one, two = map(read_weights, files)
        for name, tensor in read_weights(run.folder.weights).items():
            mean = ((one[name].double() + two[name].double()) / 2).to(tensor.dtype)
            assert torch.equal(tensor, mean if score == 3 else two[name])

    def test_where_no_check_is_a_number_the_last_are_taken_and_said_to_be(self, tmp_path):
        task, stream = Told(), io.StringIO()
        task.told = (math.nan,) * 3
        run = train(tmp_path / "run", task=task, console=Console(file=stream))
        last = torch.load(run.folder.last, weights_only=True)["weights"]
        assert same(last, read_weights(run.folder.weights))
        assert "weights: update 30, the last, as no check could be compared" in stream.getvalue()
        assert run.folder.facts["finished"]["best"] is None

    def test_without_a_validation_side_the_last_are_the_best(self, tmp_path):
        run = train(tmp_path / "run", valid=False)
        last = torch.load(run.folder.last, weights_only=True)["weights"]
        assert same(last, read_weights(run.folder.weights))
        assert lines(tmp_path / "run")[-1]["exact"] == ""

    def test_a_score_that_lacks_is_named(self, tmp_path):
        class Lacking(Reversing):
            def score(self, answers, rows, settings):
                return Scores({})

        with pytest.raises(TaskError, match="expected a score for 'exact'"):
            train(tmp_path / "run", task=Lacking())


def test_minutes_end_a_training_with_a_check(tmp_path):
    run = train(tmp_path / "run", "updates=100000", "minutes=1e-9")
    assert run.folder.facts["finished"]["update"] == 1
    assert lines(tmp_path / "run")[0]["exact"] != ""


def test_a_loss_that_is_no_longer_finite_is_said_and_not_saved(tmp_path):
    class Astray(Reversing):
        def loss(self, model, batch, label_smoothing):
            total = super().loss(model, batch, label_smoothing)
            return type(total)(total.sum * math.nan, total.count)

    with pytest.raises(TaskError, match=r"the loss is nan on the validation side.*training.rate"):
        train(tmp_path / "run", task=Astray())
    with pytest.raises(TaskError, match=r"no weights are there.*--resume"):
        load_run(tmp_path / "run")


def test_a_model_that_went_astray_is_said_by_its_check(tmp_path):
    with pytest.raises(TaskError, match=r"the loss is \w+ on the validation side: training went astray.*rate"):
        train(tmp_path / "run", "rate=1e30", "warmup=0", "clip=0", "updates=1")


class TestInterrupts:
    def test_what_was_learned_before_the_first_check_can_be_used(self, tmp_path, monkeypatch):
        calls = []

        def loss(*given):
            calls.append(given)
            if len(calls) in (5, 8):
                os.kill(os.getpid(), signal.SIGTERM)
            return before(*given)

        before = Reversing.loss
        monkeypatch.setattr(Reversing, "loss", loss)
        for resume, update in ((False, 5), (True, 8)):
            with pytest.raises(SystemExit):
                train(tmp_path / "run", "average=2", resume=resume)
            run = load_run(tmp_path / "run")
            stored = torch.load(run.folder.last, weights_only=True)
            assert stored["state"]["update"] == update
            assert same(stored["weights"], weights_of(run.model))
            assert len(list(run.predict(["12"]))) == 1
        ended = train(tmp_path / "run", "average=2", "updates=8", resume=True)
        assert ended.folder.facts["finished"]["weights"] == "update 8"
        train(tmp_path / "run", "average=2", resume=True)
        train(tmp_path / "whole", "average=2")
        one, two = (tmp_path / name / "model.safetensors" for name in ("run", "whole"))
        assert one.read_bytes() == two.read_bytes()

    def test_a_signal_after_the_last_update_is_not_lost(self):
        def ending():
            with Interrupts() as interrupts:
                interrupts.deferred = True
                os.kill(os.getpid(), signal.SIGTERM)

        with pytest.raises(SystemExit, match="143"):
            ending()


def test_bfloat16_learns_other_bits_and_keeps_float32_weights(tmp_path):
    one = train(tmp_path / "one", "precision=bfloat16").model
    two = train(tmp_path / "two").model
    assert not same(one.state_dict(), two.state_dict())
    assert {each.dtype for each in one.parameters()} == {torch.float32}


def test_vectors_do_not_decay():
    model = nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3))
    groups = make_optimizer(model, TrainingSettings(weight_decay=0.1)).param_groups
    assert [[each.ndim for each in group["params"]] for group in groups] == [[2], [1, 1, 1]]
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]


def test_training_speaks_only_where_it_is_told_to(tmp_path, capfd, caplog):
    train(tmp_path / "run")
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


class TestProgress:
    @pytest.fixture
    def clock(self, monkeypatch):
        clock = SimpleNamespace(now=0.0)
        monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: clock.now))
        return clock

    def test_lines_know_the_speed_of_late_updates_and_checks(self, clock):
        """Five slow updates of 4 s are left out; then one takes 1 s, and a check after each tenth takes 10 s."""
        stream = io.StringIO()
        told = progress.progress_on(Console(file=stream), 1000, 0)
        for update in range(1, 200):
            clock.now += 4 if update <= 5 else 1
            if told.due(update, 100 * update):
                told.tell(update, 100 * update, 1.5)
            clock.now += 10 if update % 10 == 0 else 0
        first, *_, last = stream.getvalue().splitlines()
        update = int(last.split()[1])
        assert "tokens/s" in first
        assert "..." not in stream.getvalue()
        minutes, seconds = last.split(", ")[-1].removesuffix(" left").split(":")
        assert 60 * int(minutes) + int(seconds) == pytest.approx(2 * (1000 - update), rel=0.1)

    def test_a_first_line_without_a_speed_says_none(self, clock):
        stream = io.StringIO()
        told = progress.progress_on(Console(file=stream), 1000, 0)
        clock.now = 31
        assert told.due(1, 100)
        told.tell(1, 100, 1.5)
        assert stream.getvalue() == "update 1 of 1000: loss 1.500\n"

    def test_losses_that_are_told_are_means_since_the_last_time(self, tmp_path, monkeypatch):
        """However often lines of metrics begin a new sum, what is told has the mean of all updates between."""

        class Every(progress.LineProgress):
            losses, every = [], 0.0

            def due(self, update, tokens):
                return update % 7 == 0

            def tell(self, update, tokens, loss):
                self.losses.append(loss)

        class Fixed(Reversing):
            def loss(self, model, batch, label_smoothing):
                total = super().loss(model, batch, label_smoothing)
                Fixed.calls += model.training
                return type(total)(total.sum * 0 + total.count * Fixed.calls, total.count)

            calls = 0

        monkeypatch.setattr(fit, "progress_on", lambda console, updates, done: Every(updates, console))
        settings = ("updates=63", "check_every=25")
        train(tmp_path / "run", *settings, task=Fixed(), console=Console(file=io.StringIO()))
        assert Every.losses == pytest.approx([7 * n + 4 for n in range(9)], rel=0.1, abs=0.3)


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_says_losses_scores_and_the_choice(tmp_path, terminal):
    stream = io.StringIO()
    train(tmp_path / "run", console=Console(file=stream, force_terminal=terminal, width=100))
    said = stream.getvalue()
    assert "update 10: loss " in said
    assert "exact " in said
    assert "weights: update " in said
    assert ("30/30" in said) == terminal
    assert ("\x1b[" in said) == terminal


@pytest.mark.parametrize("wrong", [1, [0.5], "ab", [1, None], [1 << 63], None])
def test_features_that_are_no_lists_of_whole_numbers_are_told(tmp_path, wrong):
    rows = [{"label": [1]}, {"label": wrong}]
    with pytest.raises(TaskError, match="a list of whole numbers as 'label', a list of one for a label; got"):
        Examples(rows, lambda row: row, len, tmp_path)
    assert not list(tmp_path.iterdir())
