"""Who read this: the strongest queries and heads of a whole record equal those of the sorted dense weights."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from regard import watch, who_read
from regard.errors import NotKeptError, ShapeError, WatchError
from regard.watch.chains.who_read import Reading
from tests.models import FAMILIES
from tests.test_chains import Example, family, watched


def queries_by_hand(weights: list[Tensor], names: list[str], keys: list[int]) -> list[Reading]:
    """Return every query's weight on the keys, strongest first."""
    found = []
    for P, name in zip(weights, names, strict=True):
        mass = P[..., keys].sum(-1)
        for item in range(mass.shape[0]):
            for head in range(mass.shape[1]):
                found += [
                    Reading(float(mass[item, head, query]), "", name, head, query, item)
                    for query in range(mass.shape[2])
                ]
    return sorted(found, key=lambda reading: -reading.weight)


def heads_by_hand(weights: list[Tensor], names: list[str], keys: list[int]) -> list[Reading]:
    """Return every head's mean weight on the keys, strongest first."""
    return queries_by_hand([P.mean(-2, keepdim=True) for P in weights], names, keys)


def same(
    got: tuple[Reading, ...], wanted: list[Reading], weights: list[Tensor], names: list[str], keys: list[int]
) -> None:
    """Expect the same weights, and queries or heads that have them; which of equal ones is first has no meaning."""
    assert [r.weight for r in got] == pytest.approx(
        [r.weight for r in wanted if r.weight > 0][: len(got)], abs=1e-5
    )
    assert len({(r.site, r.item, r.head, r.query) for r in got}) == len(got)
    for r in got:
        mass = weights[names.index(r.site)][r.item, r.head][:, keys].sum(-1)
        assert r.weight == pytest.approx(float(mass.mean() if r.query is None else mass[r.query]), abs=1e-5)


@given(
    st.sampled_from([(1, 1), (1, 9), (9, 1), (7, 33)]),
    st.sampled_from(["none", "causal", "scattered", "left padding"]),
    st.booleans(),
    st.integers(1, 400),
    st.integers(0, 99),
    st.data(),
)
@settings(deadline=None, max_examples=25, derandomize=True)
def test_readers_are_the_strongest_of_the_dense_weights(
    lengths: tuple[int, int], mask: str, sink: bool, k: int, seed: int, data: st.DataObject
) -> None:
    examples = [Example(*lengths, 2, mask, sink, seed + layer, torch.float64) for layer in range(2)]
    seen = watched(examples)
    keys = data.draw(st.lists(st.integers(0, lengths[1] - 1), min_size=1, max_size=4, unique=True))
    weights, names = [example.P for example in examples], [site.name for site in seen]
    got = who_read(seen, keys, k)
    for found, wanted in [
        (got.queries, queries_by_hand(weights, names, keys)),
        (got.heads, heads_by_hand(weights, names, keys)),
    ]:
        assert len(found) == min(k, sum(reading.weight > 0 for reading in wanted))
        same(found, wanted, weights, names, keys)


def test_readers_of_a_model_are_those_of_its_weights() -> None:
    weights, seen = family("bert padded")
    names = [site.name for site in seen]
    got = who_read(seen, [3, 4, 3], 5)
    same(got.queries, queries_by_hand(weights, names, [3, 4]), weights, names, [3, 4])
    same(got.heads, heads_by_hand(weights, names, [3, 4]), weights, names, [3, 4])


def test_several_sets_answer_each_for_itself() -> None:
    _, seen = family("gpt2")
    both = who_read(seen, {"he": 2, "ran": [3, 4]}, 3)
    assert [r.keys for r in both.queries] == ["he"] * 3 + ["ran"] * 3
    alone = who_read(seen, torch.tensor([3, 4]), 3)
    assert [r.weight for r in both.heads[3:]] == [r.weight for r in alone.heads]


def test_readers_print_as_a_list() -> None:
    keys = torch.eye(2)[None, None]
    with watch() as seen:
        F.scaled_dot_product_attention(torch.tensor([[[[0.0, 30.0], [0.0, 0.0]]]]), keys, keys, scale=1.0)
    assert str(who_read(seen, {"end": 1}, 2)) == (
        "queries that read most\n"
        "  1.0000  (no module), item 0, head 0, query 0  of end\n"
        "  0.5000  (no module), item 0, head 0, query 1  of end\n"
        "heads that read most, mean of their queries\n"
        "  0.7500  (no module), item 0, head 0  of end"
    )


def test_queries_that_see_nothing_of_the_keys_are_not_named() -> None:
    seen = watched([Example(6, 6, 1, "causal", False, 0, torch.float32)])
    assert {reading.query for reading in who_read(seen, 4, 99).queries} == {4, 5}


def test_the_source_of_an_encoder_decoder_is_read_by_the_sites_that_are_chosen() -> None:
    weights, seen = family("bart")
    with pytest.raises(WatchError, match="got self- and cross-attention"):
        who_read(seen, 0)
    crosses = [site for site in seen if site.kind == "cross"]
    names = [site.name for site in crosses]
    got = who_read(crosses, 18, 4)
    same(got.queries, queries_by_hand(weights[3::2], names, [18]), weights[3::2], names, [18])
    assert {reading.site for reading in who_read(seen, 18, paths="encoder.").heads} <= {
        s.name for s in seen.sites[:2]
    }


def test_steps_of_generation_that_do_not_have_a_key_yet_do_not_count() -> None:
    model = FAMILIES["gpt2"].build("sdpa")
    words = FAMILIES["gpt2"].inputs()["input_ids"]
    with torch.no_grad(), watch(model) as seen:
        past = model(words[:, :5], use_cache=True).past_key_values
        for place in range(5, 8):
            past = model(words[:, place : place + 1], past_key_values=past, use_cache=True).past_key_values
    assert {reading.site.rpartition("#")[2] for reading in who_read(seen, 6, 99).queries} == {"2", "3"}


def test_wrong_choices_are_refused() -> None:
    seen = watched([Example(6, 6, 1, "causal", False, 0, torch.float32)])
    for wrong in (6, -1, [], [0.5], [True]):
        with pytest.raises(ShapeError, match="expected positions from 0 to 5"):
            who_read(seen, wrong)  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match="keys 'it'"):
        who_read(seen, {"it": 9})
    with pytest.raises(ShapeError, match="k: expected a whole number of readers, at least 1"):
        who_read(seen, 0, 0)
    with pytest.raises(WatchError, match="who_read: expected at least one site"):
        who_read([], 0)
    with watch(want=()) as nothing:
        F.scaled_dot_product_attention(*torch.randn(3, 1, 1, 3, 2))
    with pytest.raises(NotKeptError, match="who_read"):
        who_read(nothing, 0)
