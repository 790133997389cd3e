"""Learning where to look by trial: the REINFORCE loss of sampled hard attention, with a moving baseline."""

import torch
from torch import Tensor, nn

from regard.errors import MechanismError, ShapeError


class MovingBaseline(nn.Module):
    """The exponential moving average of past rewards, `b <- decay * b + (1 - decay) * mean reward`.

    Subtracted from rewards it lowers the variance of the gradient and leaves its expectation as it is. The first
    rewards are taken as they come. It is saved with the model that holds it.

    Args:
        decay: weight of the past, from 0 to below 1. Default: 0.9.

    Raises:
        MechanismError: a decay out of this range.

    Source: Xu et al. 2015, "Show, Attend and Tell", equation 12.
    """

    value: Tensor
    seen: Tensor

    def __init__(self, decay: float = 0.9) -> None:
        super().__init__()
        if not 0 <= decay < 1:
            raise MechanismError(f"decay: expected a number from 0 to below 1; got {decay!r}")
        self.decay = decay
        self.register_buffer("value", torch.zeros(()))
        self.register_buffer("seen", torch.zeros((), dtype=torch.bool))

    @torch.no_grad()
    def forward(self, reward: Tensor) -> Tensor:
        """Return rewards less the baseline; in training, move the baseline towards them afterwards.

        Args:
            reward: of any shape, higher is better; no gradient passes.
        """
        advantage = reward.detach() - self.value
        if self.training and reward.numel():
            mean = reward.detach().float().mean()
            self.value.copy_(torch.where(self.seen, self.decay * self.value + (1 - self.decay) * mean, mean))
            self.seen.fill_(True)
        return advantage


def reinforce_loss(log_probability: Tensor, advantage: Tensor) -> Tensor:
    """Return the loss whose gradient is REINFORCE's estimate of that of minus the expected reward.

    Args:
        log_probability: (B, H, Nq), `Attended.log_probability` of sampled hard attention.
        advantage: (B,), (B, 1, Nq) or whatever else lines up with its axes from the left: reward less a baseline.

    Returns:
        A scalar: minus the sum over choices of log-probability times advantage, mean over the batch.

    Raises:
        ShapeError: the advantage does not line up.

    Source: Williams 1992, "Simple statistical gradient-following algorithms", theorem 1; Xu et al.
        2015, equation 11.
    """
    if not (isinstance(log_probability, Tensor) and isinstance(advantage, Tensor)):
        got = f"{type(log_probability).__name__} and {type(advantage).__name__}"
        raise ShapeError(
            f"reinforce_loss: expected two tensors; got {got}. log_probability comes with weigh=hard(sample=True)"
        )
    missing = log_probability.ndim - advantage.ndim
    lined_up = advantage.reshape(*advantage.shape, *(1,) * max(missing, 0))
    pairs = zip(lined_up.shape, log_probability.shape, strict=False)
    if missing < 0 or any(have not in (1, want) for have, want in pairs):
        raise ShapeError(
            f"reinforce_loss: expected an advantage that lines up with log_probability"
            f" {tuple(log_probability.shape)} from the left; got {tuple(advantage.shape)}"
        )
    items = log_probability.shape[0] if log_probability.ndim else 1
    return -(log_probability * lined_up.detach()).sum() / max(items, 1)
