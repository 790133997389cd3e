"""Masks given as functions of scalar indices, and torch's BlockMask, mean what torch says they mean."""

from functools import partial
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, create_mask

from regard import causal
from regard.mechanisms.grid import Grid
from regard.mechanisms.masks import Tile, as_mask
from regard.mechanisms.masks.mods import BlockRule, MaskMod
from regard.mechanisms.pointwise import pointwise
from tests.mask_rules import CPU, FEW, PROPERTY, booleans, by_hand, expanded, functions, sizes_of, some_sizes, whole


@PROPERTY
@given(st.data())
def test_a_function_says_what_torch_makes_of_it(data):
    z = data.draw(some_sizes(24))
    function = data.draw(functions(z))
    assert torch.equal(expanded(MaskMod(function.mod), z), create_mask(function.mod, *whole(z), device="cpu"))


def test_a_table_indexed_by_scalars_is_read_place_by_place():
    z = sizes_of(3, 3, 3, 3)
    table = booleans(3, 3, 3, 3)
    assert torch.equal(expanded(as_mask(lambda b, h, q, k: table[b, h, q, k]), z), table)
    assert torch.equal(expanded(as_mask(lambda b, h, q, k: table[k, q, h, b]), z), table.permute(3, 2, 1, 0))
    assert torch.equal(expanded(as_mask(lambda b, h, q, k: table[q, q, k, k]), z), by_scalar(table, z))


def by_scalar(table: Tensor, z) -> Tensor:
    return by_hand(lambda b, h, q, k: bool(table[q, q, k, k]), z)


def past(b, h, q, k):
    return q >= k


class Past(nn.Module):
    def forward(self, b, h, q, k):
        return q >= k

    def method(self, b, h, q, k):
        return q >= k


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (past, "past"),
        (Past(), "Past"),
        (Past().method, "method"),
        (partial(lambda reach, b, h, q, k: q - k >= reach, 0), "partial"),
    ],
    ids=["function", "module", "method", "partial"],
)
def test_whatever_can_be_called_is_a_function(function, name):
    mask = as_mask(function)
    assert torch.equal(mask.dense(5, 7), causal().dense(5, 7))
    assert str(mask) == f"mask_mod {name}"


def test_a_function_may_leave_out_what_it_does_not_need():
    z = sizes_of(2, 3, 4, 5)
    constant, keys = as_mask(lambda b, h, q, k: torch.tensor(True)), as_mask(lambda b, h, q, k: k < 2)
    assert expanded(constant, z).all()
    assert torch.equal(expanded(keys, z), (torch.arange(5) < 2).expand(whole(z)))


@FEW
@given(st.data())
def test_a_function_is_asked_alike_at_chosen_places(data):
    z = data.draw(some_sizes(12))
    function = data.draw(functions(z))
    queries = torch.tensor(data.draw(st.lists(st.integers(0, z.queries - 1), min_size=1, max_size=5)))
    keys = torch.tensor(data.draw(st.lists(st.integers(0, z.keys - 1), min_size=1, max_size=5)))
    pairs = range(z.batch * z.heads)
    asked = as_mask(function.mod).allowed(Grid.of(pairs, queries, keys, z, CPU))
    wanted = by_hand(function.rule, z).flatten(0, 1)[:, queries][:, :, keys]
    assert torch.equal(asked.expand(wanted.shape), wanted)


@st.composite
def broadcasting(draw):
    """Return tensors of whole numbers from 0 to 2 whose shapes broadcast to one another."""
    shape = draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))
    shapes = [[n if draw(st.booleans()) else 1 for n in shape][draw(st.integers(0, 1)) :] for _ in range(4)]
    source = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    return [torch.randint(3, each, generator=source) for each in shapes]


@PROPERTY
@given(broadcasting())
def test_pointwise_asks_place_by_place(tensors):
    table = torch.randn(3, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    shape = torch.broadcast_shapes(*(each.shape for each in tensors))
    full = [each.expand(shape) for each in tensors]
    wanted = [float(table[tuple(int(each[place]) for each in full)]) for place in product(*map(range, shape))]
    answer = pointwise(lambda a, b, c, d: table[a, b, c, d], *tensors)
    assert torch.equal(answer.expand(shape), torch.tensor(wanted).view(shape))


def test_pointwise_hands_over_scalars():
    axes = []

    def seen(one, other):
        axes.extend((one.ndim, other.ndim))
        return one + other

    assert pointwise(seen, torch.arange(3).view(-1, 1), torch.arange(2)).tolist() == [[0, 1], [1, 2], [2, 3]]
    assert set(axes) == {0}


def test_gradients_flow_through_a_function():
    table = torch.randn(4, requires_grad=True)
    answer = pointwise(lambda q, k: table[q] * table[k], torch.arange(4).view(-1, 1), torch.arange(4))
    answer.sum().backward()
    torch.testing.assert_close(table.grad, 2 * table.detach().sum().expand(4))


# BlockMask.


def made_by_torch(mod, z, size, batch=None, heads=None):
    return create_block_mask(mod, batch, heads, z.queries, z.keys, device="cpu", BLOCK_SIZE=size)


@pytest.mark.parametrize("size", [16, 32, (16, 32)], ids=str)
@pytest.mark.parametrize("lengths", [(64, 64), (40, 70), (70, 40), (5, 5), (1, 33)], ids=str)
@pytest.mark.parametrize("given", [(None, None), (2, None), (None, 3), (2, 3)], ids=str)
def test_a_block_mask_says_what_its_function_says(size, lengths, given):
    z = sizes_of(2, 3, *lengths)
    document = torch.arange(max(lengths)) // 33
    reach = torch.tensor([[0, 9, 40], [70, 3, 20]])

    def mod(b, h, q, k):
        alike = document[q] == document[k]
        return alike & (q - k <= (reach[b, h] if given == (2, 3) else 40))

    mask = as_mask(made_by_torch(mod, z, size, *given))
    assert isinstance(mask, BlockRule)
    assert torch.equal(expanded(mask, z), create_mask(mod, *whole(z), device="cpu"))
    assert mask.count(z) == int(create_mask(mod, *whole(z), device="cpu").sum())
    assert str(mask) == "BlockMask"


@pytest.mark.parametrize("size", [8, 16])
def test_the_blocks_of_a_block_mask_are_known_as_torch_knows_them(size):
    z = sizes_of(1, 1, 64, 64)
    blocks = made_by_torch(past, z, size)
    kinds = torch.zeros(64 // size, 64 // size, dtype=torch.int8)
    for row in range(64 // size):
        kinds[row, blocks.kv_indices[0, 0, row, : blocks.kv_num_blocks[0, 0, row]].long()] = Tile.PARTIAL
        kinds[row, blocks.full_kv_indices[0, 0, row, : blocks.full_kv_num_blocks[0, 0, row]].long()] = Tile.FULL
    assert torch.equal(as_mask(blocks).tiles(z, size=size)[0, 0], kinds)


def blocks_by_hand(mod, full: bool):
    """Return 4 queries and keys in blocks of 2: the first row sees both blocks, the second one the second.

    Block (0, 1) is full if asked; every other one is partial.
    """
    count, columns = torch.tensor([[[2, 1]]]), torch.tensor([[[[0, 1], [1, 0]]]])
    if not full:
        return BlockMask.from_kv_blocks(count.int(), columns.int(), BLOCK_SIZE=2, mask_mod=mod, seq_lengths=(4, 4))
    count, full_count = torch.tensor([[[1, 1]]]), torch.tensor([[[1, 0]]])
    full_columns = torch.tensor([[[[1, 0], [0, 1]]]])
    lists = [each.int() for each in (count, columns, full_count, full_columns)]
    return BlockMask.from_kv_blocks(*lists, BLOCK_SIZE=2, mask_mod=mod, seq_lengths=(4, 4))


def test_blocks_that_are_not_listed_are_empty_whatever_the_function_says():
    mask = as_mask(blocks_by_hand(lambda b, h, q, k: q >= 0, full=False))
    assert mask.dense(4)[0, 0].int().tolist() == [[1, 1, 1, 1], [1, 1, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1]]
    assert mask.tiles(4, size=2)[0, 0].tolist() == [[2, 2], [0, 2]]


def test_blocks_without_a_function_are_whole():
    mask = as_mask(blocks_by_hand(None, full=False))
    assert mask.dense(4)[0, 0].int().tolist() == [[1, 1, 1, 1], [1, 1, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1]]


def test_full_blocks_are_full_whatever_the_function_says():
    # As in torch, which asks the function in partial blocks only.
    mask = as_mask(blocks_by_hand(past, full=True))
    assert mask.tiles(4, size=2)[0, 0].tolist() == [[1, 2], [0, 1]]
    assert mask.dense(4)[0, 0].int().tolist() == [[1, 0, 1, 1], [1, 1, 1, 1], [0, 0, 1, 0], [0, 0, 1, 1]]
    assert mask.count(4) == 10


def test_a_block_mask_combines_with_others():
    z = sizes_of(2, 1, 40, 40)
    blocks = made_by_torch(lambda b, h, q, k: (q - k).abs() <= 9, z, 16)
    both = create_mask(lambda b, h, q, k: (q - k <= 9) & (q >= k), *whole(z), device="cpu")
    for mask in (causal() & blocks, blocks & causal(), as_mask(blocks) & causal()):
        assert torch.equal(expanded(mask, z), both)
