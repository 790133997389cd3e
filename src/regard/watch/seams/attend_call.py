"""A live call of `regard.attend`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from regard.engines.contract import Computed, Problem
from regard.engines.formula import dense_rows
from regard.engines.nonfinite import clean
from regard.errors import WantError
from regard.mechanisms.masks.tensors import TensorMask
from regard.watch.calls import Call
from regard.watch.seams.given_weights import normalizers, problem_of

# Of weights that are no softmax at most this many are made and kept, as of those that a model writes out.
MOST_WEIGHTS = 1 << 24


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
        """Return the call as it was seen; of weights that are no softmax, these themselves.

        Raises:
            WantError: these would be too many numbers.
        """
        computed, engine = result
        dropout = self.given.mechanism.dropout
        if self.given.is_softmax:
            return Call(self.given, computed.lse, engine, dropout, computed.output)
        if self.given.sizes.pairs > MOST_WEIGHTS:
            kind, pairs = self.given.mechanism.weighing.kind, self.given.sizes.pairs
            raise WantError(f"its weights are no softmax but {kind}, and {pairs:,} of them are too many to keep")
        P = _weights(self.given)
        told = f"{engine}, {self.given.mechanism.weighing.kind}"
        return Call(problem_of(P, self.given.value), normalizers(P), told, dropout, computed.output)


@torch.no_grad()
def _weights(problem: Problem) -> Tensor:
    """Return the weights (B, H, Nq, Nk) before dropout, by the formula; chance repeats what it drew."""
    with torch.autocast(problem.device.type, enabled=False):
        return dense_rows(clean(problem).problem).weighed.weights
