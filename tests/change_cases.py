"""The oracle of tests of changes: each change as a dense formula, and attention by every way that is changed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import regard
from tests import dense

BATCH, HEADS, QUERIES, KEYS, WIDTH = 2, 4, 7, 9, 5
# The heads that changes of the tests are for, beside all.
SOME = (1, 3)


def tensors(seed: int, groups: int = HEADS, queries: int = QUERIES, keys: int = KEYS) -> list[Tensor]:
    """Return queries (B, H, Nq, D), keys and values (B, G, Nk, D) in float64."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(HEADS, queries), (groups, keys), (groups, keys)]
    return [torch.randn(BATCH, *s, WIDTH, dtype=torch.float64, generator=generator) for s in shapes]


@dataclass(frozen=True)
class Formula:
    """One change as a formula: what is hidden (B, 1, Nq, Nk), the values, and what becomes of the output."""

    hidden: Callable[[int, int], Tensor] | None = None
    values: Callable[[Tensor], Tensor] = lambda V: V
    output: Callable[[Tensor], Tensor] = lambda Z: Z


def hides(keys: list[int], queries: list[int] | None = None) -> Callable[[int, int], Tensor]:
    """Return what hides keys from queries, whose last stands at the last key where there are fewer of them."""

    def hidden(nq: int, nk: int) -> Tensor:
        out = torch.zeros(1, 1, nq, nk, dtype=torch.bool)
        start = max(0, nk - nq)
        rows = range(nq) if queries is None else [q - start for q in queries if q >= start]
        for row in rows:
            out[..., row, keys] = True
        return out

    return hidden


def _swapped(V: Tensor) -> Tensor:
    V = V.clone()
    V[:, :, [0, 4]] = V[:, :, [4, 0]]
    return V


ITEMS = torch.zeros(BATCH, KEYS, dtype=torch.bool)
ITEMS[0, 2] = ITEMS[1, 5] = True

CHANGES: dict[str, tuple[Callable[..., regard.Change], Formula]] = {
    "knock out": (regard.knock_out, Formula(output=torch.zeros_like)),
    "mean": (
        lambda heads=None, **place: regard.knock_out(heads, by="mean", **place),
        Formula(output=lambda Z: Z.mean(2, keepdim=True).expand_as(Z)),
    ),
    "scale": (
        lambda heads=None, **place: regard.scale_heads(-2.5, heads, **place),
        Formula(output=lambda Z: Z * -2.5),
    ),
    "hide": (lambda heads=None, **place: regard.hide([0, 3], heads=heads, **place), Formula(hides([0, 3]))),
    "hide last": (lambda heads=None, **place: regard.hide(-1, heads=heads, **place), Formula(hides([-1]))),
    "hide from some": (
        lambda heads=None, **place: regard.hide(0, queries=[5, 6], heads=heads, **place),
        Formula(hides([0], [5, 6])),
    ),
    "hide by item": (
        lambda heads=None, **place: regard.hide(ITEMS, heads=heads, **place),
        Formula(lambda nq, nk: ITEMS[:, None, None, :nk].expand(-1, -1, nq, -1)),
    ),
    "swap": (
        lambda heads=None, **place: regard.swap_values({0: 4, 4: 0}, heads, **place),
        Formula(values=_swapped),
    ),
    "shift": (
        lambda heads=None, **place: regard.shift_values(2, heads, **place),
        Formula(values=lambda V: torch.cat([V[:, :, :1], V[:, :, :1], V[:, :, :-2]], 2)),
    ),
    "values": (
        lambda heads=None, **place: regard.change_values(lambda V: V.square(), heads, **place),
        Formula(values=torch.square),
    ),
    "output": (
        lambda heads=None, **place: regard.change_output(lambda Z: Z.flip(2), heads, **place),
        Formula(output=lambda Z: Z.flip(2)),
    ),
}


def changed(
    formulas: list[tuple[Formula, tuple[int, ...] | None]],
    query: Tensor,
    key: Tensor,
    value: Tensor,
    weights: Callable[..., Tensor] = dense.weights,
    allowed: Tensor | None = None,
    **options: Any,
) -> Tensor:
    """Return attention (B, H, Nq, Dv) under changes, each for some heads: hidden, then values, then outputs."""
    repeat = query.shape[1] // key.shape[1]
    V = value.repeat_interleave(repeat, 1)
    nq, nk = query.shape[2], key.shape[2]
    allowed = torch.ones(nq, nk, dtype=torch.bool) if allowed is None else allowed
    for formula, heads in formulas:
        chosen = _chosen(heads, query.shape[1])
        if formula.hidden is not None:
            allowed = allowed & ~(formula.hidden(nq, nk) & chosen)
        V = torch.where(chosen, formula.values(V), V)
    Z = weights(query, key, allowed=allowed, **options) @ V
    for formula, heads in formulas:
        Z = torch.where(_chosen(heads, query.shape[1]), formula.output(Z), Z)
    return Z


def _chosen(heads: tuple[int, ...] | None, count: int) -> Tensor:
    return torch.tensor([heads is None or h in heads for h in range(count)]).view(1, -1, 1, 1)


class Way(nn.Module):
    """A module that attends in one way."""

    def __init__(self, attends: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.attends, self.num_heads = attends, HEADS

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return self.attends(query, key, value)


def _scores(q: Tensor, k: Tensor) -> Tensor:
    return q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5


def _bmm(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    q, k, v = (t.flatten(0, 1) for t in (q, k, v))
    return torch.bmm(F.softmax(_scores(q, k), -1), v).unflatten(0, (BATCH, HEADS))


def _einsum(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    q, k, v = (t.transpose(1, 2) for t in (q, k, v))
    S = torch.einsum("bqhd,bkhd->bhqk", q, k) * q.shape[-1] ** -0.5
    return torch.einsum("bhqk,bkhd->bqhd", S.softmax(-1), v).transpose(1, 2)


def _grouped_by_views(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Grouped heads on five axes, the values broadcast over the heads of a group."""
    q = q.unflatten(1, (2, 2))
    return (_scores(q, k.unsqueeze(2)).softmax(-1) @ v.unsqueeze(2)).flatten(1, 2)


BOOLEAN = torch.rand(1, HEADS, QUERIES, KEYS, generator=torch.Generator().manual_seed(5)) < 0.7
BOOLEAN[..., 1] = True
ADDED = torch.randn(BATCH, 1, QUERIES, KEYS, dtype=torch.float64, generator=torch.Generator().manual_seed(6))
CAUSAL = {"allowed": dense.causal(QUERIES, KEYS)}

# By name: how it attends, how many key heads there are, and what else the formula takes.
WAYS: dict[str, tuple[Callable[[Tensor, Tensor, Tensor], Tensor], int, dict[str, Tensor]]] = {
    "sdpa": (lambda q, k, v: F.scaled_dot_product_attention(q, k, v), HEADS, {}),
    "sdpa boolean mask": (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=BOOLEAN),
        HEADS,
        {"allowed": BOOLEAN},
    ),
    "sdpa added mask": (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=ADDED),
        HEADS,
        {"added": ADDED},
    ),
    "sdpa grouped": (lambda q, k, v: F.scaled_dot_product_attention(q, k, v, enable_gqa=True), 2, {}),
    "attend": (lambda q, k, v: regard.attend(q, k, v).output, HEADS, {}),
    "attend grouped": (
        lambda q, k, v: regard.attend(q, k, v, regard.Attention(mask=BOOLEAN)).output,
        2,
        {"allowed": BOOLEAN},
    ),
    "drop-in": (lambda q, k, v: regard.scaled_dot_product_attention(q, k, v), HEADS, {}),
    "matmul": (lambda q, k, v: _scores(q, k).softmax(-1) @ v, HEADS, {}),
    "matmul grouped": (_grouped_by_views, 2, {}),
    "bmm": (_bmm, HEADS, {}),
    "einsum": (_einsum, HEADS, {}),
}
