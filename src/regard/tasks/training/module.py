"""Any task's model as Lightning trains it."""

import copy
from collections.abc import Callable
from typing import Any, cast

import lightning.pytorch as lightning
import numpy as np
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule
from torch.optim import Optimizer

from regard.tasks.contract import Task
from regard.tasks.training.feeding import Portion
from regard.tasks.training.optimizer import make_optimizer
from regard.tasks.training.processes import Processes
from regard.tasks.training.randomness import seed
from regard.tasks.training.schedule import rate_at
from regard.tasks.training.settings import TrainingSettings
from regard.tasks.training.state import State
from regard.tasks.training.strategies import load_optimizer, scale, share_out


class TaskModule(lightning.LightningModule):
    """Makes updates whose loss is the sum over the whole batch, of all processes, divided by its whole count.

    What an update draws is a function of seed, update and process, so it does not matter what was drawn before.

    Attributes:
        model: the model.
        state: what is counted; `state.update` is how many updates were made.
        bare: a copy of the model, no part of this module, where the weights are shared out.
        flags: asked at each update what this process has to say; all of them must ask for as many numbers.
        flagged: the sums over all processes of what they said at the last update.
    """

    bare: nn.Module | None

    def __init__(
        self,
        task: Task[Any, Any],
        model: nn.Module,
        settings: TrainingSettings,
        processes: Processes,
        state: State,
        optimizer: dict[str, Any] | None = None,
    ) -> None:
        """Prepare the updates.

        Args:
            task: has the loss.
            model: of the task.
            settings: of training.
            processes: who share a batch.
            state: counts the updates that were made, and those to come.
            optimizer: the state in which the optimizer goes on. Default: it begins.
        """
        super().__init__()
        self.model = model
        self.state = state
        self.flags: Callable[[], list[float]] = list
        self.flagged: list[float] = []
        self._task, self._settings, self._processes = task, settings, processes
        shared = settings.strategy == "fsdp" and processes.size > 1
        self.__dict__["bare"] = copy.deepcopy(model) if shared else None
        self._stored = optimizer
        self._portion = 0
        self._count = self._tokens = 0.0
        self._loss: Tensor | None = None

    def configure_optimizers(self) -> Optimizer:
        """Return the optimizer, in the state in which it was saved if it was."""
        optimizer = make_optimizer(self, self._settings)
        if self._stored is not None:
            load_optimizer(self, optimizer, self._stored)
            self._stored = None
        return optimizer

    def configure_model(self) -> None:
        """Share the weights out, where that is asked for."""
        if self.bare is not None and not isinstance(self, FSDPModule):
            share_out(self, cast(DeviceMesh, self.device_mesh)["data_parallel"])

    def training_step(self, portion: Portion) -> Tensor:
        """Return the loss of one portion; weights that are shared out are gathered as a module is called."""
        return cast(Tensor, self(Portion(*portion)))

    def forward(self, portion: Portion) -> Tensor:
        """Return the sum of the losses of one portion; it is divided when the whole count is known."""
        words = [self._settings.seed, self.state.update, self._portion, self._processes.rank]
        seed(int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0]), self.device)
        self._portion += 1
        total = self._task.loss(self.model, portion.batch, self._settings.label_smoothing)
        if not portion.counts:
            return total.sum * 0
        self._count += total.count
        self._tokens += portion.tokens
        loss = total.sum.detach().float()
        self._loss = loss if self._loss is None else self._loss + loss
        return total.sum

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Divide the gradients by the count of the whole update, cut them to a norm, and set the rate."""
        settings, state = self._settings, self.state
        count, tokens, *self.flagged = self._processes.sums([self._count, self._tokens, *self.flags()])
        # Lightning divides by the number of batches, and the strategy by the number of processes.
        gradients = [each.grad for each in self.parameters() if each.grad is not None]
        scale(gradients, settings.accumulate * self._processes.size / max(count, 1.0), settings.clip)
        state.update += 1
        state.tokens += int(tokens)
        state.count += self._count
        if self._loss is not None:
            state.loss += self._loss.double()
        self._portion, self._count, self._tokens, self._loss = 0, 0.0, 0.0, None
        for group in optimizer.param_groups:
            group["lr"] = rate_at(settings, state.update)

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Optimizer) -> None:
        """Forget the gradients of the last update."""
        optimizer.zero_grad(set_to_none=True)

    @property
    def plain(self) -> Optimizer:
        """The optimizer without what Lightning puts around it."""
        return cast(Optimizer, self.optimizers(use_pl_optimizer=False))
