"""A live call of `regard.attend`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from regard.engines.contract import Computed, Problem
from regard.errors import WantError
from regard.mechanisms.masks.tensors import TensorMask
from regard.watch.calls import Call


@dataclass(frozen=True, eq=False)
class AttendCall:
    """A call of `attend`.

    Attributes:
        given: the problem.
        compute: computes a problem on the best engine; returns what came out and the engine's name.
    """

    given: Problem
    compute: Callable[[Problem], tuple[Computed, str]]

    @property
    def tensors(self) -> Sequence[Tensor]:
        """Queries, keys and values."""
        return [self.given.query, self.given.key, self.given.value]

    def hiding(self, hidden: Tensor) -> "AttendCall":
        """Return the call with a mask more."""
        shown = TensorMask(~hidden.to(self.given.device))
        mechanism = replace(self.given.mechanism, mask=self.given.mask & shown)
        return replace(self, given=replace(self.given, mechanism=mechanism))

    def with_values(self, change: Callable[[Tensor], Tensor]) -> "AttendCall":
        """Return the call with other values."""
        value = change(self.given.value)
        key = self.given.key.repeat_interleave(value.shape[1] // self.given.key.shape[1], 1)
        return replace(self, given=replace(self.given, key=key, value=value))

    def run(self) -> tuple[Computed, str]:
        """Compute it."""
        return self.compute(self.given)

    def output(self, result: tuple[Computed, str]) -> Tensor:
        """Return the output."""
        return result[0].output

    def with_output(self, result: tuple[Computed, str], output: Tensor) -> tuple[Computed, str]:
        """Return the result with another output."""
        return replace(result[0], output=output), result[1]

    def problem(self) -> Problem:
        """Return the problem."""
        return self.given

    def seen(self, result: tuple[Computed, str]) -> Call:
        """Return the call as it was seen.

        Raises:
            WantError: its weights are no softmax.
        """
        mechanism = self.given.mechanism
        if not self.given.is_softmax:
            raise WantError(f"its weights are no softmax but {mechanism.weighing.kind}")
        computed, engine = result
        return Call(self.given, computed.lse, engine, mechanism.dropout, computed.output)
