"""Tiny models of every kind, random but the same every time, and inputs for them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from regard.layers.positions import Rotary
from regard.models.decoder import gpt2, llama
from regard.models.encoder import MaskedLanguageModel, bert
from regard.models.recurrent.model import input_feeding, searching
from regard.models.t5 import t5
from regard.models.transformer import transformer
from regard.models.vit import vit

WORDS, LENGTH = 20, 7
SIZES = {"vocabulary": WORDS, "width": 16, "layers": 2, "heads": 4, "hidden": 20}
PADDING = torch.tensor([0, 3, 6])
REAL = torch.arange(LENGTH) < torch.tensor([[7], [4], [1]])


def tokens(seed: int = 0, length: int = LENGTH) -> Tensor:
    return torch.randint(WORDS, (3, length), generator=torch.Generator().manual_seed(seed))


def pictures() -> Tensor:
    return torch.randn(3, 3, 8, 16, generator=torch.Generator().manual_seed(0), dtype=torch.double)


@dataclass(frozen=True)
class Kind:
    """What makes a model of so many layers, and what it is called with."""

    make: Callable[[int], nn.Module]
    given: tuple[Tensor, ...]
    named: dict[str, Any]
    calls: int  # of attention, a layer

    def build(self, layers: int = 2) -> nn.Module:
        """Return the model in evaluation, in float64."""
        torch.manual_seed(0)
        return self.make(layers).double().eval()


def _sized(layers: int, **more: Any) -> dict[str, Any]:
    return SIZES | {"layers": layers} | more


ONE, TWO = (tokens(),), (tokens(), tokens(1, 5))
DECODERS = {
    "gpt2": Kind(lambda n: gpt2(**_sized(n)), ONE, {"padding": PADDING}, 1),
    "llama": Kind(
        lambda n: llama(**_sized(n, key_heads=2, rotary=Rotary(4), windows=[3, None][:n], head_norms=True)),
        ONE,
        {"padding": PADDING},
        1,
    ),
}
TRANSLATORS = {
    "transformer": Kind(lambda n: transformer(**_sized(n)), TWO, {"real": REAL}, 3),
    "t5": Kind(lambda n: t5(**_sized(n, head_width=6, gated=True, buckets=8, farthest=6)), TWO, {"real": REAL}, 3),
}
KINDS = {
    "bert": Kind(lambda n: MaskedLanguageModel(bert(**_sized(n, pooled=False)), nn.GELU()), ONE, {"real": REAL}, 1),
    **DECODERS,
    **TRANSLATORS,
    "vit": Kind(
        lambda n: vit(size=(8, 16), patch=4, width=16, layers=n, heads=4, hidden=20, classes=3),
        (pictures(),),
        {},
        1,
    ),
}
RECURRENT = {
    "searching": Kind(lambda n: searching(WORDS, WORDS, width=6, hidden=8, alignment=5, readout=4), TWO, {}, 0),
    "input feeding": Kind(lambda n: input_feeding(WORDS, WORDS, width=6, layers=n), TWO, {}, 0),
}
