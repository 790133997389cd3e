"""Every tensor that a mechanism holds is found, and changed where it lies in a field."""

import functools
from collections import namedtuple
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from regard import Attention, causal, documents, full, padding
from regard.mechanisms.masks import as_mask
from regard.mechanisms.walk import tensors_in, with_tensors

ONE, OTHER = torch.tensor([1.0]), torch.tensor([2.0])


@dataclass(frozen=True)
class Holder:
    held: Any
    more: Any = None


class Called:
    def __init__(self, held):
        self.held = held

    def method(self):
        return ONE


def closing_over(held):
    return lambda: held


def by_default(held=ONE):
    return held


def by_keyword(*, held=ONE):
    return held


def from_outside():
    return ONE


def unbound():
    def function():
        return later

    if function is None:
        later = ONE
    return function


def module():
    made = nn.Module()
    made.weight = nn.Parameter(ONE.clone())
    made.register_buffer("table", OTHER)
    return made


def ids(tensors) -> list[int]:
    return sorted(id(each) for each in tensors)


FOUND = {
    "itself": (ONE, [ONE]),
    "a field": (Holder(ONE), [ONE]),
    "a field of a field": (Holder(Holder(ONE), Holder(OTHER)), [ONE, OTHER]),
    "a tuple": ((ONE, (OTHER,)), [ONE, OTHER]),
    "a list": ([ONE, [OTHER]], [ONE, OTHER]),
    "a dictionary": ({"a": ONE, "b": {"c": OTHER}}, [ONE, OTHER]),
    "one tensor twice": ([ONE, ONE, Holder(ONE)], [ONE]),
    "a closure": (closing_over(ONE), [ONE]),
    "a closure over a list": (closing_over([ONE, OTHER]), [ONE, OTHER]),
    "a closure over a closure": (closing_over(closing_over(ONE)), [ONE]),
    "a global": (from_outside, [ONE]),
    "a default": (by_default, [ONE]),
    "a default of a keyword": (by_keyword, [ONE]),
    "a partial": (functools.partial(closing_over(ONE), OTHER), [ONE, OTHER]),
    "a keyword of a partial": (functools.partial(max, key=OTHER), [OTHER]),
    "a method": (Holder(Called(OTHER).method), [ONE, OTHER]),
    "nothing": (3, []),
    "a word": ("tensor", []),
    "a name that is not bound yet": (unbound(), []),
    "a class": (Holder, []),
    "an empty list": ([], []),
}


@pytest.mark.parametrize("where", FOUND)
def test_tensors_are_found_wherever_they_lie(where):
    value, tensors = FOUND[where]
    assert ids(tensors_in(value)) == ids(tensors)


def test_parameters_and_buffers_of_a_module_are_found():
    made = module()
    assert ids(tensors_in(Holder(made))) == ids([made.weight, made.table])
    assert ids(tensors_in(made.forward)) == ids([made.weight, made.table])


def test_what_holds_itself_is_walked_once():
    circle: list = [ONE]
    circle.append(circle)
    assert ids(tensors_in(circle)) == ids([ONE])


def test_a_function_that_calls_itself_is_walked_once():
    def again(n):
        return again(n - 1) if n else ONE

    assert ids(tensors_in(again)) == ids([ONE])


def test_tensors_of_a_combined_mask_are_found():
    table, lengths, numbers = torch.zeros(3, 3), torch.tensor([2]), torch.tensor([0, 0, 1])
    kept = torch.tensor([True, False, True])
    mask = (padding(lengths) | documents(numbers) | as_mask(lambda b, h, q, k: kept[k])) & causal() & table
    found = ids(tensors_in(mask))
    assert id(table) in found
    assert id(kept) in found
    assert id(lengths) in found


@pytest.mark.parametrize("asking", [True, False])
def test_tensors_tell_whether_a_mask_asks_for_a_gradient(asking):
    table = torch.zeros(5, 5, requires_grad=asking)
    for mask in (as_mask(table), causal() & table, as_mask(lambda b, h, q, k: table[q, k] > 0)):
        assert any(each.requires_grad for each in tensors_in(mask)) is asking
    assert list(tensors_in(causal() & ~full())) == []


# Changing.


def doubled(tensor: Tensor) -> Tensor:
    return tensor * 2


def test_a_tensor_is_changed():
    assert with_tensors(ONE, doubled).tolist() == [2.0]


def test_tensors_in_fields_are_changed_and_the_rest_stays():
    inside = Holder(3, "word")
    changed = with_tensors(Holder(ONE, Holder((OTHER, inside))), doubled)
    assert changed.held.tolist() == [2.0]
    assert changed.more.held[0].tolist() == [4.0]
    assert changed.more.held[1] is inside
    assert ONE.tolist() == [1.0]


def test_a_tuple_with_names_keeps_them():
    pair = namedtuple("pair", "left right")(ONE, OTHER)
    changed = with_tensors(pair, doubled)
    assert (changed.left.tolist(), changed.right.tolist()) == ([2.0], [4.0])


@pytest.mark.parametrize("value", [3, "word", None, causal(), Holder, by_default, Holder(3)])
def test_what_holds_no_tensor_stays_itself(value):
    assert with_tensors(value, doubled) is value


def test_what_a_function_has_captured_stays():
    mask = as_mask(lambda b, h, q, k: ONE[k] > 0)
    assert with_tensors(mask, doubled) is mask


@dataclass(frozen=True)
class Derived:
    held: Tensor
    size: int = field(init=False)

    def __post_init__(self):
        object.__setattr__(self, "size", self.held.numel())


def test_what_follows_from_a_tensor_follows_from_the_changed_one():
    changed = with_tensors(Derived(ONE), lambda tensor: tensor.repeat(3))
    assert changed.size == 3


def test_a_combined_mask_with_changed_tensors_is_the_mask_of_those():
    table = torch.eye(4, dtype=torch.bool)
    mask = ~(padding([2]) | table) & causal()
    turned = with_tensors(mask, lambda tensor: tensor.flip(0) if tensor.ndim == 2 else tensor + 1)
    expected = ~(padding([3]) | table.flip(0)) & causal()
    assert torch.equal(turned.dense(4), expected.dense(4))
    assert str(turned) == str(mask)


def test_a_mechanism_with_changed_tensors_keeps_its_settings():
    table = torch.randn(3, 3)
    changed = with_tensors(Attention(mask=causal(), bias=table, dropout=0.25, seed=4), doubled)
    assert [each.tolist() for each in tensors_in(changed)] == [(table * 2).tolist()]
    assert changed.rule == causal()
    assert (changed.dropout, changed.seed, changed.scoring) == (0.25, 4, Attention().scoring)
