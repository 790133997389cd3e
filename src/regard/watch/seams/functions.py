"""Attention functions of other libraries as live calls: torch's flex_attention, flash_attn's and xformers'."""

import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from regard.engines.contract import Problem
from regard.errors import ChangeError
from regard.mechanisms.attention import Attention
from regard.mechanisms.masks import Full, Mask, causal, window
from regard.mechanisms.masks.tensors import TensorMask
from regard.mechanisms.modifiers import alibi, soft_cap
from regard.watch.calls import Call
from regard.watch.seams.hugging_face import flex_mask

Given = dict[str, Any]


@dataclass(frozen=True)
class Function:
    """A function of another library.

    Attributes:
        module: the module that defines or shows it.
        name: its name there.
        tensors: takes its arguments to queries, keys and values (B, H, N, D).
        mechanism: takes its arguments to the mechanism.
        positions_first: whether its tensors are (B, N, H, D).
        dropout: the argument that holds the probability of dropout.
    """

    module: str
    name: str
    tensors: Callable[[Given], tuple[Tensor, Tensor, Tensor]]
    mechanism: Callable[[Given], Attention]
    positions_first: bool
    dropout: str | None

    @property
    def loaded(self) -> Callable[..., Any] | None:
        """The function itself, where its library is loaded."""
        try:
            found = getattr(sys.modules.get(self.module), self.name, None)
        except Exception:  # a library that loads its parts when asked may fail in any way, and is not at hand then
            return None
        return found if callable(found) else None


@dataclass(frozen=True, eq=False)
class FunctionCall:
    """A call of such a function.

    Attributes:
        kind: which function.
        function: what to call: the function itself or its compiled form.
        given: its arguments by name.
    """

    kind: Function
    function: Callable[..., Any]
    given: Given

    @classmethod
    def of(
        cls, kind: Function, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Given
    ) -> "FunctionCall":
        """Bind the arguments of a call."""
        bound = inspect.signature(function).bind(*args, **kwargs)
        return cls(kind, function, dict(bound.arguments))

    @property
    def tensors(self) -> Sequence[Tensor]:
        """Queries, keys and values."""
        return self.kind.tensors(self.given)

    def hiding(self, hidden: Tensor) -> "FunctionCall":
        """Refuse: these functions take no mask of single pairs."""
        raise ChangeError(
            f"expected attention that takes a mask; got {self.kind.module}.{self.kind.name}. Use"
            " torch.nn.functional.scaled_dot_product_attention or regard.attend in the model to hide keys"
        )

    def with_values(self, change: Callable[[Tensor], Tensor]) -> "FunctionCall":
        """Return the call with other values."""
        names = ("key", "value") if "value" in self.given else ("k", "v")
        if names[1] not in self.given:
            raise ChangeError(f"expected values of their own; got {self.kind.name}, which takes them packed")
        key, value = (self._turned(self.given[name]) for name in names)
        value = change(value)
        key = key.repeat_interleave(value.shape[1] // key.shape[1], 1)
        changed = dict(zip(names, map(self._turned, (key, value)), strict=True))
        return replace(self, given=self.given | changed)

    def run(self) -> Any:
        """Call the function."""
        return self.function(**self.given)

    def output(self, result: Any) -> Tensor:
        """Return the output (B, H, Nq, Dv)."""
        return self._turned(result[0] if isinstance(result, tuple) else result)

    def with_output(self, result: Any, output: Tensor) -> Any:
        """Return what came back, with another output."""
        output = self._turned(output)
        return (output, *result[1:]) if isinstance(result, tuple) else output

    def problem(self) -> Problem:
        """Return the call as a problem."""
        query, key, value = (tensor.detach() for tensor in self.tensors)
        return Problem(query, key, value, self.kind.mechanism(self.given))

    def seen(self, result: Any) -> Call:
        """Return the call as it was seen."""
        output = result[0] if isinstance(result, tuple) else result
        dropout = float(self.given.get(self.kind.dropout, 0.0)) if self.kind.dropout else 0.0
        return Call(self.problem(), None, self.kind.name, dropout, output, self._turned)

    def _turned(self, tensor: Tensor) -> Tensor:
        return tensor.transpose(1, 2) if self.kind.positions_first else tensor


def _flex(given: Given) -> Attention:
    """flex_attention(query, key, value, score_mod, block_mask, scale, ...)."""
    mask, _ = flex_mask(given.get("block_mask"), given["key"])
    return Attention(scale=given.get("scale"), modify=given.get("score_mod"), mask=mask)


def _flash(given: Given) -> Attention:
    """flash_attn's functions: windows and causality from the last key back, (-1, -1) for no window."""
    mask: Mask = causal(align="last") if given.get("causal") else Full()
    back, ahead = given.get("window_size", (-1, -1))
    if (back, ahead) != (-1, -1):
        everything = 1 << 30
        back, ahead = (everything if each < 0 else each for each in (back, ahead))
        mask = mask & window(back, ahead, align="last")
    cap, slopes = given.get("softcap") or None, given.get("alibi_slopes")
    return Attention(
        scale=given.get("softmax_scale"),
        modify=None if cap is None else soft_cap(cap),
        bias=None if slopes is None else alibi(slopes.detach(), align="last"),
        mask=mask,
    )


def _xformers(given: Given) -> Attention:
    """memory_efficient_attention(query, key, value, attn_bias, p, scale): a tensor to add, or a class of mask."""
    bias = given.get("attn_bias")
    mask: Mask | None = None
    if isinstance(bias, Tensor):
        mask = TensorMask(bias.detach())
    elif bias is not None:
        mask = _xformers_mask(bias, given["query"], given["key"])
    return Attention(scale=given.get("scale"), mask=mask)


def _xformers_mask(bias: Any, query: Tensor, key: Tensor) -> Mask:
    """Return one of xformers' masks: the causal ones by name, any other by what it writes itself out as."""
    if type(bias).__name__ == "LowerTriangularMask":
        return causal()
    if type(bias).__name__ == "LowerTriangularFromBottomRightMask":
        return causal(align="last")
    shape = (query.shape[0], query.shape[2] if query.ndim == 4 else 1, query.shape[1], key.shape[1])
    return TensorMask(bias.materialize(shape, device=query.device).detach())


def _three(first: str, second: str, third: str) -> Callable[[Given], tuple[Tensor, Tensor, Tensor]]:
    return lambda given: (given[first], given[second], given[third])


def _turned(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return tensors (B, N, H, D), or (B, N, D) of one head, as (B, H, N, D)."""
    q, k, v = (tensor.unsqueeze(2) if tensor.ndim == 3 else tensor for tensor in (q, k, v))
    return q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)


FUNCTIONS = (
    Function(
        "torch.nn.attention.flex_attention", "flex_attention", _three("query", "key", "value"), _flex, False, None
    ),
    Function("flash_attn", "flash_attn_func", lambda g: _turned(g["q"], g["k"], g["v"]), _flash, True, "dropout_p"),
    Function(
        "flash_attn",
        "flash_attn_kvpacked_func",
        lambda g: _turned(g["q"], g["kv"][:, :, 0], g["kv"][:, :, 1]),
        _flash,
        True,
        "dropout_p",
    ),
    Function(
        "flash_attn",
        "flash_attn_qkvpacked_func",
        lambda g: _turned(g["qkv"][:, :, 0], g["qkv"][:, :, 1], g["qkv"][:, :, 2]),
        _flash,
        True,
        "dropout_p",
    ),
    Function(
        "xformers.ops",
        "memory_efficient_attention",
        lambda g: _turned(g["query"], g["key"], g["value"]),
        _xformers,
        True,
        "p",
    ),
)
