"""torch's attention function: its signature, its meaning, its errors; computed by `attend`."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from regard.attend import attend
from regard.errors import DropInError, DropInTypeError, RegardError
from regard.mechanisms.attention import Attention
from regard.mechanisms.masks import Mask, causal
from regard.shapes import broadcast_shapes, broadcasts

CAUSAL = causal()
CAUSAL_LAST = causal(align="last")


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Compute attention as `torch.nn.functional.scaled_dot_product_attention` does.

    Under autocast the inputs are cast as torch casts them. `torch.nn.attention.sdpa_kernel` holds: with `MATH`
    alone the formula is computed densely, and can be differentiated twice; without `MATH` a fused kernel runs, or
    an error says why none can. Compiled code does not read it.

    Args:
        query: (..., H, Nq, D) or (Nq, D); axes before the positions broadcast to those of keys and values.
        key: (..., H, Nk, D).
        value: (..., H, Nk, Dv).
        attn_mask: broadcasts to (..., H, Nq, Nk). Booleans (True = may attend), or numbers added to scaled scores,
            in float32 or the data type of the query; they may ask for a gradient. `torch.nn.attention.bias` is
            understood.
        dropout_p: probability with which a weight is dropped, whether a model trains or not. The draws are seeded
            by torch's generator but are not those of torch's function.
        is_causal: whether a query sees its own position and earlier ones only, query 0 standing at key 0.
        scale: factor on the dot products. Default: 1 / sqrt(D).
        enable_gqa: whether keys and values may have fewer heads, G, of which H is a multiple; query head h then
            reads key head h // (H / G).

    Returns:
        (..., H, Nq, Dv). A query that may see no key gets 0.

    Raises:
        DropInError: a RuntimeError; the tensors or numbers do not fit together, or `attn_mask` is given along with
            `is_causal`, or the tensors are nested.
        DropInTypeError: a TypeError; an argument is of the wrong kind.
        EngineError: a RuntimeError; the call stands inside a functorch transform such as vmap, or `sdpa_kernel`
            leaves no way to compute it.

    Source: Vaswani et al. 2017, "Attention Is All You Need", equation 1.
    """
    _check_kinds(query, key, value, attn_mask, dropout_p, is_causal)
    rule = _rule(attn_mask, is_causal)
    mask = attn_mask if rule is None else None
    query, key, value = (as_autocast(tensor, query.device) for tensor in (query, key, value))
    mask = None if mask is None else as_autocast(mask, query.device)
    _check_mask_type(mask, query)
    call = _Folded.of(query, key, value, mask, bool(enable_gqa))
    try:
        mechanism = Attention(
            mask=call.mask if rule is None else rule,
            scale=None if scale is None else float(scale),
            dropout=float(dropout_p),
        )
        output = attend(call.query, call.key, call.value, mechanism, engine=permitted_engine(query.device)).output
    except RegardError as error:
        if isinstance(error, RuntimeError):
            raise
        raise DropInError(f"scaled_dot_product_attention: {error}") from error
    return output.reshape(*call.lead, *output.shape[-2:])


def as_autocast(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor as autocast on a device casts it for attention: every floating type but float64."""
    kind = device.type
    if not (torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)):
        return tensor
    if tensor.device.type != kind or not tensor.is_floating_point() or tensor.dtype == torch.float64:
        return tensor
    return tensor.to(torch.get_autocast_dtype(kind))


def permitted_engine(device: torch.device) -> str:
    """Return the name of the engine that `torch.nn.attention.sdpa_kernel` leaves: "auto" where it leaves all.

    Raises:
        DropInError: it leaves none.
    """
    # A compiler cannot read the switches.
    if torch.compiler.is_compiling():
        return "auto"
    switches = torch.backends.cuda
    fused = switches.flash_sdp_enabled()
    if device.type == "cuda":
        fused = fused or switches.mem_efficient_sdp_enabled() or switches.cudnn_sdp_enabled()
    dense = switches.math_sdp_enabled()
    if not fused and not dense:
        raise DropInError(
            "scaled_dot_product_attention: No viable backend was found; sdpa_kernel has turned every one off on"
            f" {device.type}. Name SDPBackend.MATH among those that may run"
        )
    return "auto" if fused and dense else "fused" if fused else "reference"


@dataclass(frozen=True, eq=False)
class _Folded:
    """A call with the axes that `attend` knows.

    Attributes:
        query: (B, H, Nq, D).
        key: (B, G, Nk, D).
        value: (B, G, Nk, Dv).
        mask: at most four axes, or None.
        lead: the axes of the result before the positions.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    mask: Tensor | None
    lead: tuple[int, ...]

    @classmethod
    def of(cls, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, grouped: bool) -> "_Folded":
        """Broadcast all axes before the positions, and fold those before the heads into one."""
        given = (query, key, value)
        most = max(tensor.ndim for tensor in given)
        if any(tensor.ndim < 2 for tensor in given):
            raise DropInError(f"expected query, key and value of at least 2 axes (N, D); got {_shapes(*given)}")
        if grouped:
            query, key, value = _grouped(query, key, value)
        else:
            query, key, value = _with_heads(query, key, value)
        if not query.shape[-1] and not key.shape[-1]:
            # Vectors without width have dot products 0, as those that hold one zero have.
            query, key = pad(query, (0, 1)), pad(key, (0, 1))
        batch = _broadcast(given, *(tensor.shape[:-3] for tensor in (query, key, value)))
        lead = (*batch, query.shape[-3]) if most > 2 else ()
        shape = (*lead, query.shape[-2], key.shape[-2])
        if mask is not None:
            _check_mask_shape(mask, shape)
            mask = _folded_mask(mask, batch)
        query, key, value = (_fold(tensor, batch) for tensor in (query, key, value))
        return cls(query, key, value, mask, lead)


def _with_heads(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the tensors with at least three axes, and heads that fit: as many, or one of keys for all queries."""
    given = (query, key, value)
    query, key, value = (tensor.unsqueeze(0) if tensor.ndim == 2 else tensor for tensor in given)
    if key.shape[-3] == value.shape[-3] == 1:
        return query, key, value
    (heads,) = _broadcast(given, *(tensor.shape[-3:-2] for tensor in (query, key, value)))
    query, key, value = (
        tensor.expand(*tensor.shape[:-3], heads, *tensor.shape[-2:]) for tensor in (query, key, value)
    )
    return query, key, value


def _grouped(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return tensors of which keys and values have equally many heads, as `attend` groups them."""
    given = (query, key, value)
    if any(tensor.ndim < 3 for tensor in given):
        raise DropInError(f"enable_gqa: expected at least 3 axes (H, N, D); got {_shapes(*given)}")
    heads = query.shape[-3]
    if any(not tensor.shape[-3] or heads % tensor.shape[-3] for tensor in (key, value)):
        raise DropInError(
            "enable_gqa: Number of heads in key and value must divide the number of heads in query;"
            f" got {_shapes(*given)}"
        )
    if key.shape[-3] != value.shape[-3]:
        key, value = (tensor.repeat_interleave(heads // tensor.shape[-3], dim=-3) for tensor in (key, value))
    return query, key, value


def _broadcast(given: tuple[Tensor, ...], *shapes: torch.Size) -> torch.Size:
    try:
        return torch.Size(broadcast_shapes(*shapes))
    except RuntimeError as error:
        raise DropInError(
            "expected axes before the positions that broadcast, and as many heads for all three unless enable_gqa"
            f" is given; got {_shapes(*given)}"
        ) from error


def _fold(tensor: Tensor, batch: torch.Size) -> Tensor:
    """Return (..., H, N, D) with the axes before the heads as one."""
    tail = tensor.shape[-3:]
    return tensor.expand(*batch, *tail).reshape(math.prod(batch), *tail)


def _folded_mask(mask: Tensor, batch: torch.Size) -> Tensor:
    """Return a mask of at most four axes; batch items that share one keep sharing it."""
    if mask.ndim <= 3:
        return mask
    if math.prod(mask.shape[:-3]) == 1:
        return mask.reshape(mask.shape[-3:])
    return _fold(mask, batch)


def _rule(attn_mask: Tensor | None, is_causal: bool) -> Mask | None:
    """Return the causal rule where one is asked for by name, as an argument or as torch's own bias."""
    if attn_mask is None:
        return CAUSAL if is_causal else None
    if is_causal:
        raise DropInError(
            "Explicit attn_mask should not be set when is_causal=True, and CausalBias should not be used with"
            " causal=True; combine the two into one mask"
        )
    # Told by name: importing the module that defines it would switch on compilers nobody asked for.
    if type(attn_mask).__name__ != "CausalBias":
        return None
    bias: Any = attn_mask
    last = bias.variant.name == "LOWER_RIGHT" and bias.seq_len_q != bias.seq_len_kv
    return CAUSAL_LAST if last else CAUSAL


def _check_kinds(
    query: object, key: object, value: object, attn_mask: object, dropout_p: object, is_causal: object
) -> None:
    tensors = {"query": query, "key": key, "value": value}
    if attn_mask is not None:
        tensors["attn_mask"] = attn_mask
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            raise DropInTypeError(f"argument '{name}' must be Tensor, not {type(tensor).__name__}")
        if tensor.is_nested:
            raise DropInError(
                f"{name}: expected a plain tensor; got a nested one. Pad it and give attn_mask, or join the"
                " sequences and call regard.attend with the mask documents(...)"
            )
    if not isinstance(dropout_p, int | float):
        raise DropInTypeError(f"argument 'dropout_p' must be float, not {type(dropout_p).__name__}")
    if not 0 <= dropout_p <= 1:
        raise DropInError(f"dropout probability has to be between 0 and 1, but got {dropout_p}")
    if not isinstance(is_causal, bool):
        raise DropInTypeError(f"argument 'is_causal' must be bool, not {type(is_causal).__name__}")


def _check_mask_type(mask: Tensor | None, query: Tensor) -> None:
    if mask is not None and mask.dtype not in (torch.bool, torch.float32, query.dtype):
        raise DropInError(
            "Expected attn_mask dtype to be bool or float or to match query dtype, but got attn_mask.dtype:"
            f" {mask.dtype} and query.dtype: {query.dtype}. Convert it with attn_mask.to(query.dtype)"
        )


def _check_mask_shape(mask: Tensor, shape: tuple[int, ...]) -> None:
    if not broadcasts(mask.shape, shape):
        raise DropInError(
            f"attn_mask: expected a shape that broadcasts to that of the weights, {shape}; got {tuple(mask.shape)}"
        )


def _shapes(query: Tensor, key: Tensor, value: Tensor) -> str:
    return ", ".join(
        f"{name} {tuple(each.shape)}" for name, each in (("query", query), ("key", key), ("value", value))
    )
