"""A live call of `torch.nn.functional.scaled_dot_product_attention`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from regard.engines.contract import Problem
from regard.engines.kernel import Caught, run_caught
from regard.watch.calls import Arguments, Call, standard, translate
from regard.watch.seams.live import Edit, as_edited


@dataclass(eq=False)
class TorchCall:
    """A call of torch's attention.

    Attributes:
        function: torch's function.
        given: its arguments.
        meant: queries (B, H, N, D) as the model means them, where it may hand over the heads of a group as queries.
        original: the call that this one was made of by edits, which has the shape that the model expects back.
        caught: the fused operator that it took, once it has run.
    """

    function: Callable[..., Tensor]
    given: Arguments
    meant: Tensor | None = None
    original: "TorchCall | None" = None
    caught: Caught | None = None

    @cached_property
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
            mask = mask & ~hidden if mask.dtype == torch.bool else mask.masked_fill(hidden, -torch.inf)
        return self._with(replace(given, attn_mask=mask, is_causal=False))

    def with_values(self, change: Callable[[Tensor], Tensor]) -> "TorchCall":
        """Return the call with other values."""
        return self._with(replace(self.standard, value=change(self.standard.value)))

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
        return output.reshape(*given.query.shape[:-1], output.shape[-1])

    def problem(self) -> Problem:
        """Return the call as a problem."""
        return translate(self.standard, None, None).problem

    def seen(self, result: Tensor, edits: Sequence[Edit]) -> Call:
        """Return the call as it was seen."""
        return as_edited(translate(self.standard, self.caught, result), edits)

    def _with(self, given: Arguments) -> "TorchCall":
        return TorchCall(self.function, given, original=self.original or self)
