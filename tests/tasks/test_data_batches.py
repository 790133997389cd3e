"""Batches: every row once an epoch, under the bound, the same from any start and on any number of ranks."""

from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regard.errors import TaskError
from regard.tasks.data.batches import TokenBatches, ordered

SIZES = st.lists(st.integers(0, 60) | st.just(1 << 15), min_size=1, max_size=80)
TOKENS = st.integers(1, 200)
SEEDS = st.integers(0, 2**63)


def cost(sizes, rows):
    return len(rows) * max(sizes[row] for row in rows)


def listed(batches):
    return [batch.tolist() for batch in batches]


@given(SIZES, TOKENS, SEEDS, st.integers(1, 5), st.integers(0, 3))
def test_every_row_is_there_once_an_epoch_over_all_ranks(sizes, tokens, seed, world, epoch):
    ranks = [TokenBatches(sizes, tokens, seed, rank=rank, world=world) for rank in range(world)]
    numbers = range(epoch * ranks[0].per_epoch, (epoch + 1) * ranks[0].per_epoch)
    rows = [row for ranked in ranks for number in numbers for row in ranked.share(number)]
    assert sorted(rows) == list(range(len(sizes)))


@given(SIZES, TOKENS, SEEDS)
def test_no_batch_is_above_the_bound_but_a_row_that_is(sizes, tokens, seed):
    batches = TokenBatches(sizes, tokens, seed)
    for number in range(batches.per_epoch):
        rows = batches.whole(number)
        assert len(rows) >= 1
        assert cost(sizes, rows) <= tokens or len(rows) == 1


@given(SIZES, TOKENS, SEEDS, st.integers(0, 200))
def test_batch_n_is_the_same_from_wherever_one_starts(sizes, tokens, seed, first):
    along = listed(islice(TokenBatches(sizes, tokens, seed), first + 3))[first:]
    assert along == listed(islice(TokenBatches(sizes, tokens, seed, first=first), 3))
    back_and_forth = TokenBatches(sizes, tokens, seed)
    back_and_forth.whole(first + 100)
    assert listed(map(back_and_forth.whole, range(first, first + 3))) == along


@given(SIZES, TOKENS, SEEDS, st.integers(1, 5), st.integers(0, 50))
def test_ranks_together_are_the_batch_of_one(sizes, tokens, seed, world, number):
    whole = TokenBatches(sizes, tokens, seed).share(number).tolist()
    shares = [TokenBatches(sizes, tokens, seed, rank=rank, world=world).share(number) for rank in range(world)]
    assert sorted(row for share in shares for row in share) == sorted(whole)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_epochs_and_seeds_differ():
    sizes = np.arange(500) % 9
    batches = TokenBatches(sizes, 64, 1)
    epochs = [listed(map(batches.whole, range(e * batches.per_epoch, (e + 1) * batches.per_epoch))) for e in (0, 1)]
    assert sorted(map(sorted, epochs[0])) != sorted(map(sorted, epochs[1])), "rows meet others in each epoch"
    assert listed(islice(TokenBatches(sizes, 64, 2), 5)) != epochs[0][:5]


def test_a_batch_is_as_likely_long_at_the_start_of_an_epoch_as_at_its_end():
    sizes = np.arange(1, 2001)
    batches = TokenBatches(sizes, 4000, 0)
    firsts = [sizes[batches.whole(epoch * batches.per_epoch)].max() for epoch in range(60)]
    assert len(set(firsts)) > 40


def test_little_is_padded_at_the_lengths_of_captions():
    random = np.random.default_rng(0)
    sizes = np.clip(random.normal(13.5, 4.2, 29_000).round(), 4, 45).astype(int)
    for tokens in (1024, 8192):
        batches = TokenBatches(sizes, tokens, 0)
        padded = sum(cost(sizes, rows) for rows in map(batches.whole, range(batches.per_epoch)))
        assert 1 - sizes.sum() / padded < 0.03
        assert sizes.sum() / batches.per_epoch > 0.9 * tokens, "batches are full"


@given(st.lists(st.integers(0, 60), max_size=80), TOKENS)
def test_answers_in_order_of_length_find_their_way_back(sizes, tokens):
    batches, back = ordered(sizes, tokens)
    answers = [f"answer to {row}" for rows in batches for row in rows]
    assert [answers[place] for place in back] == [f"answer to {row}" for row in range(len(sizes))]
    for rows in batches:
        assert cost(sizes, rows) <= tokens or len(rows) == 1
    flat = [sizes[row] for rows in batches for row in rows]
    assert flat == sorted(flat, reverse=True)


@pytest.mark.parametrize(
    ("arguments", "options", "said"),
    [
        (([], 10, 0), {}, "expected some; got none"),
        (([1], 0, 0), {}, "at least 1 token"),
        (([1.5], 10, 0), {}, "whole sizes"),
        (([-1], 10, 0), {}, "whole sizes"),
        (([[1]], 10, 0), {}, "whole sizes"),
        (([1], 10, -1), {}, "a seed and a first batch from 0 on"),
        (([1], 10, 0), {"first": -1}, "a seed and a first batch from 0 on"),
        (([1], 10, 0), {"rank": 2, "world": 2}, "a rank from 0 to 1; got 2"),
        (([1], 10, 0), {"rank": -1}, "a rank from 0 to 0; got -1"),
    ],
)
def test_nonsense_is_refused(arguments, options, said):
    with pytest.raises(TaskError, match=said):
        TokenBatches(*arguments, **options)
