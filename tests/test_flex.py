"""FlexAttention as an engine: the same meaning, compiled; on the CPU on request only."""

import shutil

import pytest
import torch

import regard
from regard import Attention
from regard.errors import EngineError

NUMBERS = torch.arange(90) // 20
MECHANISMS = {
    "function by head": Attention(mask=lambda b, h, q, k: q - k >= h),
    "documents and global": Attention(mask=regard.documents(NUMBERS) | regard.global_tokens([3, 70])),
    "added tensor": Attention(mask=torch.randn(4, 90, 90, generator=torch.Generator().manual_seed(1))),
    "cap, ALiBi, padding": Attention(
        modify=regard.soft_cap(3.0), bias=regard.alibi(4), mask=regard.padding([80, 0])
    ),
    "score_mod": Attention(modify=lambda s, b, h, q, k: s + 0.1 * (q - k) * h),
}
NEEDS_COMPILER = pytest.mark.skipif(
    shutil.which("g++") is None and shutil.which("clang++") is None, reason="torch compiles for the CPU with g++"
)


def vectors(dtype=torch.float32, grad=False):
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, 4, 90, 16), (2, 2, 90, 16), (2, 2, 90, 16))
    return [torch.randn(shape, generator=generator).to(dtype).requires_grad_(grad) for shape in shapes]


@NEEDS_COMPILER
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("name", MECHANISMS)
def test_flex_computes_what_the_reference_computes(name):
    given, mechanism = vectors(), MECHANISMS[name]
    flex = regard.attend(*given, mechanism, engine="flex", want=("lse", "entropy"))
    reference = regard.attend(*given, mechanism, engine="reference", want=("lse", "entropy"))
    torch.testing.assert_close(flex.output, reference.output, atol=2e-6, rtol=1e-5)
    torch.testing.assert_close(flex.lse, reference.lse, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(flex.entropy, reference.entropy, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("mechanism", "given", "reason"),
    [
        (Attention(weigh=regard.sparsemax()), vectors(), "sparsemax"),
        (Attention(weigh=regard.softmax(0.0)), vectors(), "sink"),
        (Attention(dropout=0.1), vectors(), "drops no weights"),
        (Attention(mask=regard.random_blocks(16, 2)), vectors(), "random blocks"),
        (Attention(), vectors(grad=True), "no gradients"),
        (Attention(), vectors(torch.float64), "float64"),
    ],
    ids=["sparsemax", "sink", "dropout", "random", "gradient", "float64"],
)
def test_flex_refuses_what_it_cannot_do(mechanism, given, reason):
    with pytest.raises(EngineError, match=reason):
        regard.attend(*given, mechanism, engine="flex")


def test_flex_is_not_taken_unasked_on_the_cpu():
    mechanism = Attention(mask=regard.window(2))
    explanation = regard.explain(*vectors(), mechanism)
    assert explanation.chosen != "flex"
    assert "compiles for seconds" in str(explanation)
