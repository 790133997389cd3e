"""Records to narrow, write, read and merge: each kind of call that a record can hold."""

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn

import regard
from regard import Attention, Record, attend, watch
from regard.engines.statistics import STATISTICS

EVERYTHING = (*STATISTICS, "gradients")
BATCH, HEADS, KEY_HEADS, QUERIES, KEYS, WIDTH = 2, 4, 2, 7, 9, 4


class Attending(nn.Module):
    """Attention by `regard.attend`."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor, how: Attention) -> Tensor:
        """Attend."""
        return attend(q, k, v, how).output


# Every part of a mechanism of which weights are a softmax, but for functions.
HOW: dict[str, Callable[[int], dict[str, Any]]] = {
    "plain": lambda batch: {},
    "scale": lambda batch: {"scale": 0.3},
    "causal": lambda batch: {"mask": regard.causal(align="last")},
    "boolean": lambda batch: {"mask": torch.rand(batch, HEADS, QUERIES, KEYS) < 0.6},
    "padding tensor": lambda batch: {"mask": torch.rand(batch, 1, 1, KEYS) < 0.6},
    "added": lambda batch: {
        "mask": torch.randn(batch, 1, QUERIES, KEYS).masked_fill(torch.rand(KEYS) < 0.2, -torch.inf)
    },
    "padding": lambda batch: {"mask": regard.padding(torch.randint(0, KEYS, (batch,)))},
    "both": lambda batch: {"mask": regard.window(2) & regard.padding(torch.randint(1, KEYS, (batch,)))},
    "either": lambda batch: {"mask": regard.window(1) | ~regard.causal()},
    "dilated": lambda batch: {"mask": regard.dilated(2, dilation=2)},
    "documents": lambda batch: {"mask": regard.documents(torch.arange(QUERIES) // 3, torch.arange(KEYS) // 3)},
    "global": lambda batch: {"mask": regard.global_tokens([0, 3])},
    "strided": lambda batch: {"mask": regard.strided(3)},
    "fixed": lambda batch: {"mask": regard.fixed(4, 1)},
    "random blocks": lambda batch: {"mask": regard.random_blocks(2, 1, seed=3)},
    "bias": lambda batch: {"bias": torch.randn(1, HEADS, QUERIES, KEYS)},
    "alibi": lambda batch: {"bias": regard.alibi(HEADS)},
    "buckets": lambda batch: {"bias": regard.relative_buckets(torch.randn(8, HEADS))},
    "soft cap": lambda batch: {"modify": regard.soft_cap(0.5), "bias": torch.randn(QUERIES, KEYS)},
    "sink": lambda batch: {"weigh": regard.softmax(sink=torch.randn(HEADS))},
    "one sink": lambda batch: {"weigh": regard.softmax(sink=0.5)},
    "additive": lambda batch: {
        "score": regard.additive(torch.randn(3, WIDTH), torch.randn(3, WIDTH), torch.randn(HEADS, 3))
    },
}


def seen(
    name: str, *, batch: int = BATCH, seed: int = 0, dtype: torch.dtype = torch.float32, **watching: Any
) -> Record:
    """Return the record of one call, the mechanism's numbers always the same."""
    torch.manual_seed(0)
    how = Attention(**HOW[name](batch))
    torch.manual_seed(seed)
    q = torch.randn(batch, HEADS, QUERIES, WIDTH, dtype=dtype, requires_grad=True)
    k, v = torch.randn(2, batch, KEY_HEADS, KEYS, WIDTH, dtype=dtype)
    model = Attending()
    with watch(model, **({"want": EVERYTHING, "sets": {"some": [1, 4]}} | watching)) as record:
        output = model(q, k, v, how)
    (output * torch.randn_like(output)).sum().backward()
    return record


def parts(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every plain value and tensor of a record's sites, with where it stands."""
    if is_dataclass(value):
        for field in fields(value):
            yield from parts(getattr(value, field.name), f"{path}.{field.name}")
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from parts(each, f"{path}.{name}")
    elif isinstance(value, list | tuple):
        for number, each in enumerate(value):
            yield from parts(each, f"{path}.{number}")
    else:
        yield path, value


def identical(one: Any, other: Any) -> None:
    """Expect two values to be the same to the bit."""
    for (path, left), (where, right) in zip(parts(one), parts(other), strict=True):
        assert path == where
        if isinstance(left, Tensor):
            assert left.dtype == right.dtype, path
            assert left.shape == right.shape, path
            bits = [t.detach().contiguous().reshape(-1).view(torch.uint8) for t in (left, right)]
            assert torch.equal(*bits), path
        else:
            assert left == right, path
