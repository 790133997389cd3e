"""The engine for short calls in bfloat16: matrix products over blocks of whole rows."""

import pytest
import torch

import regard
from regard import Attention
from regard.engines import rows
from regard.errors import EngineError
from tests.attend_masks import coins


def vectors(queries=33, keys=37, heads=4, key_heads=2, dtype=torch.bfloat16):
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, heads, queries, 16), (2, key_heads, keys, 16), (2, key_heads, keys, 12))
    return [torch.randn(shape, generator=generator).to(dtype).requires_grad_() for shape in shapes]


def results(given, engine, **mechanism):
    output = regard.attend(*given, Attention(scale=0.3, **mechanism), engine=engine).output
    direction = torch.randn(output.shape, generator=torch.Generator().manual_seed(1)).to(output.dtype)
    return output, *torch.autograd.grad(output, given, direction)


@pytest.mark.parametrize("elements", [1, 100, 1500, 1 << 20])
@pytest.mark.parametrize(("heads", "key_heads"), [(4, 4), (4, 2), (3, 1)])
def test_output_and_gradients_are_those_of_the_reference(monkeypatch, elements, heads, key_heads):
    monkeypatch.setattr(rows, "ELEMENTS", elements)
    given = vectors(heads=heads, key_heads=key_heads)
    exact = results([tensor.detach().double().requires_grad_() for tensor in given], "reference")
    for ours, right in zip(results(given, "rows"), exact, strict=True):
        assert ours.dtype == torch.bfloat16
        torch.testing.assert_close(ours.double(), right, atol=4e-2, rtol=4e-2)


LATER = regard.documents(torch.arange(33) // 4, torch.arange(37) // 4 + 3)
MASKS = {
    "causal": {"mask": regard.causal()},
    "some queries see nothing": {"mask": regard.causal(align="first") & LATER},
    "padding": {"mask": regard.padding(torch.tensor([20, 0]))},
    "of all": {"mask": coins(33, 37)},
    "of heads": {"mask": coins(4, 33, 37)},
    "of keys": {"mask": coins(2, 1, 1, 37)},
    "of items and heads": {"mask": coins(2, 4, 33, 37)},
}


@pytest.mark.parametrize("elements", [100, 1500, 1 << 20])
@pytest.mark.parametrize("mechanism", MASKS.values(), ids=MASKS.keys())
def test_masks_are_those_of_the_reference_however_rows_are_cut(monkeypatch, elements, mechanism):
    monkeypatch.setattr(rows, "ELEMENTS", elements)
    given = vectors()
    assert regard.explain(*given, Attention(**mechanism)).chosen == "rows"
    exact = results([tensor.detach().double().requires_grad_() for tensor in given], "reference", **mechanism)
    for ours, right in zip(results(given, "rows", **mechanism), exact, strict=True):
        torch.testing.assert_close(ours.double(), right, atol=5e-2, rtol=5e-2)
        assert not ours[right == 0].any()


def test_long_calls_with_a_mask_are_left_to_engines_that_skip():
    given = vectors(513, 513)
    assert regard.explain(*given).chosen == "rows"
    assert regard.explain(*given, Attention(mask=regard.causal())).chosen == "fused"


def test_short_calls_in_bfloat16_are_taken_by_rows_and_long_ones_are_not():
    assert regard.explain(*vectors()).chosen == "rows"
    assert regard.explain(*vectors(keys=rows.LONGEST + 1)).chosen == "fused"
    assert regard.explain(*vectors(dtype=torch.float32)).chosen == "fused"


@pytest.mark.parametrize(
    ("given", "mechanism", "reason"),
    [
        (vectors(dtype=torch.float32), Attention(), "it is for bfloat16"),
        (vectors(), Attention(weigh=regard.sparsemax()), "without sink and dropout"),
        (vectors(), Attention(dropout=0.5), "without sink and dropout"),
        (vectors(), Attention(weigh=regard.softmax(sink=0.0)), "without sink and dropout"),
        (vectors(), Attention(modify=regard.soft_cap(5.0)), "rounded to bfloat16"),
        (vectors(), Attention(bias=torch.arange(37.0)), "rounded to bfloat16"),
        (vectors(), Attention(mask=torch.arange(37.0).expand(33, 37)), "rounded to bfloat16"),
    ],
    ids=["float32", "sparsemax", "dropout", "sink", "soft cap", "bias", "mask of numbers"],
)
def test_rows_refuse_what_they_cannot_do(given, mechanism, reason):
    with pytest.raises(EngineError, match=reason):
        regard.attend(*given, mechanism, engine="rows")


def test_rows_are_looked_into_like_any_call():
    query, key, value = (tensor.detach() for tensor in vectors())
    seen = regard.attend(query, key, value, engine="rows", want=("lse", "entropy"))
    right = regard.attend(query, key, value, engine="reference", want=("lse", "entropy"))
    torch.testing.assert_close(seen.lse, right.lse)
    torch.testing.assert_close(seen.entropy, right.entropy)


@pytest.mark.parametrize(("queries", "keys"), [(0, 5), (5, 0), (1, 1)])
def test_rows_take_no_queries_no_keys_and_one_of_each(queries, keys):
    given = vectors(queries, keys)
    output = regard.attend(*given, engine="rows").output
    assert output.shape == (2, 4, queries, 12)
    output.sum().backward()
    if keys == 0:
        assert not output.any()
