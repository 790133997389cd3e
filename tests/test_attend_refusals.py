"""Mistakes are refused, with what was expected and what was got."""

from collections.abc import Callable
from dataclasses import FrozenInstanceError

import numpy
import pytest
import torch

import regard
from regard import Attention, attend, causal, explain, full, padding
from regard.engines.choose import ENGINES
from regard.engines.contract import Problem
from regard.errors import EngineError, MaskError, MechanismError, RegardError, ShapeError, WantError
from regard.mechanisms.masks import as_mask
from tests.attend_masks import coins


def zeros(*shape: int, **options: torch.dtype | str) -> torch.Tensor:
    return torch.zeros(shape, **options)


Refusal = tuple[Callable[[], object], type[RegardError], tuple[str, ...]]
FITTING = zeros(2, 4, 3, 8)
NAMES = "distance, entropy, first, lse, map, received, received_max"


def called(**parts: object) -> object:
    """Call with a mechanism of these parts."""
    return attend(*[FITTING] * 3, Attention(**parts))


# What is wrong -> the call, the error, and what its message must say.

TENSORS: dict[str, Refusal] = {
    "one axis": (
        lambda: attend(*[zeros(8)] * 3),
        ShapeError,
        ("expected query (..., H, Nq, D)", "got query (8,) float32 on cpu"),
    ),
    "leading axes": (
        lambda: attend(zeros(2, 5, 4, 3, 8), zeros(3, 5, 4, 3, 8), zeros(3, 5, 4, 3, 8)),
        ShapeError,
        ("expected leading axes, before the heads, that broadcast", "query (2, 5, 4, 3, 8)", "key (3, 5, 4, 3, 8)"),
    ),
    "batch": (
        lambda: attend(FITTING, zeros(3, 4, 3, 8), zeros(3, 4, 3, 8)),
        ShapeError,
        ("expected leading axes", "key (3, 4, 3, 8)"),
    ),
    "data types": (
        lambda: attend(FITTING, FITTING.double(), FITTING),
        ShapeError,
        ("expected one data type", "key (2, 4, 3, 8) float64"),
    ),
    "whole numbers": (
        lambda: attend(*[FITTING.long()] * 3),
        ShapeError,
        ("expected float64, float32, bfloat16 or float16", "got query (2, 4, 3, 8) int64"),
    ),
    "devices": (
        lambda: attend(FITTING, FITTING.to("meta"), FITTING),
        ShapeError,
        ("expected all three on one device", "key (2, 4, 3, 8) float32 on meta"),
    ),
    "width": (
        lambda: attend(FITTING, FITTING[..., 1:], FITTING),
        ShapeError,
        ("expected query and key of the same width", "key (2, 4, 3, 7)"),
    ),
    "no width": (
        lambda: attend(FITTING[..., :0], FITTING[..., :0], FITTING),
        ShapeError,
        ("expected queries of width at least 1", "query (2, 4, 3, 0)"),
    ),
    "number of values": (
        lambda: attend(FITTING, FITTING, FITTING[:, :, 1:]),
        ShapeError,
        ("expected as many values as keys", "value (2, 4, 2, 8)"),
    ),
    "value heads": (
        lambda: attend(FITTING, FITTING[:, :2], FITTING),
        ShapeError,
        ("expected as many value heads as key heads", "key (2, 2, 3, 8)"),
    ),
    "heads no multiple": (
        lambda: attend(FITTING, FITTING[:, :3], FITTING[:, :3]),
        ShapeError,
        ("expected query heads (4) to be a multiple of key heads (3)", "got"),
    ),
    "fewer heads than key heads": (
        lambda: attend(FITTING[:, :2], FITTING, FITTING),
        ShapeError,
        ("expected query heads (2) to be a multiple of key heads (4)", "got"),
    ),
    "no key heads": (
        lambda: attend(FITTING, FITTING[:, :0], FITTING[:, :0]),
        ShapeError,
        ("expected query heads (4) to be a multiple of key heads (0)", "got"),
    ),
    "no tensors": (
        lambda: attend(FITTING, numpy.zeros((2, 4, 3, 8)), None),
        ShapeError,
        ("expected three torch tensors", "got Tensor, ndarray, NoneType"),
    ),
    "inside vmap": (
        lambda: torch.vmap(lambda t: attend(t, t, t).output)(FITTING),
        EngineError,
        ("expected plain tensors", "vmap", "whole batch"),
    ),
}

MECHANISMS: dict[str, Refusal] = {
    "no mechanism": (
        lambda: attend(*[FITTING] * 3, causal()),
        MechanismError,
        ("expected an Attention", "got Band", "Attention(mask=...)"),
    ),
    "score and scale": (
        lambda: Attention(score=regard.dot(), scale=2.0),
        MechanismError,
        ("expected score= or scale=, not both", "score=dot(scale)"),
    ),
    "score": (lambda: Attention(score="dot"), MechanismError, ("score: expected one such as dot()", "got str")),
    "score not called": (lambda: Attention(score=regard.dot), MechanismError, ("score: expected", "got function")),
    "scale": (
        lambda: Attention(scale=float("nan")),
        MechanismError,
        ("scale: expected a finite number", "got nan"),
    ),
    "scale of dot": (lambda: regard.dot("much"), MechanismError, ("scale: expected a finite number", "got 'much'")),
    "weigh": (lambda: Attention(weigh="softmax"), MechanismError, ("weigh: expected one such as softmax()", "str")),
    "weigh not called": (lambda: Attention(weigh=regard.softmax), MechanismError, ("weigh: expected", "function")),
    "dropout above 1": (lambda: Attention(dropout=1.5), MechanismError, ("probability from 0 to 1", "got 1.5")),
    "dropout below 0": (lambda: Attention(dropout=-0.1), MechanismError, ("probability from 0 to 1", "got -0.1")),
    "dropout NaN": (
        lambda: Attention(dropout=float("nan")),
        MechanismError,
        ("probability from 0 to 1", "got nan"),
    ),
    "dropout in words": (lambda: Attention(dropout="a"), MechanismError, ("probability from 0 to 1", "got 'a'")),
    "seed": (lambda: Attention(seed=1.0), MechanismError, ("seed: expected a whole number or None", "got 1.0")),
    "seed, a boolean": (
        lambda: Attention(seed=True),
        MechanismError,
        ("seed: expected a whole number", "got True"),
    ),
    "modify": (
        lambda: Attention(modify=3.0),
        MechanismError,
        (
            "modify, bias: expected a modifier such as alibi(heads)",
            "score_mod(score, b, h, q_idx, kv_idx)",
            "float",
        ),
    ),
    "one of several": (lambda: Attention(modify=[regard.soft_cap(1.0), None]), MechanismError, ("got NoneType",)),
    "bias of booleans": (
        lambda: Attention(bias=coins(3, 3)),
        MechanismError,
        ("bias: expected floats", "got torch.bool", "A mask goes to mask="),
    ),
    "bias of whole numbers": (lambda: Attention(bias=zeros(3, 3).long()), MechanismError, ("got torch.int64",)),
    "bias size": (
        lambda: called(bias=zeros(3, 4)),
        ShapeError,
        ("bias: expected a shape that broadcasts to (B, H, Nq, Nk) = (2, 4, 3, 3)", "got (3, 4)"),
    ),
    "bias of five axes": (lambda: called(bias=zeros(1, 1, 1, 3, 3)), ShapeError, ("bias:", "got (1, 1, 1, 3, 3)")),
    "alibi": (lambda: regard.alibi(0), MechanismError, ("alibi: expected how many heads", "got 0")),
    "alibi of a list": (lambda: regard.alibi([1.0]), MechanismError, ("alibi: expected how many heads", "[1.0]")),
    "alibi align": (lambda: regard.alibi(4, align="end"), MaskError, ('expected "first" or "last"', "got 'end'")),
    "alibi heads": (
        lambda: called(bias=regard.alibi(3)),
        ShapeError,
        ("alibi: expected 4 slopes, one a head", "got (3,)"),
    ),
    "buckets": (
        lambda: regard.relative_buckets(zeros(3, 4)),
        MechanismError,
        ("relative_buckets: expected a table (buckets, H) of at least 4 buckets", "got (3, 4)"),
    ),
    "buckets one way": (
        lambda: regard.relative_buckets(zeros(1, 4), bidirectional=False),
        MechanismError,
        ("at least 2 buckets", "got (1, 4)"),
    ),
    "buckets of a list": (
        lambda: regard.relative_buckets([[0.0]]),
        MechanismError,
        ("expected a table", "got list"),
    ),
    "buckets of three axes": (lambda: regard.relative_buckets(zeros(8, 4, 1)), MechanismError, ("got (8, 4, 1)",)),
    "bucket distance": (
        lambda: regard.relative_buckets(zeros(32, 4), max_distance=8),
        MechanismError,
        ("relative_buckets: expected max_distance above 8", "got 8"),
    ),
    "bucket heads": (
        lambda: called(bias=regard.relative_buckets(zeros(32, 3))),
        ShapeError,
        ("relative_buckets: expected a table (buckets, 4), a column a head", "got (32, 3)"),
    ),
    "soft cap": (lambda: regard.soft_cap(0), MechanismError, ("soft_cap: expected a number above 0", "got 0")),
    "soft cap inf": (lambda: regard.soft_cap(float("inf")), MechanismError, ("soft_cap: expected", "got inf")),
    "additive axes": (
        lambda: regard.additive(zeros(8), zeros(5, 8), zeros(5)),
        MechanismError,
        ("additive query_weight: expected a tensor of 2 or 3 axes", "got (8,)"),
    ),
    "additive vector": (
        lambda: regard.additive(zeros(5, 8), zeros(5, 8), [1.0]),
        MechanismError,
        ("additive vector: expected a tensor of 1 or 2 axes", "got list"),
    ),
    "additive query": (
        lambda: called(score=regard.additive(zeros(5, 7), zeros(5, 8), zeros(5))),
        ShapeError,
        ("additive query_weight: expected (5, 8)", "vectors (2, 4, 3, 8)", "got (5, 7)"),
    ),
    "additive key": (
        lambda: called(score=regard.additive(zeros(5, 8), zeros(6, 8), zeros(5))),
        ShapeError,
        ("additive key_weight: expected (5, 8)", "got (6, 8)"),
    ),
    "additive heads": (
        lambda: called(score=regard.additive(zeros(3, 5, 8), zeros(5, 8), zeros(5))),
        ShapeError,
        ("additive query_weight: expected (4, 5, 8)", "got (3, 5, 8)"),
    ),
    "additive vector heads": (
        lambda: called(score=regard.additive(zeros(5, 8), zeros(5, 8), zeros(3, 5))),
        ShapeError,
        ("additive vector", "4", "got (3, 5)"),
    ),
    "bilinear axes": (lambda: regard.bilinear(zeros(8)), MechanismError, ("bilinear weight: expected", "got (8,)")),
    "bilinear": (
        lambda: called(score=regard.bilinear(zeros(8, 7))),
        ShapeError,
        ("bilinear weight: expected (8, 8)", "got (8, 7)"),
    ),
    "cosine": (lambda: regard.cosine(0.0), MechanismError, ("cosine: expected a temperature above 0", "got 0.0")),
    "cosine heads": (
        lambda: called(score=regard.cosine(torch.ones(3))),
        ShapeError,
        ("cosine: expected one temperature, or one a head (4,)", "got (3,)"),
    ),
    "sink heads": (
        lambda: called(weigh=regard.softmax(zeros(3))),
        ShapeError,
        ("softmax: expected one sink, or 4, one a head", "got (3,)"),
    ),
    "sigmoid heads": (
        lambda: called(weigh=regard.sigmoid(zeros(2, 4))),
        ShapeError,
        ("sigmoid: expected one bias, or 4, one a head", "got (2, 4)"),
    ),
    "entmax 1": (lambda: regard.entmax(1.0), MechanismError, ("alpha above 1 and at most 2", "1.0", "softmax()")),
    "entmax 3": (
        lambda: regard.entmax(3),
        MechanismError,
        ("entmax: expected alpha above 1 and at most 2", "got 3"),
    ),
    "top 0": (lambda: regard.top_k(0), MechanismError, ("top_k: expected a whole number of at least 1", "got 0")),
    "top half": (lambda: regard.top_k(1.5), MechanismError, ("top_k: expected a whole number", "got 1.5")),
    "unprepared": (
        lambda: Problem(*[FITTING] * 3, Attention(score=regard.cosine())),
        MechanismError,
        ("expected a prepared score", "got cosine", "Problem.of"),
    ),
}

CALLS: dict[str, Refusal] = {
    "mask": (lambda: Attention(mask="causal"), MaskError, ("mask: expected a regard mask, a tensor", "got str")),
    "mask not called": (lambda: Attention(mask=causal), MaskError, ("mask: expected", "Did you mean causal(...)?")),
    "mask of whole numbers": (lambda: Attention(mask=zeros(3).int()), MaskError, ("int32", "use mask.bool()")),
    "mask_mod of numbers": (
        lambda: called(mask=lambda b, h, q, k: q - k),
        MaskError,
        ("mask_mod: expected a boolean tensor", "got torch.int64"),
    ),
    "lengths": (
        lambda: called(mask=padding([1])),
        MaskError,
        ("expected 2 lengths", "got shape (1,)"),
    ),
    "lengths beyond the keys": (
        lambda: explain(*[FITTING] * 3, Attention(mask=padding([1, 4]))),
        MaskError,
        ("expected lengths from 0 to 3", "got [1, 4]"),
    ),
    "mask size": (
        lambda: called(mask=coins(3, 4)),
        MaskError,
        ("expected a shape that broadcasts to (B, H, Nq, Nk) = (2, 4, 3, 3)", "got (3, 4)"),
    ),
    "mask of key heads": (
        lambda: attend(FITTING, FITTING[:, :2], FITTING[:, :2], Attention(mask=coins(2, 3, 3))),
        MaskError,
        ("(2, 4, 3, 3)", "got (2, 3, 3)"),
    ),
    "unknown wish": (
        lambda: attend(*[FITTING] * 3, want=("lse", "weights")),
        WantError,
        (f"expected names out of {NAMES}", "got weights"),
    ),
    "lone string": (
        lambda: attend(*[FITTING] * 3, want="lse"),
        WantError,
        ('expected a collection of names such as ("entropy",)', "got 'lse'"),
    ),
    "unknown engine": (
        lambda: attend(*[FITTING] * 3, engine="quick"),
        EngineError,
        ('expected "auto" or one of', *(each.name for each in ENGINES), "got 'quick'"),
    ),
    "unknown engine, explaining": (
        lambda: explain(*[FITTING] * 3, engine="quick"),
        EngineError,
        ('expected "auto" or one of', "got 'quick'"),
    ),
    "an engine that cannot": (
        lambda: attend(*[FITTING] * 3, Attention(bias=zeros(3, 3).requires_grad_()), engine="fused"),
        EngineError,
        (
            'engine="fused" cannot take this call',
            "asks for a gradient",
            "Leave engine out",
        ),
    ),
}
REFUSALS = TENSORS | MECHANISMS | CALLS


@pytest.mark.parametrize("wrong", REFUSALS)
def test_a_mistake_is_refused_with_what_was_expected_and_got(wrong):
    call, error, words = REFUSALS[wrong]
    with pytest.raises(error) as refused:
        call()
    assert [word for word in words if word not in str(refused.value)] == []


WEIGHINGS = {
    "sparsemax": regard.sparsemax(),
    "entmax 1.5": regard.entmax(),
    "sigmoid": regard.sigmoid(),
    "top 3": regard.top_k(3),
    "hard, argmax": regard.hard(),
    "hard, sampled": regard.hard(sample=True),
}


@pytest.mark.parametrize("name", WEIGHINGS)
@pytest.mark.parametrize("want", ["lse", "entropy", "map"])
def test_statistics_of_weights_that_are_no_softmax_are_refused(want, name):
    with pytest.raises(WantError, match="want: expected softmax weights") as refused:
        attend(*[FITTING] * 3, Attention(weigh=WEIGHINGS[name]), want=(want,))
    assert f"got {name}" in str(refused.value)
    assert "weigh=softmax()" in str(refused.value)


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (ShapeError, ValueError),
        (MechanismError, ValueError),
        (MaskError, MechanismError),
        (WantError, ValueError),
        (EngineError, RuntimeError),
    ],
)
def test_refusals_are_also_python_errors_of_their_kind(error, builtin):
    assert issubclass(error, builtin)
    assert issubclass(error, RegardError)


def test_combining_numbers_with_or_and_not_is_refused():
    for combine in (lambda: causal() | zeros(3, 3), lambda: ~as_mask(zeros(3, 3)), lambda: full() | zeros(3)):
        with pytest.raises(MaskError, match="float mask"):
            combine()


def test_a_mechanism_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        Attention().dropout = 0.5
