"""Hugging Face's attention interface: flash and flex implementations as live calls, and their masks as regard's."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from regard.engines.contract import Problem
from regard.errors import ChangeError, WatchError
from regard.mechanisms.attention import Attention
from regard.mechanisms.masks import Full, Mask, causal, packed, window
from regard.mechanisms.masks.convert import as_mask
from regard.mechanisms.masks.tensors import TensorMask
from regard.mechanisms.modifiers import soft_cap
from regard.mechanisms.weighing import softmax
from regard.watch.calls import Call


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
        """Return the call with keys hidden from its single query, in all heads.

        Raises:
            ChangeError: the implementation takes no such mask. Flash takes one of tokens, and tokens that it hides
                as keys do not ask either.
        """
        everywhere = self.query.shape[2] == 1 and hidden.shape[1] == 1
        if family(self.implementation) != "flash" or not everywhere:
            raise ChangeError(
                f'expected attention that takes a mask; got attn_implementation="{self.implementation}".'
                ' Load the model with attn_implementation="sdpa" to hide keys'
            )
        shown = ~hidden.reshape(-1, hidden.shape[-1]).to(self.query.device)
        keys = shown.expand(self.query.shape[0], -1)
        if isinstance(self.mask, Tensor):
            keys = keys & self.mask.bool()
        return replace(self, mask=keys.to(torch.long))

    def with_values(self, change: Callable[[Tensor], Tensor]) -> "InterfaceCall":
        """Return the call with other values."""
        value = change(self.value)
        key = self.key.repeat_interleave(value.shape[1] // self.key.shape[1], 1)
        return replace(self, key=key, value=value)

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
        """Return the call as a problem.

        Raises:
            WatchError: the keys lie in pages of a cache, or sequences are packed in a way that has no mask.
        """
        flex = family(self.implementation) == "flex"
        query, key, value = (each.detach() for each in (self.tensors if flex else self._flash_tensors()))
        mask, bias = flex_mask(self.mask, self.key) if flex else (self._flash_mask(), None)
        position_bias = self.options.get("position_bias")
        biases = [each for each in (bias, position_bias) if each is not None]
        cap, sink = self.options.get("softcap"), self.options.get("s_aux")
        return Problem(
            query,
            key,
            value,
            Attention(
                scale=self.options.get("scaling"),
                modify=None if cap is None else soft_cap(cap),
                bias=[each.detach() for each in biases] or None,
                mask=mask,
                weigh=softmax(sink=None if sink is None else sink.detach()),
            ),
        )

    def seen(self, result: tuple[Any, ...]) -> Call:
        """Return the call as it was seen."""
        dropout = float(self.options.get("dropout") or 0.0)
        return Call(self.problem(), None, self.implementation, dropout, result[0], lambda t: t.transpose(1, 2))

    def _flash_tensors(self) -> list[Tensor]:
        """Return what a flash kernel gets: of keys only those that its mask knows, and float32 made narrower."""
        if self.options.get("cache") is not None:
            raise WatchError("its keys lie in pages of a cache")
        known = self.mask.shape[-1] if isinstance(self.mask, Tensor) else self.key.shape[2]
        dtype = _flash_dtype(self.module, self.query)
        tensors = (self.query, self.key[:, :, :known], self.value[:, :, :known])
        return [tensor.to(dtype) for tensor in tensors]

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
        if self.mask is not None:
            return mask & self._padding()
        sequences = self._sequences()
        return mask if sequences is None else mask & sequences

    def _sequences(self) -> Mask | None:
        """Return who belongs together where sequences are packed into one row, told by lengths or positions."""
        lengths = [self.options[name] for name in _LENGTHS if self.options.get(name) is not None]
        positions = self.options.get("position_ids")
        if len(lengths) == len(_LENGTHS):
            if self.query.shape[0] != 1 or not torch.equal(lengths[0], lengths[1]):
                raise WatchError("sequences are packed whose queries and keys are not the same")
            return packed(lengths[0])
        starts = _restarts(positions) if positions is not None and self.query.shape[0] == 1 else None
        return None if starts is None else packed(starts)

    def _padding(self) -> Mask:
        """Return the padding mask: padded keys are seen by nobody, padded queries see nothing."""
        real = self.mask.detach().bool()
        queries = self.query.shape[2]
        keys = TensorMask(real[:, None, None])
        return keys & TensorMask(real[:, None, -queries:, None]) if queries > 1 else keys


# Sequences count as packed by length where all of these are given.
_LENGTHS = ("cu_seq_lens_q", "cu_seq_lens_k", "max_length_q", "max_length_k")


def _flash_dtype(module: nn.Module, query: Tensor) -> torch.dtype:
    """Return the type that float32 is given to flash kernels in: that of autocast, or of the module's weights."""
    device = query.device.type
    if query.dtype != torch.float32:
        return query.dtype
    if torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    config: Any = getattr(module, "config", None)
    if hasattr(config, "_is_quantized"):
        dtype: torch.dtype = config.dtype
        return dtype
    return next((each.weight.dtype for each in module.modules() if isinstance(each, nn.Linear)), query.dtype)


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
    """Return where sequences packed into one row begin and end: at the least position; None for a single one."""
    flat = positions.reshape(-1)
    if positions.ndim != 2 or flat.numel() < 2:
        return None
    if torch.equal(flat, torch.arange(flat.numel(), device=flat.device) + flat.min()):
        return None
    starts = (flat == flat.min()).nonzero().squeeze(-1)
    return torch.cat([starts, starts.new_full((1,), flat.numel())])
