"""Training, from rows to the best weights in a run's folder."""

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import lightning.pytorch as lightning
import torch
from rich.console import Console
from torch import Tensor, nn

from regard.errors import RegardError, TaskError
from regard.tasks.contract import Parts, Row, Task
from regard.tasks.run import Run
from regard.tasks.settings import Settings
from regard.tasks.training.checking import Check
from regard.tasks.training.examples import Examples
from regard.tasks.training.feeding import Feed
from regard.tasks.training.folder import RunFolder
from regard.tasks.training.interrupts import Interrupts
from regard.tasks.training.metrics import Metrics
from regard.tasks.training.module import TaskModule
from regard.tasks.training.processes import Processes, together
from regard.tasks.training.progress import progress_on
from regard.tasks.training.randomness import seed
from regard.tasks.training.resuming import differing
from regard.tasks.training.state import State, read_state
from regard.tasks.training.steering import Steering, checks_in, told
from regard.tasks.training.strategies import strategy_of
from regard.tasks.training.weights import average, put_weights, read_weights, weights_of, write_weights

# Lightning speaks of itself under these names.
_CHATTER = ("lightning.pytorch", "lightning.fabric", "lightning")


def fit(
    task: Task[Any, Any],
    settings: Settings[Any],
    train: Sequence[Row],
    valid: Sequence[Row] | None,
    folder: RunFolder,
    *,
    console: Console | None = None,
) -> Run:
    """Train a model in a folder, or go on with the training there, and return it with the best weights.

    A training that goes on ends with the same bits as one that nothing interrupted, on the same machine and with as
    many processes. The first metric on the validation side decides which weights are the best; without that side,
    they are the last.

    Args:
        task: what is learned.
        settings: of task and training; where training goes on, only those in `MAY_CHANGE` may differ from before.
        train: rows to learn from.
        valid: rows to check on. Default: none.
        folder: taken by `RunFolder.take`.
        console: where progress is told; a bar on a terminal, else lines. Default: nowhere.

    Raises:
        TaskError: there are no rows, settings or rows differ from those that training began with, or the loss is no
            longer finite.
        KeyboardInterrupt: Ctrl-C; the state is saved.
        SystemExit: SIGTERM, with exit code 143; the state is saved.
    """
    with together(settings.training) as processes, torch.random.fork_rng(_devices(processes)):
        training = _Training(task, settings, folder, processes, console if processes.first else None)
        return training.run(train, valid)


class _Training:
    """One call of `fit`."""

    def __init__(
        self,
        task: Task[Any, Any],
        settings: Settings[Any],
        folder: RunFolder,
        processes: Processes,
        console: Console | None,
    ) -> None:
        self.task, self.settings, self.folder = task, settings, folder
        self.processes, self.console = processes, console

    def run(self, train: Sequence[Row], valid: Sequence[Row] | None) -> Run:
        self._on_first(lambda: self._prepare(train))
        self.parts: Parts = self.task.load_parts(self.folder.parts)
        examples = self._examples("train", train)
        self.check = None
        if valid is not None:
            inside = self._examples("valid", valid)
            self.check = Check(
                self.task, self.parts, self.settings.task, self.settings.training, inside, valid, self.processes
            )
        self._on_first(lambda: self._compare(train=examples.digest, valid=inside.digest if self.check else None))
        model = self._fresh()
        state, optimizer = self._stored(model)
        if not self._ended(state):
            self._train(model, state, optimizer, examples)
        return self._finish(state)

    def _on_first(self, act: Callable[[], None]) -> None:
        """Do something on the first process; all go on when it is done, or none."""
        error = None
        if self.processes.first:
            try:
                act()
            except RegardError as caught:
                error = caught
        (failed,) = self.processes.sums([float(error is not None)])
        if error is not None:
            raise error
        if failed:
            raise TaskError("the first process cannot go on; see its message")

    def _prepare(self, train: Sequence[Row]) -> None:
        """Write what stands at the beginning of a run, or see that it is the same."""
        folder, task = self.folder, self.task
        if folder.resuming and folder.config.exists():
            stored: Settings[Any] = Settings.read(task, folder.config)
            if differences := differing(stored, self.settings):
                raise TaskError(f"{folder.path}: expected the settings it began with; got {differences}")
        if not folder.parts.exists():
            if not len(train):
                raise TaskError("expected rows to train on; got none")
            folder.save_parts(task.fit(train, self.settings.task).save)
        self.settings.write(folder.config)
        folder.note(task=f"{type(task).__module__}:{type(task).__qualname__}", finished=None)

    def _compare(self, **digests: str | None) -> None:
        """See that the rows are those that training began with."""
        for side, digest in digests.items():
            if self.folder.resuming and self.folder.facts.get(side, digest) != digest:
                raise TaskError(
                    f"{self.folder.path}: expected the rows it began with on the side to {side}; got others. "
                    "Resume with the same files, or train in another folder"
                )
        self.folder.note(**digests)

    def _examples(self, side: str, rows: Sequence[Row]) -> Examples:
        examples = Examples(
            rows,
            lambda row: self.task.features(row, self.parts, self.settings.task),
            self.task.size,
            self.folder.path,
        )
        if not len(examples):
            raise TaskError(f"expected rows to {side}; got none")
        return examples

    def _fresh(self) -> nn.Module:
        seed(self.settings.training.seed, torch.device("cpu"))
        return self.task.build(self.parts, self.settings.task)

    def _stored(self, model: nn.Module) -> tuple[State, dict[str, Any] | None]:
        """Return the state that was saved, and give the model its weights; a new state where none was."""
        if not (self.folder.resuming and self.folder.last.exists()):
            return State(), None
        state, weights, optimizer = read_state(self.folder.last)
        put_weights(model, weights, self.folder.last)
        if not self.processes.first:
            state.loss, state.count = 0.0, 0.0
        return state, optimizer

    def _ended(self, state: State) -> bool:
        training = self.settings.training
        return (
            state.update >= training.updates
            or 0 < training.patience <= state.gainless
            or 0 < 60 * training.minutes <= state.seconds
        )

    def _train(self, model: nn.Module, state: State, optimizer: dict[str, Any] | None, examples: Examples) -> None:
        training, processes = self.settings.training, self.processes
        module = TaskModule(self.task, model, training, processes, state)
        if optimizer is not None:
            module.begin_with(optimizer)
        metrics = None
        if processes.first:
            for path in checks_in(self.folder):
                if int(path.stem.split("-")[1]) > state.update:
                    path.unlink()
            metrics = Metrics(self.folder.path, self.task.metrics, state.update)
        progress = progress_on(self.console, training.updates, state.update)
        names = tuple(weights_of(model))
        try:
            with Interrupts() as interrupts, _quiet():
                steering = Steering(
                    training, self.folder, processes, self.check, metrics, progress, interrupts, names
                )
                module.flags = steering.flags
                feed = Feed(self.task, self.parts, examples, training, processes, state.update)
                self._trainer(steering, model, training.updates - state.update).fit(module, feed)
        finally:
            progress.close()
            if metrics is not None:
                metrics.close()

    def _trainer(self, steering: Steering, model: nn.Module, updates: int) -> lightning.Trainer:
        training, processes = self.settings.training, self.processes
        return lightning.Trainer(
            accelerator="gpu" if processes.device.type == "cuda" else "cpu",
            devices=processes.here,
            num_nodes=processes.size // processes.here,
            strategy=strategy_of(training, processes, model),
            precision="bf16-mixed" if training.precision == "bfloat16" else "32-true",
            max_epochs=-1,
            max_steps=updates,
            accumulate_grad_batches=training.accumulate,
            callbacks=[steering],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            default_root_dir=self.folder.path,
        )

    def _finish(self, state: State) -> Run:
        """Choose among the best weights, those of a last check that was cut off, and the average."""
        model, folder = self._fresh().to(self.processes.device), self.folder
        best, chosen, found = state.best, f"update {state.best_update}", None
        for name, weights in self._candidates(state):
            put_weights(model, weights, folder.checkpoints)
            checked = self.check.run(model, self.processes.device) if self.check else None
            if checked is None or best is None or checked.worth >= best:
                best, chosen, found = checked.worth if checked else None, name, checked
                if self.processes.first:
                    write_weights(folder.weights, weights)
        if self.processes.first:
            folder.note(
                finished={"weights": chosen, "update": state.update, "seconds": state.seconds, "best": best}
            )
        self.processes.wait()
        put_weights(model, read_weights(folder.weights), folder.weights)
        if self.console is not None:
            line = f"weights: {chosen}" + (f": {told(found)}" if found else "")
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)
        return Run(self.task, self.settings, self.parts, model.eval(), folder)

    def _candidates(self, state: State) -> Iterator[tuple[str, dict[str, Tensor]]]:
        if state.checked != state.update:
            yield f"update {state.update}", read_state(self.folder.last)[1]
        paths = checks_in(self.folder)[-self.settings.training.average :]
        if min(len(paths), self.settings.training.average) > 1:
            yield f"average of the last {len(paths)} checks", average(paths)


def _devices(processes: Processes) -> list[int]:
    return [] if processes.device.index is None else [processes.device.index]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning from speaking of itself."""
    loggers = [logging.getLogger(name) for name in _CHATTER]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\..*")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
