"""Running torch's attention function and catching the log-sum-exp that its fused kernels compute and drop.

The kernels stand below `torch.nn.functional.scaled_dot_product_attention` as operators that return output and
log-sum-exp. A dispatch mode sees the operator's results pass by: the call itself, its output and its gradient are
those of the plain function, on every device.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

# The fused operators; each returns the output, then the log-sum-exp.
_FUSED = {
    "aten::_scaled_dot_product_flash_attention_for_cpu",
    "aten::_scaled_dot_product_flash_attention",
    "aten::_scaled_dot_product_efficient_attention",
    "aten::_scaled_dot_product_cudnn_attention",
}


@dataclass(frozen=True, eq=False)
class Caught:
    """What a fused operator gave beside its output.

    Attributes:
        lse: (B, H, Nq), or None where the kernel did not compute it.
        name: the operator, for people.
    """

    lse: Tensor | None
    name: str


class Catch(TorchDispatchMode):
    """While active, keeps the last fused attention operator that ran, in `caught`."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.caught: Caught | None = None

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Keep torch from wrapping the method below in what imports its compiler at first: seconds, and 110 MB."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the operator as it is and look at its results."""
        kwargs = kwargs or {}
        if func is torch.ops.aten.scaled_dot_product_attention.default:
            # Under inference mode the function arrives whole; taken apart, its kernel passes by.
            with self:
                return func.decompose(*args, **kwargs)
        results = func(*args, **kwargs)
        if func._schema.name in _FUSED:
            self.caught = Caught(_usable(results[1], args[0]), _short(func._schema.name))
        return results


def _usable(lse: Tensor, query: Tensor) -> Tensor | None:
    """Return the log-sum-exp cut to (B, H, Nq), or None: some kernels return an empty or a padded one."""
    rows = query.shape[:3]
    if lse.ndim != 3 or lse.shape[:2] != rows[:2] or lse.shape[2] < rows[2]:
        return None
    return lse if lse.shape[2] == rows[2] else lse[:, :, : rows[2]]


def _short(name: str) -> str:
    return name.removeprefix("aten::_scaled_dot_product_").removesuffix("_for_cpu")


def run_caught(function: Callable[[], Tensor]) -> tuple[Tensor, Caught | None]:
    """Run a function that calls torch's attention and return its result, and the fused operator it took."""
    with Catch() as catch:
        output = function()
    return output, catch.caught


def call_kernel(
    query: Tensor, key: Tensor, value: Tensor, added: Tensor | None, causal: bool, scale: float
) -> tuple[Tensor, Tensor | None]:
    """Return output and log-sum-exp (None where torch gives none) of torch's fused kernel.

    Args:
        query: (B, H, Nq, D).
        key: (B, G, Nk, D).
        value: (B, G, Nk, D), as wide as the keys.
        added: mask to add, broadcastable to (B, H, Nq, Nk), or None.
        causal: whether to apply torch's causal mask, first positions aligned.
        scale: factor on the dot products.
    """
    if query.device.type == "cpu":
        kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
        output, lse = kernel(query, key, value, 0.0, causal, attn_mask=added, scale=scale)
        return output, lse
    return call_and_catch(query, key, value, added, causal, scale)


def call_kernel_backward(
    d_output: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    output: Tensor,
    lse: Tensor,
    added: Tensor | None,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of query, key and value by the CPU's fused kernel.

    Args:
        d_output: (B, H, Nq, D), gradient of the output.
        query: (B, H, Nq, D).
        key: (B, G, Nk, D).
        value: (B, G, Nk, D).
        output: (B, H, Nq, D), of these queries over these keys, or over more keys.
        lse: (B, H, Nq), likewise.
        added: mask to add, broadcastable to (B, H, Nq, Nk), or None.
        scale: factor on the dot products.
    """
    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
    d_query, d_key, d_value = kernel(
        d_output, query, key, value, output, lse, 0.0, False, attn_mask=added, scale=scale
    )
    return d_query, d_key, d_value


def call_and_catch(
    query: Tensor, key: Tensor, value: Tensor, added: Tensor | None, causal: bool, scale: float
) -> tuple[Tensor, Tensor | None]:
    """Do the same on any device, by torch's public function and a catch below it."""
    grouped = query.shape[1] != key.shape[1]
    output, caught = run_caught(
        lambda: F.scaled_dot_product_attention(
            query, key, value, attn_mask=added, is_causal=causal, scale=scale, enable_gqa=grouped
        )
    )
    return output, None if caught is None else caught.lse
