"""Heads that attend in one way by construction are told, in long and short texts, causal or not, padded or not."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import regard
from regard import Attention, causal, softmax, watch
from regard.errors import ShapeError, WantError
from regard.watch.head_kinds import KINDS, PLACES, head_kinds
from regard.watch.heads.estimate import Estimate
from regard.watch.heads.probe import Probe
from regard.watch.heads.table import heads
from tests.demo import folder, needs_demo
from tests.models import FAMILIES

FAR = -30.0


def site_of(bias, *, mask=None, sink=None, batch=1):
    """Return the site of a call whose scores are a bias tensor that broadcasts to (B, H, Nq, Nk)."""
    queries, keys = bias.shape[-2:]
    heads_ = bias.shape[-3] if bias.ndim > 2 else 1
    q, k = torch.zeros(batch, heads_, queries, 2), torch.zeros(batch, heads_, keys, 2)
    rule = regard.full() if mask is None else mask
    with watch() as seen:
        regard.attend(q, k, k, Attention(mask=rule, bias=bias, weigh=softmax(sink=sink)))
    return seen.sites[0]


def onto(keys, count):
    """Return scores (N, N) by which each query looks at one key."""
    return -FAR * F.one_hot(keys.clamp(0, count - 1), count).float()


def kind(site, **given):
    (head,) = head_kinds(site, **given)
    return head.kind


@pytest.mark.parametrize("length", [4, 7, 12, 40, 300])
@pytest.mark.parametrize("mask", [None, causal()], ids=["all", "causal"])
@pytest.mark.parametrize("name", ["previous", "same", "first"])
def test_a_place_is_told_in_texts_of_every_length(length, mask, name):
    place = torch.arange(length)
    keys = {"previous": place - 1, "same": place, "first": torch.zeros_like(place)}[name]
    assert kind(site_of(onto(keys, length), mask=mask)) == name


@pytest.mark.parametrize("length", [2, 3, 4, 6, 9, 30])
@pytest.mark.parametrize("mask", [None, causal()], ids=["all", "causal"])
def test_even_attention_is_broad_however_few_keys_there_are_to_choose_from(length, mask):
    (head,) = head_kinds(site_of(torch.zeros(length, length), mask=mask))
    assert head.kind == "broad"
    assert head.relative_entropy == pytest.approx(1.0)


def test_weight_on_a_learned_sink_is_no_weight_on_a_key():
    (head,) = head_kinds(site_of(torch.zeros(8, 8), sink=6.0))
    assert head.kind == "sink"
    assert head.sink == pytest.approx(math.exp(6) / (math.exp(6) + 8))
    assert head.first == pytest.approx((1 - head.sink) / 8, abs=1e-6)
    assert head.worth <= 1 - head.sink


def test_each_head_has_its_own_sink():
    site = site_of(torch.zeros(2, 8, 8), sink=torch.tensor([-9.0, 9.0]))
    assert [head.kind for head in head_kinds(site)] == ["broad", "sink"]


def tokens_twice(length):
    """Return tokens that come in the order of a random shuffle of two of each."""
    generator = torch.Generator().manual_seed(1)
    return (torch.arange(length) // 2)[torch.randperm(length, generator=generator)]


def test_looking_at_the_same_token_elsewhere_is_told_from_tokens():
    tokens = tokens_twice(40)
    same = (tokens.unsqueeze(-1) == tokens) & ~torch.eye(40, dtype=torch.bool)
    site = site_of(torch.where(same, 0.0, FAR))
    (head,) = head_kinds(site, tokens=tokens)
    assert (head.kind, head.same_token) == ("same token", pytest.approx(1.0))
    (unknown,) = head_kinds(site)
    assert unknown.kind == "mixed"
    assert unknown.same_token is None


def test_a_token_is_not_another_position_with_its_own_token():
    site = site_of(onto(torch.arange(40), 40))
    (head,) = head_kinds(site, tokens=tokens_twice(40))
    assert (head.kind, head.same_token) == ("same", pytest.approx(0.0, abs=1e-6))


def test_a_head_of_two_kinds_has_both_and_is_named_after_the_larger():
    scores = torch.full((30, 30), FAR)
    place = torch.arange(30)
    scores[place[1:], place[1:] - 1] = math.log(0.55)
    scores[:, 0] = math.log(0.45)
    scores[0, 1] = scores[1, 0] = 0.0
    (head,) = head_kinds(site_of(scores))
    assert head.kinds == ("previous", "first")
    assert head.kind == head.kinds[0]


def test_padding_does_not_count():
    """Half of the rows are padding that looks at itself."""
    length, real = 20, torch.arange(20) < 10
    place = torch.arange(length)
    site = site_of(onto(torch.where(real, place - 1, place), length))
    (head,) = head_kinds(site, real=real)
    assert head.kind == "previous"
    assert head.previous == pytest.approx(1.0, abs=1e-5)
    assert head.same == pytest.approx(0.1, abs=1e-5)  # of the ten real ones only the first looks at itself
    assert kind(site) == "same"


def test_with_padding_at_the_start_the_first_key_is_the_first_real_one():
    real = torch.arange(20) >= 6
    site = site_of(onto(torch.full((20,), 6), 20))
    assert kind(site, real=real) == "first"
    assert kind(site) == "mixed"


def test_padding_tokens_are_not_one_token():
    real = torch.tensor([True] * 10 + [False] * 10)
    site = site_of(torch.zeros(20, 20))
    (head,) = head_kinds(site, tokens=[*range(10), *[0] * 10], real=real)
    assert head.same_token == 0.0


def test_queries_that_see_no_key_do_not_count():
    mask = torch.ones(10, 10, dtype=torch.bool)
    mask[4:] = False
    (head,) = head_kinds(site_of(onto(torch.arange(10), 10), mask=mask))
    assert (head.kind, head.same) == ("same", pytest.approx(1.0, abs=1e-5))


@pytest.mark.parametrize("hidden", [-1e4, -1e9, torch.finfo(torch.float32).min, -torch.inf])
def test_keys_hidden_by_large_negative_numbers_are_not_seen(hidden):
    scores = torch.zeros(12, 12).masked_fill(torch.ones(12, 12).triu(1).bool(), hidden)
    (head,) = head_kinds(site_of(scores))
    assert head.kind == "broad"
    assert head.relative_entropy == pytest.approx(1.0)
    assert [h.kind for h in head_kinds(site_of(torch.zeros(12, 12), mask=scores))] == ["broad"]


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (0, 0), (1, 5)])
def test_one_token_and_no_key_are_heads_too(shape):
    (head,) = head_kinds(site_of(torch.zeros(shape)), tokens=[3] * shape[1])
    assert head.kind in KINDS
    assert 0.0 <= head.worth <= 1.0
    assert all(math.isfinite(value) for value in (head.entropy, head.relative_entropy, head.first))


def test_one_token_that_sees_itself_says_nothing():
    (head,) = head_kinds(site_of(torch.zeros(1, 1)))
    assert head.kind == "mixed"


class CrossAttention(nn.Module):
    def forward(self, q, k):
        return F.scaled_dot_product_attention(q, k, k, scale=1.0)


def test_in_cross_attention_only_places_among_the_keys_are_told():
    model, keys = CrossAttention(), torch.eye(9)[None, None]
    scores = torch.stack([onto(torch.zeros(5).long(), 9), onto(torch.full((5,), 4), 9)])
    with watch(model) as seen:
        model(scores[None], keys.expand(1, 2, 9, 9))
    first, separator = head_kinds(seen[""], [4], tokens=range(9), real=[True, True, True, False, False])
    assert (first.kind, separator.kind) == ("first", "separator")
    assert (separator.previous, separator.local, separator.same_token) == (0.0, 0.0, None)


def test_all_items_together_count_by_their_queries():
    scores = torch.stack([onto(torch.arange(8) - 1, 8), onto(torch.zeros(8).long(), 8)]).unsqueeze(1)
    site = site_of(scores, batch=2)
    alone = [head_kinds(site, item=i)[0] for i in (0, 1)]
    (both,) = head_kinds(site, item=None)
    assert both.first == pytest.approx((alone[0].first + alone[1].first) / 2)
    assert both.previous == pytest.approx((alone[0].previous + alone[1].previous) / 2)


def test_separators_may_differ_by_item():
    site = site_of(torch.stack([onto(torch.full((40,), at), 40) for at in (3, 6)]).unsqueeze(1), batch=2)
    marks = torch.zeros(2, 40, dtype=torch.bool)
    marks[0, 3] = marks[1, 6] = True
    assert [kind(site, separators=marks, item=item) for item in (0, 1)] == ["separator", "separator"]
    assert [kind(site, separators=marks.flip(0), item=item) for item in (0, 1)] == ["mixed", "mixed"]


# The table of all heads.


@pytest.fixture
def seen():
    model = FAMILIES["t5"].build("sdpa")
    inputs = FAMILIES["t5"].inputs()
    with torch.no_grad(), watch(model) as record:
        model(**inputs)
    return record, inputs


def probe_of(record):
    site = record.sites[0]
    trials = torch.rand(site.sizes.heads, 3, generator=torch.Generator().manual_seed(0))
    trials[0] = 0.75
    return Probe("induction", "by hand", {"induction": {site.name: trials}}, causal=True)


def test_a_table_holds_every_head_with_its_shares_and_scores(seen):
    record, inputs = seen
    table = heads(record, tokens=inputs["input_ids"], real=inputs["attention_mask"], probes=[probe_of(record)])
    assert len(table) == sum(site.sizes.heads for site in record)
    one = table.heads[0]
    assert table.kinds(one) == ("induction", *one.kinds)
    assert one in table.of("induction")
    row = table.row(one)
    assert row["induction"] == Estimate.of([0.75, 0.75, 0.75])
    assert row["previous"] == one.previous
    assert table.row(table.heads[-1])["induction"] is None


def test_a_table_sorts_by_any_of_its_columns(seen):
    record, inputs = seen
    table = heads(record, tokens=inputs["input_ids"], probes=[probe_of(record)])
    for column in table.row(table.heads[0]):
        ordered = [table.row(head)[column] for head in table.sorted_by(column)]
        values = [getattr(value, "mean", value) for value in ordered]
        known = [value for value in values if value is not None]
        assert values[: len(known)] == known, "unknown ones stand last"
        assert known == sorted(known, reverse=not isinstance(known[0], str))
        assert str(table.sorted_by(column)) == table.table(by=column)
    with pytest.raises(WantError, match="by: expected one of site, head, kinds"):
        table.sorted_by("colour")


def test_a_table_prints_a_line_a_head(seen):
    record, _ = seen
    table = heads(record, probes=[probe_of(record)])
    lines = str(table).splitlines()
    assert len(lines) == 1 + len(table)
    assert lines[0].split() == ["site", "head", "kinds", *lines[0].split()[3:]]
    assert "[0.75, 0.75]" in lines[1]
    assert len(table.table(by="worth", count=3).splitlines()) == 4
    assert str(heads([])) == "no heads"


def test_tokens_that_fit_no_site_are_refused(seen):
    record, _ = seen
    with pytest.raises(ShapeError, match="tokens: expected as many"):
        heads(record, tokens=[1, 2, 3])


@needs_demo
@pytest.mark.slow
def test_the_heads_of_a_real_model_are_those_of_its_own_weights():
    """What the model itself gives out, by eager attention, says the same."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder())
    inputs = tokenizer("The cat that the dog chased saw the cat that the man owned.", return_tensors="pt")
    eager = AutoModel.from_pretrained(folder(), attn_implementation="eager").eval()
    fast = AutoModel.from_pretrained(folder(), attn_implementation="sdpa").eval()
    with torch.no_grad(), watch(fast) as record:
        layers = eager(**inputs, output_attentions=True).attentions
        fast(**inputs)
    ids = inputs["input_ids"]
    last = ids.shape[1] - 1
    table = heads(record, tokens=ids, separators=[last])
    twin = (ids[0].unsqueeze(-1) == ids[0]) & ~torch.eye(last + 1, dtype=torch.bool)
    for head, P in zip(table, torch.cat(layers).flatten(0, 1).double(), strict=True):
        assert head.previous == pytest.approx(float(P.diagonal(-1).mean()), abs=1e-4)
        assert head.separator == pytest.approx(float(P[:, last].mean()), abs=1e-4)
        assert head.same_token == pytest.approx(float((P * twin).sum(-1)[twin.any(-1)].mean()), abs=1e-4)
        if head.kind in PLACES:
            assert getattr(head, head.kind.replace(" ", "_")) >= 0.4
    strongest = max(table, key=lambda head: head.previous)
    assert strongest.kind == "previous"
