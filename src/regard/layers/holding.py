"""A mechanism inside a module: its parameters are the module's, and its dropout is for training alone."""

from dataclasses import replace

from torch import Tensor, nn

from regard.mechanisms.attention import Attention
from regard.mechanisms.linear import LinearAttention
from regard.mechanisms.walk import tensors_in, with_tensors


class Held(nn.Module):
    """Holds a mechanism; called, it returns it with the parameters and buffers that the module has now.

    In evaluation what it returns has no dropout.

    Args:
        mechanism: the mechanism.
    """

    def __init__(self, mechanism: Attention | LinearAttention) -> None:
        super().__init__()
        self.mechanism = mechanism
        self._given: dict[str, Tensor] = {}
        for tensor in {id(tensor): tensor for tensor in tensors_in(mechanism)}.values():
            name = f"tensor_{len(self._given)}"
            self._given[name] = tensor
            if isinstance(tensor, nn.Parameter):
                self.register_parameter(name, tensor)
            else:
                self.register_buffer(name, tensor, persistent=False)

    def forward(self, x: Tensor) -> Attention | LinearAttention:
        """Return the mechanism, whatever the input."""
        return self.now()

    def now(self) -> Attention | LinearAttention:
        """Return the mechanism; what a function has captured stays as it was given."""
        mechanism = self.mechanism
        if isinstance(mechanism, Attention) and mechanism.dropout and not self.training:
            mechanism = replace(mechanism, dropout=0.0)
        if not self._given:
            return mechanism
        now = {id(given): getattr(self, name) for name, given in self._given.items()}
        return with_tensors(mechanism, lambda tensor: now.get(id(tensor), tensor))

    def extra_repr(self) -> str:
        """Return the mechanism, for people."""
        return str(self.mechanism)
