"""Models that only attend, and pages of what they did."""

import torch
from torch import nn

import regard

HOSTILE = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "שלום",
    "\u202eevil",
    "]]>",
    "a\0b",
    "👩\u200d🚀",
    "\u200b",
    "=1+1",
    '"quoted", twice',
]


class Calls(nn.Module):
    """Attention on tensors as they are."""

    def forward(self, query, key):
        return nn.functional.scaled_dot_product_attention(query, key, key)


class Layers(nn.Module):
    """Several sites, each of other weights."""

    def __init__(self, count):
        super().__init__()
        self.layers = nn.ModuleList(Calls() for _ in range(count))

    def forward(self, query, key):
        for place, layer in enumerate(self.layers):
            layer(query * (1 + place), key)


def seen_of(queries, keys=None, heads=3, layers=2, seed=0):
    """Watch heads attend from so many queries to so many keys."""
    numbers = torch.Generator().manual_seed(seed)
    query = torch.randn(1, heads, queries, 4, generator=numbers) * 2
    key = torch.randn(1, heads, queries if keys is None else keys, 4, generator=numbers)
    model = Layers(layers)
    with torch.no_grad(), regard.watch(model) as seen:
        model(query, key)
    return seen


def weights(seen, layer, head):
    """Return the weights of a head, (queries, keys), in float64."""
    return seen.sites[layer].weights()[0, head].double().numpy()


def percent(weight):
    """Write a weight as the page does."""
    return "0 %" if weight == 0 else "<0.1 %" if weight < 0.0005 else f"{100 * weight:.1f} %"
