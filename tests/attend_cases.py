"""One table of cases: what each call is, for regard and for the oracle, and how exact an engine must be.

A new mechanism takes one row of KINDS; it is then tested with every shape and mask of AROUND, on every engine that
does not speak against it, in every data type.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

import regard
from regard import Attention, attend
from regard.attend import Attended
from regard.engines.choose import ENGINES
from regard.engines.contract import Problem
from regard.engines.statistics import Statistics
from regard.shapes import FLOATS, four_axes
from tests import attend_masks as masks
from tests import oracle
from tests.attend_masks import Meaning, Places, randoms

# How far an engine may be from the formula, relative to the largest number of the result. An engine that is
# less exact by nature gets an entry of its own, (engine, type).
TOLERANCES: dict[torch.dtype | tuple[str, torch.dtype], float] = {
    torch.float64: 1e-10,
    torch.float32: 1e-5,
    torch.bfloat16: 2e-2,
    torch.float16: 2e-3,
}
HALVES = (torch.bfloat16, torch.float16)

# Axes of parameters beside those of regard's legend: E key width, A inner width, N buckets.
INNER, BUCKETS = 3, 8


@dataclass(frozen=True)
class Kind:
    """A mechanism but for its mask, twice over, from parameters by name.

    Attributes:
        given: the arguments of `Attention`.
        formula: the arguments of the oracle.
        parameters: axes of the tensors that it is trained by.
        half: how many times the tolerance half types need, since projected vectors are rounded to them.
        sums: whether weights of a query that sees a key sum to one.
        soft: whether weights are a softmax, which has a log-sum-exp and can be looked into.
    """

    given: Callable[[SimpleNamespace], dict[str, Any]] = lambda p: {}
    formula: Callable[[SimpleNamespace], dict[str, Any]] = lambda p: {}
    parameters: dict[str, str] = field(default_factory=dict)
    half: float = 1.0
    sums: bool = True
    soft: bool = True


def score(make: str, axes: dict[str, str], half: float = 3.0) -> Kind:
    """Return a kind of score that regard and the oracle call by one name, with parameters in one order."""
    return Kind(
        lambda p: {"score": getattr(regard, make)(*vars(p).values())},
        lambda p: {"score": getattr(oracle, make)(*vars(p).values())},
        axes,
        half,
    )


def weigh(make: str, *options: float, wanted: str = "", axes: str | None = None, **rest: Any) -> Kind:
    """Return a kind of weighing, likewise."""
    return Kind(
        lambda p: {"weigh": getattr(regard, make)(*options, *vars(p).values())},
        lambda p: {"weigh": getattr(oracle, wanted or make)(*options, *vars(p).values())},
        {} if axes is None else {"number": axes},
        soft=make == "softmax",
        **rest,
    )


def wavy(table: Tensor) -> Callable[..., Tensor]:
    """Return a score_mod that asks for everything and indexes a table by the head."""

    def score_mod(S: Tensor, b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return torch.where(k > q, S * table[h], S - 0.25 * (q - k) * (b + 1)) + table[h] * S.sin()

    return score_mod


def wavy_formula(table: Tensor) -> Callable[[Tensor], Tensor]:
    def change(S: Tensor) -> Tensor:
        t, gap = table.double()[:, None, None], oracle.gaps(S, last=False)
        item = torch.arange(S.shape[0])[:, None, None, None]
        return torch.where(gap > 0, S * t, S + 0.25 * gap * (item + 1)) + t * S.sin()

    return change


def add(tensor: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda S: S + tensor.double()


KINDS: dict[str, Kind] = {
    "softmax": Kind(),
    "scale": Kind(lambda p: {"scale": 0.7}, lambda p: {"scale": 0.7}),
    "additive": score("additive", {"W": "A D", "U": "A E", "v": "A"}),
    "additive a head": score("additive", {"W": "H A D", "U": "G A E", "v": "H A"}),
    "bilinear": score("bilinear", {"W": "D E"}, half=6),
    "bilinear a head": score("bilinear", {"W": "H D E"}, half=6),
    "cosine": Kind(lambda p: {"score": regard.cosine(0.5)}, lambda p: {"score": oracle.cosine(0.5)}, half=3),
    "cosine, trained": score("cosine", {"temperature": ""}),
    "cosine a head": score("cosine", {"temperature": "H"}),
    "soft cap": Kind(lambda p: {"modify": regard.soft_cap(0.8)}, lambda p: {"modify": [oracle.soft_cap(0.8)]}),
    "score_mod": Kind(
        lambda p: {"modify": wavy(p.table)}, lambda p: {"modify": [wavy_formula(p.table)]}, {"table": "H"}
    ),
    "ALiBi": Kind(
        lambda p: {"bias": regard.alibi(p.slopes)}, lambda p: {"modify": [oracle.alibi(p.slopes)]}, {"slopes": "H"}
    ),
    "ALiBi, last aligned": Kind(
        lambda p: {"bias": regard.alibi(p.slopes, align="last")},
        lambda p: {"modify": [oracle.alibi(p.slopes, last=True)]},
        {"slopes": "H"},
    ),
    "relative buckets": Kind(
        lambda p: {"bias": regard.relative_buckets(p.table, max_distance=9)},
        lambda p: {"modify": [oracle.relative_buckets(p.table, max_distance=9)]},
        {"table": "N H"},
    ),
    "relative buckets, one way, last aligned": Kind(
        lambda p: {"bias": regard.relative_buckets(p.table, bidirectional=False, max_distance=9, align="last")},
        lambda p: {"modify": [oracle.relative_buckets(p.table, False, 9, last=True)]},
        {"table": "N H"},
    ),
    "bias": Kind(lambda p: {"bias": p.table}, lambda p: {"bias": p.table}, {"table": "B H Q K"}),
    "bias of keys": Kind(lambda p: {"bias": p.table}, lambda p: {"bias": p.table}, {"table": "B 1 1 K"}),
    "several changes": Kind(
        lambda p: {
            "modify": [regard.soft_cap(2.0), p.table, wavy(p.heads)],
            "bias": [p.keys, p.heads[:, None, None]],
        },
        lambda p: {
            "modify": [
                *(oracle.soft_cap(2.0), add(p.table), wavy_formula(p.heads)),
                *(add(p.keys), add(p.heads[:, None, None])),
            ]
        },
        {"table": "Q K", "heads": "H", "keys": "K"},
    ),
    "additive, soft cap, sink": Kind(
        lambda p: {
            "score": regard.additive(p.W, p.U, p.v),
            "modify": regard.soft_cap(1.5),
            "weigh": regard.softmax(p.sink),
        },
        lambda p: {
            "score": oracle.additive(p.W, p.U, p.v),
            "modify": [oracle.soft_cap(1.5)],
            "weigh": oracle.softmax(p.sink),
        },
        {"W": "A D", "U": "A E", "v": "A", "sink": "H"},
        half=3,
        sums=False,
    ),
    "softmax1": weigh("softmax", 0.0, sums=False),
    "sink": weigh("softmax", axes="", sums=False),
    "sink a head": weigh("softmax", axes="H", sums=False),
    "sparsemax": weigh("sparsemax"),
    "entmax 1.5": weigh("entmax", 1.5),
    "entmax 1.2": weigh("entmax", 1.2),
    "entmax 1.9": weigh("entmax", 1.9),
    "sigmoid": weigh("sigmoid", sums=False),
    "sigmoid, trained": weigh("sigmoid", axes="", sums=False),
    "sigmoid a head": weigh("sigmoid", axes="H", sums=False),
    "top 1": weigh("top_k", 1),
    "top 3": weigh("top_k", 3),
    "argmax": weigh("hard", wanted="argmax"),
    "straight-through": Kind(
        lambda p: {"weigh": regard.hard(straight_through=True)},
        lambda p: {"weigh": oracle.argmax(straight_through=True)},
        soft=False,
    ),
}

Shape = tuple[int, int, int, int]


@dataclass(frozen=True)
class Case:
    """Shapes (batch, heads, positions, width), a mask, a scale of dot products, and what else there is."""

    query: Shape
    key: Shape
    value: Shape
    meaning: Callable[[Places, torch.dtype], Meaning] = masks.everyone
    scale: float | None = None
    kind: str = "softmax"


def square(meaning: Callable[[Places, torch.dtype], Meaning], batch: int = 2, scale: float | None = None) -> Case:
    return Case(*[(batch, 2, 7, 4)] * 3, meaning, scale)


def oblong(queries: int, keys: int, meaning: Callable[[Places, torch.dtype], Meaning]) -> Case:
    return Case((2, 2, queries, 4), (2, 2, keys, 4), (2, 2, keys, 4), meaning)


def grouped(meaning: Callable[[Places, torch.dtype], Meaning], width: int = 4) -> Case:
    return Case((2, 6, 5, 4), (2, 2, 7, 4), (2, 2, 7, width), meaning)


# Softmax over scaled dot products, in every shape and with every mask.
PLAIN = {
    "plain": square(masks.everyone),
    "one token": Case(*[(1, 1, 1, 1)] * 3),
    "one key": oblong(5, 1, masks.everyone),
    "one query": oblong(1, 5, masks.everyone),
    "odd sizes": Case((3, 5, 31, 13), (3, 5, 17, 13), (3, 5, 17, 13)),
    "long": Case((1, 2, 257, 8), (1, 2, 1025, 8), (1, 2, 1025, 8)),
    "long, causal": Case((1, 2, 1025, 8), (1, 2, 1025, 8), (1, 2, 1025, 8), masks.first_causal),
    "long, window": Case((1, 2, 1025, 8), (1, 2, 1031, 8), (1, 2, 1031, 8), masks.near_last),
    "grouped heads": grouped(masks.everyone),
    "grouped heads, booleans": grouped(masks.booleans),
    "one key head": Case((2, 3, 5, 4), (2, 1, 7, 4), (2, 1, 7, 4), masks.first_causal),
    "wider values": Case((2, 2, 5, 4), (2, 2, 7, 4), (2, 2, 7, 9), masks.padded),
    "narrower values": Case((2, 2, 5, 9), (2, 2, 7, 9), (2, 2, 7, 4), masks.first_causal),
    "grouped heads, wider values": grouped(masks.infinities, 5),
    "values without width": Case((2, 2, 5, 4), (2, 2, 7, 4), (2, 2, 7, 0)),
    "scale": square(masks.everyone, scale=0.7),
    "scale zero": square(masks.first_causal, scale=0.0),
    "negative scale": square(masks.first_causal, scale=-1.3),
    "scale, wider values": Case((2, 2, 5, 4), (2, 2, 7, 4), (2, 2, 7, 9), masks.near, 0.3),
    "scale and numbers": square(masks.numbers, scale=0.3),
    "causal": square(masks.first_causal),
    "causal, more queries": oblong(9, 5, masks.first_causal),
    "causal, more keys": oblong(5, 9, masks.first_causal),
    "causal, last aligned": square(masks.last_causal),
    "causal, last aligned, more queries": oblong(9, 5, masks.last_causal),
    "causal, last aligned, more keys": oblong(5, 9, masks.last_causal),
    "causal, last aligned, one query": oblong(1, 9, masks.last_causal),
    "window": square(masks.near),
    "window, more queries": oblong(11, 4, masks.near),
    "window into the past": square(masks.near_past),
    "window, last aligned": oblong(9, 5, masks.near_last),
    "window or first": square(masks.near_or_first),
    "future only": square(masks.future),
    "padding": square(masks.padded, batch=3),
    "padding and causal": square(masks.padded_causal, batch=3),
    "documents": oblong(9, 7, masks.three_documents),
    "mask_mod": square(masks.asked),
    "booleans": square(masks.booleans),
    "booleans of heads": square(masks.booleans_of_heads),
    "booleans of keys": square(masks.booleans_of_keys),
    "nobody sees": square(masks.nobody),
    "numbers": square(masks.numbers),
    "numbers of keys": square(masks.numbers_of_keys),
    "infinities": square(masks.infinities),
    "least numbers": square(masks.least_numbers),
    "least numbers only": square(masks.least_numbers_only),
    "numbers and causal": square(masks.numbers_and_rule),
    "numbers twice": square(masks.numbers_twice),
    "no keys": oblong(5, 0, masks.everyone),
    "no keys, causal": oblong(5, 0, masks.first_causal),
    "no keys, booleans": oblong(5, 0, masks.booleans),
    "no queries": oblong(0, 5, masks.everyone),
    "no queries, causal": oblong(0, 5, masks.last_causal),
    "no queries, booleans": oblong(0, 5, masks.booleans),
    "no batch items": square(masks.everyone, batch=0),
    "no batch items, booleans": square(masks.booleans, batch=0),
    "no batch items, padding": square(masks.padded, batch=0),
    "no heads": Case(*[(2, 0, 7, 4)] * 3),
}

# Where every other kind is put.
AROUND = {
    "square": square(masks.everyone),
    "grouped heads, causal": grouped(masks.first_causal, 5),
    "blind rows": oblong(9, 6, masks.infinities),
    "documents": oblong(5, 11, masks.three_documents),
    "no keys": oblong(4, 0, masks.everyone),
    "no queries": oblong(0, 4, masks.everyone),
}

CASES: dict[str, Case] = PLAIN | {
    f"{kind}; {where}": Case(c.query, c.key, c.value, c.meaning, None, kind)
    for kind in KINDS
    if kind != "softmax"
    for where, c in AROUND.items()
}
CASES["bilinear; widths that differ"] = Case((2, 4, 5, 3), (2, 2, 7, 6), (2, 2, 7, 4), kind="bilinear")
CASES["additive; widths that differ"] = Case((2, 4, 5, 3), (2, 2, 7, 6), (2, 2, 7, 4), kind="additive a head")


@dataclass(frozen=True, eq=False)
class Call:
    """The tensors of a case, query, key and value first, then the mechanism's parameters; and what they mean."""

    inputs: tuple[Tensor, ...]
    case: Case
    meaning: Meaning

    @property
    def kind(self) -> Kind:
        return KINDS[self.case.kind]

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return self.inputs[:3]

    @property
    def places(self) -> Places:
        return Places.of(*self.case.query[:3], self.case.key[2])

    def mechanism(self, *inputs: Tensor, **others: Any) -> Attention:
        """Return the mechanism with these parameters, or with the call's own."""
        given = self._scale | self.kind.given(self._named(inputs or self.inputs))
        return Attention(**{"mask": self.meaning.mask, **given, **others})

    def attend(self, engine: str, *inputs: Tensor, want: tuple[str, ...] = ()) -> Attended:
        """Run on an engine, on these inputs or on the call's own; skip what the engine does not take."""
        given = inputs or self.inputs
        return run(engine, *given[:3], self.mechanism(*given), want=want)

    def formula(self, *inputs: Tensor) -> oracle.Dense:
        given = inputs or self.inputs
        wanted = {"bias": self.meaning.bias, **self._scale}
        for name, each in self.kind.formula(self._named(given)).items():
            both = name == "bias" and wanted["bias"] is not None
            wanted[name] = wanted["bias"] + each.double() if both else each
        return oracle.attention(*given[:3], self.meaning.allowed, **wanted)

    def tolerance(self, engine: str, dtype: torch.dtype) -> float:
        return tolerance_of(engine, dtype) * (self.kind.half if dtype in HALVES else 1.0)

    @property
    def _scale(self) -> dict[str, float]:
        return {} if self.case.scale is None else {"scale": self.case.scale}

    def _named(self, inputs: tuple[Tensor, ...]) -> SimpleNamespace:
        return SimpleNamespace(**dict(zip(self.kind.parameters, inputs[3:], strict=True)))


def call_of(name: str | Case, dtype: torch.dtype = torch.float64, seed: int = 0) -> Call:
    """Return a case of the table, or another, with its tensors."""
    case = CASES[name] if isinstance(name, str) else name
    sizes = {"B": case.query[0], "H": case.query[1], "G": case.key[1], "Q": case.query[2], "K": case.key[2]}
    sizes |= {"D": case.query[3], "E": case.key[3], "A": INNER, "N": BUCKETS, "1": 1}
    tensors = [randoms(*s, seed=seed + i, dtype=dtype) for i, s in enumerate((case.query, case.key, case.value))]
    for number, (what, axes) in enumerate(KINDS[case.kind].parameters.items()):
        made = randoms(*(sizes[axis] for axis in axes.split()), seed=seed + 20 + number, dtype=dtype)
        tensors.append(made.abs() + 0.5 if what == "temperature" else made)
    return Call(tuple(tensors), case, case.meaning(Places.of(*case.query[:3], case.key[2]), dtype))


def run(
    engine: str, query: Tensor, key: Tensor, value: Tensor, mechanism: Attention, want: tuple[str, ...] = ()
) -> Attended:
    """Attend on an engine; skip what it speaks against."""
    with torch.autocast("cpu", enabled=False):
        problem = Problem.of(*four_axes(query, key, value)[:3], mechanism)
    reasons = next(each for each in ENGINES if each.name == engine).against(problem)
    if reasons:
        pytest.skip("; ".join(reasons))
    return attend(query, key, value, mechanism, engine=engine, want=want)


def equal(actual: Tensor, expected: Tensor, tolerance: float, what: str) -> None:
    """Assert that numbers agree, up to a part of the largest; NaN and infinities stand at the same places."""
    finite = expected.detach()[expected.isfinite()]
    largest = max(1.0, float(finite.abs().max())) if finite.numel() else 1.0
    assert_close(
        actual.double(),
        expected.double(),
        rtol=tolerance,
        atol=tolerance * largest,
        equal_nan=True,
        msg=lambda text: f"{what}: {text}",
    )


def flat(statistics: Statistics) -> list[tuple[str, Tensor]]:
    """Return the output, lse and statistics as names and tensors, each field of a nested record by itself."""
    found = []
    for each in fields(statistics):
        part = getattr(statistics, each.name)
        inner = {each.name: part} if isinstance(part, Tensor) else vars(part) if hasattr(part, "mean") else {}
        found += [(f"{each.name} {name}", tensor) for name, tensor in inner.items() if isinstance(tensor, Tensor)]
    return found


def tolerance_of(engine: str, dtype: torch.dtype) -> float:
    return TOLERANCES.get((engine, dtype), TOLERANCES[dtype])


def gradients(output: Tensor, tensors: tuple[Tensor, ...], cotangent: Tensor) -> tuple[Tensor, ...]:
    """Return gradients, 0 for what has no part in the output."""
    return torch.autograd.grad(
        output, tensors, cotangent.to(output.dtype), allow_unused=True, materialize_grads=True, retain_graph=True
    )


def leaves(*tensors: Tensor) -> tuple[Tensor, ...]:
    return tuple(tensor.detach().clone().requires_grad_() for tensor in tensors)


# Types differ in what is rounded, which few shapes show.
ROUNDED = [name for name in CASES if name.endswith(("grouped heads, causal", "blind rows")) or name in PLAIN]
SHORT = [name for name in ROUNDED if not name.startswith(("no ", "long"))]
TYPED = {torch.float64: list(CASES), torch.float32: ROUNDED, torch.bfloat16: SHORT, torch.float16: SHORT}

# An engine that compiles takes seconds for each shape and mechanism: it has tests of its own.
COMPILED = {"flex"}
TRIED = [each for each in ENGINES if each.name not in COMPILED]


def able(name: str, dtype: torch.dtype) -> list[str]:
    """Return the engines that do not speak against a case; one that cannot be asked fails on all of them."""
    try:
        call = call_of(name, dtype)
        problem = Problem.of(*call.tensors, call.mechanism())
        return [each.name for each in TRIED if not each.against(problem)]
    except Exception:
        return [each.name for each in TRIED]


def shown(each: object) -> str:
    return str(each).removeprefix("torch.")


engines = pytest.mark.parametrize("engine", [each.name for each in TRIED])
cases = pytest.mark.parametrize(
    ("name", "engine"), [(name, engine) for name in CASES for engine in able(name, torch.float64)]
)
typed_cases = pytest.mark.parametrize(
    ("name", "dtype", "engine"),
    [(name, dtype, engine) for dtype, names in TYPED.items() for name in names for engine in able(name, dtype)],
    ids=shown,
)
dtypes = pytest.mark.parametrize("dtype", FLOATS, ids=shown)
