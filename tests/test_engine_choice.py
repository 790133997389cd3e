"""Which engine runs: the first that can, or the one asked for; and what is said of it."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

import regard
from regard import Attention, attend, causal, explain
from regard.attend import leading
from regard.engines import choose
from regard.engines.choose import DENSE_LIMIT, ENGINES
from regard.engines.contract import Computed, Problem
from regard.errors import EngineError
from tests.attend_cases import CASES, KINDS, Case, call_of, engines, leaves, run
from tests.attend_masks import randoms

NAMES = [each.name for each in ENGINES]


def asking(length: int) -> Tensor:
    """Return numbers to add (length, length) that ask for a gradient and take no memory."""
    return torch.zeros((), requires_grad=True).expand(length, length)


def line(text: str, engine: str) -> str:
    """Return what an explanation says of an engine."""
    (found,) = [each for each in text.splitlines() if each[3:].startswith(f"{engine}:")]
    return found


def test_engines_are_tried_in_order_and_the_reference_last():
    assert len(set(NAMES)) == len(NAMES)
    assert NAMES[-1] == "reference"


@pytest.mark.parametrize("name", CASES)
def test_auto_takes_the_first_engine_that_can_and_is_not_reluctant(name):
    call = call_of(name)
    problem = Problem.of(*call.tensors, call.mechanism())
    willing = [each.name for each in ENGINES if not each.against(problem) and not each.unasked(problem)]
    explanation = explain(*call.tensors, call.mechanism())
    assert explanation.chosen == willing[0] != "reference"
    assert [verdict.engine for verdict in explanation.verdicts] == NAMES


@pytest.mark.parametrize("kind", KINDS)
def test_auto_runs_what_it_explains(kind):
    call = call_of(Case(*[(1, 2, 5, 4)] * 3, kind=kind))
    result = attend(*call.tensors, call.mechanism())
    assert result.engine == result.explanation.chosen == explain(*call.tensors, call.mechanism()).chosen


def test_no_verdict_is_given_of_engines_after_the_one_that_ran():
    result = attend(*call_of("plain").tensors)
    tried = NAMES[: NAMES.index(result.engine) + 1]
    assert [verdict.engine for verdict in result.explanation.verdicts] == tried


@pytest.mark.parametrize("way", ["mask", "bias"])
def test_auto_leaves_the_fused_kernel_only_where_a_gradient_is_asked_of_what_is_added(way):
    call, mechanism = call_of("plain"), Attention(**{way: asking(7)})
    assert attend(*call.tensors, mechanism).engine not in ("fused", "reference")
    with torch.no_grad():
        assert attend(*call.tensors, mechanism).engine == "fused"


SPOKEN_AGAINST = {
    "additive": ("additive", "softmax over dot products"),
    "soft cap": ("soft cap", "softmax over dot products"),
    "score_mod": ("score_mod", "softmax over dot products"),
    "sparsemax": ("sparsemax", "softmax over dot products"),
    "top 3": ("top 3", "softmax over dot products"),
    "argmax": ("hard, argmax", "softmax over dot products"),
    "sigmoid": ("sigmoid", "softmax over dot products"),
    "sink": ("no sink",),
}


@pytest.mark.parametrize("kind", SPOKEN_AGAINST)
def test_the_fused_engine_says_what_it_does_not_take(kind):
    call = call_of(Case(*[(1, 2, 5, 4)] * 3, kind=kind))
    said = line(str(explain(*call.tensors, call.mechanism())), "fused")
    assert [word for word in SPOKEN_AGAINST[kind] if word not in said] == []
    with pytest.raises(EngineError, match="cannot take this call"):
        attend(*call.tensors, call.mechanism(), engine="fused")


def test_the_fused_engine_speaks_against_dropout():
    said = line(str(explain(*call_of("plain").tensors, Attention(dropout=0.1))), "fused")
    assert "drop no weights" in said


@pytest.mark.parametrize("kind", ["softmax", "bilinear", "cosine", "ALiBi", "relative buckets", "bias"])
def test_the_fused_engine_takes_dot_products_and_what_is_added_to_them(kind):
    call = call_of(Case(*[(1, 2, 5, 4)] * 3, kind=kind))
    assert attend(*call.tensors, call.mechanism(), engine="fused").engine == "fused"


@engines
def test_an_engine_asked_for_by_name_runs(engine):
    call = call_of("causal")
    result = call.attend(engine)
    assert result.engine == result.explanation.chosen == engine
    explanation = explain(*call.tensors, call.mechanism(), engine=engine)
    assert explanation.chosen == engine
    for other in set(NAMES) - {engine}:
        assert f'engine="{engine}" was asked for' in line(str(explanation), other)


def test_an_explanation_prints_a_line_an_engine_and_what_the_mask_leaves():
    text = str(explain(*call_of("plain").tensors))
    assert len(text.splitlines()) == len(ENGINES) + 1
    assert line(text, "fused") == "-> fused: taken; 0.0 MB beside inputs and output"
    preferred = "not taken, able, but an engine before it is preferred; 0.0 MB beside inputs and output"
    assert line(text, "reference") == f"   reference: {preferred}"
    assert text.splitlines()[-1] == "   visited: 100.0% of all pairs of positions, in tiles of 128"


def test_an_explanation_says_which_share_of_tiles_is_visited():
    tensor = torch.zeros(1, 1, 512, 4)
    explanation = explain(tensor, tensor, tensor, Attention(mask=causal()))
    assert explanation.visited == 10 / 16
    assert "visited: 62.5% of all pairs" in str(explanation)
    assert attend(tensor, tensor, tensor, Attention(mask=causal())).explanation.visited is None


def test_explaining_runs_nothing():
    huge = torch.zeros(()).expand(64, 64, 1 << 17, 64)
    assert explain(huge, huge, huge, Attention(mask=causal())).chosen == "fused"


def dense_only(pairs: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return a call with at least so many weights, in next to no memory."""
    length = math.isqrt(pairs - 1) + 1
    return (torch.zeros(()).expand(1, 1, length, 1),) * 3


@pytest.fixture
def only_the_reference(monkeypatch):
    """A house in which no other engine can."""
    monkeypatch.setattr(choose, "ENGINES", (ENGINES[-1],))


@pytest.mark.usefixtures("only_the_reference")
def test_auto_never_takes_a_dense_engine_for_a_large_call():
    tensors = dense_only(DENSE_LIMIT)
    assert explain(*tensors).chosen is None
    with pytest.raises(EngineError) as refused:
        attend(*tensors)
    assert "no engine takes this call" in str(refused.value)
    assert 'too large to take unasked; ask for it with engine="reference"' in str(refused.value)
    assert explain(*tensors, engine="reference").chosen == "reference"


@pytest.mark.usefixtures("only_the_reference")
def test_the_limit_of_dense_calls_is_one_of_bytes():
    tensors = dense_only(1 << 10)
    assert ENGINES[-1].memory(Problem.of(*tensors, Attention())) <= DENSE_LIMIT
    assert explain(*tensors).chosen == "reference"


@pytest.mark.parametrize("kind", KINDS)
def test_no_long_call_needs_more_memory_than_auto_may_take(kind):
    call = call_of(Case(*[(1, 2, 5, 4)] * 3, kind=kind))
    if any("K" in axes for axes in call.kind.parameters.values()):
        pytest.skip("has a parameter as large as the scores")
    long = torch.zeros(()).expand(1, 2, 1 << 17, 4)
    assert explain(long, long, long, call.mechanism()).chosen not in (None, "reference")


def listener(heard):
    def lead(problem, compute):
        computed, engine = compute(problem)
        heard.append((problem, computed, engine))
        return computed, engine

    return lead


def test_whoever_leads_is_given_what_runs():
    heard = []
    call = call_of("causal")
    with leading(listener(heard)):
        result = attend(*call.tensors, call.mechanism())
        attend(*call.tensors, call.mechanism(), engine="reference")
    attend(*call.tensors)
    assert [engine for _, _, engine in heard] == [result.engine, "reference"]
    assert all(isinstance(computed, Computed) for _, computed, _ in heard)
    assert torch.equal(heard[0][1].output, result.output)
    assert heard[0][0].mask == causal()


def test_one_call_is_led_where_a_score_attends_itself():
    """Nothing that an engine does inside is a call of its own."""
    heard = []
    query, key, value = (randoms(1, 2, 5, 4, seed=seed) for seed in range(3))
    with leading(listener(heard)):
        for mechanism in (Attention(), Attention(weigh=regard.sparsemax()), Attention(modify=regard.soft_cap(1.0))):
            attend(query, key, value, mechanism, want=("entropy",) if mechanism.weigh.kind == "softmax" else ())
    assert len(heard) == 3


def test_who_leads_may_compute_another_problem():
    call = call_of("causal")
    with leading(lambda problem, compute: compute(replace(problem, value=2 * problem.value))):
        doubled = attend(*call.tensors, call.mechanism()).output
    query, key, value = call.tensors
    torch.testing.assert_close(doubled, attend(query, key, 2 * value, call.mechanism()).output)


def test_a_result_says_what_it_holds():
    call = call_of("causal")
    assert repr(run("fused", *call.tensors, call.mechanism(), want=("entropy", "lse"))) == (
        "Attended(output (2, 2, 7, 4), engine fused, beside it: lse, entropy)"
    )
    assert repr(attend(*leaves(*call.tensors), engine="reference")).endswith("beside it: nothing)")
