"""Masks for the table of cases: each as regard is given it, and what it means written out for the oracle."""

from dataclasses import dataclass

import torch
from torch import Tensor

from regard import Mask, causal, documents, padding, window
from regard.mechanisms.masks import as_mask


@dataclass(frozen=True, eq=False)
class Places:
    """Index tensors that broadcast to (B, H, Nq, Nk), and how many queries and keys there are."""

    b: Tensor
    h: Tensor
    q: Tensor
    k: Tensor
    queries: int
    keys: int

    @classmethod
    def of(cls, batch: int, heads: int, queries: int, keys: int) -> "Places":
        b, h, q, k = torch.meshgrid(*map(torch.arange, (batch, heads, queries, keys)), indexing="ij")
        return cls(b[:, :1, :1, :1], h[:1, :, :1, :1], q[:1, :1, :, :1], k[:1, :1, :1], queries, keys)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return len(self.b), self.h.shape[1], self.queries, self.keys


@dataclass(frozen=True, eq=False)
class Meaning:
    """A mask as it is given to regard, and what it means: who may see whom, and what is added."""

    mask: Mask | Tensor | None
    allowed: Tensor | None = None
    bias: Tensor | None = None

    def table(self, p: Places, dtype: torch.dtype) -> Tensor:
        """Return the meaning as numbers to add, (B, H, Nq, Nk), -inf where forbidden."""
        allowed = torch.tensor(True) if self.allowed is None else self.allowed
        added = torch.zeros((), dtype=dtype) if self.bias is None else self.bias.to(dtype)
        return torch.where(allowed, added, -torch.inf).expand(p.shape)


def randoms(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def coins(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.6


def everyone(p: Places, dtype: torch.dtype) -> Meaning:
    return Meaning(None)


def first_causal(p: Places, dtype: torch.dtype) -> Meaning:
    return Meaning(causal(), p.k <= p.q)


def last_causal(p: Places, dtype: torch.dtype) -> Meaning:
    return Meaning(causal(align="last"), p.keys - p.k >= p.queries - p.q)


def near(p: Places, dtype: torch.dtype) -> Meaning:
    return Meaning(window(2, 1), (p.k >= p.q - 2) & (p.k <= p.q + 1))


def near_past(p: Places, dtype: torch.dtype) -> Meaning:
    return Meaning(causal() & window(3), (p.k <= p.q) & (p.k >= p.q - 3))


def near_last(p: Places, dtype: torch.dtype) -> Meaning:
    gap = (p.k - p.keys) - (p.q - p.queries)
    return Meaning(window(1, 0, align="last"), (gap == 0) | (gap == -1))


def near_or_first(p: Places, dtype: torch.dtype) -> Meaning:
    return Meaning(
        causal() & (window(1) | (torch.arange(p.keys) == 0)), (p.k <= p.q) & ((p.k >= p.q - 1) | (p.k == 0))
    )


def future(p: Places, dtype: torch.dtype) -> Meaning:
    return Meaning(~causal(), p.k > p.q)


def padded(p: Places, dtype: torch.dtype) -> Meaning:
    """The first item is whole, the second half, the third empty."""
    lengths = torch.tensor([p.keys, p.keys // 2, 0])[: len(p.b)]
    return Meaning(padding(lengths), p.k < lengths[p.b])


def padded_causal(p: Places, dtype: torch.dtype) -> Meaning:
    plain = padded(p, dtype)
    return Meaning(causal() & plain.mask, plain.allowed & (p.k <= p.q))


def three_documents(p: Places, dtype: torch.dtype) -> Meaning:
    """Documents of different lengths, the last of which has queries but no keys."""
    queries, keys = (torch.arange(count) * 3 // max(1, count) for count in (p.queries, p.keys))
    keys = keys.clamp(max=1)
    return Meaning(documents(queries, keys), queries[p.q] == keys[p.k])


def asked(p: Places, dtype: torch.dtype) -> Meaning:
    """A function of scalars that indexes a table of heads."""
    steps = torch.tensor([2, 3, 1, 4, 2, 3, 1, 2])

    def mask_mod(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return (k + q + b) % steps[h] == 0

    return Meaning(mask_mod, (p.k + p.q + p.b) % steps[p.h] == 0)


def booleans(p: Places, dtype: torch.dtype) -> Meaning:
    table = coins(*p.shape)
    return Meaning(table, table)


def booleans_of_heads(p: Places, dtype: torch.dtype) -> Meaning:
    table = coins(p.shape[1], p.queries, 1)
    return Meaning(table, table)


def booleans_of_keys(p: Places, dtype: torch.dtype) -> Meaning:
    table = coins(p.shape[0], 1, 1, p.keys)
    return Meaning(table, table)


def nobody(p: Places, dtype: torch.dtype) -> Meaning:
    return Meaning(torch.tensor(False), torch.tensor(False))


def numbers(p: Places, dtype: torch.dtype) -> Meaning:
    table = randoms(p.shape[1], p.queries, p.keys, seed=3, dtype=dtype)
    return Meaning(table, None, table)


def numbers_of_keys(p: Places, dtype: torch.dtype) -> Meaning:
    table = randoms(p.keys, seed=3, dtype=dtype)
    return Meaning(table, None, table)


def infinities(p: Places, dtype: torch.dtype) -> Meaning:
    """Numbers, some of them -inf, the whole row of the last query among them."""
    table = randoms(p.shape[0], 1, p.queries, p.keys, seed=3, dtype=dtype)
    table = table.masked_fill(coins(p.queries, p.keys), -torch.inf)
    table[..., -1, :] = -torch.inf
    return Meaning(table, None, table)


def least_numbers(p: Places, dtype: torch.dtype) -> Meaning:
    """The least finite number where others write -inf."""
    table = torch.zeros(p.queries, p.keys, dtype=dtype).masked_fill(
        coins(p.queries, p.keys), torch.finfo(dtype).min
    )
    table[:, 0] = 0.0
    return Meaning(table, None, table)


def least_numbers_only(p: Places, dtype: torch.dtype) -> Meaning:
    """The same, and the last query has nothing else: all its scores round to one number."""
    table = least_numbers(p, dtype).bias.clone()
    table[-1] = torch.finfo(dtype).min
    return Meaning(table, None, table)


def numbers_and_rule(p: Places, dtype: torch.dtype) -> Meaning:
    table = randoms(p.queries, p.keys, seed=3, dtype=dtype)
    return Meaning(causal() & table, p.k <= p.q, table)


def numbers_twice(p: Places, dtype: torch.dtype) -> Meaning:
    one, two = randoms(p.queries, p.keys, seed=3, dtype=dtype), randoms(p.keys, seed=4, dtype=dtype)
    return Meaning(as_mask(one) & two, None, one.double() + two.double())
