"""Attention flow: the maximum flow of the layered graph, and what it does not exceed, streamed."""

import sys

import networkx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from regard import flow, flow_bound, rollout, watch
from regard.errors import ShapeError, WatchError
from regard.watch.chains import head_mean as streaming
from regard.watch.chains.flow import LONGEST
from tests import dense
from tests.test_chains import Example, family, mixing, watched

LAWS = settings(deadline=None, max_examples=15, derandomize=True)


@pytest.fixture(autouse=True)
def _small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make tiles so small that small calls have many."""
    monkeypatch.setattr(streaming, "TILE", 1 << 6)
    monkeypatch.setattr(streaming, "KEY_TILE", 4)


def maximum(layers: list[Tensor], start: int) -> list[float]:
    """Return the maximum flow from a token of the top to each input token, by another library, in float64."""
    graph, count = networkx.DiGraph(), len(layers[0])
    for level, A in enumerate(layers):
        for i in range(count):
            for j in range(count):
                graph.add_edge((level + 1, i), (level, j), capacity=float(A[i, j]))
    return [networkx.maximum_flow_value(graph, (len(layers), start), (0, end)) for end in range(count)]


CALLS = st.tuples(
    st.integers(1, 4),
    st.sampled_from([1, 2, 6]),
    st.sampled_from(["none", "causal", "scattered", "left padding"]),
    st.booleans(),
    st.integers(0, 99),
)


def examples(call: tuple[int, int, str, bool, int]) -> list[Example]:
    layers, length, mask, sink, seed = call
    return [Example(length, length, 2, mask, sink, seed + layer, torch.float32) for layer in range(layers)]


@given(CALLS, st.sampled_from([0.0, 0.2, 0.5, 1.0]))
@LAWS
def test_flow_is_the_maximum_flow(call: tuple[int, int, str, bool, int], residual: float) -> None:
    layers = examples(call)
    seen = watched(layers)
    starts = [0, call[1] - 1]
    got = flow(seen, starts, residual=residual)
    for item in range(2):
        A = [mixing(example.P, residual)[item] for example in layers]
        dense.close(got[item], torch.tensor([maximum(A, start) for start in starts]), atol=1e-6)


@given(CALLS, st.sampled_from([0.0, 0.2, 0.5, 1.0]))
@LAWS
def test_flow_lies_between_rollout_and_its_bound(call: tuple[int, int, str, bool, int], residual: float) -> None:
    seen = watched(examples(call))
    every = range(call[1])
    exact, bound = flow(seen, every, residual=residual), flow_bound(seen, every, residual=residual)
    assert (rollout(seen, residual=residual) <= exact + 1e-6).all()
    assert (exact <= bound + 1e-6).all()
    assert (bound <= 1).all()
    if call[0] <= 2:
        dense.close(bound, exact, atol=1e-6)


@pytest.mark.parametrize("name", ["bert", "llama left padded"])
def test_flow_of_a_model_is_that_of_its_weights(name: str) -> None:
    weights, seen = family(name)
    A = [mixing(P, 0.5)[1] for P in weights]
    dense.close(flow(seen, -1)[1, 0], torch.tensor(maximum(A, len(A[0]) - 1)), atol=1e-6)
    dense.close(flow_bound(seen, -1)[1, 0], torch.tensor(maximum(A, len(A[0]) - 1)), atol=1e-6)


def test_long_texts_are_refused_and_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    q, k, v = torch.randn(3, 1, 1, LONGEST + 1, 2)
    with watch(want=("rows",)) as seen:
        F.scaled_dot_product_attention(q, k, v)
    with pytest.raises(WatchError, match=r"at most 512 tokens.*got 513. Use flow_bound"):
        flow(seen, 0)
    dense.close(flow_bound(seen, 7), mixing(seen[""].weights(), 0.5)[:, [7]], atol=1e-6)


def test_wrong_choices_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = watched(examples((1, 6, "none", False, 0)))
    with pytest.raises(ShapeError, match="flow: expected positions from 0 to 5"):
        flow(seen, 6)
    with pytest.raises(ShapeError, match="residual"):
        flow_bound(seen, 0, residual=-0.1)
    for name in [name for name in sys.modules if name.split(".")[0] == "scipy"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(WatchError, match="pip install"):
        flow(seen, 0)
