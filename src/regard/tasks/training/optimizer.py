"""The optimizer: AdamW, which spares vectors its weight decay."""

from torch import nn
from torch.optim import AdamW

from regard.tasks.training.settings import TrainingSettings

# What sharding puts into the names of parameters.
_WRAPPED = "_fsdp_wrapped_module."


def decayed(model: nn.Module) -> frozenset[str]:
    """Return the names of the parameters that decay: matrices do; biases, and gains and shifts of norms, do not."""
    return frozenset(name for name, parameter in model.named_parameters() if parameter.ndim > 1)


def make_optimizer(model: nn.Module, names: frozenset[str], settings: TrainingSettings) -> AdamW:
    """Return the optimizer of a model's parameters.

    Args:
        model: as the strategy made it; its parameters may be sharded, and flat.
        names: of the parameters that decay, as they were before.
        settings: rate, betas, epsilon and decay.
    """
    named = [(name.replace(_WRAPPED, ""), parameter) for name, parameter in model.named_parameters()]
    groups = [
        {"params": [each for name, each in named if name in names], "weight_decay": settings.weight_decay},
        {"params": [each for name, each in named if name not in names], "weight_decay": 0.0},
    ]
    return AdamW(
        [group for group in groups if group["params"]],
        lr=settings.rate,
        betas=settings.betas,
        eps=settings.epsilon,
        fused=True,
    )
