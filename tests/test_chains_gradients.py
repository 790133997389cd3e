"""Gradients times attention, and relevance: the paper's equations on whole matrices from torch's autograd."""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

import regard
from regard import Attention, Record, head_mean, relevance, softmax, watch
from regard.errors import NotKeptError, WatchError
from regard.watch.chains import head_mean as streaming
from regard.watch.chains.stack import ALL
from tests import dense
from tests.models import FAMILIES
from tests.test_chains import Example

LAWS = settings(deadline=None, max_examples=25, derandomize=True)


@pytest.fixture(autouse=True)
def _small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make tiles so small that small calls have many."""
    monkeypatch.setattr(streaming, "TILE", 1 << 8)
    monkeypatch.setattr(streaming, "KEY_TILE", 16)
    monkeypatch.setattr(streaming, "PREPARED", 1 << 10)


# The paper, on whole matrices in float64.


def averaged(P: Tensor, dP: Tensor) -> Tensor:
    """Return E_h((dP * P)^+) (equation 5)."""
    return (dP.double() * P.double()).clamp(min=0).mean(1)


def normalised(R: Tensor) -> Tensor:
    """Return R without I, its rows divided by their sums, plus I (equations 8 and 9)."""
    identity = torch.eye(R.shape[-1], dtype=R.dtype)
    hat = R - identity
    return (hat / hat.sum(-1, keepdim=True)).nan_to_num(0.0) + identity


def of_the_paper(encoder: list[Tensor], decoder: list[tuple[str, Tensor]]) -> tuple[Tensor, Tensor | None]:
    """Return R^tt and R^ts, from Abar of the layers of an encoder and of a decoder, whose kind stands with them."""
    batch, target = decoder[0][1].shape[:2]
    crosses = [A for kind, A in decoder if kind == "cross"]
    source = crosses[0].shape[-1] if crosses else 0
    R_ss, R_tt = (torch.eye(n, dtype=torch.float64).expand(batch, -1, -1) for n in (source, target))  # (3)
    R_ts = torch.zeros(batch, target, source, dtype=torch.float64)  # (4)
    for A in encoder:
        R_ss = R_ss + A @ R_ss  # (6)
    for kind, A in decoder:
        if kind == "self":
            R_tt, R_ts = R_tt + A @ R_tt, R_ts + A @ R_ts  # (6), (7)
        else:
            R_ts = R_ts + normalised(R_tt).mT @ A @ normalised(R_ss)  # (10)
    return R_tt, R_ts if crosses else None


def close(got: Tensor, expected: Tensor, tolerance: float = 1e-5) -> None:
    """Expect equality up to a part of the largest number, since gradients may be of any size."""
    largest = float(expected.abs().amax()) if expected.numel() else 0.0
    dense.close(got, expected, rtol=tolerance, atol=tolerance * largest)


# Whole models.


@cache
def differentiated(name: str) -> tuple[list[Tensor], list[Tensor], Record]:
    """Return eager weights, their gradients by autograd, and the record of the other model, of one output."""
    eager, fast = FAMILIES[name].pair()
    inputs = FAMILIES[name].inputs()

    def backward(model: nn.Module, **asked: Any) -> Any:
        output = model(**inputs, **asked)
        weights = FAMILIES[name].attentions(output) if asked else []
        for P in weights:
            P.retain_grad()
        last = output[0][:, -1]
        (last * torch.linspace(-1, 1, last.shape[-1])).sum().backward()
        return weights

    weights = backward(eager, output_attentions=True)
    with watch(fast, want=("gradients",)) as seen:
        backward(fast)
    return [P.detach() for P in weights], [P.grad for P in weights], seen


MODELS = ["bert padded", "gpt2", "gpt2 left padded", "llama left padded", "t5", "bart", "vit"]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("of", ["gradient", "positive gradient"])
def test_gradient_times_attention_is_autograds(name: str, of: Any) -> None:
    for P, dP, site in zip(*differentiated(name), strict=True):
        product = P.double() * dP.double()
        expected = (product.clamp(min=0) if of == "positive gradient" else product).mean(1)
        close(head_mean(site, of).dense(), expected, 5e-5)


@pytest.mark.parametrize("name", ["bert padded", "gpt2", "llama left padded", "vit"])
def test_relevance_of_a_model_is_that_of_the_paper(name: str) -> None:
    weights, gradients, seen = differentiated(name)
    layers = [("self", averaged(P, dP)) for P, dP in zip(weights, gradients, strict=True)]
    got = relevance(seen, [-1, 0])
    assert got.source is None
    close(got.tokens, of_the_paper([], layers)[0][:, [-1, 0]], 5e-5)


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_relevance_of_an_encoder_decoder_is_that_of_the_paper(name: str) -> None:
    weights, gradients, seen = differentiated(name)
    means = [averaged(P, dP) for P, dP in zip(weights, gradients, strict=True)]
    tokens, source = of_the_paper(means[:2], [(s.kind, A) for s, A in zip(seen.sites[2:], means[2:], strict=True)])
    assert source is not None
    got = relevance(seen)
    assert got.source is not None
    close(got.tokens, tokens, 5e-5)
    close(got.source, source, 5e-5)


def test_an_encoder_of_an_encoder_decoder_is_a_stack_of_its_own() -> None:
    weights, gradients, seen = differentiated("bart")
    layers = [("self", averaged(P, dP)) for P, dP in zip(weights[:2], gradients[:2], strict=True)]
    close(relevance(seen, 3, paths="encoder.").tokens, of_the_paper([], layers)[0][:, [3]], 5e-5)


# Calls of all kinds.


class Attends(nn.Module):
    """A layer that attends with random vectors of its own, and gets a random gradient."""

    def __init__(self, example: Example) -> None:
        super().__init__()
        self.example = example

    def forward(self) -> None:
        example = self.example
        mechanism = Attention(mask=example.allowed, weigh=softmax(sink=example.sink))
        regard.attend(example.q.requires_grad_(), example.k, example.v, mechanism).output.backward(example.d_output)


class Model(nn.Module):
    """An encoder, and a decoder whose layers attend to themselves and then to the encoder."""

    def __init__(
        self, make: Callable[[int, int], Example], source: int, target: int, layers: tuple[int, int]
    ) -> None:
        super().__init__()
        self.encoder = nn.ModuleList(Attends(make(source, source)) for _ in range(layers[0]))
        self.decoder = nn.ModuleList(
            nn.ModuleDict({"own": Attends(make(target, target)), "cross": Attends(make(target, source))})
            for _ in range(layers[1])
        )

    def forward(self) -> None:
        for layer in self.encoder:
            layer()
        for layer in self.decoder:
            layer["own"]()
            layer["cross"]()


@given(
    st.integers(1, 2),
    st.sampled_from(["none", "causal", "scattered", "left padding"]),
    st.booleans(),
    st.tuples(st.integers(0, 2), st.integers(1, 3)),
    st.sampled_from([(1, 1), (7, 7), (5, 33), (33, 5), (20, 1)]),
    st.sampled_from([torch.float32, torch.float64]),
    st.floats(-12, 3),
    st.integers(0, 99),
)
@LAWS
def test_relevance_is_that_of_the_paper(
    group: int,
    mask: str,
    sink: bool,
    layers: tuple[int, int],
    lengths: tuple[int, int],
    dtype: torch.dtype,
    size: float,
    seed: int,
) -> None:
    seeds = iter(range(seed, 10_000))

    def make(queries: int, keys: int) -> Example:
        example = Example(queries, keys, group, mask, sink, next(seeds), dtype)
        # Gradients of whatever size: relevance is a sum of their products.
        example.d_output, example.dP = example.d_output * 10**size, example.dP * 10**size
        return example

    model = Model(make, *lengths, layers)
    with watch(model, want=("gradients",)) as seen:
        model()
    means = [averaged(m.example.P, m.example.dP) for m in model.modules() if isinstance(m, Attends)]
    kinds = [site.kind for site in seen]
    assert kinds == ["self"] * layers[0] + ["self", "cross"] * layers[1]
    decoder = list(zip(kinds, means, strict=True))[layers[0] :]
    tokens, source = exact(means[: layers[0]], decoder)
    got = relevance(seen)
    tolerance = 1e-10 if dtype == torch.float64 else 1e-5
    close(got.tokens, tokens, tolerance)
    close(got.source, source, tolerance)


def exact(encoder: list[Tensor], decoder: list[tuple[str, Tensor]]) -> tuple[Tensor, Tensor]:
    """Return R^tt and R^ts of the paper with D = R - I kept apart: I swallows it where gradients are small."""
    batch, target, source = decoder[1][1].shape
    I_ss, I_tt = (torch.eye(n, dtype=torch.float64) for n in (source, target))
    D_ss, D_tt = (torch.zeros(batch, n, n, dtype=torch.float64) for n in (source, target))
    for A in encoder:
        D_ss = D_ss + A @ (I_ss + D_ss)
    R_ts = torch.zeros(batch, target, source, dtype=torch.float64)

    def bar(D: Tensor) -> Tensor:
        return torch.eye(D.shape[-1], dtype=torch.float64) + (D / D.sum(-1, keepdim=True)).nan_to_num(0.0)

    for kind, A in decoder:
        if kind == "self":
            D_tt, R_ts = D_tt + A @ (I_tt + D_tt), R_ts + A @ R_ts
        else:
            R_ts = R_ts + bar(D_tt).mT @ A @ bar(D_ss)
    return I_tt + D_tt, R_ts


def test_the_oracle_that_keeps_small_numbers_is_the_papers() -> None:
    examples = [Example(*lengths, 1, "none", False, 0, torch.float64) for lengths in [(5, 5), (3, 3), (3, 5)] * 2]
    means = [averaged(example.P, example.dP) for example in examples]
    decoder = [("self", means[1]), ("cross", means[2]), ("self", means[4]), ("cross", means[5])]
    for one, other in zip(
        exact([means[0], means[3]], decoder), of_the_paper([means[0], means[3]], decoder), strict=True
    ):
        dense.close(one, other, atol=1e-12)


def test_without_any_gradient_only_the_chosen_token_is_relevant() -> None:
    def make(queries: int, keys: int) -> Example:
        example = Example(queries, keys, 1, "none", False, 0, torch.float32)
        example.d_output = torch.zeros_like(example.d_output)
        return example

    model = Model(make, 5, 3, (1, 1))
    with watch(model, want=("gradients",)) as seen:
        model()
    got = relevance(seen, 1)
    assert got.tokens.tolist() == [[[0.0, 1.0, 0.0]]] * 2
    assert got.source is not None
    assert not got.source.any()


def test_weights_that_were_dropped_have_no_known_gradient() -> None:
    q = torch.randn(1, 1, 3, 4, requires_grad=True)
    with watch(want=("gradients",)) as seen:
        F.scaled_dot_product_attention(q, q, q, dropout_p=0.5).sum().backward()
    with pytest.raises(WatchError, match="dropped weights with probability"):
        relevance(seen, 0)


def test_what_does_not_fit_together_is_refused() -> None:
    def make(queries: int, keys: int) -> Example:
        return Example(queries, keys, 1, "none", False, 0, torch.float32)

    model = Model(make, 5, 3, (1, 1))
    with watch(model, want=("gradients",)) as seen, watch(model, want=("rows",)) as rows:
        model()
        model()
    with pytest.raises(WatchError, match="called in turn 2 times"):
        relevance(seen)
    with pytest.raises(WatchError, match=r"source lengths \[3, 5\] and target lengths \[3\]"):
        relevance([seen.sites[1], seen.sites[1], seen.sites[2]])
    with pytest.raises(WatchError, match=r"target lengths \[3, 5\]"):
        relevance([seen.sites[0], seen.sites[2]])
    with pytest.raises(NotKeptError, match="values"):
        relevance(rows.sites[:1])
    q = torch.randn(1, 1, ALL + 1, 2, requires_grad=True)
    with watch(want=("gradients",)) as long:
        F.scaled_dot_product_attention(q, q, q).sum().backward()
    with pytest.raises(WatchError, match="Say from which tokens to start"):
        relevance(long)
