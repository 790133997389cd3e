"""Scores: how well a key answers a query.

Every score is first prepared: projections are applied once to all queries and all keys, outside of any engine. What
is left for an engine is one of two forms, a scaled dot product or a sum of tanh.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from regard.errors import MechanismError, ShapeError
from regard.shapes import broadcast_shapes


class Score(ABC):
    """A number for each pair of a query and a key."""

    @abstractmethod
    def prepared(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor, "Dot | TanhSum"]:
        """Return queries (B, H, Nq, D'), keys (B, G, Nk, D') and the score between these that means the same."""

    @property
    @abstractmethod
    def kind(self) -> str:
        """The score in a word or two, for people."""


@dataclass(frozen=True)
class Dot(Score):
    """Scaled dot product, `scale * q . k`."""

    scale: float | None = None

    def __post_init__(self) -> None:
        if self.scale is not None and not (isinstance(self.scale, int | float) and math.isfinite(self.scale)):
            raise MechanismError(f"scale: expected a finite number or None; got {self.scale!r}")

    def prepared(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor, "Dot"]:
        """Return everything as it is."""
        return query, key, self

    def scale_for(self, width: int) -> float:
        """Return the factor on the dot products of vectors of this width."""
        return float(width) ** -0.5 if self.scale is None else self.scale

    def between(self, Q: Tensor, K: Tensor) -> Tensor:
        """Return scores (..., queries, keys) of queries (..., queries, D) and keys (..., keys, D)."""
        return self.scale_for(Q.shape[-1]) * Q @ K.transpose(-1, -2)

    @property
    def kind(self) -> str:
        """The words."""
        return "dot" if self.scale is None else f"dot scaled by {self.scale:g}"


@dataclass(frozen=True, eq=False)
class TanhSum(Score):
    """`sum_d v_d tanh(q_d + k_d)`, the additive score of projected queries and keys.

    Attributes:
        vector: (D,), or (H, D) a head.
    """

    vector: Tensor

    def prepared(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor, "TanhSum"]:
        """Return everything as it is."""
        return query, key, self

    def between(self, Q: Tensor, K: Tensor, vector: Tensor) -> Tensor:
        """Return scores (..., queries, keys); the vector (..., 1, D) has the leading axes of Q or broadcasts."""
        result: Tensor = _TanhSum.apply(Q, K, vector)  # type: ignore[no-untyped-call]
        return result

    @property
    def kind(self) -> str:
        """The word."""
        return "additive"


@dataclass(frozen=True, eq=False)
class Additive(Score):
    """`v^T tanh(W q + U k)`; see `additive`."""

    query_weight: Tensor
    key_weight: Tensor
    vector: Tensor

    def prepared(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor, TanhSum]:
        """Project queries and keys."""
        width, heads = self.vector.shape[-1], query.shape[1]
        if self.vector.ndim == 2 and self.vector.shape[0] != heads:
            raise ShapeError(
                f"additive vector: expected {(heads, width)}, one a head; got {tuple(self.vector.shape)}"
            )
        query = projected("additive query_weight", query, self.query_weight, width)
        return query, projected("additive key_weight", key, self.key_weight, width), TanhSum(self.vector)

    @property
    def kind(self) -> str:
        """The word."""
        return "additive"


@dataclass(frozen=True, eq=False)
class Bilinear(Score):
    """`scale * q^T W k`; see `bilinear`."""

    weight: Tensor
    scale: float

    def prepared(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor, Dot]:
        """Project the queries into the space of the keys."""
        lead = (query.shape[1],) if self.weight.ndim == 3 else ()
        expected = (*lead, query.shape[-1], key.shape[-1])
        if self.weight.device != query.device:
            raise ShapeError(f"bilinear weight: expected it on {query.device}; got {self.weight.device}")
        if tuple(self.weight.shape) != expected:
            raise ShapeError(
                f"bilinear weight: expected {expected}, to take queries {tuple(query.shape)} to keys"
                f" {tuple(key.shape)}; got {tuple(self.weight.shape)}"
            )
        return query @ self.weight.to(query.dtype), key, Dot(self.scale)

    @property
    def kind(self) -> str:
        """The word."""
        return "bilinear"


@dataclass(frozen=True, eq=False)
class Cosine(Score):
    """`cos(q, k) / temperature`; see `cosine`."""

    temperature: float | Tensor

    def prepared(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor, Dot]:
        """Divide queries and keys by their lengths."""
        query, key = (torch.nn.functional.normalize(t, dim=-1) for t in (query, key))
        temperature = self.temperature
        if isinstance(temperature, Tensor) and temperature.ndim:
            if temperature.shape != (query.shape[1],):
                raise ShapeError(
                    f"cosine: expected one temperature, or one a head ({query.shape[1]},);"
                    f" got {tuple(temperature.shape)}"
                )
            temperature = temperature.view(-1, 1, 1)
        return (query / temperature).to(query.dtype), key, Dot(1.0)

    @property
    def kind(self) -> str:
        """The word."""
        return "cosine"


def dot(scale: float | None = None) -> Score:
    """Scaled dot product, `scale * q . k`.

    Args:
        scale: default: 1 / sqrt(D).

    Source: Vaswani et al. 2017, "Attention Is All You Need", equation 1.
    """
    return Dot(scale)


def additive(query_weight: Tensor, key_weight: Tensor, vector: Tensor) -> Score:
    """Additive score, `v^T tanh(W q + U k)`, computed without a tensor of queries x keys x width.

    Args:
        query_weight: W, (A, Dq) for all heads, or (H, A, Dq).
        key_weight: U, (A, Dk), or (G, A, Dk).
        vector: v, (A,), or (H, A).

    Source: Bahdanau et al. 2015, "Neural Machine Translation by Jointly Learning to Align and Translate", A.1.2.
    """
    for name, tensor, axes in (
        ("query_weight", query_weight, (2, 3)),
        ("key_weight", key_weight, (2, 3)),
        ("vector", vector, (1, 2)),
    ):
        _expect(f"additive {name}", tensor, axes)
    return Additive(query_weight, key_weight, vector)


def bilinear(weight: Tensor, scale: float = 1.0) -> Score:
    """Bilinear score, `scale * q^T W k`; queries and keys may differ in width.

    Args:
        weight: W, (Dq, Dk) for all heads, or (H, Dq, Dk).
        scale: a factor. Default: 1, as in the paper.

    Source: Luong et al. 2015, "Effective Approaches to Attention-based Neural Machine Translation", equation 8,
        "general".
    """
    _expect("bilinear weight", weight, (2, 3))
    return Bilinear(weight, scale)


def cosine(temperature: float | Tensor = 1.0) -> Score:
    """Cosine of the angle between query and key, divided by a temperature.

    Args:
        temperature: above 0; a number, or a trainable tensor () or (H,), one a head.

    Source: Graves et al. 2014, "Neural Turing Machines", equations 5 and 6; with a temperature a head, Liu et al.
        2022, "Swin Transformer V2", equation 2.
    """
    if not isinstance(temperature, Tensor) and not (isinstance(temperature, int | float) and temperature > 0):
        raise MechanismError(f"cosine: expected a temperature above 0; got {temperature!r}")
    return Cosine(temperature)


def _expect(name: str, tensor: Any, axes: tuple[int, ...]) -> None:
    if not isinstance(tensor, Tensor) or tensor.ndim not in axes:
        got = tuple(tensor.shape) if isinstance(tensor, Tensor) else type(tensor).__name__
        raise MechanismError(f"{name}: expected a tensor of {axes[0]} or {axes[1]} axes; got {got}")


def projected(name: str, vectors: Tensor, weight: Tensor, width: int) -> Tensor:
    """Return W x for vectors x (B, H, N, D) and a weight W (A, D) or (H, A, D).

    Raises:
        ShapeError: the weight does not fit the vectors, or does not lead to the wanted width A.
    """
    heads = (vectors.shape[1],) if weight.ndim == 3 else ()
    if vectors.device != weight.device:
        raise ShapeError(f"{name}: expected it on {vectors.device}, as the vectors; got {weight.device}")
    if vectors.ndim != 4 or tuple(weight.shape) != (*heads, width, vectors.shape[-1]):
        raise ShapeError(
            f"{name}: expected {(*heads, width, vectors.shape[-1])}, to take vectors {tuple(vectors.shape)}"
            f" to width {width}; got {tuple(weight.shape)}"
        )
    return vectors @ weight.to(vectors.dtype).transpose(-1, -2)


class _TanhSum(torch.autograd.Function):
    """The sum over the width taken one coordinate at a time, forward and backward, so that no cube is held."""

    @staticmethod
    def forward(ctx: Any, Q: Tensor, K: Tensor, vector: Tensor) -> Tensor:
        ctx.save_for_backward(Q, K, vector)
        lead = broadcast_shapes(Q.shape[:-2], K.shape[:-2])
        S = Q.new_zeros((*lead, Q.shape[-2], K.shape[-2]))
        T = torch.empty_like(S)
        for d in range(Q.shape[-1]):
            S += _tanh(Q, K, d, T).mul_(vector[..., d : d + 1])
        return S

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        Q, K, vector = ctx.saved_tensors
        (dS,) = grads
        # Second derivatives need the steps of each coordinate; else two rooms serve all of them.
        rooms = (None, None) if torch.is_grad_enabled() else (torch.empty_like(dS), torch.empty_like(dS))
        columns = []
        for d in range(Q.shape[-1]):
            T = _tanh(Q, K, d, rooms[0])
            W = torch.mul(dS, T, out=rooms[1])
            dv = W.sum((-2, -1), keepdim=True)[..., 0]
            slope = torch.sub(dS, torch.mul(W, T, out=rooms[1]), out=rooms[1])
            v = vector[..., d]
            columns.append((v * slope.sum(-1), v * slope.sum(-2), dv))
        dQ, dK, dv = (torch.stack(parts, -1) for parts in zip(*columns, strict=True))
        return _reduced(dQ, Q), _reduced(dK, K), _reduced(dv, vector)


def _tanh(Q: Tensor, K: Tensor, d: int, room: Tensor | None) -> Tensor:
    """Return tanh(q_d + k_d), in some room if there is any."""
    return torch.tanh(torch.add(Q[..., d].unsqueeze(-1), K[..., d].unsqueeze(-2), out=room), out=room)


def _reduced(grad: Tensor, like: Tensor) -> Tensor:
    return grad.sum_to_size(like.shape)
