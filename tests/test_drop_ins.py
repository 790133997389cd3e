"""`scaled_dot_product_attention` is torch's, in meaning and in errors; the oracle is torch itself."""

import math
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

import regard
from regard.drop_ins.scaled_dot_product_attention import scaled_dot_product_attention
from regard.errors import RegardError

TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 2e-2, torch.float16: 3e-3}


def random(*shape, dtype=torch.float64, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def close(ours, theirs):
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    tolerance = TOLERANCE[ours.dtype]
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


def same(*args, **kwargs):
    ours = scaled_dot_product_attention(*args, **kwargs)
    assert type(ours) is torch.Tensor
    close(ours, F.scaled_dot_product_attention(*args, **kwargs))


@st.composite
def calls(draw):
    """Arguments that torch takes: any leading axes, each of which some tensors may leave to broadcasting."""
    lead = draw(st.lists(st.integers(1, 3), max_size=3))
    queries, keys, width, value_width = (draw(st.integers(1, 6)) for _ in range(4))
    dtype = draw(st.sampled_from(list(TOLERANCE)))

    def axes(shorter):
        kept = lead[draw(st.integers(0, len(lead))) :] if shorter else lead
        return [draw(st.sampled_from([1, size])) if shorter else size for size in kept]

    seed = draw(st.integers(0, 99))
    query = random(*lead, queries, width, dtype=dtype, seed=seed)
    key = random(*axes(draw(st.booleans())), keys, width, dtype=dtype, seed=seed + 1)
    value = random(*axes(draw(st.booleans())), keys, value_width, dtype=dtype, seed=seed + 2)
    kind = draw(st.sampled_from(["none", "bool", "float", "float32", "causal"]))
    mask_shape = [*axes(True), draw(st.sampled_from([1, queries])), draw(st.sampled_from([1, keys]))]
    numbers = random(*mask_shape, seed=seed + 3)
    mask = {"bool": numbers > -0.5, "float": numbers.to(dtype), "float32": numbers.float()}.get(kind)
    scale = draw(st.sampled_from([None, 0.7, -1.5, 0.0, 2]))
    return (query, key, value, mask), {"is_causal": kind == "causal", "scale": scale}


@given(calls())
@settings(max_examples=150, deadline=None, derandomize=True)
def test_any_axes_masks_and_types_as_torch(call):
    args, kwargs = call
    same(*args, **kwargs)


@pytest.mark.parametrize(
    ("heads", "key_heads", "value_heads"), [(6, 2, 2), (6, 1, 1), (4, 4, 4), (6, 2, 3), (6, 3, 1)]
)
@pytest.mark.parametrize("lead", [(), (2,), (2, 3), (1, 2)])
def test_grouped_heads_as_torch(heads, key_heads, value_heads, lead):
    query, key = random(*lead, heads, 5, 4), random(*lead, key_heads, 7, 4, seed=1)
    value = random(*lead, value_heads, 7, 3, seed=2)
    same(query, key, value, enable_gqa=True)
    same(query, key, value, random(5, 7, seed=3) > 0, enable_gqa=True)


@pytest.mark.parametrize(
    "shape", [(2, 1, 1, 5, 7), (1, 3, 1, 5, 7), (2, 3, 2, 1, 7), (3, 1, 1, 7), (1, 1, 1, 5, 1)]
)
def test_masks_over_many_leading_axes_as_torch(shape):
    query, key = random(2, 3, 2, 5, 4), random(2, 3, 2, 7, 4, seed=1)
    same(query, key, key, random(*shape, seed=2) > 0)


def test_a_mask_of_one_axis_broadcasts_over_queries():
    query, key, mask = random(2, 2, 5, 4), random(2, 2, 7, 4, seed=1), random(7, seed=2) > 0
    close(
        scaled_dot_product_attention(query, key, key, mask),
        F.scaled_dot_product_attention(query, key, key, mask.view(1, 7)),
    )


def test_sizes_of_zero_as_torch():
    query, key, value = random(2, 2, 5, 4), random(2, 2, 7, 4, seed=1), random(2, 2, 7, 3, seed=2)
    same(query[:, :, :0], key, value)
    same(query, key[:, :, :0], value[:, :, :0])
    same(query[:0], key[:0], value[:0])
    same(query[..., :0], key[..., :0], value)
    same(query, key, value[..., :0])


def test_forms_of_arguments():
    query, key, mask = random(2, 2, 5, 4), random(2, 2, 7, 4, seed=1), random(5, 7, seed=2) > 0
    expected = F.scaled_dot_product_attention(query, key, key, mask, scale=0.5)
    close(scaled_dot_product_attention(query, key, key, mask, 0.0, False, scale=0.5), expected)
    close(scaled_dot_product_attention(value=key, key=key, query=query, attn_mask=mask, scale=0.5), expected)


@pytest.mark.parametrize("kind", ["none", "causal", "bool", "float"])
def test_gradients_as_torch(kind):
    def gradients(function):
        given = [random(2, 3, 5, 4), random(2, 1, 7, 4, seed=1), random(1, 3, 7, 6, seed=2)]
        mask = {"bool": random(3, 5, 7, seed=3) > 0, "float": random(2, 1, 1, 7, seed=3)}.get(kind)
        if kind == "float":
            given.append(mask)
        leaves = [tensor.requires_grad_() for tensor in given]
        output = function(*leaves[:3], attn_mask=mask, is_causal=kind == "causal")
        return torch.autograd.grad(output.sin().sum(), leaves)

    for ours, theirs in zip(
        gradients(scaled_dot_product_attention), gradients(F.scaled_dot_product_attention), strict=True
    ):
        close(ours, theirs)


@pytest.mark.parametrize("as_float", [False, True])
@pytest.mark.parametrize("dtype", list(TOLERANCE))
def test_a_query_that_may_see_no_key_gets_nothing(dtype, as_float):
    query, key, value = (random(2, 2, 5, 4, dtype=dtype, seed=seed).requires_grad_() for seed in range(3))
    mask = torch.ones(5, 5, dtype=torch.bool).tril(-2)
    given = torch.zeros(5, 5, dtype=dtype).masked_fill(~mask, -torch.inf) if as_float else mask
    output = scaled_dot_product_attention(query, key, value, given)
    assert (output[:, :, :2] == 0).all()
    gradients = torch.autograd.grad(output.sum(), (query, key, value))
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert (gradients[0][:, :, :2] == 0).all()
    close(output, F.scaled_dot_product_attention(query, key, value, given))


def test_second_derivatives_with_the_formula():
    query, key, value = (random(1, 2, 3, 4, seed=seed).requires_grad_() for seed in range(3))
    mask = random(3, 3, seed=3).requires_grad_()

    def function(*tensors):
        return scaled_dot_product_attention(*tensors[:3], attn_mask=tensors[3])

    assert torch.autograd.gradgradcheck(function, (query, key, value, mask))
    with sdpa_kernel(SDPBackend.MATH):
        assert torch.autograd.gradgradcheck(scaled_dot_product_attention, (query, key, value))


def test_kernels_that_torch_has_been_told_to_use():
    query = random(1, 2, 3, 4)
    for backends in (
        [SDPBackend.MATH],
        [SDPBackend.FLASH_ATTENTION],
        [SDPBackend.MATH, SDPBackend.FLASH_ATTENTION],
    ):
        with sdpa_kernel(backends):
            same(query, query, query, is_causal=True)
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION), pytest.raises(RuntimeError, match="drop"):
        scaled_dot_product_attention(query, query, query, dropout_p=0.5)
    with sdpa_kernel(SDPBackend.CUDNN_ATTENTION), pytest.raises(RuntimeError, match="MATH"):
        scaled_dot_product_attention(query, query, query)


def test_dropped_weights_are_zero_or_larger_and_settled_by_torchs_seed():
    query, key = random(1, 2, 64, 8), random(1, 2, 64, 8, seed=1)
    identity = torch.eye(64, dtype=torch.float64).expand(1, 2, 64, 64)
    weights = F.scaled_dot_product_attention(query, key, identity)
    torch.manual_seed(3)
    dropped = scaled_dot_product_attention(query, key, identity, dropout_p=0.25)
    kept = dropped != 0
    torch.testing.assert_close(dropped[kept], weights[kept] / 0.75)
    spread = math.sqrt(0.75 * 0.25 / kept.numel())
    assert abs(kept.double().mean() - 0.75) < 5 * spread
    torch.manual_seed(3)
    assert torch.equal(dropped, scaled_dot_product_attention(query, key, identity, dropout_p=0.25))
    assert not torch.equal(dropped, scaled_dot_product_attention(query, key, identity, dropout_p=0.25))
    assert (scaled_dot_product_attention(query, key, identity, dropout_p=1.0) == 0).all()


@pytest.mark.parametrize("variant", ["causal_upper_left", "causal_lower_right"])
@pytest.mark.parametrize(("queries", "keys"), [(5, 5), (4, 7)])
def test_torchs_own_causal_biases(variant, queries, keys):
    from torch.nn.attention import bias

    mask = getattr(bias, variant)(queries, keys)
    query, key = random(2, 2, queries, 4), random(2, 2, keys, 4, seed=1)
    output = scaled_dot_product_attention(query, key, key, mask)
    close(output, F.scaled_dot_product_attention(query, key, key, mask._materialize()))


Q, K = random(2, 4, 5, 8, dtype=torch.float32), random(2, 4, 6, 8, dtype=torch.float32, seed=1)
BOTH = torch.ones(5, 6, dtype=torch.bool)
MISTAKES = {
    "data types differ": ((Q, K.double(), K), {}),
    "integers": ((Q.int(), K.int(), K.int()), {}),
    "complex numbers": ((Q.cfloat(), K.cfloat(), K.cfloat()), {}),
    "mask of integers": ((Q, K, K, BOTH.int()), {}),
    "mask of wider floats": ((Q, K, K, BOTH.double()), {}),
    "mask of narrower floats": ((Q, K, K, BOTH.half()), {}),
    "mask of another half type": ((Q.half(), K.half(), K.half(), BOTH.bfloat16()), {}),
    "mask of another length": ((Q, K, K, torch.ones(3, 6, dtype=torch.bool)), {}),
    "mask with more axes": ((Q, K, K, torch.ones(1, 1, 1, 5, 6, dtype=torch.bool)), {}),
    "mask with a larger batch": ((Q[:1], K[:1], K[:1], torch.ones(3, 1, 5, 6, dtype=torch.bool)), {}),
    "one axis": ((Q[0, 0, 0], K[0, 0, 0], K[0, 0, 0]), {}),
    "batches that do not broadcast": ((Q, K.repeat(2, 1, 1, 1)[:3], K.repeat(2, 1, 1, 1)[:3]), {}),
    "fewer key heads, not asked for": ((Q, K[:, :2], K[:, :2]), {}),
    "key heads that do not divide": ((Q, K[:, :3], K[:, :3]), {"enable_gqa": True}),
    "widths differ": ((Q, K[..., :7], K), {}),
    "dropout above 1": ((Q, K, K), {"dropout_p": 1.5}),
    "dropout below 0": ((Q, K, K), {"dropout_p": -0.1}),
    "value is none": ((Q, K, None), {}),
    "mask is a list": ((Q, K, K, [1]), {}),
    "dropout is a string": ((Q, K, K), {"dropout_p": "0.1"}),
    "causal is a number": ((Q, K, K), {"is_causal": 1}),
    "scale by position": ((Q, K, K, None, 0.0, False, 0.5), {}),
    "devices differ": ((Q, K.to("meta"), K), {}),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_raise_what_torch_raises(case):
    args, kwargs = MISTAKES[case]
    with pytest.raises((RuntimeError, TypeError)) as theirs:
        F.scaled_dot_product_attention(*args, **kwargs)
    kind = RuntimeError if issubclass(theirs.type, RuntimeError) else TypeError
    with pytest.raises(kind) as ours:
        scaled_dot_product_attention(*args, **kwargs)
    assert issubclass(ours.type, RegardError) or case == "scale by position"


def test_mistakes_that_torchs_cpu_kernel_lets_pass():
    with pytest.raises(RuntimeError, match="Explicit attn_mask should not be set when is_causal=True"):
        scaled_dot_product_attention(Q, K, K, BOTH, is_causal=True)
    with pytest.raises(RuntimeError, match="as many values as keys"):
        scaled_dot_product_attention(Q, K, K[:, :, :5])
    with pytest.raises(RuntimeError, match="at least 3 axes"):
        scaled_dot_product_attention(Q[0, 0], K[0, 0], K[0, 0], enable_gqa=True)


def test_what_attend_cannot_express_is_refused():
    nested = torch.nested.nested_tensor([Q[0, 0], K[0, 0]], layout=torch.jagged)
    with pytest.raises(RuntimeError, match="nested"):
        scaled_dot_product_attention(nested, nested, nested)
    with pytest.raises(RuntimeError, match="vmap"):
        torch.vmap(scaled_dot_product_attention)(Q, Q, Q)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
@pytest.mark.parametrize("mask", [None, torch.zeros(5, 6), BOTH])
def test_autocast_as_torch(dtype, mask):
    query, key = Q.to(dtype), K.to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        if dtype == torch.float64 and mask is not None and mask.dtype != torch.bool:
            with pytest.raises(RuntimeError, match="attn_mask dtype"):
                scaled_dot_product_attention(query, key, key, mask)
            return
        same(query, key, key, mask)
        same(query, key.float() if dtype == torch.float16 else key, key, mask)


class Calling(nn.Module):
    def forward(self, x):
        return scaled_dot_product_attention(x, x, x, is_causal=True)


def test_watch_sees_its_calls():
    query = random(1, 2, 5, 4, dtype=torch.float32)
    model = Calling()
    with regard.watch(model) as seen:
        output = model(query)
    assert torch.equal(output, model(query))
    (site,) = seen
    assert (site.sizes.heads, site.mask) == (2, "causal")


COMPILED = """
import torch
from regard.drop_ins.scaled_dot_product_attention import scaled_dot_product_attention as sdpa
query, key, seen = torch.randn(2, 4, 5, 8), torch.randn(2, 2, 6, 8), torch.rand(5, 6) > 0.5
def function(query, key):
    return sdpa(query, key, key, seen, enable_gqa=True) + sdpa(query, query, query, is_causal=True, scale=0.3)
compiled = torch.compile(function, backend="eager", fullgraph=True)
torch.testing.assert_close(compiled(query, key), function(query, key))
"""


@pytest.mark.slow
def test_compiles_in_one_graph():
    # In a process of its own, since the checks of shapes that tests switch on cannot be compiled.
    done = subprocess.run([sys.executable, "-c", COMPILED], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
