"""Models compiled by torch's own compiler to machine code say what they say as Python, and learn the same."""

import shutil

import pytest
import torch

from tests.tiny_models import KINDS, RECURRENT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("g++") is None and shutil.which("clang++") is None,
        reason="torch.compile makes C++ of models; here is no compiler of it (g++ or clang++)",
    ),
    pytest.mark.filterwarnings(
        "ignore"
    ),  # the compiler's own, of modules that it imports and tensors that it wraps
]


def of(kind):
    """Return a model of one layer in float32, and what it is called with."""
    made = (KINDS | RECURRENT)[kind]
    given = [each.float() if each.is_floating_point() else each for each in made.given]
    return made.build(1).float(), given, made.named


# Those that differ most: two stacks that know distances, patches, a recurrent one; gpt2 is learned below.
@pytest.mark.parametrize("kind", ["t5", "vit", "searching"])
def test_a_compiled_model_says_the_same(kind):
    model, given, named = of(kind)
    # torch takes no GRU and LSTM into its graphs, so recurrent models are compiled in parts.
    compiled = torch.compile(model, fullgraph=kind not in RECURRENT)
    with torch.no_grad():
        torch.testing.assert_close(compiled(*given, **named), model(*given, **named), rtol=1e-4, atol=1e-5)
    torch.compiler.reset()


def test_a_compiled_model_says_and_learns_the_same():
    model, given, named = of("gpt2")
    compiled = torch.compile(model, fullgraph=True)
    wanted, got = model(*given, **named), compiled(*given, **named)
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)
    pairs = (torch.autograd.grad(each.square().mean(), [*model.parameters()]) for each in (got, wanted))
    for one, other in zip(*pairs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-6)
    torch.compiler.reset()
