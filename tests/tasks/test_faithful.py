"""Whether answers rest on the words that attention highlights: on a model whose source is half of it noise."""

import random
from itertools import pairwise

import pytest
import torch

from regard.errors import TaskError
from regard.tasks import RunFolder, Settings, fit
from regard.tasks.contract import Answer
from regard.tasks.data.read import Table
from regard.tasks.faithful import OWN, faithful, statement
from regard.tasks.held_out import hold_out
from regard.tasks.translation.removing import log_probability, removal_of
from regard.watch.faithfulness.result import RANDOM, Gain, Together
from tests.tasks.translating import TASK, WORDS

NOISE = ["uh", "er", "hm"]
SETS = [
    "width=32", "layers=1", "heads=2", "hidden=48", "dropout=0", "tokenizer=words", "beam=1", "updates=600",
    "check_every=600", "warmup=50", "batch_tokens=600", "rate=5e-3", "label_smoothing=0", "vocabulary=60",
]  # fmt: skip


def noisy(count, seed):
    """Lines in which noise stands between words, which its translation leaves out."""
    draw = random.Random(seed)
    rows = []
    for _ in range(count):
        words = draw.choices(list(WORDS), k=3)
        source = words + draw.choices(NOISE, k=5)
        places = sorted(draw.sample(range(8), 3))
        rest = iter(source[3:])
        line = [words[places.index(place)] if place in places else next(rest) for place in range(8)]
        rows.append({"source": " ".join(line), "target": " ".join(WORDS[word] for word in words)})
    return rows


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    with RunFolder.take(tmp_path_factory.mktemp("noisy") / "run") as folder:
        return fit(TASK, Settings.read(TASK, None, SETS), noisy(600, 0), noisy(50, 1), folder)


@pytest.mark.slow
def test_removing_what_attention_highlights_matters_more_where_the_rest_is_noise(run):
    assert run.score(noisy(50, 2)).values["exact"] >= 80
    done = []
    found = faithful(run, noisy(50, 2), 8, told=done.append)
    assert (found.texts, done) == (8, list(range(1, 9)))
    gain = found.gains["comprehensiveness"][OWN]
    assert gain.verdict == "more"
    assert f"what attention highlights matters more, by {gain.mean:.3f}" in statement(found)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.1, 0.3, "changes by -0.500 a token, without as many random words by -0.300: what attention highlights"
         " matters more, by 0.200 (95 % interval 0.100 to 0.300, over 7 rows)."),
        (-0.1, 0.5, "random words by -0.300: the difference of 0.200 (95 % interval -0.100 to 0.500, over 7 rows)"
         " may be chance."),
        (-0.3, -0.1, "random words by -0.700: what attention highlights matters less, by 0.200 (95 % interval 0.100"
         " to 0.300, over 7 rows)."),
    ],
)  # fmt: skip
def test_the_statement_says_what_was_lost_and_how_sure_that_is(low, high, said):
    mean = (low + high) / 2
    found = Together(
        7,
        RANDOM,
        {"comprehensiveness": {OWN: 0.5, RANDOM: 0.5 - mean}},
        {"comprehensiveness": {OWN: Gain(mean, low, high)}},
    )
    assert statement(found).endswith(said)


@pytest.mark.slow
def test_the_answer_to_removal_is_the_models_own_probability(run):
    row = noisy(1, 3)[0]
    (answer,) = run.answers([row])
    features = TASK.features(row, run.parts, run.settings.task)
    removal = removal_of(run.model, features["source"], answer, run.parts)
    keep = torch.rand(5, removal.units, generator=torch.Generator().manual_seed(0)) > 0.5
    keep[0], keep[1] = True, False
    with torch.no_grad():
        found = removal.answer(keep)
        for kept, value in zip(keep.tolist(), found.tolist(), strict=True):
            words = [word for word, stays in zip(row["source"].split(), kept, strict=True) if stays]
            item = TASK.features({"source": " ".join(words), "target": answer.text}, run.parts, run.settings.task)
            total = TASK.loss(run.model, TASK.batch([item], run.parts), 0.0)
            assert value == pytest.approx(-float(total.sum) / total.count, abs=1e-4)
    assert found[0] == pytest.approx(answer.log_probability / (len(answer.tokens) + 1), abs=1e-4)


@pytest.mark.slow
def test_a_source_without_words_has_nothing_to_remove(run):
    assert removal_of(run.model, [2], Answer("eins"), run.parts) is None
    assert log_probability(run.model, [[2]], []).shape == (1,)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "count", "said"),
    [(noisy(50, 4), 4, "at least 5 rows, for an interval"), (noisy(4, 4), 5, "got 4 among 4")],
)
def test_too_few_rows_are_refused(run, rows, count, said):
    with pytest.raises(TaskError, match=said):
        faithful(run, rows, count)


@pytest.mark.parametrize("count", [2, 3, 19, 20, 100, 399, 30_000])
def test_rows_held_out_are_spread_and_no_row_is_lost(count):
    import datasets

    rows = datasets.Dataset.from_dict({"number": range(count)})
    train, valid = hold_out(Table(rows, digest="a"))
    numbers = valid.rows["number"][:]
    assert sorted([*train.rows["number"][:], *numbers]) == list(range(count))
    assert len(numbers) == min(1000, max(1, count // 20))
    gaps = [after - before for before, after in pairwise(numbers)]
    assert not gaps or max(gaps) - min(gaps) <= 1
    assert train.digest != valid.digest


def test_a_single_row_cannot_be_held_out():
    with pytest.raises(TaskError, match="at least 2 rows"):
        hold_out(Table([{"a": "b"}]))
