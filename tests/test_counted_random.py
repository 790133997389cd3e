"""Random numbers by counting: the same whatever asks for them, and as random as chance would have them.

Seeds are fixed, so that a test passes always or never; bounds lie where chance would go once in some 10,000 tests.
"""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from regard.mechanisms import random
from regard.mechanisms.grid import Grid
from regard.mechanisms.random import gumbel, hashed, new_seed, uniform
from tests.mask_rules import CPU, FEW, PROPERTY, counted, places, sizes_of, some_sizes, whole

FIELD = sizes_of(2, 3, 128, 256)
SEEDS = (0, 1, 12345, -7, 2**61 + 3)
each_seed = pytest.mark.parametrize("seed", SEEDS)


def field(seed: int, z=FIELD) -> Tensor:
    return uniform(seed, Grid.whole(z, CPU)).expand(whole(z))


# The same numbers.


@PROPERTY
@given(st.integers(-(2**70), 2**70), some_sizes(5))
def test_a_number_is_what_its_definition_says(seed, z):
    wanted = [counted(seed % 2**64, *place) for place in places(z)]
    assert hashed(seed, *Grid.whole(z, CPU).indices).flatten().tolist() == wanted


@FEW
@given(st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=6), st.integers(0, 2**64 - 1))
def test_a_number_is_what_its_definition_says_at_any_index(indices, seed):
    assert int(hashed(seed, *(torch.tensor(index) for index in indices))) == counted(seed, *indices)


@pytest.mark.parametrize("draw", [uniform, gumbel])
@PROPERTY
@given(data=st.data())
def test_numbers_do_not_depend_on_the_grid_that_asks(draw, data):
    z = data.draw(some_sizes(12))
    every = draw(3, Grid.whole(z, CPU)).expand(whole(z))
    queries = data.draw(st.permutations(range(z.queries)))
    keys = data.draw(st.lists(st.integers(0, z.keys - 1), min_size=1, max_size=5))
    gathered = draw(3, Grid.rectangle(torch.tensor(queries), torch.tensor(keys), z, CPU))
    assert torch.equal(gathered, every[:, :, queries][..., keys])
    pairs = range(data.draw(st.integers(0, z.batch * z.heads - 1)), z.batch * z.heads)
    cut = data.draw(st.integers(0, z.keys - 1))
    tile = draw(3, Grid.of(pairs, torch.tensor(queries), slice(cut, z.keys), z, CPU))
    assert torch.equal(tile, every.flatten(0, 1)[pairs.start :][:, queries][..., cut:])


@pytest.mark.parametrize("draw", [uniform, gumbel])
def test_numbers_do_not_depend_on_the_size_of_the_call(draw):
    large, small = sizes_of(2, 3, 9, 11), sizes_of(1, 2, 4, 5)
    assert torch.equal(draw(8, Grid.whole(large, CPU))[:1, :2, :4, :5], draw(8, Grid.whole(small, CPU)))


def test_the_lowest_64_bits_of_a_seed_count():
    index = torch.arange(100)
    assert torch.equal(hashed(5, index), hashed(5 + 2**64, index))
    assert torch.equal(hashed(-1, index), hashed(2**64 - 1, index))
    for other in (5 + 2**32, 5 + 2**63, 4, -5):
        assert not torch.equal(hashed(5, index), hashed(other, index))


def test_a_seed_is_settled_by_torchs_generator():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        first = [new_seed() for _ in range(5)]
        torch.manual_seed(3)
        assert [new_seed() for _ in range(5)] == first
    assert len(set(first)) == 5
    assert all(isinstance(seed, int) and 0 <= seed < 2**62 for seed in first)


# The ends of the range.


@pytest.mark.parametrize("number", [0, 1, 2**24 - 1, 2**30 + 1, 2**31 - 65, 2**31 - 64, 2**31 - 1])
def test_both_ends_are_excluded_whatever_the_number(number, monkeypatch):
    monkeypatch.setattr(random, "hashed", lambda seed, *indices: torch.tensor([number], dtype=torch.int32))
    grid = Grid.whole(sizes_of(1, 1, 1, 1), CPU)
    assert 0 < float(uniform(0, grid)) < 1
    assert math.isfinite(float(gumbel(0, grid)))
    assert float(uniform(0, grid)) == pytest.approx((number + 0.5) / 2**31, rel=1e-7)


@each_seed
def test_numbers_lie_between_0_and_1(seed):
    drawn = field(seed)
    assert drawn.dtype == torch.float32
    assert drawn.min() > 0
    assert drawn.max() < 1


# The distribution.


def chi_square(counts: Tensor) -> float:
    """Return how many standard deviations chi-square lies above its mean, for equally likely counts."""
    expected = counts.sum() / counts.numel()
    degrees = counts.numel() - 1
    return float((((counts - expected) ** 2 / expected).sum() - degrees) / math.sqrt(2 * degrees))


def kolmogorov(probabilities: Tensor) -> float:
    """Return sqrt(n) times the largest gap between what was drawn and the uniform distribution."""
    ordered, n = probabilities.double().flatten().sort().values, probabilities.numel()
    ranks = torch.arange(n + 1).double() / n
    return float(torch.maximum(ranks[1:] - ordered, ordered - ranks[:-1]).max()) * math.sqrt(n)


@each_seed
@pytest.mark.parametrize("bins", [2, 10, 1000])
def test_numbers_fall_equally_often_everywhere(seed, bins):
    assert abs(chi_square(torch.histc(field(seed), bins, 0, 1))) < 4.5


@each_seed
def test_numbers_are_distributed_uniformly(seed):
    # exp(-2 * 2.2 ** 2) is 6e-5.
    assert kolmogorov(field(seed)) < 2.2


@pytest.mark.parametrize("axis", range(4))
def test_numbers_are_uniform_along_each_axis_alone(axis):
    shape = [1, 1, 1, 1]
    shape[axis] = 20_000
    assert kolmogorov(field(4, sizes_of(*shape))) < 2.2


def test_numbers_of_neighbouring_seeds_are_uniform_too():
    one = Grid.whole(sizes_of(1, 1, 1, 1), CPU)
    assert kolmogorov(torch.stack([uniform(seed, one) for seed in range(1000)])) < 2.2


def test_numbers_near_0_are_fine():
    drawn = field(2).flatten()
    near = drawn[drawn < 2**-10] * 2**10
    assert near.unique().numel() == near.numel()
    assert kolmogorov(near) < 2.2


@each_seed
def test_each_bit_is_set_half_the_time(seed):
    numbers = hashed(seed, *Grid.whole(FIELD, CPU).indices).flatten()
    shares = torch.stack([(numbers >> bit & 1).double().mean() for bit in range(31)])
    assert (shares - 0.5).abs().max() < 4.5 * 0.5 / math.sqrt(numbers.numel())
    assert not (numbers < 0).any()


@each_seed
def test_gumbels_distribution(seed):
    drawn = gumbel(seed, Grid.whole(FIELD, CPU)).double()
    assert drawn.isfinite().all()
    assert kolmogorov(torch.exp(-torch.exp(-drawn))) < 2.2
    error = math.sqrt(math.pi**2 / 6 / drawn.numel())
    assert abs(float(drawn.mean()) - 0.5772156649) < 4 * error
    assert float(drawn.var()) == pytest.approx(math.pi**2 / 6, rel=0.02)


def test_the_largest_of_gumbels_draws_chooses_by_softmax():
    scores = torch.tensor([0.0, 1.0, -2.0, 0.5])
    draws = 50_000
    chosen = (scores + gumbel(9, Grid.whole(sizes_of(1, 1, draws, 4), CPU))[0, 0]).argmax(-1)
    expected = torch.softmax(scores, -1) * draws
    assert ((torch.bincount(chosen, minlength=4) - expected) ** 2 / expected).sum() < 21


# Independence.


def correlation(one: Tensor, other: Tensor) -> float:
    """Return how many standard deviations the correlation lies from 0."""
    pair = torch.stack([one.flatten(), other.flatten()]).double()
    return float(torch.corrcoef(pair)[0, 1]) * math.sqrt(one.numel())


def above(square: Tensor) -> Tensor:
    """Return the numbers above the diagonal."""
    row, column = torch.triu_indices(*square.shape[-2:], 1)
    return square[..., row, column]


NEIGHBOURS = {
    "batch items": lambda drawn: (drawn[:-1], drawn[1:]),
    "heads": lambda drawn: (drawn[:, :-1], drawn[:, 1:]),
    "queries": lambda drawn: (drawn[:, :, :-1], drawn[:, :, 1:]),
    "keys": lambda drawn: (drawn[..., :-1], drawn[..., 1:]),
    "keys two apart": lambda drawn: (drawn[..., :-2], drawn[..., 2:]),
    "diagonals": lambda drawn: (drawn[:, :, :-1, 1:], drawn[:, :, 1:, :-1]),
    "other diagonals": lambda drawn: (drawn[:, :, :-1, :-1], drawn[:, :, 1:, 1:]),
    "query and key": lambda drawn: (above(drawn[..., :128]), above(drawn[..., :128].mT)),
}


@each_seed
@pytest.mark.parametrize("neighbours", NEIGHBOURS)
def test_neighbouring_numbers_are_independent(neighbours, seed):
    one, other = NEIGHBOURS[neighbours](field(seed) - 0.5)
    assert abs(correlation(one, other)) < 4.5
    assert abs(correlation(one.abs(), other.abs())) < 4.5
    assert abs(chi_square_of_pairs(one, other)) < 4.5


def chi_square_of_pairs(one: Tensor, other: Tensor, bins: int = 16) -> float:
    cells = ((one + 0.5) * bins).long() * bins + ((other + 0.5) * bins).long()
    return chi_square(torch.bincount(cells.flatten(), minlength=bins * bins).float())


@each_seed
@pytest.mark.parametrize("step", [1, 2, 2**31, 2**32, 2**33])
def test_fields_of_neighbouring_seeds_are_independent(seed, step):
    one, other = field(seed) - 0.5, field(seed + step) - 0.5
    assert abs(correlation(one, other)) < 4.5
    assert abs(correlation(one[..., 1:], other[..., :-1])) < 4.5
    assert abs(correlation(one[:, :, 1:], other[:, :, :-1])) < 4.5
    assert abs(chi_square_of_pairs(one, other)) < 4.5


@pytest.mark.parametrize("bit", [0, 1, 7, 20])
@pytest.mark.parametrize("which", range(4))
def test_one_bit_of_an_index_turns_half_of_the_bits(which, bit):
    source = torch.Generator().manual_seed(bit)
    indices = [torch.randint(2**22, (20_000,), generator=source) for _ in range(4)]
    turned = [index ^ (1 << bit) if axis == which else index for axis, index in enumerate(indices)]
    changed = hashed(6, *indices) ^ hashed(6, *turned)
    shares = torch.stack([(changed >> place & 1).double().mean() for place in range(31)])
    assert (shares - 0.5).abs().max() < 4.5 * 0.5 / math.sqrt(20_000)


def test_a_row_repeats_no_number():
    drawn = hashed(1, torch.tensor(3), torch.arange(50_000))
    assert drawn.unique().numel() >= 50_000 - 5
