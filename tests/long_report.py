"""A report on 32,000 tokens and 12 x 12 heads, made of noise, which nothing compresses."""

from types import SimpleNamespace

import numpy as np
import torch

import regard
from regard.reports import build
from regard.reports.page import maps, pins
from regard.reports.page.weights import Celled, Strongest
from regard.reports.report import Report
from regard.shapes import Sizes


def long_report(monkeypatch):
    count, layers, heads = 32_000, 12, 12
    numbers = np.random.default_rng(0)

    def noise(*shape):
        return torch.from_numpy(numbers.random(shape, np.float32))

    def celled(site, item, cells):
        size = -(-count // cells)
        side = -(-count // size)
        return Celled(noise(heads, side, side), noise(heads, side, side), size, size)

    def strongest(site, item, seen, most):
        places = [torch.from_numpy(numbers.integers(0, count, (2, most))) for _ in range(heads)]
        return [Strongest(*place, noise(most)) for place in places]

    told = dict.fromkeys(("previous", "same", "next", "first", "separator", "local"), 0.123456789)
    judged = [regard.Head("x", h, "mixed", **told, entropy=1, relative_entropy=1, worth=0.5) for h in range(heads)]
    monkeypatch.setattr(build, "head_kinds", lambda *_: judged)
    monkeypatch.setattr(maps, "celled", celled)
    monkeypatch.setattr(maps, "strongest", strongest)
    monkeypatch.setattr(pins, "rows", lambda site, item, queries: noise(heads, len(queries), count))
    site = SimpleNamespace(
        name="a layer",
        sizes=Sizes.of(count, batch=1, heads=heads),
        kept=object(),
        entropy=noise(1, heads, count),
        received=noise(1, heads, count),
    )
    axis = build.axis([f"w{place}" for place in range(count)])
    section = build.Section("self-attention", axis, axis, (site,) * layers, 0, None, None)
    return Report("long", (), (section,), "")
