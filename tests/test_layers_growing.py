"""Laws of the growing cache: whatever is done to it, it keeps what a list would, and rewrites nothing."""

import copy
import random
from contextlib import AbstractContextManager, nullcontext

import pytest
import torch
from torch import Tensor

from regard.layers import GrowingCache, Kept

MODES = (torch.no_grad, torch.enable_grad, torch.inference_mode, nullcontext)


class Known:
    """A cache, and what it ought to keep."""

    def __init__(self) -> None:
        self.cache = GrowingCache()
        self.key = self.value = torch.empty(2, 3, 0, 4)

    def extend(self, count: int) -> Kept:
        key, value = torch.randn(2, len(self.key), 3, count, 4).unbind()
        kept = self.cache.extend(key, value)
        self.key, self.value = torch.cat([self.key, key], 2), torch.cat([self.value, value], 2)
        return kept

    def change(self, chance: random.Random) -> None:
        """Forget some positions, or let items change places; the batch may grow and shrink."""
        if chance.random() < 0.5:
            length = chance.randint(0, self.cache.length)
            self.cache.crop(length)
            self.key, self.value = self.key[:, :, :length], self.value[:, :, :length]
        elif self.cache.length:
            items = torch.tensor(chance.choices(range(len(self.key)), k=chance.randint(1, 4)))
            self.cache.reorder(items)
            self.key, self.value = self.key[items], self.value[items]

    def forked(self, deep: bool) -> "Known":
        fork = copy.copy(self)
        fork.cache = copy.deepcopy(self.cache) if deep else copy.copy(self.cache)
        return fork

    def check(self) -> None:
        kept = self.cache.kept
        assert self.cache.length == self.key.shape[2]
        if kept is not None:
            assert torch.equal(kept.key, self.key)
            assert torch.equal(kept.value, self.value)


@pytest.mark.parametrize("modes", [(mode,) for mode in MODES] + [MODES], ids=[*(m.__name__ for m in MODES), "all"])
@pytest.mark.parametrize("seed", range(8))
def test_it_keeps_what_a_list_would_and_what_it_handed_out_stays(
    seed: int, modes: tuple[type[AbstractContextManager[None]], ...]
) -> None:
    chance = random.Random(seed)
    torch.manual_seed(seed)
    every, handed = [Known()], list[tuple[Kept, Tensor, Tensor]]()
    for _ in range(60):
        known, what = chance.choice(every), chance.random()
        with chance.choice(modes)():
            if what < 0.7:
                kept = known.extend(chance.choice([0, 1, 1, 1, 3]))
                handed.append((kept, kept.key.clone(), kept.value.clone()))
            elif what < 0.9 or len(every) == 4:
                known.change(chance)
            else:
                every.append(known.forked(deep=chance.random() < 0.3))
        for each in every:
            each.check()
    for kept, key, value in handed:
        assert torch.equal(kept.key, key)
        assert torch.equal(kept.value, value)


def test_positions_that_came_one_by_one_were_copied_a_few_times_only() -> None:
    places = set()
    with torch.no_grad():
        known = Known()
        for _ in range(200):
            places.add(known.extend(1).key.data_ptr())
    known.check()
    assert len(places) <= 9  # the first, and one each time that what is there has doubled


def test_gradients_flow_on_after_steps_without_them() -> None:
    cache = GrowingCache()
    new = torch.randn(3, 1, 1, 1, 2)
    with torch.no_grad():
        cache.extend(new[0], new[0])
        cache.extend(new[1], new[1])
    last = new[2].clone().requires_grad_()
    kept = cache.extend(last, last)
    (kept.key.sum() + 2 * kept.value.sum()).backward()
    assert torch.equal(last.grad, torch.full_like(last, 3.0))


def test_gradients_of_what_was_kept_survive_steps_without_them() -> None:
    cache = GrowingCache()
    first = torch.randn(1, 1, 2, 2, requires_grad=True)
    kept = cache.extend(first, first)
    squares = kept.key.square().sum()
    with torch.no_grad():
        for _ in range(5):
            cache.extend(torch.randn(1, 1, 1, 2), torch.randn(1, 1, 1, 2))
    squares.backward()
    assert torch.equal(first.grad, 2 * first.detach())
