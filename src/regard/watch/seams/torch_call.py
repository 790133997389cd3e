"""A live call of `torch.nn.functional.scaled_dot_product_attention`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from regard.engines.contract import Problem
from regard.engines.kernel import Caught, run_caught
from regard.shapes import broadcast_shapes
from regard.watch.calls import Arguments, Call, standard, translate
from regard.watch.visible import HIDES


@dataclass(eq=False)
class TorchCall:
    """A call of torch's attention.

    Attributes:
        function: torch's function.
        given: its arguments.
        meant: queries (B, H, N, D) as the model means them, where it may hand over the heads of a group as queries.
        original: the call that this one was made of by edits; the model expects an output of its shape.
        caught: the fused operator that it took, once it has run.
    """

    function: Callable[..., Tensor]
    given: Arguments
    meant: Tensor | None = None
    original: "TorchCall | None" = None
    caught: Caught | None = None

    @property
    def standard(self) -> Arguments:
        """The arguments with four axes."""
        return standard(self.given, self.meant)

    @property
    def tensors(self) -> Sequence[Tensor]:
        """Queries, keys, values, and the mask where there is one."""
        mask = [] if self.given.attn_mask is None else [self.given.attn_mask]
        return [self.given.query, self.given.key, self.given.value, *mask]

    def hiding(self, hidden: Tensor) -> "TorchCall":
        """Return the call with a mask that forbids what is hidden, beside its own."""
        given = self.standard
        query, mask = given.query, given.attn_mask
        hidden = hidden.to(query.device)
        if given.is_causal:
            corner = torch.ones(query.shape[2], given.key.shape[2], dtype=torch.bool, device=query.device)
            hidden = hidden | corner.triu(1)
        if mask is None:
            mask = ~hidden
        else:
            mask = mask & ~hidden if mask.dtype == torch.bool else _firm(mask).masked_fill(hidden, -torch.inf)
        return self._with(replace(given, attn_mask=mask, is_causal=False))

    def with_values(self, change: Callable[[Tensor], Tensor]) -> "TorchCall":
        """Return the call with other values."""
        given, value = self.standard, change(self.standard.value)
        # Torch wants keys and values in the same groups.
        key = given.key.repeat_interleave(value.shape[1] // given.key.shape[1], 1)
        return self._with(replace(given, key=key, value=value))

    def run(self) -> Tensor:
        """Call torch's function, and catch what its kernel gives beside the output."""
        output, self.caught = run_caught(lambda: self.function(**vars(self.given)))
        return output

    def output(self, result: Tensor) -> Tensor:
        """Return the output with four axes."""
        query, value = self.standard.query, self.standard.value
        return result.reshape(*query.shape[:3], value.shape[-1])

    def with_output(self, result: Tensor, output: Tensor) -> Tensor:
        """Return an output in the shape that the model expects."""
        given = (self.original or self).given
        fixed = 3 if given.enable_gqa else 2
        lead = broadcast_shapes(*(t.shape[:-fixed] for t in (given.query, given.key, given.value)))
        return output.reshape(*lead, *given.query.shape[-fixed:-1], output.shape[-1])

    def problem(self) -> Problem:
        """Return the call as a problem."""
        return translate(self.standard, None, None).problem

    def seen(self, result: Tensor) -> Call:
        """Return the call as it was seen."""
        return translate(self.standard, self.caught, result)

    def _with(self, given: Arguments) -> "TorchCall":
        return TorchCall(self.function, given, original=self.original or self)


def _firm(mask: Tensor) -> Tensor:
    """Return a mask of numbers with -inf for those that forbid, but in rows of nothing else.

    If the keys that a query sees were hidden beside such numbers, it would turn to forbidden ones.
    """
    forbids = mask <= HIDES
    return mask.masked_fill(forbids & ~forbids.all(-1, keepdim=True), -torch.inf)
