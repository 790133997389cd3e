"""How processes share the work, as Lightning's strategies."""

from lightning.pytorch.strategies import DDPStrategy, FSDPStrategy, Strategy
from torch import nn
from torch.distributed.fsdp.wrap import ModuleWrapPolicy

from regard.errors import TaskError
from regard.tasks.training.processes import Processes
from regard.tasks.training.settings import TrainingSettings


def strategy_of(settings: TrainingSettings, processes: Processes, model: nn.Module) -> Strategy | str:
    """Return Lightning's strategy: one process needs none, several have whole models unless shares are asked for.

    Raises:
        TaskError: the weights are to be shared out on CPUs.
    """
    if processes.size == 1:
        return "auto"
    if settings.strategy != "fsdp":
        return DDPStrategy(gradient_as_bucket_view=True)
    if processes.device.type == "cpu":
        raise TaskError("training.strategy=fsdp: expected CUDA devices; got CPUs. Choose training.strategy=ddp")
    layers = {type(each) for group in model.modules() if isinstance(group, nn.ModuleList) for each in group}
    return FSDPStrategy(auto_wrap_policy=ModuleWrapPolicy(layers) if layers else None, state_dict_type="full")
