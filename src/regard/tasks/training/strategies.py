"""How processes share the work, as Lightning's strategies, and what is different where weights are shared out."""

from typing import Any

import lightning.pytorch as lightning
import torch
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy, Strategy
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.optim import Optimizer

from regard.tasks.training.processes import Processes
from regard.tasks.training.settings import TrainingSettings
from regard.tasks.training.weights import put_weights, weights_of

_WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)


def strategy_of(settings: TrainingSettings, processes: Processes) -> Strategy | str:
    """Return Lightning's strategy: none for one process; several have whole models unless shares are asked for."""
    if processes.size == 1:
        return "auto"
    if settings.strategy == "fsdp":
        return ModelParallelStrategy(processes.size, 1, save_distributed_checkpoint=False)
    return DDPStrategy(gradient_as_bucket_view=True)


def share_out(module: nn.Module, mesh: DeviceMesh) -> None:
    """Give each process its share of the weights: of each layer in a list, and of all the rest together."""
    for group in [each for each in module.modules() if isinstance(each, nn.ModuleList)]:
        for layer in group:
            fully_shard(layer, mesh=mesh)
    fully_shard(module, mesh=mesh)


def whole_model(module: nn.Module, bare: nn.Module | None, device: torch.device) -> nn.Module:
    """Return a model that computes without the other processes.

    Args:
        module: what is trained, around a model.
        bare: a copy of the model from before its weights were shared out; None where they are not.
        device: where it is to compute.
    """
    if bare is None:
        return module.get_submodule("model")
    whole: dict[str, Any] = get_model_state_dict(module, options=StateDictOptions(full_state_dict=True))
    put_weights(bare, {name: whole[f"model.{name}"] for name in weights_of(bare)}, "the model that is trained")
    return bare.to(device)


def scale(gradients: list[torch.Tensor], factor: float, clip: float) -> None:
    """Multiply gradients by a factor, and then cut them to a norm if that is not 0."""
    if not clip:
        torch._foreach_mul_(gradients, factor)
        return
    norm = nn.utils.get_total_norm(gradients) * factor
    whole = getattr(norm, "full_tensor", None)
    shrink = (clip / ((norm if whole is None else whole()) + 1e-6)).clamp(max=1.0) * factor
    # On the device, where weights are whole: nothing waits for it.
    torch._foreach_mul_(gradients, shrink if whole is None else float(shrink))


def optimizer_state(trainer: lightning.Trainer, module: nn.Module, optimizer: Optimizer) -> dict[str, Any]:
    """Return the whole state of an optimizer; where weights are shared out, only on the first process."""
    if isinstance(module, FSDPModule):
        return get_optimizer_state_dict(module, optimizer, options=_WHOLE)
    return trainer.strategy.optimizer_state(optimizer)


def load_optimizer(module: nn.Module, optimizer: Optimizer, stored: dict[str, Any]) -> None:
    """Give an optimizer the state that was saved, or this process's share of it."""
    if isinstance(module, FSDPModule):
        set_optimizer_state_dict(module, optimizer, stored, options=StateDictOptions(full_state_dict=True))
    else:
        optimizer.load_state_dict(stored)
