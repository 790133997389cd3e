"""The pages that are measured: of MiniLM over a text, by several viewers, and of long texts that are made up."""

import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import regard
from benchmarks.look import minilm_folder
from regard.reports import build
from regard.reports.page import maps, pins
from regard.reports.page.weights import Celled, Strongest
from regard.reports.report import Report
from regard.shapes import Sizes
from regard.watch.site import Site

_TEXTS = [Path(__file__).parents[1] / f"tests/texts/{name}.txt" for name in ("gettysburg", "declaration")]


def viewers(length: int) -> dict[str, Callable[[], str]]:
    """Return ways from a text of so many tokens to a page of MiniLM's heads, the model's forward pass included."""
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    fused, eager = (
        AutoModel.from_pretrained(minilm_folder(), attn_implementation=name).eval() for name in ("sdpa", "eager")
    )
    text = "\n".join(path.read_text(encoding="utf-8") for path in _TEXTS)
    read = AutoTokenizer.from_pretrained(minilm_folder())(
        text, return_tensors="pt", truncation=True, max_length=length
    )
    tokens = read.tokens(0)

    def page() -> str:
        with regard.watch(fused) as seen:
            fused(**read)
        return regard.report(seen, regard.words(read, text))._page()

    def weights() -> tuple[Tensor, ...]:
        found: tuple[Tensor, ...] = eager(**read, output_attentions=True).attentions
        return found

    ways: dict[str, Callable[[], str]] = {"regard": page}
    if importlib.util.find_spec("bertviz"):
        from bertviz import head_view, model_view

        ways["BertViz head view"] = lambda: str(head_view(weights(), tokens, html_action="return").data)
        ways["BertViz model view"] = lambda: str(model_view(weights(), tokens, html_action="return").data)
    if importlib.util.find_spec("circuitsvis"):
        # It is in no extra, so that no type checker finds it.
        circuitsvis = importlib.import_module("circuitsvis.attention")
        ways["CircuitsVis"] = lambda: str(circuitsvis.attention_heads(torch.cat(weights(), 1)[0], tokens).local_src)
    return ways


class Layers(nn.Module):
    """Attention of given queries and keys, layer by layer."""

    def forward(self, layers: Tensor) -> None:
        """Attend by queries and keys (layers, 2, 1, H, N, D)."""
        for query, key in layers:
            F.scaled_dot_product_attention(query, key, key)


def watched(length: int, layers: int, heads: int) -> Report:
    """Return a report on heads of width 64 that attend by random queries and keys, which are kept."""
    shape = (layers, 2, 1, heads, length, 64)
    numbers = 1.4 * torch.randn(shape, generator=torch.Generator().manual_seed(0))
    model = Layers()
    with regard.watch(model, want=("entropy", "received", "map", "rows")) as seen:
        model(numbers)
    return regard.report(seen)


def noise(length: int, layers: int, heads: int) -> str:
    """Return the page of a long text whose maps are noise, which nothing can compress."""
    numbers = np.random.default_rng(0)

    def random(*shape: int) -> Tensor:
        return torch.from_numpy(numbers.random(shape, np.float32))

    def celled(site: Site, item: int, cells: int) -> Celled:
        size = -(-length // cells)
        side = -(-length // size)
        return Celled(random(heads, side, side), random(heads, side, side), size, size)

    def strongest(site: Site, item: int, seen: Celled, most: int) -> list[Strongest]:
        places = torch.from_numpy(numbers.integers(0, length, (heads, 2, most)))
        return [Strongest(queries, keys, random(most)) for queries, keys in places]

    def rows(site: Site, item: int, queries: list[int]) -> Tensor:
        return random(heads, len(queries), length)

    shares = dict.fromkeys(("previous", "same", "next", "first", "separator", "local"), 0.123456789)
    facts: dict[str, Any] = {**shares, "entropy": 1.0, "relative_entropy": 1.0, "worth": 0.5}
    site: Any = SimpleNamespace(
        name="a layer",
        sizes=Sizes.of(length, batch=1, heads=heads),
        kept=object(),
        entropy=random(1, heads, length),
        received=random(1, heads, length),
    )
    told = [regard.Head(site.name, head, "mixed", **facts) for head in range(heads)]
    axis = build.axis([f"w{place}" for place in range(length)])
    section = build.Section("self-attention", axis, axis, (site,) * layers, 0, None, None)
    with (
        patch.object(build, "head_kinds", lambda *_: told),
        patch.object(maps, "celled", celled),
        patch.object(maps, "strongest", strongest),
        patch.object(pins, "rows", rows),
    ):
        return Report("long", (), (section,), "")._page()
