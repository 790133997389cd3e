"""The recurrent form: one position after another, as in generation; it is the definition, written down."""

import torch
from torch import Tensor

from regard.engines.linear.steps import Steps


def recurrent(steps: Steps) -> tuple[Tensor, Tensor]:
    """Return what queries read (B, H, N, E), and the state after the last position (B, H, F, E)."""
    state, outputs = steps.state, []
    for t in range(steps.key.shape[2]):
        key, value = steps.key[:, :, t], steps.value[:, :, t]
        if steps.log_decay is not None:
            state = state * steps.log_decay[:, :, t].exp().unsqueeze(-1)
        if steps.beta is not None:
            value = steps.beta[:, :, t] * (value - (key.unsqueeze(-2) @ state).squeeze(-2))
        state = state + key.unsqueeze(-1) * value.unsqueeze(-2)
        outputs.append(steps.query[:, :, t : t + 1] @ state)
    return torch.cat(outputs, 2) if outputs else steps.value.new_zeros(steps.value.shape), state
