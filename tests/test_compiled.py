"""Compiled calls: one graph on the fused path, a graph break elsewhere, the same numbers everywhere."""

import pytest
import torch

import regard
from regard import Attention

ONE_GRAPH = {
    "plain": Attention(),
    "causal": Attention(mask=regard.causal()),
    "window": Attention(mask=regard.window(5)),
    "padding": Attention(mask=regard.padding([30, 0])),
    "boolean tensor": Attention(mask=torch.ones(33, 37, dtype=torch.bool).tril(2)),
}
BROKEN = {
    "bias with gradients": Attention(bias=regard.alibi(4)),
    "sparsemax": Attention(weigh=regard.sparsemax()),
    "sampled": Attention(weigh=regard.hard(sample=True), seed=3),
    "dropout": Attention(dropout=0.2, seed=3),
}


def vectors():
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, 4, 33, 8), (2, 2, 37, 8), (2, 2, 37, 6))
    return [torch.randn(shape, generator=generator).requires_grad_() for shape in shapes]


def results(function, given):
    output = function(*given)
    return output, *torch.autograd.grad(output.square().sum(), given)


@pytest.fixture(autouse=True)
def nothing_compiled_before():
    torch._dynamo.reset()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("name", ONE_GRAPH)
def test_the_fused_path_compiles_to_one_graph(name):
    def attended(q, k, v):
        return regard.attend(q, k, v, ONE_GRAPH[name]).output * 2

    given = vectors()
    compiled = torch.compile(attended, fullgraph=True, backend="aot_eager")
    for ours, plain in zip(results(compiled, given), results(attended, given), strict=True):
        torch.testing.assert_close(ours, plain)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("name", BROKEN)
def test_other_mechanisms_break_the_graph_and_stay_right(name):
    def attended(q, k, v):
        return regard.attend(q * 1.0, k, v, BROKEN[name]).output * 2

    given = vectors()
    compiled = torch.compile(attended, backend="aot_eager")
    for ours, plain in zip(results(compiled, given), results(attended, given), strict=True):
        torch.testing.assert_close(ours, plain)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("mask", [regard.full(), regard.causal(), regard.window(3)], ids=str)
def test_a_compiled_call_keeps_nan_of_keys_from_those_who_do_not_see_them(mask):
    query, key, value = (tensor.detach() for tensor in vectors())
    key[0, 1, 20], value[1, 0, 30] = torch.nan, torch.inf

    def attended(q, k, v):
        return regard.attend(q, k, v, Attention(mask=mask)).output

    plain = attended(query, key, value)
    compiled = torch.compile(attended, fullgraph=True, backend="aot_eager")(query, key, value)
    assert torch.equal(compiled.isnan(), plain.isnan())
    torch.testing.assert_close(compiled, plain, equal_nan=True)


def test_a_transform_is_refused_with_what_to_do():
    query, key, value = vectors()
    with pytest.raises(regard.errors.EngineError, match="call it once on the whole batch"):
        torch.vmap(lambda q, k, v: regard.attend(q, k, v).output)(query, key, value)
