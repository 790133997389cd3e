"""Training, from rows to the best weights in a run's folder."""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import lightning.pytorch as lightning
import torch
from rich.console import Console
from torch import nn

from regard.errors import TaskError
from regard.tasks.contract import Parts, Row, Task
from regard.tasks.run import Run
from regard.tasks.settings import Settings
from regard.tasks.training.checking import Check
from regard.tasks.training.drawing import draw
from regard.tasks.training.examples import Examples
from regard.tasks.training.feeding import Feed
from regard.tasks.training.finishing import finish
from regard.tasks.training.folder import RunFolder
from regard.tasks.training.interrupts import Interrupts
from regard.tasks.training.metrics import Metrics
from regard.tasks.training.module import TaskModule
from regard.tasks.training.precision import keep_few_shapes
from regard.tasks.training.processes import Processes, processes, together
from regard.tasks.training.progress import progress_on
from regard.tasks.training.randomness import seed
from regard.tasks.training.resuming import begin, compare, mend_weights, stored_state
from regard.tasks.training.state import State
from regard.tasks.training.steering import Steering
from regard.tasks.training.strategies import strategy_of
from regard.tasks.training.weights import put_weights, weights_of

# Lightning speaks of itself under these names.
_CHATTER = ("lightning.pytorch", "lightning.fabric", "lightning")


def fit(
    task: Task[Any, Any],
    settings: Settings[Any],
    train: Sequence[Row],
    valid: Sequence[Row] | None,
    folder: RunFolder,
    *,
    named: Mapping[str, str] | None = None,
    console: Console | None = None,
) -> Run:
    """Train a model in a folder, or go on with the training there, and return it with the best weights.

    It ends with a report in the folder: what the best weights attend to in the first row on which they are checked,
    or from which they learned where there is none. Where that cannot be drawn, only the console is told.

    A training that goes on ends with the same bits as one that nothing interrupted, on the same machine and with as
    many processes. The first metric on the validation side decides which weights are the best; without that side,
    they are the last.

    Args:
        task: what is learned.
        settings: of task and training; where training goes on, only those in `MAY_CHANGE` may differ from before.
        train: rows to learn from.
        valid: rows to check on. Default: none.
        folder: taken by `RunFolder.take`.
        named: what the names of the training files said, as `Table.named` has it; `Run.evaluate` goes by it.
        console: where progress is told; a bar on a terminal, else lines. Default: nowhere.

    Raises:
        TaskError: there are no rows, settings or rows differ from those that training began with, or the loss is no
            longer finite.
        KeyboardInterrupt: Ctrl-C; the state is saved.
        SystemExit: SIGTERM, with exit code 143; the state is saved.
    """
    this = processes()
    told = console if this.first else None
    keep_few_shapes(settings.training)
    with torch.random.fork_rng(_devices(this)):
        with together(settings.training) as joined:
            run = _Training(task, settings, folder, joined, told).run(train, valid, named)
        if this.first:
            draw(run, (valid or train)[0], told)
    return run


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

    def run(self, train: Sequence[Row], valid: Sequence[Row] | None, named: Mapping[str, str] | None) -> Run:
        task, settings, folder, processes = self.task, self.settings, self.folder, self.processes
        processes.on_first(lambda: begin(task, settings, train, folder))
        processes.on_first(lambda: mend_weights(folder))
        self.parts: Parts = task.load_parts(folder.parts)
        examples = self._examples("training", train)
        checked = None if valid is None else self._examples("validation", valid)
        processes.on_first(
            lambda: compare(
                folder, training=examples.digest, validation=None if checked is None else checked.digest
            )
        )
        if named is not None and processes.first:
            folder.note(named=dict(named))
        self.check = None
        if valid is not None and checked is not None:
            self.check = Check(task, self.parts, settings.task, settings.training, checked, valid, processes)
        state = self._train(examples)
        model = self._fresh().to(processes.device)
        chosen = finish(model, settings.training, state, self.check, folder, processes)
        if self.console is not None:
            self.console.print(f"weights: {chosen}", markup=False, highlight=False, soft_wrap=True)
        return Run(task, settings, self.parts, model.eval(), folder)

    def _examples(self, side: str, rows: Sequence[Row]) -> Examples:
        examples = Examples(
            rows,
            lambda row: self.task.features(row, self.parts, self.settings.task),
            self.task.size,
            self.folder.path,
        )
        if not len(examples):
            raise TaskError(f"expected rows on the {side} side; got none")
        return examples

    def _fresh(self) -> nn.Module:
        seed(self.settings.training.seed, torch.device("cpu"))
        return self.task.build(self.parts, self.settings.task)

    def _ended(self, state: State) -> bool:
        training = self.settings.training
        return (
            state.update >= training.updates
            or 0 < training.patience <= state.gainless
            or 0 < 60 * training.minutes <= state.seconds
        )

    def _train(self, examples: Examples) -> State:
        """Make the updates that are left, and return what was counted at the end."""
        training, processes, folder = self.settings.training, self.processes, self.folder
        model, state, optimizer = self._fresh(), State(), None
        if stored := stored_state(folder):
            state, weights, optimizer = stored
            put_weights(model, weights, folder.last)
            if not processes.first:
                # The first one has the sum of all.
                state.loss, state.count = 0.0, 0.0
        if self._ended(state):
            if self.console is not None:
                told = f"training had ended with update {state.update}; to go on, raise training.updates"
                self.console.print(told, markup=False, highlight=False, soft_wrap=True)
            return state
        module = TaskModule(self.task, model, training, processes, state, optimizer)
        feed = Feed(self.task, self.parts, examples, training, processes, state.update)
        names = tuple(weights_of(model))
        progress = progress_on(self.console, training.updates, state.update)
        metrics = Metrics(folder.path, self.task.metrics, state.update) if processes.first else None
        try:
            with Interrupts() as interrupts, _quiet():
                steering = Steering(training, folder, processes, self.check, metrics, progress, interrupts, names)
                module.flags = steering.flags
                self._trainer(steering, training.updates - state.update).fit(module, feed)
        finally:
            progress.close()
            if metrics is not None:
                metrics.close()
        return state

    def _trainer(self, steering: Steering, updates: int) -> lightning.Trainer:
        training, processes = self.settings.training, self.processes
        return lightning.Trainer(
            accelerator="gpu" if processes.device.type == "cuda" else "cpu",
            devices=processes.here,
            num_nodes=processes.size // processes.here,
            strategy=strategy_of(training, processes),
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
