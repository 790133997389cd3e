"""Tensors of a mechanism between forward and backward: whose gradient is whose, what may change, what is let go."""

import gc
import weakref

import pytest
import torch
from torch import nn

import regard
from regard import Attention, attend
from regard.errors import EngineError, MechanismError

TABLE = {"slopes": torch.tensor([0.3, 0.7], dtype=torch.float64, requires_grad=True)}


def helper(head):
    return TABLE["slopes"][head]


def vectors(length=12, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(1, 2, length, 4, generator=generator, dtype=dtype).requires_grad_() for _ in range(3)]


def gradient(mechanism, of, engine):
    of = [of] if isinstance(of, torch.Tensor) else of
    output = attend(*vectors(), mechanism, engine=engine).output
    return torch.autograd.grad(output.square().sum(), of)


@pytest.mark.parametrize(
    "derived",
    [lambda b: b.mT, lambda b: b + 1, lambda b: 2 * b, lambda b: b.exp()],
    ids=["mT", "+ 1", "2 *", "exp"],
)
def test_a_bias_and_what_is_computed_from_it_each_get_their_own_share(derived):
    grads = []
    for engine in ("reference", "tiled"):
        bias = torch.randn(
            2, 12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
        ).requires_grad_()
        grads += gradient(Attention(bias=[bias, derived(bias)]), bias, engine)
    torch.testing.assert_close(*grads)


def of_a_module(engine):
    torch.manual_seed(0)
    layer = nn.Linear(3, 2).double()
    slopes = layer(torch.ones(3, dtype=torch.float64))
    mechanism = Attention(modify=lambda s, b, h, q, k: s - slopes[h] * (q - k).abs() * layer.bias[0])
    return gradient(mechanism, list(layer.parameters()), engine)


def test_a_function_may_hold_a_module_and_what_the_module_gave():
    for ours, right in zip(of_a_module("tiled"), of_a_module("reference"), strict=True):
        torch.testing.assert_close(ours, right)


def test_a_tensor_behind_a_helper_and_a_table_gets_its_gradient():
    mechanism = Attention(modify=lambda s, b, h, q, k: s * helper(h))
    ours, right = (gradient(mechanism, TABLE["slopes"], engine)[0] for engine in ("tiled", "reference"))
    torch.testing.assert_close(ours, right)


def test_a_tensor_that_cannot_be_found_is_refused_rather_than_forgotten():
    class Hidden:
        __slots__ = ("tensor",)

    hidden = Hidden()
    hidden.tensor = torch.ones(2, dtype=torch.float64, requires_grad=True)
    with pytest.raises(MechanismError, match="Capture it in a closure"):
        attend(*vectors(), Attention(modify=lambda s, b, h, q, k: s * hidden.tensor[h]), engine="tiled")


@pytest.mark.parametrize("weigh", [regard.softmax(), regard.sparsemax()], ids=str)
@pytest.mark.parametrize("engine", ["tiled"])
def test_a_mask_written_into_before_the_gradient_is_refused(weigh, engine):
    mask = torch.ones(12, 12, dtype=torch.bool)
    output = attend(*vectors(), Attention(mask=mask, weigh=weigh), engine=engine).output
    mask[:, :5] = False
    with pytest.raises(EngineError, match="modified in place"):
        output.sum().backward()


@pytest.mark.parametrize(
    ("mechanism", "dtype"),
    [
        (Attention(), torch.bfloat16),
        (Attention(mask=regard.window(3)), torch.float64),
        (Attention(weigh=regard.sparsemax()), torch.float64),
    ],
    ids=["rows", "blocks", "strips"],
)
def test_vectors_are_let_go_once_the_gradient_is_there(mechanism, dtype):
    query, key, value = vectors(dtype=dtype)
    inner = query * 1.0
    engine = "rows" if dtype == torch.bfloat16 else "tiled"
    output = attend(inner, key, value, mechanism, engine=engine).output
    watched = weakref.ref(inner)
    del inner
    loss = output.float().sum()
    loss.backward()
    gc.collect()
    assert watched() is None


@pytest.mark.parametrize("weigh", [regard.softmax(), regard.sparsemax(), regard.top_k(3)], ids=str)
def test_autocast_around_backward_changes_nothing(weigh):
    def run(autocast):
        given = vectors(40, torch.float32)
        output = attend(*given, Attention(weigh=weigh), engine="tiled").output
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            return torch.autograd.grad(output.square().sum(), given)

    for ours, plain in zip(run(True), run(False), strict=True):
        torch.testing.assert_close(ours, plain)


def test_large_added_numbers_and_a_sink_are_looked_into_alike():
    query, key, value = (tensor.detach() for tensor in vectors())
    mechanism = Attention(bias=torch.full((12, 12), 150.0), weigh=regard.softmax(sink=151.0))
    looked = attend(query, key, value, mechanism, want=("received", "lse"))
    scores = query @ key.mT / 2 + 150.0
    total = torch.logaddexp(scores.logsumexp(-1), torch.tensor(151.0, dtype=torch.float64))
    torch.testing.assert_close(looked.received, (scores - total.unsqueeze(-1)).exp().sum(-2))


def test_tensors_of_the_library_do_not_follow_the_default_device():
    masks = [
        regard.causal(),
        regard.padding([9]),
        regard.documents(torch.arange(12) // 5),
        regard.random_blocks(4, 1),
    ]
    given = [tensor.detach() for tensor in vectors()]
    before = [attend(*given, Attention(mask=mask), engine="tiled").output for mask in masks]
    with torch.device("meta"):
        after = [attend(*given, Attention(mask=mask), engine="tiled").output for mask in masks]
    for one, other in zip(before, after, strict=True):
        torch.testing.assert_close(one, other)


def test_parameters_put_in_the_place_of_those_handed_in_are_used():
    sink = nn.Parameter(torch.zeros(2))
    module = regard.MultiheadAttention(8, 2, attention=Attention(weigh=regard.softmax(sink)))
    inputs = torch.randn(5, 1, 8)
    plain, _ = module(inputs, inputs, inputs)
    other = {"mechanism_parameters.0": torch.full((2,), 9.0)}
    changed, _ = torch.func.functional_call(module, other, (inputs, inputs, inputs))
    assert not torch.allclose(plain, changed)


def test_a_score_mod_without_parameters_takes_part_in_gradients():
    query, key, value = vectors()
    distance = torch.arange(12) - torch.arange(12).view(-1, 1)
    found = attend(query, key, value, Attention(modify=lambda S, b, h, q, k: S + (k - q))).output
    wanted = ((query @ key.mT / 2 + distance).softmax(-1)) @ value
    grads = [torch.autograd.grad(output.square().sum(), [query, key, value]) for output in (found, wanted)]
    torch.testing.assert_close(*grads)
