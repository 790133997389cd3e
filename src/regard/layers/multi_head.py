"""Multi-head attention as a layer: projections, heads that are one call of `attend`, and a projection back."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from regard.attend import PLAIN, attend
from regard.errors import LayerError, ShapeError
from regard.layers.caches.contract import Cache, Kept
from regard.layers.caches.source import SourceCache
from regard.layers.caches.state import SourceStateCache, StateCache
from regard.layers.holding import Held
from regard.layers.places import Places, asks_keys_alone
from regard.layers.projection import Projection
from regard.layers.reading import PositionBias, Reading, Rotary, read, turned
from regard.layers.real_keys import real_keys
from regard.mechanisms.attention import Attention
from regard.mechanisms.linear import LinearAttention
from regard.mechanisms.masks import as_mask
from regard.mechanisms.masks.rule import Full, MaskLike
from regard.mechanisms.weighing import Softmax, softmax
from regard.shapes import Sizes

LinearFactory = Callable[[Tensor], LinearAttention]
Mechanism = Attention | LinearAttention | LinearFactory


class MultiHead(nn.Module):
    """Multi-head attention, of a sequence to itself or to a source.

    Args:
        width: width of inputs and outputs.
        heads: how many query heads, H.
        key_heads: how many key heads, G; it divides `heads`, and query head h reads key head h // (H / G).
            Default: `heads`.
        head_width: width of a head's queries and keys. Default: width / heads.
        value_width: width of a head's values. Default: `head_width`.
        bias: whether queries, keys and values add a bias.
        out_bias: whether the output projection does. Default: as `bias`.
        query_norm: what queries (B, H, N, D) pass after their projection, such as `nn.RMSNorm(head_width)`.
        key_norm: what keys (B, G, N, D) pass.
        gate: whether what the heads give is multiplied by a gate, the sigmoid of a projection of the input.
        sink: whether each head has a learned score without value that takes weight which no key deserves.
        rotary: what queries and keys pass last, with their positions: (x (B, H, N, D), positions) -> x. It takes
            part in attention of a sequence to itself only.
        position_bias: (queries, keys) -> modifier, added to scores, aligned so that the last query stands at the
            last key.
        mechanism: the attention in the heads; or what makes a linear attention, with its gates, of the input
            (B, N, E). Default: softmax over scaled dot products.
        dropout: probability with which a weight is dropped in training, if the mechanism does not say it.
        source_width: width of a source; given, the layer attends to a source in place of its own input.

    Raises:
        LayerError: sizes that do not divide, or parts that do not go together.

    Source: Vaswani et al. 2017, "Attention Is All You Need", section 3.2.2; fewer key heads: Ainslie et al. 2023
    (GQA) and Shazeer 2019 (one key head); norms: Henry et al. 2020; gates: Qiu et al. 2025, "Gated Attention for
    Large Language Models"; learned sinks: OpenAI 2025 (gpt-oss).
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        key_heads: int | None = None,
        head_width: int | None = None,
        value_width: int | None = None,
        bias: bool = True,
        out_bias: bool | None = None,
        query_norm: nn.Module | None = None,
        key_norm: nn.Module | None = None,
        gate: bool = False,
        sink: bool = False,
        rotary: Rotary | None = None,
        position_bias: PositionBias | None = None,
        mechanism: Mechanism = PLAIN,
        dropout: float = 0.0,
        source_width: int | None = None,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.key_heads = heads if key_heads is None else key_heads
        head_width = _head_width(width, heads, self.key_heads, head_width)
        value_width = head_width if value_width is None else value_width
        self.is_cross_attention = source_width is not None  # under this name it is told to who watches
        read = width if source_width is None else source_width
        self.query = Projection(width, heads * head_width, bias=bias)
        self.key = Projection(read, self.key_heads * head_width, bias=bias)
        self.value = Projection(read, self.key_heads * value_width, bias=bias)
        self.output = Projection(heads * value_width, width, bias=bias if out_bias is None else out_bias)
        self.gate = Projection(width, heads * value_width, bias=bias) if gate else None
        self.query_norm, self.key_norm = query_norm, key_norm
        self.sink = nn.Parameter(torch.zeros(heads)) if sink else None
        self.rotary, self.position_bias = rotary, position_bias
        self.dropout = dropout
        self.mechanism: Callable[[Tensor], Attention | LinearAttention] = (
            Held(mechanism) if isinstance(mechanism, Attention | LinearAttention) else mechanism
        )
        self.is_linear = not isinstance(mechanism, Attention)
        self._check_parts(mechanism)

    def forward(
        self,
        x: Tensor,
        source: Tensor | None = None,
        *,
        mask: MaskLike | None = None,
        positions: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """Attend.

        Args:
            x: (B, Nq, E).
            source: (B, Nk, source_width), of a layer that attends to one; or fewer items, where the layer
                `shares_source`, each of which so many items of x in a row read; a mask is then of keys alone.
            mask: who may see whom, beside the mechanism's own mask, in any form that `Attention` takes. With a
                cache it speaks of the whole sequence: query i and key j are its positions i and j. In attention
                to a source queries are those of the call.
            positions: (Nq,) or (B, Nq), what `rotary` is given. Default: 0, 1, ...; after those in the cache.
            cache: what earlier calls left; it takes in what this one adds. A cache that holds a source is read
                in place of the source.

        Returns:
            (B, Nq, E).

        Raises:
            ShapeError: inputs that do not fit the layer.
            LayerError: a mask, source or cache that this layer has no use for.
        """
        self._check_inputs(x, source)
        made = self.mechanism
        mechanism = made.now() if isinstance(made, Held) else made(x)
        if isinstance(mechanism, LinearAttention):
            _check_linear(mechanism, cache, is_source=source is not None)
            heads = (
                self._linear(x, mechanism, mask, positions, cache)
                if source is None
                else self._linear_source(x, source, mechanism, mask, cache)
            )
        elif source is None:
            heads = self._own(x, mechanism, mask, positions, cache)
        else:
            heads = self._source(x, source, mechanism, mask, cache)
        joined = heads.transpose(1, 2).flatten(2)  # (B, Nq, H Dv)
        if self.gate is not None:
            joined = joined * torch.sigmoid(self.gate(x))
        output: Tensor = self.output(joined)
        return output

    @property
    def shares_source(self) -> bool:
        """Whether items in a row may read one source as one item does: where a query stands means nothing here."""
        made = self.mechanism.now() if isinstance(self.mechanism, Held) else None
        if not isinstance(made, Attention) or self.position_bias is not None or (self.training and self.dropout):
            return False
        return isinstance(made.rule, Full) and not made.modifiers and not made.draws

    def new_cache(self, kind: Callable[[], Cache]) -> Cache:
        """Return an empty cache for this layer: of this kind, unless it attends to a source or has a state."""
        if self.is_cross_attention:
            return SourceStateCache() if self.is_linear else SourceCache()
        return StateCache() if self.is_linear else kind()

    def extra_repr(self) -> str:
        """Return the numbers of heads, for people."""
        return f"heads={self.heads}, key_heads={self.key_heads}"

    def _own(
        self, x: Tensor, attention: Attention, mask: MaskLike | None, positions: Tensor | None, cache: Cache | None
    ) -> Tensor:
        """Return what heads give (B, H, Nq, Dv) in attention of a sequence to itself."""
        query, key, value = self._queries(x), self._keys(x), self._values(x)
        reading = read(query, key, value, rotary=self.rotary, positions=positions, cache=cache)
        return reading.attended(self._with_parts(attention, mask), self.position_bias)

    def _source(
        self, x: Tensor, source: Tensor, attention: Attention, mask: MaskLike | None, cache: Cache | None
    ) -> Tensor:
        """Return what heads give (B, H, Nq, Dv) in attention to a source."""
        kept = None if cache is None else cache.kept
        if kept is None:
            key, value = self._keys(source), self._values(source)
            kept = Kept(key, value) if cache is None else cache.extend(key, value)
        if len(source) != len(x) and mask is not None and not asks_keys_alone(as_mask(mask)):
            raise LayerError(f"mask: expected one that says the same of all queries of a shared source; got {mask}")
        query = _in_a_row(self._queries(x), len(source))
        reading = Reading(query, kept, Places(0, query.shape[2]))
        return _apart(reading.attended(self._with_parts(attention, mask), self.position_bias), len(x))

    def _with_parts(self, attention: Attention, mask: MaskLike | None) -> Attention:
        """Return the mechanism with the mask of a call and what this layer adds."""
        changes: dict[str, Any] = {}
        if mask is not None:
            attention = attention.masked(attention.rule & as_mask(mask))
        if self.sink is not None:
            changes["weigh"] = softmax(self.sink)
        if self.training and self.dropout:
            changes["dropout"] = self.dropout
        return replace(attention, **changes) if changes else attention

    def _linear(
        self,
        x: Tensor,
        mechanism: LinearAttention,
        mask: MaskLike | None,
        positions: Tensor | None,
        cache: Cache | None,
    ) -> Tensor:
        """Return what heads give (B, H, N, Dv) in linear attention of a sequence to itself."""
        first = 0 if cache is None else cache.length
        mechanism = self._hiding(mechanism, mask, x, first)
        query, key = turned(self._queries(x), self._keys(x), self.rotary, first, positions)
        value = self._values(x)
        if isinstance(cache, StateCache) and cache.state is not None:
            mechanism = mechanism.after(cache.state)
        attended = attend(query, key, value, mechanism)
        if isinstance(cache, StateCache):
            cache.write(attended.state, x.shape[1])
        return attended.output

    def _linear_source(
        self, x: Tensor, source: Tensor, mechanism: LinearAttention, mask: MaskLike | None, cache: Cache | None
    ) -> Tensor:
        """Return what heads give (B, H, Nq, Dv) in linear attention to a source, which is read once for a cache."""
        if isinstance(cache, StateCache) and cache.state is not None:
            mechanism, source = mechanism.after(cache.state), source[:, :0]
        else:
            mechanism = self._hiding(mechanism, mask, source, 0)
        attended = attend(self._queries(x), self._keys(source), self._values(source), mechanism)
        if isinstance(cache, StateCache):
            cache.write(attended.state, 0)
        return attended.output

    def _hiding(self, mechanism: LinearAttention, mask: MaskLike | None, x: Tensor, first: int) -> LinearAttention:
        """Return a linear attention with the keys that a mask leaves, of keys (B, N, ...) that follow the first."""
        if mask is None:
            return mechanism
        keys = first + x.shape[1]
        sizes = Sizes(len(x), self.heads, self.key_heads, keys, keys, 1, 1)
        real = real_keys(as_mask(mask), mechanism, sizes, x.device)
        return mechanism if real is None else mechanism.among(real[..., first:])

    def _queries(self, x: Tensor) -> Tensor:
        """Return (B, H, N, D)."""
        query = self.query(x)
        heads = _heads(query, self.heads)
        return heads if self.query_norm is None else self.query_norm(heads).to(query.dtype)

    def _keys(self, x: Tensor) -> Tensor:
        """Return (B, G, N, D)."""
        key = self.key(x)
        heads = _heads(key, self.key_heads)
        return heads if self.key_norm is None else self.key_norm(heads).to(key.dtype)

    def _values(self, x: Tensor) -> Tensor:
        """Return (B, G, N, Dv)."""
        return _heads(self.value(x), self.key_heads)

    def _check_inputs(self, x: Tensor, source: Tensor | None) -> None:
        if x.ndim != 3 or x.shape[2] != self.query.in_features:
            raise ShapeError(f"x: expected (B, N, {self.query.in_features}); got {tuple(x.shape)}")
        if self.is_cross_attention != (source is not None):
            expected = "a source" if self.is_cross_attention else "none, as source_width was not given"
            raise LayerError(f"source: expected {expected}; got {'none' if source is None else 'one'}")
        if source is not None and not self._fits(source, len(x)):
            raise ShapeError(f"source: expected ({len(x)}, N, {self.key.in_features}); got {tuple(source.shape)}")

    def _fits(self, source: Tensor, items: int) -> bool:
        """Whether a source is one that so many items can read."""
        if source.ndim != 3 or source.shape[2] != self.key.in_features:
            return False
        return len(source) == items or (0 < len(source) < items and items % len(source) == 0 and self.shares_source)

    def _check_parts(self, mechanism: object) -> None:
        if not callable(self.mechanism):
            raise LayerError(
                "mechanism: expected an Attention, a LinearAttention or a function that makes one of the input;"
                f" got {type(mechanism).__name__}"
            )
        if self.is_cross_attention and self.rotary is not None:
            raise LayerError("source_width: expected a layer without rotary; got both in one")
        if self.is_cross_attention and isinstance(mechanism, LinearAttention):
            _check_linear(mechanism, None, is_source=True)
        if self.is_linear and (self.sink is not None or self.position_bias is not None or self.dropout):
            raise LayerError("mechanism: linear attention has no scores; leave out sink, position_bias and dropout")
        if isinstance(mechanism, Attention) and mechanism.dropout and self.dropout:
            raise LayerError("dropout: expected one; got that of the layer and that of its mechanism")
        weigh = mechanism.weigh if isinstance(mechanism, Attention) else None
        if self.sink is not None and not (isinstance(weigh, Softmax) and weigh.sink is None):
            raise LayerError("sink: expected a mechanism with weigh=softmax(); leave out sink, or weigh")


def _head_width(width: int, heads: int, key_heads: int, head_width: int | None) -> int:
    """Return the width of a head."""
    if heads < 1 or key_heads < 1 or heads % key_heads:
        raise LayerError(f"expected heads as a multiple of key_heads; got {heads} and {key_heads}")
    if head_width is None and width % heads:
        raise LayerError(f"expected a width that heads divide, or head_width; got {width} and {heads} heads")
    return width // heads if head_width is None else head_width


def _check_linear(mechanism: LinearAttention, cache: Cache | None, *, is_source: bool) -> None:
    """Raise LayerError where linear attention has an order that a source has not, or a cache of keys."""
    if is_source and mechanism.causal:
        raise LayerError(f"mechanism: expected causal=False in attention to a source; got {mechanism}")
    if cache is not None and not (isinstance(cache, StateCache) and (is_source or mechanism.causal)):
        raise LayerError(
            f"cache: expected a StateCache for a causal linear attention; got {type(cache).__name__} for"
            f" {mechanism}. make_caches(model) makes what each layer needs"
        )


def _in_a_row(query: Tensor, sources: int) -> Tensor:
    """Return queries (B, H, N, D) of items that share sources as those of one item each, (sources, H, n N, D)."""
    if len(query) == sources:
        return query
    shared = query.reshape(sources, len(query) // sources, *query.shape[1:])
    return shared.transpose(1, 2).flatten(2, 3)


def _apart(heads: Tensor, items: int) -> Tensor:
    """Return what heads give of such queries as that of all items (B, H, N, Dv)."""
    if len(heads) == items:
        return heads
    sources, count, _, width = heads.shape
    return heads.reshape(sources, count, items // sources, -1, width).transpose(1, 2).flatten(0, 1)


def _heads(x: Tensor, heads: int) -> Tensor:
    """Return (B, heads, N, D) of (B, N, heads D)."""
    return x.view(*x.shape[:2], heads, x.shape[2] // heads).transpose(1, 2)
