"""The shares by which heads are told are those of the dense matrix, for every mask, padding, sink and group."""

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import regard
from regard import Attention, Site, causal, softmax, watch, window
from regard.errors import NotKeptError, ShapeError
from regard.watch import visible as visible_module
from regard.watch.head_kinds import head_kinds
from regard.watch.heads import same_token as same_token_module
from regard.watch.heads import shares as shares_module
from regard.watch.heads.shares import LOCAL, Marks, measure

NUMBERS = ("previous", "same", "next", "first", "sink", "separator", "local", "same_token")


@dataclass
class Call:
    """A random call and what is known of its positions."""

    site: Site
    allowed: Tensor
    P: Tensor
    sink: Tensor
    tokens: Tensor
    real: Tensor
    separators: Tensor


@st.composite
def calls(draw):
    batch, groups = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    heads = groups * draw(st.integers(1, 2))
    keys = draw(st.integers(1, 14))
    queries = draw(st.integers(1, keys))
    torch.manual_seed(draw(st.integers(0, 999)))
    mask = draw(st.sampled_from(["none", "causal", "window", "boolean", "-inf", "finfo.min"]))
    sink = draw(st.sampled_from([None, 0.7, torch.randn(heads)]))
    real = torch.rand(batch, keys) < draw(st.sampled_from([0.6, 1.0]))
    return made(batch, heads, groups, queries, keys, mask, sink, real)


def made(batch, heads, groups, queries, keys, mask, sink, real):
    """Attend to random vectors in self-attention whose last query stands at the last key, and write it out."""
    q, k = torch.randn(batch, heads, queries, 4), torch.randn(batch, groups, keys, 4)
    place = torch.arange(queries).unsqueeze(-1) + keys - queries
    rules = {
        "causal": torch.arange(keys) <= place,
        "window": (torch.arange(keys) - place).abs() <= 2,
        "boolean": torch.rand(batch, 1, queries, keys) < 0.6,
    }
    rules["-inf"] = rules["finfo.min"] = rules["boolean"]
    allowed = rules.get(mask, torch.ones(queries, keys, dtype=torch.bool)).expand(batch, heads, queries, keys)
    allowed = allowed & real[:, None, None]
    if mask in ("-inf", "finfo.min"):
        lowest = torch.finfo(torch.float32).min if mask == "finfo.min" else -torch.inf
        rule = torch.zeros(allowed.shape).masked_fill(~allowed, lowest)
    else:
        rule = allowed
    with watch() as seen:
        regard.attend(q, k, k, Attention(mask=rule, weigh=softmax(sink=sink)))
    (site,) = seen
    S = q.double() @ k.double().repeat_interleave(heads // groups, 1).transpose(-1, -2) / 2
    S = S.masked_fill(~allowed, -torch.inf)
    extra = torch.full((heads,), -torch.inf) if sink is None else torch.as_tensor(sink).expand(heads)
    extra = extra.double().view(1, -1, 1, 1).expand(batch, -1, queries, 1)
    whole = torch.cat([S, extra], -1).softmax(-1).nan_to_num(0.0)
    return Call(
        site,
        allowed,
        whole[..., :-1],
        whole[..., -1],
        torch.randint(0, 4, (batch, keys)),
        real,
        torch.rand(batch, keys) < 0.2,
    )


def sets(call: Call) -> dict[str, Tensor]:
    """Return (B, Nq, Nk) for each set, by the definitions of the documentation."""
    batch, _, queries, keys = call.P.shape
    place = (torch.arange(queries) + keys - queries).unsqueeze(-1)
    gap = (torch.arange(keys) - place).expand(batch, -1, -1)
    first = torch.zeros(batch, keys, dtype=torch.bool)
    first[torch.arange(batch), call.real.long().argmax(-1)] = True
    same = call.tokens[:, place.squeeze(-1)].unsqueeze(-1) == call.tokens.unsqueeze(1)
    both = call.real[:, place.squeeze(-1)].unsqueeze(-1) & call.real.unsqueeze(1)
    return {
        "previous": gap == -1,
        "same": gap == 0,
        "next": gap == 1,
        "local": gap.abs() <= LOCAL,
        "first": first.unsqueeze(1).expand_as(gap),
        "separator": (call.separators & ~first).unsqueeze(1).expand_as(gap),
        "same_token": same & both & (gap != 0),
    }


def sums(call: Call, name: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return weight, even attention's, how many queries may see the set, and how many count; (B, H) each."""
    seen = call.allowed.sum(-1)
    queries = call.P.shape[-2]
    counted = (seen > 0) & call.real[:, None, -queries:]
    if name == "sink":
        weight, keys, even = call.sink, torch.ones_like(seen), 1 / (seen + 1)
    else:
        members = sets(call)[name].unsqueeze(1)
        keys = (call.allowed & members).sum(-1)
        weight, even = (call.P * members).sum(-1), keys / seen.clamp(min=1)
    enters = counted & (keys > 0)
    return tuple(each.double().sum(-1) for each in (weight * enters, even * enters, enters, counted))


def measured(call: Call, items: range | None = None):
    marks = Marks.of(call.site, call.separators, call.tokens, call.real)
    return measure(call.site, marks, items or range(call.site.sizes.batch))


@settings(max_examples=40, deadline=None)
@given(calls())
def test_shares_are_those_of_the_dense_matrix(call):
    found = measured(call)
    for name, share in found.sets.items():
        weight, even, queries, counted = sums(call, name.replace(" ", "_"))
        torch.testing.assert_close(share.weight, weight, atol=2e-5, rtol=0)
        torch.testing.assert_close(share.queries, queries)
        torch.testing.assert_close(share.counted, counted)
        torch.testing.assert_close(share.even, even, atol=1e-5, rtol=0)


@settings(max_examples=15, deadline=None)
@given(calls())
def test_sets_that_share_no_key_take_at_most_all_weight(call):
    found = measured(call).sets
    for apart in (
        ("previous", "same", "next", "sink"),
        ("local", "sink"),
        ("first", "separator", "sink"),
        ("same", "same token", "sink"),
    ):
        total = sum(found[name].weight for name in apart)
        assert bool((total <= found["same"].counted + 1e-4).all())


@settings(max_examples=15, deadline=None)
@given(calls())
def test_numbers_of_a_head_are_means_over_queries_that_may_see_such_a_key(call):
    for item in range(call.site.sizes.batch):
        given_ = {"tokens": call.tokens, "real": call.real}
        for head in head_kinds(call.site, call.separators, item, **given_):
            for name in NUMBERS:
                weight, _, queries, _ = (each[item, head.head] for each in sums(call, name))
                assert getattr(head, name) == pytest.approx(float(weight / queries.clamp(min=1)), abs=2e-5)
            assert 0 <= head.worth <= 1
            assert 0 <= head.relative_entropy <= 1


@settings(max_examples=15, deadline=None)
@given(calls(), st.integers(1, 5))
def test_parts_make_no_difference(call, height):
    whole = measured(call)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shares_module, "_HEIGHT", height)
        patch.setattr(shares_module, "_AT_ONCE", 1)
        patch.setattr(same_token_module, "_HEIGHT", height)
        patch.setattr(visible_module, "_AT_ONCE", 1)
        parts = measured(call)
    for name, share in parts.sets.items():
        torch.testing.assert_close(share.weight, whole.sets[name].weight, atol=1e-5, rtol=0)
        assert torch.equal(share.queries, whole.sets[name].queries)
    assert torch.equal(parts.seen, whole.seen)


@settings(max_examples=15, deadline=None)
@given(calls())
def test_all_items_together_are_the_items_pooled(call):
    together = measured(call).sets
    for name, share in together.items():
        alone = [measured(call, range(i, i + 1)).sets[name] for i in range(call.site.sizes.batch)]
        torch.testing.assert_close(
            share.pooled.weight, sum(each.pooled.weight for each in alone), atol=1e-5, rtol=0
        )


def test_of_a_long_text_only_what_stands_near_the_diagonal_is_made(monkeypatch):
    """Tiles and rows are what memory and time go into: together they are far less than the matrix."""
    length, made_ = 1024, []

    def counting(name):
        plain = getattr(shares_module.LogWeights, name)

        def counted(self, *args, **kwargs):
            result = plain(self, *args, **kwargs)
            made_.append(0 if result is None else result.numel())
            return result

        return counted

    x = torch.randn(1, 1, length, 4)
    with watch() as seen:
        regard.attend(x, x, x, Attention(mask=causal()))
    tokens = torch.arange(length) % 400
    for name in ("tile", "rows"):
        monkeypatch.setattr(shares_module.LogWeights, name, counting(name))
    head_kinds(seen.sites[0], [7, 900], tokens=tokens)
    assert sum(made_) < length**2 / 2
    assert max(made_) < length**2 / 16


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_any_data_type_will_do(dtype):
    x = torch.randn(1, 2, 9, 4, dtype=dtype)
    with watch() as seen:
        regard.attend(x, x, x, Attention(mask=causal()))
    P = torch.softmax((x @ x.transpose(-1, -2) / 2).double().masked_fill(~torch.ones(9, 9).tril().bool(), -9e9), -1)
    for head in head_kinds(seen.sites[0], tokens=[0] * 9):
        assert head.previous == pytest.approx(float(P[0, head.head].diagonal(-1).mean()), abs=2e-2)


def test_what_few_queries_may_see_names_no_head():
    """All queries within a window of the first key look at it, but they are 6 of 40."""
    x, towards = torch.zeros(1, 1, 40, 4), torch.zeros(40, 40)
    towards[:, 0] = 30.0
    with watch() as seen:
        regard.attend(x, x, x, Attention(mask=window(5) & causal(), bias=towards))
    (head,) = head_kinds(seen.sites[0])
    assert head.first == pytest.approx(1.0)
    assert head.kind == "broad"


def test_what_fits_no_position_is_refused():
    call = made(2, 1, 1, 5, 5, "none", None, torch.ones(2, 5, dtype=torch.bool))
    with pytest.raises(ShapeError, match="tokens: expected one entry for each of 5 positions"):
        head_kinds(call.site, tokens=[1, 2, 3])
    with pytest.raises(ShapeError, match="real"):
        head_kinds(call.site, real=torch.ones(3, 5))
    with pytest.raises(ShapeError, match="separators: expected positions from 0 to 4"):
        head_kinds(call.site, [5])
    with pytest.raises(ShapeError, match="item: expected from 0 to 1"):
        head_kinds(call.site, item=2)


def test_a_site_without_rows_says_what_to_want():
    class Model(nn.Module):
        def forward(self, x):
            return nn.functional.scaled_dot_product_attention(x, x, x)

    model = Model()
    with watch(model, want=("entropy",)) as seen:
        model(torch.randn(1, 1, 4, 4))
    with pytest.raises(NotKeptError, match="rows"):
        head_kinds(seen.sites[0])
