"""Attention over what is no text, seen once, and what a page's canvas shows of it."""

import re

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import regard
from regard.watch.record import Record

HOSTILE = "</script><img src=x onerror=alert(1)>"


class CrossAttention(nn.Module):
    """Attends from one sequence to another, and says so by its name."""

    def forward(self, query: Tensor, key: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(query, key, key)


def seen_among(count: int, heads: int = 2) -> Record:
    """Return a record of self-attention."""
    generator = torch.Generator().manual_seed(count)
    query, key = (torch.randn(1, heads, count, 8, generator=generator) for _ in range(2))
    with regard.watch() as seen:
        F.scaled_dot_product_attention(query, key, key)
    return seen


def seen_between(queries: int, keys: int, heads: int = 2) -> Record:
    """Return a record of attention from one sequence to another."""
    generator = torch.Generator().manual_seed(keys)
    query, key = (torch.randn(1, heads, count, 8, generator=generator) for count in (queries, keys))
    model = CrossAttention()
    with regard.watch(model) as seen:
        model(query, key)
    return seen


def weights_of(seen: Record, head: int = 0) -> Tensor:
    """Return the weights of a head, (queries, keys)."""
    return seen.sites[0].weights()[0, head]


def percents(text: str) -> list[float]:
    """Return the percentages that a text names, signs kept."""
    signed = text.replace("\N{MINUS SIGN}", "-")
    return [float(number) for number in re.findall(r"([+-]?[\d.]+) %", signed)]


def pixels(canvas, places):
    """Return red, green and blue of a canvas on white at places in pixels of the page."""
    return canvas.evaluate(
        """(canvas, places) => {
            const ratio = canvas.width / canvas.clientWidth;
            const copy = new OffscreenCanvas(canvas.width, canvas.height);
            const on = copy.getContext("2d", { willReadFrequently: true });
            on.fillStyle = "#fff";
            on.fillRect(0, 0, canvas.width, canvas.height);
            on.drawImage(canvas, 0, 0);
            return places.map(([x, y]) => [...on.getImageData(x * ratio, y * ratio, 1, 1).data].slice(0, 3));
        }""",
        [list(place) for place in places],
    )


def ordered_alike(colours, weights) -> bool:
    """Return whether greys are the darker the larger the weights are; weights of the page are rounded to a byte."""
    darks = [-red for red, _, _ in colours]
    by_weight = [dark for _, dark in sorted(zip(list(weights), darks, strict=True), key=lambda pair: pair[0])]
    darkest = np.maximum.accumulate(by_weight)
    return bool((darkest - by_weight).max() <= 2) and len(set(darks)) > min(5, len(darks) - 1)
