"""Tallies: what they count equals dense formulas, they add up exactly, and what is told of them is right."""

import itertools
import math
import random
import statistics
from functools import cache, reduce

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regard import Tally, watch
from regard.errors import InputError, WatchError
from regard.watch import student
from regard.watch.head_kinds import KINDS, head_kinds
from regard.watch.survey import estimates, examples, integers
from regard.watch.survey.documents import Document, Words
from regard.watch.survey.examples import EXAMPLES, links_of
from regard.watch.tally import BLOCKS, SHARES, STATISTICS, WANT, share_of
from tests.models import FAMILIES, TOKENS

ONE = 1 << integers.FRACTION_BITS


@cache
def seen(family="bert"):
    eager, fast = FAMILIES[family].pair()
    inputs = FAMILIES[family].inputs()
    with torch.no_grad(), watch(fast, want=WANT) as record:
        fast(**inputs)
    with torch.no_grad():
        return record, FAMILIES[family].attentions(eager(**inputs, output_attentions=True))


def words(count=TOKENS, shown=None):
    labels = tuple(f"w{i}" for i in range(count))
    return Words(labels, tuple(range(count)), shown or (True,) * count)


def documents(*numbers, **more):
    return [Document(n, f"text {n}", f"line {n}", **more) for n in numbers]


@cache
def single(number):
    """Return the tally of one document, different for each number."""
    torch.manual_seed(number)
    attention = torch.nn.MultiheadAttention(8, 2, batch_first=True).eval()
    with torch.no_grad(), watch(attention, want=WANT) as record:
        attention(*[torch.randn(1, 3 + number % 4, 8)] * 3, need_weights=False)
    return Tally.of(record, documents(number))


def total(parts):
    return reduce(Tally.__add__, parts)


# What is counted


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama", "t5", "bart"])
def test_every_mean_equals_that_of_dense_weights(family):
    record, weights = seen(family)
    heads = {(head.site, head.head): head for head in Tally.of(record).heads()}
    for site, P in zip(record, weights, strict=True):
        P = P.double()
        apart = (torch.arange(P.shape[3]) - torch.arange(P.shape[2])[:, None]).double()
        expected = {
            "entropy": -torch.xlogy(P, P).sum(-1).mean(-1),
            "first": P[..., 0].mean(-1),
            "received_max": P.amax(-2).mean(-1),
            "most_received": P.sum(-2).amax(-1) / P.shape[2],
        }
        if site.kind == "self":
            expected["distance"] = (P * apart).sum(-1).mean(-1)
        for name, values in expected.items():
            for head in range(P.shape[1]):
                mean = heads[site.name, head].statistics[name].mean
                assert mean == pytest.approx(float(values[:, head].mean()), abs=2e-5), name


def test_shares_and_kinds_are_those_of_head_kinds():
    record, _ = seen()
    for head in Tally.of(record, documents(0, 1, words=words())).heads():
        judged = [head_kinds(record[head.site], (), item)[head.head] for item in range(2)]
        assert head.statistics["worth"].mean == pytest.approx(statistics.mean(j.worth for j in judged), abs=1e-9)
        assert {k: n for k, n in head.kinds.items() if n} == {
            j.kind: [each.kind for each in judged].count(j.kind) for j in judged
        }


def test_the_same_token_is_told_from_the_words_of_a_document():
    record, _ = seen()
    alike = Words(("a",) * TOKENS, tuple(range(TOKENS)), (True,) * TOKENS, tokens=(7,) * TOKENS)
    told = Tally.of(record, documents(0, 1, words=alike)).heads()[0].statistics["same_token"]
    P = seen()[1][0][:, 0]
    others = 1 - P.diagonal(dim1=-2, dim2=-1)
    assert told.mean == pytest.approx(float(others.mean()), abs=1e-4)
    assert Tally.of(record, documents(0, 1, words=words())).heads()[0].statistics["same_token"].mean is None


def test_in_cross_attention_positions_are_not_told():
    record, _ = seen("bart")
    head = next(head for head in Tally.of(record).heads() if head.site.endswith("encoder_attn"))
    assert head.statistics["previous"].mean is None
    assert head.statistics["distance"].documents == 0
    assert head.statistics["entropy"].documents == 2


def test_every_kind_has_a_share_to_choose_examples_by():
    assert {share_of(kind) for kind in KINDS} <= set(SHARES) <= set(STATISTICS)


def test_weights_that_are_not_finite_are_left_out():
    attention = torch.nn.MultiheadAttention(8, 2, batch_first=True).eval()
    with torch.no_grad(), watch(attention, want=WANT) as record:
        attention(*[torch.full((1, 4, 8), torch.nan)] * 3, need_weights=False)
    head = Tally.of(record).heads()[0]
    assert head.statistics["entropy"].documents == 0
    assert head.statistics["entropy"].mean is None
    assert sum(head.kinds.values()) == 0


def test_a_record_that_does_not_fit_is_refused():
    record, _ = seen()
    with pytest.raises(WatchError, match="one batch item for each of 3 documents"):
        Tally.of(record, documents(0, 1, 2))
    with watch() as nothing:
        pass
    with pytest.raises(WatchError, match="at least one attention call"):
        Tally.of(nothing)
    with pytest.raises(WatchError, match="expected tallies of one model"):
        Tally.of(seen()[0]) + Tally.of(seen()[0]).__class__(
            1, 1, {record.sites[0].name: next(iter(single(0).sites.values()))}
        )


# How tallies add up


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(9)), st.integers(1, 8))
def test_order_and_grouping_change_no_bit(order, cut):
    parts = [single(number) for number in order]
    assert total([total(parts[:cut]), total(parts[cut:])]) == total([single(number) for number in range(9)])


def test_nothing_added_changes_nothing():
    assert Tally() + single(3) == single(3) == single(3) + Tally()
    assert single(3) != single(4)


def test_leaving_out_examples_that_cannot_enter_changes_nothing():
    record, _ = seen()
    before = Tally.of(record, documents(0, 1)) + Tally.of(record, documents(2, 3))
    later = documents(4, 5)
    assert before + Tally.of(record, later, beside=before) == before + Tally.of(record, later)


def test_totals_do_not_grow_with_documents():
    sizes = [len(total([single(0)] * count)._packed()) for count in (100, 200)]
    assert sizes[1] <= sizes[0] + 16  # counts have more digits


def test_a_tally_is_saved_and_loaded(tmp_path):
    whole = total(map(single, range(70)))
    assert Tally.load(whole.save(tmp_path / "a.safetensors")) == whole
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]
    assert len(next(iter(whole.sites.values())).blocks) == BLOCKS
    assert whole.gathered() == whole


@pytest.mark.parametrize("content", [b"", b"abc", bytes(200), b"\x02\0\0\0\0\0\0\0{}"])
def test_a_file_that_is_no_tally_is_refused(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(InputError, match="no file of a survey"):
        Tally.load(tmp_path / "a")
    with pytest.raises(InputError, match="cannot read"):
        Tally.load(tmp_path / "b")


@given(st.lists(st.floats(-1e15, 1e15), min_size=1))
def test_numbers_stand_in_steps_of_a_fixed_size(numbers):
    whole, known = integers.fixed(np.array(numbers))
    assert known.all()
    assert all(abs(n / ONE - x) <= max(0.5 / ONE, abs(x) * 2**-52) for n, x in zip(whole, numbers, strict=True))
    assert (integers.from_bytes(integers.to_bytes(whole * whole)) == whole * whole).all()


def test_a_total_that_cannot_be_stored_is_refused():
    with pytest.raises(WatchError, match="exceeds"):
        integers.to_bytes(np.array([1 << 200], dtype=object))


# Means, intervals, tests


@given(st.lists(st.floats(-1e4, 1e4), min_size=2, max_size=30))
def test_an_estimate_is_mean_and_standard_error(numbers):
    whole, _ = integers.fixed(np.array(numbers))
    made = estimates.estimate(len(numbers), sum(whole), sum(whole * whole))
    rounded = [n / ONE for n in whole]
    error = statistics.stdev(rounded) / math.sqrt(len(numbers))
    assert made.mean == pytest.approx(statistics.mean(rounded), abs=1e-9)
    assert made.error == pytest.approx(error, abs=1e-8)
    assert made.low <= made.mean <= made.high


def test_variance_suffers_no_cancellation():
    whole, _ = integers.fixed(np.array([1e9, 1e9 + 1e-6]))
    assert estimates.estimate(2, sum(whole), sum(whole * whole)).error == pytest.approx(5e-7, rel=0.3)


def test_of_one_document_there_is_a_mean_and_no_interval():
    assert estimates.estimate(1, ONE, ONE * ONE) == estimates.Estimate(1, 1.0)
    assert estimates.estimate(0, 0, 0) == estimates.Estimate(0, None)


# Of 1, 2, 5, 30 and 1000 degrees of freedom, from printed tables.
@pytest.mark.parametrize(("freedom", "t"), [(1, 12.706), (2, 4.303), (5, 2.571), (30, 2.042), (1000, 1.962)])
def test_quantiles_are_those_of_the_tables(freedom, t):
    assert student.quantile(0.95, freedom) == pytest.approx(t, abs=6e-4)
    assert student.two_sided(t, freedom) == pytest.approx(0.05, abs=1e-4)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=20))
def test_one_document_a_block_gives_the_paired_t_test(pairs):
    one, other = (integers.fixed(np.array(side))[0] for side in zip(*pairs, strict=True))
    made = estimates.paired([1] * len(pairs), one, other)
    differences = [(a - b) / ONE for a, b in zip(one, other, strict=True)]
    assert made.mean == pytest.approx(statistics.mean(differences), abs=1e-9)
    assert made.error == pytest.approx(statistics.stdev(differences) / math.sqrt(len(pairs)), abs=1e-8)


def test_blocks_give_intervals_that_hold_what_they_say():
    """Of 400 samples of 640 pairs in 64 blocks, about 95 % of the intervals hold the true difference."""
    made = np.random.default_rng(0).normal(0.3, 1.0, (400, 64, 10))
    held = 0
    for sample in made:
        sums, _ = integers.fixed(sample.sum(1))
        found = estimates.paired([10] * 64, sums, np.zeros(64, dtype=object))
        held += found.low <= 0.3 <= found.high
    assert 0.92 <= held / 400 <= 0.98


def test_unpaired_differences_agree_with_welch():
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")
    pick = np.random.default_rng(1)
    one, other = pick.normal(0, 1, 40), pick.normal(0.4, 2, 25)
    made = estimates.unpaired(
        *(estimates.estimate(len(x), sum(w), sum(w * w)) for x in (one, other) for w in [integers.fixed(x)[0]])
    )
    found = stats.ttest_ind(one, other, equal_var=False)
    assert made.mean == pytest.approx(one.mean() - other.mean(), abs=1e-9)
    assert made.p == pytest.approx(found.pvalue, abs=0.01)  # degrees of freedom are whole here


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_adjusted_p_values_are_those_of_benjamini_and_hochberg(p):
    ranked = sorted(p)
    expected = [
        min(1.0, min(ranked[j] * len(p) / (j + 1) for j in range(len(p)) if ranked[j] >= each)) for each in p
    ]
    assert estimates.false_discovery(p) == pytest.approx(expected)


# Examples


def test_the_best_examples_are_kept_and_ties_go_to_the_first():
    parts = [single(n) for n in (8, 2, 5, 0, 9, 3)]
    for share, head in itertools.product(SHARES, range(2)):
        every = [example for part in parts for site in part.sites.values() for example in site.best[share][head]]
        best = sorted(every, key=lambda e: (-e.value, e.document))[:EXAMPLES]
        assert list(next(iter(total(parts).sites.values())).best[share][head]) == best
    record, _ = seen()
    same = total(Tally.of(record, documents(n, n + 50)) for n in random.Random(0).sample(range(9), 9))
    site = record.sites[0].name
    chosen = [example.document for example in same.sites[site].best["relative_entropy"][0]]
    assert chosen in ([0, 1, 2], [50, 51, 52])


def test_links_are_the_largest_weights_between_words():
    """Words of two tokens: summed over keys, averaged over queries; hidden words and a word itself left out."""
    record, weights = seen()
    groups = tuple(i // 2 for i in range(TOKENS))
    count = groups[-1] + 1
    shown = (False, *(True,) * (count - 1))
    joined = Words(tuple(f"w{i}" for i in range(count)), groups, shown)
    member = torch.nn.functional.one_hot(torch.tensor(groups)).double()
    P = (member / member.sum(0)).T @ weights[0][1].double() @ member
    P[:, 0], P[:, :, 0] = 0, 0
    P[:, range(count), range(count)] = 0
    for head, links in enumerate(links_of(record.sites[0], 1, Document(0, words=joined))):
        best = P[head].flatten().topk(len(links))
        assert [link.weight for _, link in links] == pytest.approx(best.values.tolist(), abs=1e-4)
        assert [f"w{place // count}" for place in best.indices.tolist()] == [link.query for _, link in links]
        assert [number for number, _ in links] == [place // count for place in best.indices.tolist()]


def test_links_do_not_depend_on_how_many_rows_are_made_at_a_time(monkeypatch):
    record, _ = seen()
    document = Document(
        0, words=Words(tuple("abcdef"), (0, 0, 0, 1, 2, 2, *(3,) * (TOKENS - 8), 4, 5), (True,) * 6)
    )
    whole = links_of(record.sites[0], 0, document)
    monkeypatch.setattr(examples, "_AT_ONCE", 1)
    parts = links_of(record.sites[0], 0, document)
    assert parts == whole


def test_words_that_do_not_fit_give_examples_without_links():
    record, _ = seen()
    head = Tally.of(record, documents(0, 1, words=words(3))).heads()[0]
    assert head.examples["worth"][0].excerpt.startswith("text")
    assert head.examples["worth"][0].links == ()
