"""The laws of beam search: wide it is an exhaustive search, narrow the search that the paper describes."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regard.models.generation import Beam, Greedy, at_strings, generate, left_padded
from tests.generating import Known, as_tokens, every_text

WORDS, STOP = 3, 2


def scored(text, total, beam):
    return total / ((beam.offset + len(text)) / (beam.offset + 1)) ** beam.length_penalty


def by_hand(model, prompt, beam, length, ended):
    """Return all that a search with lists finds, best first, as (score, log-probability, text)."""
    going, found = [(0.0, [])], []
    while going:
        every = sorted(
            ((total + p, [*text, token]) for total, text in going for token, p in logs(model, prompt, text)),
            key=lambda each: -each[0],
        )
        count = len(every[0][1])
        found += [(scored(t, p, beam), p, t) for p, t in every[: beam.width] if ended(t) or count == length]
        found = sorted(found, key=lambda each: -each[0])[: beam.width]
        if beam.early and len(found) == beam.width:
            break
        going = [(p, t) for p, t in every if not ended(t) and count < length][: beam.width]
    return found


def logs(model, prompt, text):
    row = model.log_probabilities([*prompt, *text])
    return [(token, p) for token, p in enumerate(row) if p > -math.inf]


def found(beams, item):
    """Return what the library found for an item, in the same form."""
    texts = [row[:n] for row, n in zip(beams.tokens[item].tolist(), beams.lengths[item].tolist(), strict=True)]
    every = zip(beams.score[item].tolist(), beams.log_probability[item].tolist(), texts, strict=True)
    return [each for each in every if each[0] > -math.inf]


def same(got, wanted):
    assert [text for _, _, text in got] == [text for _, _, text in wanted]
    for one, other in zip(got, wanted, strict=True):
        assert one[:2] == pytest.approx(other[:2], abs=2e-5)


def distinct(texts):
    """Whether no two scores are so close that rounding puts them in order."""
    scores = sorted(score for score, _, _ in texts)
    return all(b - a > 1e-4 for a, b in itertools.pairwise(scores))


PENALTIES = st.sampled_from([0.0, 0.6, 1.0, 2.0, -0.7])
OFFSETS = st.sampled_from([5.0, 0.0])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), PENALTIES, OFFSETS, st.integers(1, 4), st.sampled_from([0.0, 0.4]))
def test_wide_beams_are_an_exhaustive_search(seed, penalty, offset, length, forbidden):
    model, prompt = Known(WORDS, seed, forbidden), [0, 1]
    beam = Beam(WORDS**length, penalty, offset)
    got = generate(model, as_tokens(prompt), length=length, sampling=beam, stop=STOP, fill=1)
    every = [(scored(t, p, beam), p, t) for t, p in every_text(model, prompt, length, STOP) if p > -math.inf]
    wanted = sorted(every, key=lambda each: -each[0])
    if distinct(wanted):
        same(found(got.beams, 0), wanted)
        assert got.lists() == [wanted[0][2]]
    empty = got.beams.score[0].isneginf()
    assert int(empty.sum()) == WORDS**length - len(wanted)
    assert set(got.beams.tokens[0][empty].flatten().tolist()) <= {1}
    assert not got.beams.lengths[0][empty].any()
    assert not got.beams.stopped[0][empty].any()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10_000),
    st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=4), min_size=1, max_size=3),
    st.integers(1, 5),
    PENALTIES,
    OFFSETS,
    st.booleans(),
    st.booleans(),
)
def test_narrow_beams_are_the_search_of_the_paper(seed, prompts, width, penalty, offset, early, cache):
    model, beam = Known(5, seed), Beam(width, penalty, offset, early)
    tokens, padding = left_padded(prompts)
    got = generate(model, tokens, length=7, sampling=beam, stop=STOP, padding=padding, cache=cache)
    for item, prompt in enumerate(prompts):
        wanted = by_hand(model, prompt, beam, 7, lambda text: text[-1] == STOP)
        if distinct(wanted):
            same(found(got.beams, item), wanted)
            assert got.lists()[item] == wanted[0][2]
            assert got.score[item] == pytest.approx(wanted[0][0], abs=2e-5)
            assert bool(got.stopped[item]) == (wanted[0][2][-1] == STOP)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4), PENALTIES, OFFSETS, st.booleans(), st.data())
def test_fewer_texts_that_are_wanted_are_the_best_of_all(seed, width, penalty, offset, early, data):
    wanted, prompts = data.draw(st.integers(1, width)), as_tokens([1], [3], [4])
    every, some = (
        generate(Known(5, seed), prompts, length=9, sampling=Beam(width, penalty, offset, early, each), stop=STOP)
        for each in (None, wanted)
    )
    torch.testing.assert_close(some.score, every.score, rtol=0, atol=0)
    assert some.lists() == every.lists()
    assert some.beams.lengths.shape == (3, wanted)
    for item in range(3):
        assert found(some.beams, item) == found(every.beams, item)[:wanted]


def test_the_best_text_alone_is_found_sooner():
    calls = []
    for wanted in (4, 1):
        model = Known(5, 3)
        generate(model, as_tokens([1]), length=200, sampling=Beam(4, wanted=wanted), stop=STOP)
        calls.append(model.calls)
    assert calls[1] < calls[0]


def test_rules_of_strings_end_beams_as_tokens_do():
    model, prompts = Known(5, 9), as_tokens([1], [3], [4])
    given = {"length": 9, "sampling": Beam(3)}
    by_token = generate(model, prompts, stop=STOP, **given)
    by_string = generate(model, prompts, stop=at_strings("2", lambda tokens: "".join(map(str, tokens))), **given)
    assert by_token.beams.tokens.tolist() == by_string.beams.tokens.tolist()
    assert by_token.stopped.any()


def test_one_beam_is_greedy_where_nothing_ends():
    model, prompts = Known(9, 1), as_tokens([1], [3], [4])
    one, other = (generate(model, prompts, length=12, sampling=way) for way in (Beam(1), Greedy()))
    assert one.lists() == other.lists()
    torch.testing.assert_close(one.log_probability, other.log_probability)


def test_a_prompt_is_read_once_for_all_beams():
    sizes = []

    class Watched(Known):
        def __call__(self, tokens, **given):
            sizes.append(tuple(tokens.shape))
            return super().__call__(tokens, **given)

    generate(Watched(5), as_tokens([1, 2, 3], [3, 2, 1]), length=3, sampling=Beam(4))
    assert sizes == [(2, 3), (8, 1), (8, 1)]


def test_a_search_ends_when_nothing_better_can_come():
    model = Known(5, 3)
    model.table[:, STOP] += 12
    generate(model, as_tokens([1]), length=1_000, sampling=Beam(2), stop=STOP)
    assert model.calls < 40


def test_a_vocabulary_of_one_and_more_beams_than_texts():
    got = generate(Known(1), as_tokens([0]), length=3, sampling=Beam(4))
    assert got.lists() == [[0, 0, 0]]
    assert got.beams.lengths.tolist() == [[3, 0, 0, 0]]
    assert got.beams.score[0, 1:].isneginf().all()
