"""Hugging Face's attention interface: flash and flex implementations as live calls, and their masks as regard's."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from regard.engines.contract import Problem
from regard.errors import ChangeError
from regard.mechanisms.attention import Attention
from regard.mechanisms.masks import Full, Mask, causal, packed, window
from regard.mechanisms.masks.convert import as_mask
from regard.mechanisms.masks.tensors import TensorMask
from regard.mechanisms.modifiers import soft_cap
from regard.mechanisms.weighing import softmax
from regard.watch.calls import Call
from regard.watch.seams.live import Edit, as_edited


def family(implementation: str) -> str:
    """Return "flash", "flex", "sdpa" or "eager" for the name of an implementation, or the name itself.

    Kernels from a hub ("kernels-community/flash-attn3") and paged forms go by what they name.
    """
    return next((kind for kind in ("flash", "flex", "sdpa", "eager") if kind in implementation), implementation)


@dataclass(frozen=True, eq=False)
class InterfaceCall:
    """A call `f(module, query, key, value, attention_mask, **options)` of a flash or flex implementation.

    Attributes:
        implementation: its name.
        function: what computes it; returns the output (B, Nq, H, Dv) and more.
        module: the module that calls.
        query, key, value: (B, H or G, N, D).
        mask: what the model made for this implementation: padding (B, Nk) for flash, a `BlockMask` for flex.
        options: what else it was called with.
    """

    implementation: str
    function: Callable[..., tuple[Any, ...]]
    module: nn.Module
    query: Tensor
    key: Tensor
    value: Tensor
    mask: Any = None
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def tensors(self) -> Sequence[Tensor]:
        """Queries, keys and values."""
        return [self.query, self.key, self.value]

    def hiding(self, hidden: Tensor) -> "InterfaceCall":
        """Return the call with keys hidden from every query.

        Raises:
            ChangeError: the implementation takes no such mask.
        """
        everywhere = hidden.ndim >= 2 and hidden.shape[-2] == 1
        if family(self.implementation) != "flash" or not everywhere:
            raise ChangeError(
                f'expected attention that takes a mask; got attn_implementation="{self.implementation}".'
                ' Load the model with attn_implementation="sdpa" to hide keys'
            )
        shown = ~hidden.reshape(-1, hidden.shape[-1]).to(self.query.device)
        keys = shown.expand(self.query.shape[0], -1)
        if isinstance(self.mask, Tensor):
            keys = keys & self.mask[:, -keys.shape[-1] :].bool()
        return replace(self, mask=keys.to(torch.long))

    def with_values(self, change: Callable[[Tensor], Tensor]) -> "InterfaceCall":
        """Return the call with other values."""
        return replace(self, value=change(self.value))

    def run(self) -> tuple[Any, ...]:
        """Call the implementation."""
        return self.function(self.module, self.query, self.key, self.value, self.mask, **self.options)

    def output(self, result: tuple[Any, ...]) -> Tensor:
        """Return the output (B, H, Nq, Dv)."""
        output: Tensor = result[0]
        return output.transpose(1, 2)

    def with_output(self, result: tuple[Any, ...], output: Tensor) -> tuple[Any, ...]:
        """Return what came back, with another output."""
        return (output.transpose(1, 2).contiguous(), *result[1:])

    def problem(self) -> Problem:
        """Return the call as a problem."""
        flex = family(self.implementation) == "flex"
        mask, bias = flex_mask(self.mask, self.key) if flex else (self._flash_mask(), None)
        position_bias = self.options.get("position_bias")
        biases = [each for each in (bias, position_bias) if each is not None]
        cap, sink = self.options.get("softcap"), self.options.get("s_aux")
        return Problem(
            self.query.detach(),
            self.key.detach(),
            self.value.detach(),
            Attention(
                scale=self.options.get("scaling"),
                modify=None if cap is None else soft_cap(cap),
                bias=[each.detach() for each in biases] or None,
                mask=mask,
                weigh=softmax(sink=None if sink is None else sink.detach()),
            ),
        )

    def seen(self, result: tuple[Any, ...], edits: Sequence[Edit]) -> Call:
        """Return the call as it was seen."""
        dropout = float(self.options.get("dropout") or 0.0)
        call = Call(self.problem(), None, self.implementation, dropout, result[0], lambda t: t.transpose(1, 2))
        return as_edited(call, edits)

    def _flash_mask(self) -> Mask:
        """Return what a flash kernel does with its arguments: causal and windowed from the last key back."""
        given = self.options.get("is_causal")
        is_causal = bool(getattr(self.module, "is_causal", False) if given is None else given)
        mask: Mask = Full()
        near = self.options.get("sliding_window")
        if near is not None and self.key.shape[2] > near:
            mask = mask & window(near - 1, align="last")
        if is_causal and self.query.shape[2] > 1:
            mask = mask & causal(align="last")
        starts, key_starts = self.options.get("cu_seq_lens_q"), self.options.get("cu_seq_lens_k")
        if starts is not None:
            return mask & packed(starts, key_starts)
        positions = self.options.get("position_ids")
        if self.mask is None and positions is not None and (starts := _restarts(positions)) is not None:
            return mask & packed(starts)
        return mask if self.mask is None else mask & self._padding()

    def _padding(self) -> Mask:
        """Return the padding mask: padded keys are seen by nobody, padded queries see nothing."""
        real = self.mask.detach().bool()
        queries = self.query.shape[2]
        keys = TensorMask(real[:, None, None, -self.key.shape[2] :])
        return keys & TensorMask(real[:, None, -queries:, None]) if queries > 1 else keys


# Boolean masks are written out up to this size, since what they capture cannot be copied.
_WRITTEN = 1 << 22


def flex_mask(mask: Any, key: Tensor) -> tuple[Mask, Tensor | None]:
    """Return a flex mask as a mask, or as numbers to add."""
    if mask is None:
        return Full(), None
    if isinstance(mask, Tensor):
        return Full(), mask[..., : key.shape[2]]
    rule = as_mask(mask)
    batch, heads, queries, keys = (1, 1, *mask.shape)[-4:]
    if batch * heads * queries * keys > _WRITTEN:
        return rule, None
    return TensorMask(rule.dense(queries, keys, batch=batch, heads=heads, device=key.device)), None


def _restarts(positions: Tensor) -> Tensor | None:
    """Return where sequences packed into one row begin and end, told by positions that start again; else None."""
    flat = positions.reshape(-1)
    if positions.ndim != 2 or positions.shape[0] != 1 or flat.numel() < 2:
        return None
    starts = ((flat[1:] - flat[:-1]) != 1).nonzero().squeeze(-1) + 1
    if not len(starts):
        return None
    return torch.cat([starts.new_zeros(1), starts, starts.new_full((1,), flat.numel())])
