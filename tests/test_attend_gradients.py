"""Derivatives of every mechanism, first and second, against differences of the function itself."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck

import regard
from regard import Attention, attend, causal
from regard.engines import strips
from tests.attend_cases import KINDS, Case, call_of, engines, equal, gradients, leaves, run, wavy
from tests.attend_masks import coins, everyone, first_causal, infinities, last_causal, randoms

# The straight-through gradient is not the derivative of anything.
DERIVED = [kind for kind in KINDS if kind != "straight-through"]
derived = pytest.mark.parametrize("kind", DERIVED)
able = pytest.mark.parametrize("engine", ["tiled", "reference"])


def small(kind: str, meaning=first_causal, value_width: int = 2):
    return call_of(Case((1, 2, 3, 2), (1, 1, 3, 2), (1, 1, 3, value_width), meaning, None, kind), seed=3)


@engines
@derived
def test_first_derivatives(kind, engine):
    call = small(kind)
    assert gradcheck(lambda *inputs: call.attend(engine, *inputs).output, leaves(*call.inputs))


@able
@derived
def test_second_derivatives(kind, engine):
    call = small(kind)
    inputs = leaves(*call.inputs)
    assert gradgradcheck(lambda *inputs: call.attend(engine, *inputs).output, inputs, fast_mode=True)


DIFFERENTIATED = {
    "plain": Attention(),
    "causal, scale": Attention(mask=causal(), scale=0.9),
    "last aligned, a blind query": Attention(mask=causal(align="last")),
    "booleans": Attention(mask=coins(4, 3, seed=1)),
    "numbers": Attention(mask=randoms(2, 4, 3, seed=5, dtype=torch.float64)),
    "dropout": Attention(dropout=0.4, seed=5),
    "dropout of sparse weights": Attention(weigh=regard.sparsemax(), dropout=0.4, seed=5),
}


@engines
@pytest.mark.parametrize("name", DIFFERENTIATED)
@pytest.mark.parametrize("value_width", [1, 2, 3])
def test_first_derivatives_under_masks(value_width, name, engine):
    inputs = leaves(
        *call_of(Case((1, 2, 4, 2), (1, 1, 3, 2), (1, 1, 3, value_width))).inputs,
    )
    assert gradcheck(lambda *tensors: run(engine, *tensors, DIFFERENTIATED[name]).output, inputs, fast_mode=True)


@able
@pytest.mark.parametrize("name", DIFFERENTIATED)
def test_second_derivatives_under_masks(name, engine):
    inputs = leaves(*call_of(Case((1, 2, 4, 2), (1, 1, 3, 2), (1, 1, 3, 3))).inputs)
    assert gradgradcheck(
        lambda *tensors: run(engine, *tensors, DIFFERENTIATED[name]).output, inputs, fast_mode=True
    )


@able
def test_derivatives_of_a_mask_that_adds(engine):
    query, key, value = call_of(Case((1, 2, 4, 2), (1, 1, 3, 2), (1, 1, 3, 2))).inputs
    (table,) = leaves(randoms(4, 3, seed=5, dtype=torch.float64))

    def output(added: Tensor) -> Tensor:
        return attend(query, key, value, Attention(mask=causal() & added), engine=engine).output

    assert gradcheck(output, (table,))
    assert gradgradcheck(output, (table,))


@able
def test_first_derivatives_where_calls_are_cut_into_strips(engine, monkeypatch):
    for name, size in (("ELEMENTS", 8), ("_MOST_ROWS", 2), ("_KEYS", 1)):
        monkeypatch.setattr(strips, name, size)
    call = small("additive, soft cap, sink", infinities)
    assert gradcheck(lambda *inputs: call.attend(engine, *inputs).output, leaves(*call.inputs))


@able
@pytest.mark.parametrize("meaning", [everyone, last_causal, infinities], ids=lambda meaning: meaning.__name__)
@pytest.mark.parametrize("kind", ["softmax", "additive", "cosine", "soft cap", "ALiBi"])
def test_straight_through_is_one_hot_forward_and_softmax_backward(kind, meaning, engine):
    """Its law, in place of a derivative, whatever the score."""
    call = call_of(Case((2, 4, 5, 4), (2, 2, 7, 4), (2, 2, 7, 3), meaning, None, kind))
    through, soft = (call.mechanism(weigh=each) for each in (regard.hard(straight_through=True), regard.softmax()))
    inputs = leaves(*call.tensors)
    hard = run(engine, *inputs, replace(through, weigh=regard.hard())).output
    output, wanted = run(engine, *inputs, through).output, run(engine, *inputs, soft).output
    assert torch.equal(output, hard)
    cotangent = randoms(*output.shape, seed=9, dtype=torch.float64)
    both = zip(*(gradients(each, inputs[:2], cotangent) for each in (output, wanted)), strict=True)
    for actual, expected in both:
        equal(actual, expected, 1e-10, "gradient")


# Where the parameters lie.


class Table(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.slopes = nn.Parameter(torch.tensor([0.3, -0.7], dtype=torch.float64))

    def forward(self, S: Tensor, b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return S + self.slopes[h] * (q - k)


class Plain:
    """An object of no kind that is known, which keeps a tensor."""

    def __init__(self, table: nn.Module) -> None:
        self.slopes = table.slopes

    def __call__(self, S: Tensor, b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return S + self.slopes[h] * (q - k)

    def method(self, S: Tensor, b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return self(S, b, h, q, k)


def inner(table: Table):
    def slope(h: Tensor) -> Tensor:
        return table.slopes[h]

    return lambda S, b, h, q, k: S + slope(h) * (q - k)


def derived_tensor(table: Table):
    doubled = table.slopes * 2
    return lambda S, b, h, q, k: S + doubled[h] / 2 * (q - k)


def written(formula: str, **names: object):
    """Return a score_mod as if written in a file that knows these names."""
    return eval(f"lambda S, b, h, q, k: {formula}", dict(names))


HOLDERS = {
    "a module": lambda table: table,
    "a module's method": lambda table: table.forward,
    "a closure over a module": lambda table: lambda S, b, h, q, k: table(S, b, h, q, k),
    "a closure over a tensor": lambda table: (lambda slopes: lambda S, b, h, q, k: S + slopes[h] * (q - k))(
        table.slopes
    ),
    "a default": lambda table: lambda S, b, h, q, k, slopes=table.slopes: S + slopes[h] * (q - k),
    "a function within": inner,
    "a tensor made from another": derived_tensor,
    "a name of its module, a tensor": lambda table: written("S + slopes[h] * (q - k)", slopes=table.slopes),
    "a name of its module, a module": lambda table: written("table(S, b, h, q, k)", table=table),
    "an object": Plain,
    "an object's method": lambda table: Plain(table).method,
}


@able
@pytest.mark.parametrize("asked", ["everything", "the table alone"])
@pytest.mark.parametrize("holder", HOLDERS)
def test_a_tensor_gets_its_gradient_wherever_a_function_keeps_it(holder, asked, engine):
    call, table = call_of("causal"), Table()
    query, key, value = leaves(*call.tensors) if asked == "everything" else call.tensors
    by_hand = Table()
    gap = torch.arange(7)[:, None] - torch.arange(7)
    expected = attend(
        query, key, value, Attention(mask=causal(), bias=by_hand.slopes[:, None, None] * gap), engine="reference"
    ).output
    output = attend(
        query, key, value, Attention(mask=causal(), modify=HOLDERS[holder](table)), engine=engine
    ).output
    equal(output, expected, 1e-10, "output")
    expected.square().sum().backward()
    output.square().sum().backward()
    assert table.slopes.grad is not None
    equal(table.slopes.grad, by_hand.slopes.grad, 1e-10, "gradient")


@able
def test_a_tensor_used_twice_gets_both_gradients(engine):
    call = call_of("causal")
    (heads,) = leaves(randoms(2, seed=4, dtype=torch.float64))
    twice = Attention(modify=wavy(heads), weigh=regard.softmax(heads))
    first, second = leaves(heads, heads)
    apart = Attention(modify=wavy(first), weigh=regard.softmax(second))
    (whole,) = torch.autograd.grad(run(engine, *call.tensors, twice).output.square().sum(), heads)
    parts = torch.autograd.grad(run(engine, *call.tensors, apart).output.square().sum(), (first, second))
    equal(whole, parts[0] + parts[1], 1e-10, "gradient")


@engines
@pytest.mark.parametrize("kind", ["softmax", "additive", "bias", "sink a head", "sparsemax"])
def test_what_asks_for_no_gradient_gets_none(kind, engine):
    call = small(kind)
    for chosen in range(len(call.inputs)):
        inputs = [t.clone().requires_grad_(i == chosen) for i, t in enumerate(call.inputs)]
        output = call.attend(engine, *inputs).output
        assert output.requires_grad
        output.sum().backward()
        assert [i for i, t in enumerate(inputs) if t.grad is not None] == [chosen]
    assert not call.attend(engine).output.requires_grad
    with torch.no_grad():
        assert not call.attend(engine, *leaves(*call.inputs)).output.requires_grad


def test_the_fused_engine_refuses_second_derivatives_rather_than_giving_wrong_ones():
    query, key, value = leaves(*small("softmax").inputs)
    output = attend(query, key, value, engine="fused").output
    (gradient,) = torch.autograd.grad(output.square().sum(), query, create_graph=True)
    with pytest.raises(RuntimeError, match="not implemented"):
        torch.autograd.grad(gradient.sum(), query)
