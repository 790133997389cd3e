"""Chosen blocks of keys: a mixture of blocks and native sparse attention, as their formulas say, in memory O(n)."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import regard
from regard import Attention, attend, causal
from regard.errors import LayerError, ShapeError
from regard.layers import Compression, NativeSparse, mixture_of_blocks
from regard.layers.tile import by_products, by_products_backward, tile, tile_backward
from tests.memory import on_linux, peak

EXACT = {"rtol": 1e-9, "atol": 1e-9}
SMALL = {"length": 4, "stride": 2, "block": 4, "count": 3, "first": 1, "near": 1, "window": 5}


def drawn(queries, keys, *, batch=2, heads=4, key_heads=2, width=5, value_width=3, seed=0, grad=True):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_(grad)

    return (
        normal(batch, heads, queries, width),
        normal(batch, key_heads, keys, width),
        normal(batch, key_heads, keys, value_width),
    )


def random(module, seed=5):
    """Fill all parameters with numbers that matter."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.double().parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
    return module


def gates_for(query, seed=9):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(*query.shape[:3], 3, generator=generator, dtype=torch.float64).requires_grad_()


def gradients(output, inputs):
    return torch.autograd.grad((output * torch.linspace(-1, 2, output.numel()).view_as(output)).sum(), inputs)


def assert_same(got, wanted):
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, other, **EXACT)


# The formulas, one query after another.


def attention_of_one(query, key, value, keys):
    """Return what a query (D) reads of some keys."""
    if not keys:
        return value.new_zeros(value.shape[-1])
    return (key[keys] @ query / query.shape[-1] ** 0.5).softmax(0) @ value[keys]


def in_blocks(blocks, block, place):
    return [key for key in range(place + 1) if key // block in blocks]


def best(scores, own, count, first=0, near=1):
    """Return the blocks that are read: some without being asked, the rest by their scores."""
    sure = {each for each in range(own + 1) if each < first or each > own - near}
    rest = sorted((each for each in range(own) if each not in sure), key=lambda each: -scores[each])
    return sure | set(rest[: count - len(sure)])


def every_query(query, key):
    group, before = query.shape[1] // key.shape[1], key.shape[2] - query.shape[2]
    for item, head, place in torch.cartesian_prod(*(torch.arange(n) for n in query.shape[:3])).tolist():
        yield item, head, head // group, place, place + before


def mixture_by_formula(query, key, value, block, count):
    rows = []
    for item, head, shared, row, place in every_query(query, key):
        q, k, v = query[item, head, row], key[item, shared], value[item, shared]
        own = place // block
        means = [k[each * block : (each + 1) * block].mean(0).dot(q).item() for each in range(own)]
        rows.append(attention_of_one(q, k, v, in_blocks(best(means, own, count), block, place)))
    return torch.stack(rows).view(*query.shape[:3], -1)


def summary_by_formula(module, x):
    """Return the summaries of vectors (N, D)."""
    starts = range(0, len(x) - module.length + 1, module.stride)
    summaries = [
        module.out(
            torch.nn.functional.gelu(module.into((x[start : start + module.length] + module.place).flatten()))
        )
        for start in starts
    ]
    return torch.stack(summaries) if summaries else x[:0]


def sparse_by_formula(module, query, key, value, gates):
    length, stride = module.summarise_key.length, module.summarise_key.stride
    how, rows = module.choosing, []
    keys, values = (each if each.ndim == 5 else each.expand(3, *each.shape) for each in (key, value))
    group = query.shape[1] // keys[0].shape[1]
    for item, head, shared, row, place in every_query(query, keys[0]):
        q = query[item, head, row]
        summary = summary_by_formula(module.summarise_key, keys[0][item, shared])
        summed = summary_by_formula(module.summarise_value, values[0][item, shared])
        seen = [each for each in range(len(summary)) if each * stride + length - 1 <= place]
        scores = [0.0] * (place // how.block)
        if seen:
            friends = query[item, shared * group : (shared + 1) * group, row]
            weights = (friends @ summary[seen].T / q.shape[-1] ** 0.5).softmax(-1).sum(0)
            for each, weight in zip(seen, weights.tolist(), strict=True):
                # One share for each stride that a summary's stretch and a block have in common.
                for start in range(each * stride, each * stride + length, stride):
                    if start // how.block < len(scores):
                        scores[start // how.block] += weight
        chosen = best(scores, place // how.block, how.count, how.first, how.near)
        near = list(range(max(0, place - module.window + 1), place + 1))
        branches = (
            attention_of_one(q, summary, summed, seen),
            attention_of_one(
                q, keys[1][item, shared], values[1][item, shared], in_blocks(chosen, how.block, place)
            ),
            attention_of_one(q, keys[2][item, shared], values[2][item, shared], near),
        )
        rows.append(sum(gate * branch for gate, branch in zip(gates[item, head, row], branches, strict=True)))
    return torch.stack(rows).view(*query.shape[:3], -1)


# A mixture of blocks.


@pytest.mark.parametrize(("queries", "keys"), [(21, 21), (6, 21), (1, 21), (1, 1), (3, 3)])
@pytest.mark.parametrize("key_heads", [1, 2, 4])
def test_a_mixture_of_all_blocks_is_causal_attention(queries, keys, key_heads):
    inputs = drawn(queries, keys, key_heads=key_heads)
    got = mixture_of_blocks(*inputs, block=4, count=6)
    wanted = attend(*inputs, Attention(mask=causal(align="last")), engine="reference").output
    assert_same((got, *gradients(got, inputs)), (wanted, *gradients(wanted, inputs)))


@settings(max_examples=25, deadline=None)
@given(
    keys=st.integers(1, 24),
    before=st.integers(0, 23),
    block=st.integers(1, 9),
    count=st.integers(1, 4),
    key_heads=st.sampled_from([1, 2]),
    seed=st.integers(0, 99),
)
def test_a_mixture_is_what_its_formula_says(keys, before, block, count, key_heads, seed):
    inputs = drawn(max(1, keys - before), keys, batch=1, heads=2, key_heads=key_heads, seed=seed)
    got, wanted = mixture_of_blocks(*inputs, block=block, count=count), mixture_by_formula(*inputs, block, count)
    assert_same((got, *gradients(got, inputs)), (wanted, *gradients(wanted, inputs)))


def test_gradients_of_a_mixture_are_those_of_small_steps():
    inputs = drawn(5, 7, batch=1, heads=2, key_heads=1, width=2, value_width=2, seed=3)
    assert torch.autograd.gradcheck(lambda *each: mixture_of_blocks(*each, block=2, count=2), inputs)
    assert torch.autograd.gradgradcheck(lambda *each: mixture_of_blocks(*each, block=2, count=2), inputs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_mixture_of_all_blocks_is_causal_attention_in_other_types(dtype):
    query, key, value = (each.detach().to(dtype) for each in drawn(50, 50, width=16, value_width=16))
    got = mixture_of_blocks(query, key, value, block=8, count=7)
    wanted = attend(query.double(), key.double(), value.double(), Attention(mask=causal())).output
    assert got.dtype == dtype
    torch.testing.assert_close(got.double(), wanted, rtol=0, atol=1e-5 if dtype == torch.float32 else 2e-2)


def test_without_queries_a_mixture_is_empty():
    assert mixture_of_blocks(*drawn(0, 5)).shape == (2, 4, 0, 3)
    assert mixture_of_blocks(*drawn(0, 0)).shape == (2, 4, 0, 3)


@pytest.mark.parametrize("number", [torch.nan, torch.inf, 1e6])
@pytest.mark.parametrize("kind", ["mixture", "native"])
def test_later_keys_and_values_change_nothing(number, kind):
    query, key, value = drawn(19, 19, grad=False)
    made = random(NativeSparse(5, 3, **SMALL))

    def output(k, v):
        if kind == "mixture":
            return mixture_of_blocks(query, k, v, block=4, count=3)
        return made(query, k, v, gates_for(query)).detach()

    plain = output(key, value)
    for place in (1, 7, 8, 18):
        later_key, later_value = key.clone(), value.clone()
        later_key[:, :, place:], later_value[:, :, place:] = number, number
        torch.testing.assert_close(output(later_key, later_value)[:, :, :place], plain[:, :, :place], **EXACT)


def test_who_watches_sees_the_weights_of_the_chosen_keys():
    query, key, value = drawn(13, 13, grad=False)
    plain = mixture_of_blocks(query, key, value, block=4, count=2)
    with regard.watch(want=("rows",)) as seen:
        watched = mixture_of_blocks(query, key, value, block=4, count=2)
    torch.testing.assert_close(watched, plain, **EXACT)
    weights = seen[""].rows(range(13))[..., -1, :]
    assert weights.shape[-1] == 13
    assert ((weights > 0).sum(-1) == 5).all(), "the last query reads itself and one block of 4"


def test_a_mixture_refuses_what_has_no_meaning():
    with pytest.raises(ShapeError, match="at most as many queries as keys"):
        mixture_of_blocks(*drawn(5, 4))
    with pytest.raises(ShapeError, match="multiple of key heads"):
        mixture_of_blocks(*drawn(4, 4, heads=3))
    for wrong in ({"block": 0}, {"count": 0}, {"block": 2.0}):
        with pytest.raises(LayerError):
            mixture_of_blocks(*drawn(4, 4), **wrong)


# Native sparse attention.


@settings(max_examples=20, deadline=None)
@given(
    keys=st.integers(1, 22),
    before=st.integers(0, 21),
    sizes=st.sampled_from(
        [SMALL, {**SMALL, "stride": 4}, {**SMALL, "first": 0, "near": 2, "count": 2}, {**SMALL, "block": 6}]
    ),
    own_keys=st.booleans(),
    seed=st.integers(0, 99),
)
def test_native_sparse_attention_is_what_its_formula_says(keys, before, sizes, own_keys, seed):
    query, key, value = drawn(max(1, keys - before), keys, batch=1, heads=4, key_heads=2, seed=seed)
    if own_keys:
        key, value = (torch.stack([each, each.flip(2), each * 2]) for each in (key, value))
    made, gates = random(NativeSparse(5, 3, **sizes), seed), gates_for(query)
    inputs = (query, key, value, gates)
    got, wanted = made(*inputs), sparse_by_formula(made, *inputs)
    assert_same((got, *gradients(got, inputs)), (wanted, *gradients(wanted, inputs)))


def test_gradients_reach_every_parameter_of_the_summaries():
    query, key, value = drawn(14, 14, batch=1)
    made = random(NativeSparse(5, 3, **SMALL))
    parameters, inputs = list(made.parameters()), (query, key, value, gates_for(query))
    got = gradients(made(*inputs), parameters)
    assert_same(got, gradients(sparse_by_formula(made, *inputs), parameters))
    assert all(each.abs().max() > 0 for each in got)


def test_the_gate_of_blocks_alone_with_all_blocks_is_causal_attention():
    inputs = drawn(21, 21)
    gates = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64).expand(2, 4, 21, 3)
    got = random(NativeSparse(5, 3, **{**SMALL, "count": 6}))(*inputs, gates)
    wanted = attend(*inputs, Attention(mask=causal())).output
    assert_same((got, *gradients(got, inputs)), (wanted, *gradients(wanted, inputs)))


def test_gradients_of_native_sparse_attention_are_those_of_small_steps():
    query, key, value = drawn(5, 7, batch=1, heads=2, key_heads=1, width=2, value_width=2, seed=3)
    made = random(NativeSparse(2, length=2, stride=1, block=2, count=2, first=0, near=1, window=2))
    assert torch.autograd.gradcheck(made, (query, key, value, gates_for(query)))


def test_native_sparse_attention_refuses_what_has_no_meaning():
    for wrong in ({"stride": 3}, {"length": 8}, {"window": 0}, {"count": 1}, {"near": 0}, {"stride": 0}):
        with pytest.raises(LayerError):
            NativeSparse(5, **{**SMALL, **wrong})
    query, key, value = drawn(4, 4)
    made = random(NativeSparse(5, 3, **SMALL))
    with pytest.raises(ShapeError, match="gates"):
        made(query, key, value, gates_for(query)[..., :2])
    with pytest.raises(ShapeError, match="one key and value or three"):
        made(query, key.expand(2, *key.shape), value, gates_for(query))
    with pytest.raises(ShapeError, match="at most as many queries as keys"):
        made(query, key[:, :, :3], value[:, :, :3], gates_for(query))


def test_a_layer_under_autocast_gives_the_type_that_it_was_given():
    query, key, value = (each.detach().bfloat16() for each in drawn(9, 9))
    made = NativeSparse(5, 3, **SMALL)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = made(query, key, value, gates_for(query).float())
    assert output.dtype == torch.bfloat16


def test_what_is_shorter_than_a_stretch_has_no_summary():
    assert Compression(4, 8)(torch.randn(2, 3, 7, 4)).shape == (2, 3, 0, 4)


# A tile, and memory.


@pytest.mark.parametrize("own", [False, True])
def test_a_tile_by_products_is_the_kernels(own):
    query, key, value = (
        each.detach() for each in drawn(6, 6, batch=3, heads=2, key_heads=1, width=4, value_width=4)
    )
    hidden = torch.ones(3, 1, 6, 6, dtype=torch.bool).triu(1)
    added = torch.zeros(3, 1, 6, 6, dtype=torch.float64).masked_fill(hidden, -torch.inf) if own else None
    by_kernel = tile(query, key, value, added, 0.3)
    assert_same(by_products(query, key, value, added, 0.3), by_kernel)
    # Other keys took a part of the weights, and one query is not there.
    output, lse = by_kernel[0] * 0.7, by_kernel[1] + 0.4
    lse[0, 0, 2] = torch.inf
    given = (torch.sin(query), query, key, value, output, lse, added, 0.3)
    assert_same(by_products_backward(*given), tile_backward(*given))


LONG = """
import sys
import torch
from regard.layers import NativeSparse, mixture_of_blocks

torch.set_num_threads(1)
torch.manual_seed(0)
kind, count = sys.argv[1], int(sys.argv[2])
query, key, value = (torch.randn(1, heads, count, 16, requires_grad=True) for heads in (4, 2, 2))
if kind == "mixture":
    output = mixture_of_blocks(query, key, value, block=64, count=4)
else:
    output = NativeSparse(16, count=4, window=64)(query, key, value, torch.rand(1, 4, count, 3))
output.sum().backward()
"""


@pytest.mark.slow
@on_linux
@pytest.mark.parametrize("kind", ["mixture", "native"])
def test_memory_of_12288_tokens_and_their_gradients_is_a_small_part_of_one_matrix(kind):
    heads, one_matrix = 4, 12288 * 12288 * 4 / 2**20
    assert peak(LONG, kind, "12288") - peak(LONG, kind, "128") < heads * one_matrix / 8
