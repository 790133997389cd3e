"""Positions may be said in any way, alike everywhere, and what is none is refused in words."""

import pytest
import torch
import torch.nn.functional as F

import regard
from regard.errors import RecordError, RegardError, ShapeError
from regard.watch.positions import positions

N = 5


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (3, [3]),
        (-1, [4]),
        (torch.tensor(2), [2]),
        ([1, -5, 1], [1, 0, 1]),
        ((), []),
        ({2}, [2]),
        (range(3), [0, 1, 2]),
        ((n for n in (1, 2)), [1, 2]),
        (slice(0, 2), [0, 1]),
        (slice(None, None, -2), [4, 2, 0]),
        (slice(3, 99), [3, 4]),
        ([True, False, False, True, False], [0, 3]),
        (torch.tensor([1, 2], dtype=torch.uint8), [1, 2]),
        (torch.tensor([1, 2]).numpy(), [1, 2]),
    ],
)
def test_what_may_be_said(given, expected):
    assert positions("some", given, N).tolist() == expected


WRONG = [None, "x", ["a"], [None], 1.5, [0.5], True, [True], 5, [0, -6], 2**70, slice("a"), slice(0, 2, 0)]


@pytest.mark.parametrize(
    "given", [*WRONG, {0: 1}, torch.zeros(2, N, dtype=torch.bool), torch.zeros(2, 2).long()], ids=str
)
def test_what_is_no_position_is_refused(given):
    with pytest.raises(ShapeError, match=r"some: expected positions from 0 to 4, or from -5.*, a slice.*; got"):
        positions("some", given, N)


def test_of_none_there_are_none():
    assert positions("some", [], 0).tolist() == []
    with pytest.raises(RecordError, match=r"some: expected no heads at all; got \[0\]"):
        positions("some", 0, 0, what="heads", error=RecordError)


def seen():
    q, k, v = torch.randn(3, 1, 2, N, 4).unbind()
    with regard.watch(want=("rows", "entropy")) as found:
        F.scaled_dot_product_attention(q, k, v)
    return found


@pytest.mark.parametrize("given", WRONG, ids=str)
def test_whatever_takes_positions_refuses_in_words(given):
    found = seen()
    site = found[""]
    asks = [
        lambda: site.rows(given),
        lambda: site.mass(given),
        lambda: regard.who_read(found, given),
        lambda: regard.head_mean(site, heads=9 if given is None else given),
        lambda: regard.rollout(found, 9 if given is None else given),
        lambda: found.select(queries=9 if given is None else given),
    ]
    for ask in asks:
        with pytest.raises(RegardError, match="expected"):
            ask()


def test_slices_and_booleans_do_wherever_there_are_positions():
    found = seen()
    site, first, marks = found[""], slice(0, 2), [True, True, False, False, False]
    assert torch.equal(site.rows(first), site.rows([0, 1]))
    assert torch.equal(site.mass(first), site.mass(marks))
    assert torch.equal(regard.rollout(found, first), regard.rollout(found, marks))
    assert regard.who_read(found, first) == regard.who_read(found, [0, 1])
    assert torch.equal(found.select(queries=marks)[""].entropy, found.select(queries=first)[""].entropy)
    assert torch.equal(found.select(queries=torch.tensor(2))[""].entropy, site.entropy[:, :, [2]])


@pytest.mark.parametrize("given", [1.5, "a", None, True, [1]], ids=str)
def test_numbers_that_are_none_are_refused_in_words(given):
    site = seen()[""]
    asks = [lambda: site.top(given), lambda: site.diagonal(given), lambda: regard.who_read([site], 0, given)]
    for ask in [*asks, *([] if given is None else [lambda: site.map(given)])]:
        with pytest.raises(ShapeError, match=r"expected a whole number of .*; got"):
            ask()


def test_numbers_of_other_libraries_are_numbers():
    site = seen()[""]
    assert torch.equal(site.top(torch.tensor(2)).keys, site.top(2).keys)
