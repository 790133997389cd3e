"""What removing units in the order of explanations shows: laws, values worked out by hand, intervals, mistakes."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import regard
from regard.errors import ShapeError, WantError
from regard.watch.faithfulness.curves import METRICS
from regard.watch.faithfulness.intervals import between_draws
from regard.watch.student import quantile


def depends_on(unit):
    """Return an answer that is 1 while one unit stays, and else 0."""
    return lambda keep: keep[:, unit].double()


def weighted(seed, units):
    """Return an answer that is some curved function of the units that stay."""
    weights = torch.randn(units, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return lambda keep: (keep.double() @ weights).sigmoid()


def pointing(unit, units):
    return torch.nn.functional.one_hot(torch.tensor(unit), units).double()


@pytest.mark.parametrize("units", [4, 7, 40])
def test_pointing_to_the_one_unit_that_matters_is_as_good_as_can_be(units):
    found = regard.faithfulness(depends_on(2), {"points": pointing(2, units)}, units=units)
    assert found.value("points", "comprehensiveness") == 1
    assert found.value("points", "sufficiency") == 0
    assert found.deletion_curves["points"].tolist() == [1.0] + [0.0] * (len(found.shares) - 1)
    assert found.insertion_curves["points"].tolist() == [0.0] + [1.0] * (len(found.shares) - 1)
    for metric in METRICS:
        random = found.random[metric]
        best = random.max() if metric in ("comprehensiveness", "insertion") else random.min()
        sign = 1 if metric in ("comprehensiveness", "insertion") else -1
        assert sign * (found.value("points", metric) - float(best)) >= 0


@given(seed=st.integers(0, 999), units=st.integers(4, 30))
@settings(max_examples=20, deadline=None)
def test_only_the_order_of_scores_counts(seed, units):
    scores = torch.randn(units, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    both = {"as they are": scores, "curved": (3 * scores).exp() - 7}
    found = regard.faithfulness(weighted(seed, units), both, units=units, draws=39)
    for metric in METRICS:
        assert found.value("as they are", metric) == found.value("curved", metric)


def test_metrics_are_those_worked_out_by_hand():
    # m falls with the most important units: 0.9 whole, then by what is left of 10 units; ERASER's bins of 10 units
    # remove ceil(0.1), ceil(0.5), 1, 2 and 5 of them.
    values = torch.tensor([0.30, 0.20, 0.10, 0.10, 0.05, 0.05, 0.04, 0.03, 0.02, 0.01], dtype=torch.float64)
    found = regard.faithfulness(lambda keep: keep.double() @ values, {"true": values}, units=10)
    comprehensiveness = (0.30 + 0.30 + 0.30 + 0.50 + 0.75) / 5
    sufficiency = (0.60 + 0.60 + 0.60 + 0.40 + 0.15) / 5
    left = [0.90, 0.60, 0.40, 0.30, 0.20, 0.15, 0.10, 0.06, 0.03, 0.01, 0.0]
    area = sum((a + b) / 2 * 0.1 for a, b in pairwise(left))
    assert found.value("true", "comprehensiveness") == pytest.approx(comprehensiveness)
    assert found.value("true", "sufficiency") == pytest.approx(sufficiency)
    assert found.value("true", "deletion") == pytest.approx(area)
    assert found.value("true", "insertion") == pytest.approx(0.90 - area)
    assert found.shares.tolist() == pytest.approx([i / 10 for i in range(11)])


@given(units=st.integers(4, 200), share=st.sampled_from([0.01, 0.05, 0.1, 0.2, 0.5]))
@settings(max_examples=40, deadline=None)
def test_a_bin_removes_its_share_rounded_up(units, share):
    removed = torch.arange(units).flip(0).double()
    found = regard.faithfulness(
        lambda keep: keep.double().mean(-1), {"any": removed}, units=units, draws=39, bins=(share,)
    )
    count = max(1, -(-units * round(share * 100) // 100))
    assert found.value("any", "comprehensiveness") == pytest.approx(count / units)


def test_random_explanations_lie_in_the_interval_95_times_in_100():
    units, trials, inside = 12, 400, 0
    for seed in range(trials):
        chance = torch.Generator().manual_seed(1000 + seed)
        scores = {"chance": torch.rand(units, generator=chance)}
        found = regard.faithfulness(weighted(seed, units), scores, units=units, draws=39, seed=seed)
        inside += found.gain("chance").verdict == "not told apart"
    # 0.011 is one standard deviation of such a share.
    assert inside / trials == pytest.approx(0.95, abs=0.04)


def test_intervals_between_draws_are_exact_in_ranks():
    for draws, lower in ((39, 1), (79, 2), (80, 2), (119, 3)):
        low, high = between_draws(torch.randperm(draws).double())
        assert (low, high) == (lower - 1, draws - lower)
        assert (high - low) / (draws + 1) >= 0.95 - 1e-9


def test_a_mean_over_texts_has_students_interval():
    # 97.5 % points of Student's t from printed tables.
    for degrees, point in ((4, 2.776), (5, 2.571), (10, 2.228), (30, 2.042), (1000, 1.962)):
        assert quantile(0.95, degrees) == pytest.approx(point, abs=1e-3)


def test_texts_together_are_a_mean_of_differences():
    true = [regard.faithfulness(weighted(s, 9), _two(s), units=9, draws=39, seed=s) for s in range(6)]
    found = regard.together(true)
    gains = torch.tensor([each.gain("weights").mean for each in true], dtype=torch.float64)
    half = 2.5706 * float(gains.std()) / math.sqrt(6)
    gain = found.gains["comprehensiveness"]["weights"]
    assert gain.mean == pytest.approx(float(gains.mean()))
    assert (gain.low, gain.high) == pytest.approx((gain.mean - half, gain.mean + half), rel=1e-4)
    assert gain.verdict == "more"
    paired = regard.together(true, against="weights")
    assert paired.gains["comprehensiveness"]["noise"].mean < 0
    assert "weights" not in paired.gains["comprehensiveness"]
    assert "means over 6 texts" in str(found)


def _two(seed):
    chance = torch.Generator().manual_seed(seed)
    return {"weights": torch.randn(9, generator=chance, dtype=torch.float64), "noise": torch.rand(9)}


def test_the_seed_decides_and_nothing_else():
    def found(seed, batch=64):
        return regard.faithfulness(weighted(1, 8), {"even": torch.zeros(8)}, units=8, seed=seed, batch=batch)

    assert found(0).as_dict() == found(0, batch=7).as_dict()
    assert found(0).as_dict() != found(1).as_dict()


def test_every_variant_is_asked_once_and_progress_ends_with_all():
    asked, told = [], []

    def answer(keep):
        asked.extend(map(tuple, keep.tolist()))
        return keep.double().sum(-1)

    regard.faithfulness(answer, {}, units=5, progress=lambda *numbers: told.append(numbers))
    assert len(set(asked)) == len(asked) <= 32
    assert told[-1] == (len(asked), len(asked))


def test_position_is_first_to_last_unless_it_is_given():
    first = regard.faithfulness(depends_on(0), {}, units=6)
    last = regard.faithfulness(depends_on(0), {"position": torch.arange(6)}, units=6)
    assert first.value("position", "comprehensiveness") == 1
    assert last.value("position", "comprehensiveness") == 0


def test_the_statement_says_which_way_it_went():
    values = torch.arange(12).double()
    found = regard.faithfulness(lambda keep: keep.double() @ values, {"best": values}, units=12, what="words")
    assert found.statement("best", "layer 1").startswith(
        "Removing the words that layer 1 highlights changes the answer more than removing random ones: "
    )
    against = regard.faithfulness(lambda keep: -(keep.double() @ values), {"best": values}, units=12)
    assert "changes the answer less than removing random ones" in against.statement("best")
    chance = regard.faithfulness(weighted(0, 9), {"any": torch.arange(9).sin()}, units=9)
    assert "changes the answer about as much as removing random ones" in chance.statement("any")
    assert "0.000 with none" in str(found)
    assert all(metric in str(found) for metric in METRICS)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"units": 3, "scores": {}}, ShapeError, "at least 4"),
        ({"draws": 38}, ShapeError, "at least 39"),
        ({"bins": (0.0,)}, ShapeError, "above 0"),
        ({"bins": ()}, ShapeError, "above 0"),
        ({"batch": 0}, ShapeError, "at least 1"),
        ({"scores": {"a": torch.zeros(4)}}, ShapeError, "each of 5 units"),
        ({"scores": {"a": torch.full((5,), torch.nan)}}, ShapeError, "with NaN"),
        ({"scores": {"random": torch.zeros(5)}}, ShapeError, "choose another"),
        ({"answer": lambda keep: keep.double()}, ShapeError, "for each of"),
        ({"answer": lambda keep: keep[:, 0] * torch.nan}, ShapeError, "with NaN"),
    ],
)
def test_mistakes_are_named(change, error, said):
    arguments = {"answer": depends_on(0), "scores": {"a": torch.zeros(5)}, "units": 5} | change
    with pytest.raises(error, match=said):
        regard.faithfulness(arguments.pop("answer"), arguments.pop("scores"), **arguments)


def test_unknown_names_and_few_texts_are_refused():
    found = regard.faithfulness(depends_on(0), {}, units=5)
    with pytest.raises(WantError, match="expected one of position, random"):
        found.gain("nobody")
    with pytest.raises(WantError, match="as metric"):
        found.gain("position", "beauty")
    with pytest.raises(ShapeError, match="at least 5 texts"):
        regard.together([found] * 4)
    with pytest.raises(WantError, match="as explanation"):
        regard.together([found] * 5, against="nobody")
