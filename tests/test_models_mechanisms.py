"""Any mechanism by words in a Transformer keeps the laws of models: caches and padding change nothing."""

from functools import partial

import pytest
import torch
from torch.nn import functional as F

from regard.layers import named
from regard.models import transformer
from regard.models.transformer import Transformer
from tests.tiny_models import REAL, SIZES, tokens

EXACT = {"rtol": 1e-9, "atol": 1e-9}
WORDS = [
    *("dot", "additive; sparsemax", "bilinear; top_k(3)", "cosine; entmax15", "sigmoid", "hard", "soft_cap(5)"),
    *("linear", "performer(8)"),
]
# What compares places, and what has an order, is for attention of a sequence to itself.
OWN = ["alibi", "relative_buckets(8)", "window(2)", "retention", "gated_linear", "delta_rule", "gated_delta_rule"]


def makes(own: str, source: str, *, causal: bool, cross: bool):
    return named(source if cross else own, heads=4, head_width=4, causal=causal, cross=cross)


def model_of(words: str, order: str = "post") -> Transformer:
    torch.manual_seed(0)
    source = words if words in WORDS else "dot"
    return transformer(**SIZES, order=order, mechanism=partial(makes, words, source), dropout=0.0).double()


every = pytest.mark.parametrize("words", [*WORDS, *OWN])


@every
def test_a_cache_changes_nothing(words):
    model, target = model_of(words).eval(), tokens(1, 5)
    memory, cache = model.encode(tokens(), real=REAL), model.caches()
    parts = [model.decode(part, memory, cache=cache) for part in target.split([2, 1, 2], 1)]
    torch.testing.assert_close(torch.cat(parts, 1), model(tokens(), target, real=REAL), **EXACT)


@every
def test_padding_is_not_read(words):
    model, target, skipped = model_of(words).eval(), tokens(1, 5), torch.tensor([0, 1, 3])
    padded = model(tokens(), target, real=REAL, padding=skipped)
    for item, (real, start) in enumerate(zip(REAL, skipped.tolist(), strict=True)):
        alone = model(tokens()[item : item + 1, real], target[item : item + 1, start:])
        torch.testing.assert_close(padded[item, start:], alone[0], **EXACT)


@every
@pytest.mark.parametrize("order", ["post", "pre"])
def test_all_of_it_learns_on_padded_batches(words, order):
    model, target = model_of(words, order), tokens(1, 5)
    losses = []
    steps = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(12):
        steps.zero_grad()
        loss = F.cross_entropy(model(tokens(), target[:, :-1], real=REAL).flatten(0, 1), target[:, 1:].flatten())
        loss.backward()
        assert [name for name, each in model.named_parameters() if each.grad is None] == []
        steps.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_norms_before_branches_are_followed_by_one_at_the_end():
    model = model_of("dot", "pre").eval()
    memory = model.encode(tokens()).vectors
    torch.testing.assert_close(memory.mean(-1), torch.zeros(memory.shape[:2]).double(), **EXACT)
    assert model.decoder.blocks[0].attention_residual.order == "pre"
