"""torch's own attention modules at full speed: their fused operators, translated into calls that can be observed.

In evaluation, `nn.TransformerEncoderLayer` and `nn.MultiheadAttention` skip
`torch.nn.functional.scaled_dot_product_attention` and run one operator for the whole layer. Its queries and keys
are not handed out, so they are made again from its inputs and projection.
"""

from typing import Any

from torch import Tensor
from torch.nn import functional as F

from regard.engines.contract import Problem
from regard.mechanisms.attention import Attention
from regard.mechanisms.masks.tensors import TensorMask
from regard.watch.calls import Call

ENCODER_LAYER = "_transformer_encoder_layer_fwd"
MULTIHEAD = "_native_multi_head_attention"


def fast_path_call(name: str, args: tuple[Any, ...]) -> Call:
    """Return the attention call inside one of torch's whole-layer operators.

    Args:
        name: ENCODER_LAYER or MULTIHEAD.
        args: what the operator was called with, by position.
    """
    if name == ENCODER_LAYER:
        source, width, heads, weight, bias = args[:5]
        norm_first, eps, norm_weight, norm_bias = args[8:12]
        source = F.layer_norm(source, (width,), norm_weight, norm_bias, eps) if norm_first else source
        inputs, mask, mask_type = (source, source, source), args[18], args[19]
    else:
        inputs, (width, heads, weight, bias), mask, mask_type = args[:3], args[3:7], args[9], args[12]
    parts = zip(inputs, weight.chunk(3), bias.chunk(3), strict=True)
    query, key, value = (_heads(F.linear(x, w, b), heads) for x, w, b in parts)
    rule = None if mask is None else TensorMask(_forbidden(mask, mask_type).logical_not())
    problem = Problem(query, key, value, Attention(mask=rule))
    return Call(problem=problem, lse=None, engine="fast path", dropout=0.0)


def _heads(tensor: Tensor, heads: int) -> Tensor:
    """Return (B, N, H * D) as (B, H, N, D)."""
    batch, positions, _ = tensor.shape
    return tensor.detach().view(batch, positions, heads, -1).transpose(1, 2)


def _forbidden(mask: Tensor, mask_type: int) -> Tensor:
    """Return the operator's mask as it reads it: any number but 0 forbids; (Nq, Nk), (B, Nk) or (B, H, Nq, Nk)."""
    mask = mask.bool()
    return mask[:, None, None] if mask_type == 1 else mask
