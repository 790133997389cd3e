"""How processes share the work, as Lightning's strategies, and what is different where weights are shared out."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from lightning.pytorch.strategies import DDPStrategy, FSDPStrategy, Strategy
from torch import nn
from torch.distributed.fsdp import (
    FullOptimStateDictConfig,
    FullStateDictConfig,
    FullyShardedDataParallel,
    OptimStateKeyType,
    StateDictType,
)
from torch.distributed.fsdp.wrap import ModuleWrapPolicy
from torch.optim import Optimizer

from regard.tasks.training.processes import Processes
from regard.tasks.training.settings import TrainingSettings


class _Sharded(FSDPStrategy):
    """FSDP with whole files; a class of its own, since Lightning refuses its own on CPUs, where it works by gloo."""


def strategy_of(settings: TrainingSettings, processes: Processes, model: nn.Module) -> Strategy | str:
    """Return Lightning's strategy: one process needs none, several have whole models unless shares are asked for."""
    if processes.size == 1:
        return "auto"
    if settings.strategy != "fsdp":
        return DDPStrategy(gradient_as_bucket_view=True)
    layers = {type(each) for group in model.modules() if isinstance(group, nn.ModuleList) for each in group}
    return _Sharded(auto_wrap_policy=ModuleWrapPolicy(layers) if layers else None, state_dict_type="full")


def whole_weights(root: nn.Module | None) -> AbstractContextManager[Any]:
    """Return the context in which every process has the whole weights of a model."""
    if isinstance(root, FullyShardedDataParallel):
        return FullyShardedDataParallel.summon_full_params(root, writeback=False)
    return nullcontext()


def load_optimizer(root: nn.Module | None, optimizer: Optimizer, stored: dict[str, Any]) -> None:
    """Give an optimizer the state that was saved, or this process's share of it."""
    if isinstance(root, FullyShardedDataParallel):
        kinds = FullStateDictConfig(), FullOptimStateDictConfig(rank0_only=False)
        with FullyShardedDataParallel.state_dict_type(root, StateDictType.FULL_STATE_DICT, *kinds):
            named = FullyShardedDataParallel.rekey_optim_state_dict(stored, OptimStateKeyType.PARAM_NAME, root)
            stored = FullyShardedDataParallel.optim_state_dict_to_load(root, optimizer, named)
    optimizer.load_state_dict(stored)
