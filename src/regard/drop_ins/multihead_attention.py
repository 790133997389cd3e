"""torch's multi-head attention module: its parameters, its meaning, its state dict; computed by `attend`."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pad

from regard.attend import PLAIN, attend
from regard.drop_ins.multihead_inputs import check_call, combined
from regard.drop_ins.scaled_dot_product_attention import CAUSAL, as_autocast, permitted_engine
from regard.engines.contract import Problem
from regard.engines.formula import scores
from regard.errors import DropInError, MechanismError, WantError
from regard.mechanisms.attention import Attention
from regard.mechanisms.grid import Grid
from regard.mechanisms.masks import Full
from regard.mechanisms.walk import tensors_in, with_tensors
from regard.mechanisms.weighing import Softmax
from regard.shapes import compute_dtype


class MultiheadAttention(nn.Module):
    """Multi-head attention as `torch.nn.MultiheadAttention` computes it, with any mechanism in its heads.

    Parameters, their names and their first values are torch's, so that state dicts load either way. Weights of
    attention are handed out only when asked for.

    Args:
        embed_dim: width of queries and of the output.
        num_heads: how many heads; it divides `embed_dim`.
        dropout: probability with which a weight is dropped in training.
        bias: whether the projections add a bias.
        add_bias_kv: whether one learned key and value is added at the end.
        add_zero_attn: whether one key and value of zeros is added at the end.
        kdim: width of keys. Default: `embed_dim`.
        vdim: width of values. Default: `embed_dim`.
        batch_first: whether batched inputs are (B, N, E) rather than (N, B, E).
        device: where parameters lie.
        dtype: their data type.
        attention: the mechanism of the heads. Its mask is combined with those of a call by `&`; its parameters
            become the module's, as `mechanism_parameters`. Default: softmax over scaled dot products.

    Raises:
        DropInError: a ValueError; `embed_dim` or `num_heads` is not positive, or does not divide.
        MechanismError: `attention` has dropout of its own, which `eval()` could not turn off, or a mask together
            with added keys, of which the mask cannot know.

    Source: Vaswani et al. 2017, "Attention Is All You Need", section 3.2.2.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        attention: Attention | None = None,
    ) -> None:
        _check_sizes(embed_dim, num_heads)
        super().__init__()
        self.embed_dim = embed_dim
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self.num_heads = num_heads
        self.head_dim = embed_dim // num_heads
        self.dropout = dropout
        self.batch_first = batch_first
        self.add_zero_attn = add_zero_attn

        def empty(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(shape, device=device, dtype=dtype))

        packed = self.kdim == self.vdim == embed_dim
        self.in_proj_weight = empty(3 * embed_dim, embed_dim) if packed else None
        self.q_proj_weight = None if packed else empty(embed_dim, embed_dim)
        self.k_proj_weight = None if packed else empty(embed_dim, self.kdim)
        self.v_proj_weight = None if packed else empty(embed_dim, self.vdim)
        self.in_proj_bias = empty(3 * embed_dim) if bias else None
        self.out_proj = nn.Linear(embed_dim, embed_dim, bias=bias, device=device, dtype=dtype)
        self.bias_k = empty(1, 1, embed_dim) if add_bias_kv else None
        self.bias_v = empty(1, 1, embed_dim) if add_bias_kv else None
        self._reset_parameters()
        self.attention = _checked(attention, added=add_bias_kv or add_zero_attn)
        held = {id(t): t for t in tensors_in(self.attention) if isinstance(t, nn.Parameter)}
        self._handed_in = list(held.values())
        if held:
            self.mechanism_parameters = nn.ParameterList(held.values())

    @property
    def _mechanism(self) -> Attention:
        """The mechanism, with this module's parameters where others have taken the place of those handed in."""
        if not self._handed_in:
            return self.attention
        pairs = zip(self._handed_in, self.mechanism_parameters, strict=True)
        now = {id(old): new for old, new in pairs if old is not new}
        return with_tensors(self.attention, lambda tensor: now.get(id(tensor), tensor)) if now else self.attention

    @property
    def _qkv_same_embed_dim(self) -> bool:
        """False: torch's transformer layers take True as leave to run an operator of theirs instead of this."""
        return False

    def _reset_parameters(self) -> None:
        """Draw first values in torch's order, so that one seed gives both modules the same."""
        for weight in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if weight is not None:
                nn.init.xavier_uniform_(weight)
        if self.in_proj_bias is not None:
            nn.init.zeros_(self.in_proj_bias)
            nn.init.zeros_(self.out_proj.bias)
        for bias in (self.bias_k, self.bias_v):
            if bias is not None:
                nn.init.xavier_normal_(bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = False,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Compute attention.

        Args:
            query: (Nq, B, E), (B, Nq, E) with `batch_first`, or (Nq, E).
            key: the same with Nk and `kdim`.
            value: the same with Nk and `vdim`.
            key_padding_mask: (B, Nk), or (Nk,) for inputs without batch. Booleans, True = may not be attended to,
                or numbers added to scores.
            need_weights: whether weights are returned; that computes them as a matrix.
            attn_mask: (Nq, Nk) or (B * H, Nq, Nk). Booleans, True = may not be attended to, or numbers added to
                scores.
            average_attn_weights: whether these weights are averaged over heads.
            is_causal: a hint that `attn_mask` is the causal one, which then is not read where it need not be.

        Returns:
            The output, shaped as the query; and None, or weights (B, Nq, Nk), (B, H, Nq, Nk) a head, without B for
            inputs without batch. Weights are those before dropout. A query that may see no key has weights 0, and
            the bias of the output projection as output.

        Raises:
            DropInError: a RuntimeError; the tensors do not fit together, are nested, or `is_causal` comes alone.
            WantError: weights are asked for that are no softmax.
        """
        check_call(query, key, value, attn_mask, key_padding_mask)
        self._check_wanted(need_weights)
        Q, K, V = self._projected(*self._batch_first(query, key, value))
        shape = (Q.shape[0], self.num_heads, Q.shape[2], K.shape[2])
        Q, K, V = (as_autocast(tensor, Q.device) for tensor in (Q, *self._with_added(K, V)))
        added = K.shape[2] - shape[3]
        if is_causal and attn_mask is None:
            raise DropInError("Need attn_mask if specifying the is_causal hint; give the causal mask itself")
        hinted = is_causal and key_padding_mask is None and not need_weights and not added
        mask = CAUSAL if hinted else combined(attn_mask, key_padding_mask, shape, added)
        mechanism = replace(self._mechanism, mask=self._mechanism.rule & mask)
        output = self._output(Q, K, V, mechanism)
        weights = _weights(Q, K, V, mechanism) if need_weights else None
        if weights is not None and average_attn_weights:
            weights = weights.mean(1)
        if query.ndim == 2:
            return output.squeeze(0), None if weights is None else weights.squeeze(0)
        return output if self.batch_first else output.transpose(0, 1), weights

    def extra_repr(self) -> str:
        """Return sizes and mechanism, for people."""
        return f"{self.embed_dim}, num_heads={self.num_heads}, attention={self.attention}"

    def _check_wanted(self, need_weights: bool) -> None:
        if need_weights and not isinstance(self._mechanism.weigh, Softmax):
            raise WantError(
                f"need_weights: expected softmax weights; got {self._mechanism.weighing.kind}."
                " Call with need_weights=False"
            )

    def _output(self, Q: Tensor, K: Tensor, V: Tensor, mechanism: Attention) -> Tensor:
        """Attend, and project what the heads give: (B, Nq, E)."""
        if self.training:
            mechanism = replace(mechanism, dropout=self.dropout)
        heads = attend(Q, K, V, mechanism, engine=permitted_engine(Q.device)).output
        output: Tensor = self.out_proj(heads.transpose(1, 2).flatten(2))
        return output

    def _batch_first(self, query: Tensor, key: Tensor, value: Tensor) -> list[Tensor]:
        """Return the inputs as (B, N, E); what was one tensor stays one, so that it is projected once."""
        changed: dict[int, Tensor] = {}
        for tensor in (query, key, value):
            batched = tensor if tensor.ndim == 3 else tensor.unsqueeze(0)
            sequence_first = tensor.ndim == 3 and not self.batch_first
            changed.setdefault(id(tensor), batched.transpose(0, 1) if sequence_first else batched)
        return [changed[id(tensor)] for tensor in (query, key, value)]

    def _projected(self, query: Tensor, key: Tensor, value: Tensor) -> list[Tensor]:
        """Return queries, keys and values (B, H, N, D) of inputs (B, N, E)."""
        if key.shape[:2] != value.shape[:2] or query.shape[0] != key.shape[0]:
            raise DropInError(
                "expected as many values as keys, and one batch size for all three; got, batch first, query"
                f" {tuple(query.shape)}, key {tuple(key.shape)}, value {tuple(value.shape)}"
            )
        for name, tensor, width in (
            ("query", query, self.embed_dim),
            ("key", key, self.kdim),
            ("value", value, self.vdim),
        ):
            if tensor.shape[-1] != width:
                raise DropInError(
                    f"{name}: was expecting embedding dimension of {width}, but got {tensor.shape[-1]}"
                )
        return [
            part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for part in self._linear(query, key, value)
        ]

    def _linear(self, query: Tensor, key: Tensor, value: Tensor) -> Sequence[Tensor]:
        """Apply the projections, those of one tensor at once."""
        weight, bias = self.in_proj_weight, self.in_proj_bias
        if weight is not None and query is key and key is value:
            return linear(query, weight, bias).chunk(3, dim=-1)
        separate = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        weights = separate if weight is None else weight.chunk(3)
        biases = (None, None, None) if bias is None else bias.chunk(3)
        given = zip((query, key, value), weights, biases, strict=True)
        return [linear(x, w, b) for x, w, b in given if w is not None]

    def _with_added(self, K: Tensor, V: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values with the learned one, and the one of zeros, at the end."""
        if self.bias_k is not None and self.bias_v is not None:
            K, V = (
                torch.cat([part, bias.view(1, self.num_heads, 1, -1).expand(part.shape[0], -1, -1, -1)], dim=2)
                for part, bias in ((K, self.bias_k), (V, self.bias_v))
            )
        return (pad(K, (0, 0, 0, 1)), pad(V, (0, 0, 0, 1))) if self.add_zero_attn else (K, V)


def _weights(Q: Tensor, K: Tensor, V: Tensor, mechanism: Attention) -> Tensor:
    """Return the weights (B, H, Nq, Nk) as a matrix, differentiable."""
    dtype = compute_dtype(Q.dtype)
    with torch.autocast(Q.device.type, enabled=False):
        problem = Problem.of(Q, K, V, mechanism)
        grid = Grid.whole(problem.sizes, problem.device)
        S = scores(problem, problem.query.to(dtype), problem.key.to(dtype), grid)
        return mechanism.weighing.weigh(S, grid, None).weights.to(Q.dtype)


def _checked(attention: Attention | None, added: bool) -> Attention:
    """Return the mechanism, if a module can hold it."""
    if attention is None:
        return PLAIN
    if not isinstance(attention, Attention):
        raise MechanismError(f"attention: expected an Attention; got {type(attention).__name__}")
    if attention.dropout:
        raise MechanismError(
            "attention: expected one without dropout, since eval() could not turn it off; write"
            f" MultiheadAttention(..., dropout={attention.dropout:g}, attention=Attention(...))"
        )
    if added and not isinstance(attention.rule, Full):
        raise MechanismError(
            "attention: expected one without mask beside add_bias_kv or add_zero_attn, as a mask does not know of"
            " added keys; give the mask to each call as attn_mask"
        )
    return attention


def _check_sizes(embed_dim: int, num_heads: int) -> None:
    if embed_dim <= 0 or num_heads <= 0:
        raise DropInError(
            f"embed_dim and num_heads must be greater than 0, got embed_dim={embed_dim} and num_heads={num_heads}"
        )
    if embed_dim % num_heads:
        raise DropInError(f"embed_dim must be divisible by num_heads; got {embed_dim} and {num_heads}")
