"""What happens after each update: metrics, checks, saving, and the end."""

import math
import os
import shutil
import time
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as lightning
from torch import Tensor

from regard.tasks.training.checking import Check, Checked, finite
from regard.tasks.training.folder import RunFolder
from regard.tasks.training.interrupts import Interrupted, Interrupts
from regard.tasks.training.metrics import Metrics
from regard.tasks.training.module import TaskModule
from regard.tasks.training.processes import Processes
from regard.tasks.training.progress import Progress
from regard.tasks.training.schedule import rate_at
from regard.tasks.training.settings import TrainingSettings
from regard.tasks.training.state import write_state
from regard.tasks.training.strategies import optimizer_state, whole_model
from regard.tasks.training.weights import write_weights

# Updates between lines of metrics.
LINE_EVERY = 50


class Steering(lightning.Callback):
    """Steers a training from update to update."""

    def __init__(
        self,
        settings: TrainingSettings,
        folder: RunFolder,
        processes: Processes,
        check: Check | None,
        metrics: Metrics | None,
        progress: Progress,
        interrupts: Interrupts,
        names: tuple[str, ...],
    ) -> None:
        """Prepare the steering.

        Args:
            settings: when to check, and when to end.
            folder: what is written lies there.
            processes: only the first one writes.
            check: the validation side, if there is one.
            metrics: what the first process writes lines to.
            progress: what is told how far it is.
            interrupts: what takes signals.
            names: of the model's weights.
        """
        self._settings, self._folder, self._processes = settings, folder, processes
        self._check, self._metrics, self._progress = check, metrics, progress
        self._interrupts, self._names = interrupts, names
        self._seen = 0
        self._since = 0.0
        # Sums of losses and counts: in the lines of metrics written so far, and in all that was told.
        self._losses = self._told = (0.0, 0.0)

    def flags(self) -> list[float]:
        """Return whether this process was told to end, and whether the time is over."""
        seconds = self._state.seconds + time.monotonic() - self._since
        limit = 60 * self._settings.minutes
        return [float(self._interrupts.received is not None), float(0 < limit <= seconds)]

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Take the signals, and make up for a check that was interrupted."""
        module = _ours(pl_module)
        self._state, self._seen, self._since = module.state, module.state.update, time.monotonic()
        self._interrupts.take()
        self._interrupts.deferred = True
        if self._state.update and self._due(self._state.update) and self._state.checked != self._state.update:
            self._checked(trainer, module)
            trainer.should_stop = self._out_of_patience()

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Do what is due after an update."""
        module, state = _ours(pl_module), self._state
        if state.update == self._seen:
            return
        self._seen = state.update
        self._tick()
        stopped, over = module.flagged
        if self._progress.due(state.update, state.tokens):
            self._tell()
        ends = bool(over) or state.update >= self._settings.updates
        due = ends or self._due(state.update)
        if state.update % LINE_EVERY == 0 and not due:
            self._line(module)
        if stopped:
            self._save(trainer, module)
            raise Interrupted
        if due:
            self._checked(trainer, module)
        if ends or self._out_of_patience():
            trainer.should_stop = True

    def _tell(self) -> None:
        """Tell the mean of the losses since the last time."""
        state = self._state
        now = (self._losses[0] + float(state.loss), self._losses[1] + state.count)
        count = now[1] - self._told[1]
        if count:
            self._progress.tell(state.update, state.tokens, (now[0] - self._told[0]) / count)
            self._told = now

    def _tick(self) -> None:
        now = time.monotonic()
        self._state.seconds += now - self._since
        self._since = now

    def _due(self, update: int) -> bool:
        return update % self._settings.check_every == 0

    def _out_of_patience(self) -> bool:
        return 0 < self._settings.patience <= self._state.gainless

    def _checked(self, trainer: lightning.Trainer, module: TaskModule) -> None:
        """Check the model, and save it; as it checks, a single process ends at once when it is told to."""
        weights = self._weights(trainer)
        if self._processes.first:
            self._keep(weights)
        found = None
        if self._check is not None:
            self._interrupts.deferred = self._processes.size > 1
            try:
                model = whole_model(module, module.bare, module.device)
                found = self._check.run(model, module.device)
            except Interrupted:
                self._interrupts.deferred = True
                self._save(trainer, module)
                raise
            self._interrupts.deferred = True
        gained = self._count(found)
        self._line(module, found)
        if gained and self._processes.first:
            write_weights(self._folder.weights, weights)
        self._save(trainer, module, weights)
        if gained and self._processes.first:
            _copy(self._folder.last, self._folder.best)

    def _count(self, found: Checked | None) -> bool:
        """Count a check, and return whether it is the best so far."""
        state = self._state
        state.checked = state.update
        value = None if found is None else found.worth
        gained = value is None or (not math.isnan(value) and (state.best is None or value > state.best))
        if gained:
            state.best, state.best_update, state.gainless = value, state.update, 0
        else:
            state.gainless += 1
        return gained

    def _line(self, module: TaskModule, found: Checked | None = None) -> None:
        """Write a line of metrics."""
        state = self._state
        loss, count = self._processes.sums([float(state.loss), state.count])
        mean = finite(loss / max(count, 1.0), f"by update {state.update}")
        values = {} if found is None else found.values
        if self._metrics is not None:
            self._metrics.write(
                update=state.update,
                seconds=state.seconds,
                tokens=state.tokens,
                loss=mean,
                rate=rate_at(self._settings, state.update),
                **values,
            )
        if found is not None:
            best = " (best)" if state.best_update == state.update else ""
            self._progress.checked(state.update, f"loss {mean:.3f}, {told(found)}{best}")
        self._losses = (self._losses[0] + float(state.loss), self._losses[1] + state.count)
        state.loss, state.count = 0.0, 0.0

    def _weights(self, trainer: lightning.Trainer) -> dict[str, Tensor]:
        """Return the whole weights; where they are sharded, only on the first process."""
        whole = trainer.strategy.lightning_module_state_dict()
        return {name: whole[f"model.{name}"] for name in self._names} if whole else {}

    def _keep(self, weights: dict[str, Tensor]) -> None:
        """Write the weights of this check for the average, and delete those that are no longer needed."""
        kept = max(self._settings.keep, self._settings.average)
        if kept:
            write_weights(self._folder.checkpoints / f"weights-{self._state.update:08}.safetensors", weights)
        there = checks_in(self._folder)
        # Those of later updates were made by a sitting that did not come to save its state.
        late = [path for path in there if update_of(path) > self._state.update]
        for path in [*late, *[each for each in there if each not in late][: -kept or None]]:
            path.unlink()

    def _save(
        self, trainer: lightning.Trainer, module: TaskModule, weights: dict[str, Tensor] | None = None
    ) -> None:
        self._tick()
        weights = self._weights(trainer) if weights is None else weights
        optimizer = optimizer_state(trainer, module, module.plain)
        state = self._state
        # One process's file holds the sum of all.
        loss, count = self._processes.sums([float(state.loss), state.count])
        state.loss, state.count = (loss, count) if self._processes.first else (0.0, 0.0)
        if self._processes.first:
            write_state(self._folder.last, state, weights, optimizer)
            if not state.best_update:
                # Better than none, for whoever loads the run before a check found which are good.
                write_weights(self._folder.weights, weights)


def told(found: Checked) -> str:
    """Return what a check found, in a line."""
    return ", ".join(f"{name} {value:.4g}" for name, value in found.values.items())


def checks_in(folder: RunFolder) -> list[Path]:
    """Return the weights of the checks that are kept, oldest first."""
    return sorted(folder.checkpoints.glob("weights-*.safetensors"))


def update_of(path: Path) -> int:
    """Return after which update the weights of a check were kept."""
    return int(path.stem.split("-")[1])


def _copy(source: Path, aim: Path) -> None:
    """Put a file in place under a second name, without copying it where that is possible."""
    part = aim.with_name(f".{aim.name}.part")
    part.unlink(missing_ok=True)
    try:
        os.link(source, part)
    except OSError:
        shutil.copyfile(source, part)
    part.replace(aim)


def _ours(module: lightning.LightningModule) -> TaskModule:
    return cast(TaskModule, module)
