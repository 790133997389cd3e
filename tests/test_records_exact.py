"""The laws of exactness: every statistic is that of the model's own weights, in every type and at every size."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import regard
from regard import Site, watch
from tests import dense
from tests.calls import qkv, see


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


# Dropout, finite masks, blind rows.


def test_statistics_are_of_the_weights_before_dropout_and_say_so() -> None:
    q, k, v = qkv()
    site = see(q, k, v, dropout_p=0.4)
    assert site.dropout == 0.4
    dense.statistics_equal(site, dense.weights(q, k))


def test_a_site_without_dropout_says_so() -> None:
    assert see(*qkv()).dropout == 0.0


@pytest.mark.parametrize("number", [-10000.0, -65504.0, -1e9, torch.finfo(torch.float32).min])
def test_a_finite_number_for_masked_keys_gives_torchs_own_weights(number: float) -> None:
    """Rows that are wholly masked with a finite number are still attended to, as rounding has it."""
    q, k, v = qkv(keys=12)
    mask = torch.zeros(2, 1, 9, 12)
    mask[0, :, :, 7:] = number
    mask[1, :, 3:6] = number
    dense.statistics_equal(see(q, k, v, attn_mask=mask), dense.weights(q, k, added=mask))


def test_float16_masks_of_its_lowest_number_give_torchs_own_weights() -> None:
    q, k, v = qkv(dtype=torch.float16)
    mask = torch.zeros(9, 9, dtype=torch.float16)
    mask[:, 6:] = mask[2] = torch.finfo(torch.float16).min
    P = dense.weights(q.float(), k.float(), added=mask.float())
    dense.close(see(q, k, v, attn_mask=mask).weights(), P, atol=1e-3)


@pytest.mark.parametrize("shift", [-100.0, -900.0, 900.0, -1001.0, -10000.0])
def test_a_number_added_to_whole_rows_gives_torchs_own_weights(shift: float) -> None:
    """The same number for all keys changes nothing but rounding, however large it is."""
    q, k, v = qkv(queries=64)
    mask = torch.full((64, 64), shift)
    dense.close(see(q, k, v, attn_mask=mask).weights(), dense.weights(q, k, added=mask))


@pytest.mark.parametrize("size", [1.0, 4.0, 30.0])
def test_rows_sum_to_one_as_well_as_float32_resolves_the_scores(size: float) -> None:
    """Scores grow with the square of the size, to 10,000; torch's log-sum-exp is no finer than they are."""
    q, _, v = qkv(1, 2, 257, width=64)
    P = see(size * q, size * q, v).weights()
    largest = float(dense.scores(size * q, size * q).abs().max())
    dense.close(P.sum(-1), torch.ones(()).expand(P.shape[:-1]), atol=dense.resolution(largest))


@pytest.mark.parametrize("sharpness", [1, 3, 10])
def test_the_spread_is_resolved_as_documented(sharpness: float) -> None:
    q, k, v = qkv(queries=64, keys=19)
    P = dense.weights(sharpness * q.double(), k.double())
    dense.spread_equal(see(sharpness * q, k, v), P)


BLIND = {
    "boolean": (torch.arange(9) > 2).unsqueeze(-1).expand(9, 12),
    "added -inf": torch.zeros(9, 12).masked_fill((torch.arange(9) <= 2).unsqueeze(-1), -math.inf),
}


@pytest.mark.parametrize("mask", BLIND)
def test_a_query_that_may_see_no_key_has_no_weight(mask: str) -> None:
    site = see(*qkv(keys=12), attn_mask=BLIND[mask])
    P = site.weights()
    assert torch.equal(P[:, :, :3], torch.zeros_like(P[:, :, :3]))
    assert torch.equal(site.entropy[..., :3], torch.zeros_like(site.entropy[..., :3]))
    assert torch.equal(site.first[..., :3], torch.zeros_like(site.first[..., :3]))
    assert site.distance.mean[..., :3].isnan().all()
    assert site.distance.spread[..., :3].isnan().all()
    assert (site.top(4).keys[:, :, :3] == -1).all()
    assert (site.visible()[..., :3] == 0).all()
    dense.close(P[:, :, 3:].sum(-1), torch.ones(()).expand(2, 3, 6))


@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_what_stands_in_a_masked_key_reaches_no_statistic(poison: float) -> None:
    q, k, v = qkv()
    mask = (torch.arange(9) < 6).expand(9, 9)
    clean = see(q, k, v, attn_mask=mask)
    k = k.clone()
    k[:, :, 6:] = poison
    with watch(want=("entropy", "received", "first", "rows")) as seen:
        regard.attend(q, k, v, regard.Attention(mask=mask))
    dense.close(seen[""].weights(), clean.weights())
    dense.close(seen[""].entropy, clean.entropy)
    dense.close(seen[""].received, clean.received)


# Numbers of every type.


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float16, 1e-5), (torch.bfloat16, 1e-5)]
)
def test_weights_are_computed_in_a_wide_type(dtype: torch.dtype, tolerance: float) -> None:
    q, k, v = qkv(dtype=dtype)
    site = see(q, k, v)
    P = dense.weights(q.double(), k.double())
    assert site.weights().dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    dense.close(site.weights(), P, atol=tolerance)
    dense.close(site.entropy, dense.entropy(P), atol=10 * tolerance)


def test_autocast_weights_are_those_of_the_rounded_tensors() -> None:
    q, k, v = qkv()
    with torch.autocast("cpu", torch.bfloat16):
        site = see(q, k, v)
    dense.close(site.weights(), dense.weights(q.bfloat16().float(), k.bfloat16().float()))


def test_autocast_weights_are_those_of_the_rounded_mask() -> None:
    q, k, v = qkv()
    mask = 5 * torch.randn(9, 9) - 20
    with torch.autocast("cpu", torch.bfloat16):
        site = see(q, k, v, attn_mask=mask)
    P = dense.weights(q.bfloat16().float(), k.bfloat16().float(), added=mask.bfloat16().float())
    dense.close(site.weights(), P)


# Laws over all sizes.

SIZES = st.sampled_from([1, 2, 3, 31, 64, 65, 128, 257, 1025])
MASKS = st.sampled_from(["none", "causal", "boolean", "padding", "added", "causal and blind"])
LAWS = settings(deadline=None, max_examples=20, derandomize=True)


class Example:
    """A call of a size, its keywords, and its dense weights."""

    def __init__(
        self, queries: int, keys: int, heads: int, group: int, mask: str, seed: int, batch: int = 2
    ) -> None:
        torch.manual_seed(seed)
        self.q, self.k, self.v = qkv(batch, heads * group, queries, keys, 4, key_heads=heads)
        self.call: dict[str, Any] = {"enable_gqa": True} if group > 1 else {}
        self.allowed = torch.ones(batch, 1, queries, keys, dtype=torch.bool)
        self.added: Tensor | None = None
        self._mask(mask, batch, queries, keys)
        self.P = dense.weights(self.q, self.k, allowed=self.allowed, added=self.added)

    def _mask(self, mask: str, batch: int, queries: int, keys: int) -> None:
        if mask == "causal":
            self.call["is_causal"] = True
            self.allowed = self.allowed & dense.causal(queries, keys)
        elif mask == "added":
            self.added = self.call["attn_mask"] = torch.randn(queries, keys)
        elif mask != "none":
            if mask == "padding":
                self.allowed = (torch.arange(keys) < torch.randint(1, keys + 1, (batch, 1)))[:, None, None]
            elif mask == "boolean":
                self.allowed = torch.rand(batch, 1, queries, keys) > 0.6
            else:
                blind = torch.rand(batch, 1, queries, 1) > 0.7
                self.allowed = self.allowed & dense.causal(queries, keys) & ~blind
            self.call["attn_mask"] = self.allowed

    def site(self, **watching: Any) -> Site:
        """Return what is seen of the call."""
        return see(self.q, self.k, self.v, watching, **self.call)

    def item(self, index: int) -> Site:
        """Return what is seen of one batch item alone."""
        call = dict(self.call)
        if "attn_mask" in call and call["attn_mask"].ndim == 4:
            call["attn_mask"] = call["attn_mask"][index : index + 1]
        one = slice(index, index + 1)
        return see(self.q[one], self.k[one], self.v[one], **call)


EXAMPLES = st.builds(
    Example,
    queries=SIZES,
    keys=SIZES,
    heads=st.integers(1, 2),
    group=st.integers(1, 2),
    mask=MASKS,
    seed=st.integers(0, 99),
)


@given(EXAMPLES)
@LAWS
def test_streamed_statistics_equal_those_of_the_dense_weights(example: Example) -> None:
    dense.statistics_equal(example.site(), example.P, top=3)


@given(EXAMPLES)
@LAWS
def test_rows_sum_to_one_or_to_zero_where_a_query_sees_nothing(example: Example) -> None:
    site = example.site()
    sees = (site.visible() > 0).float()
    dense.close(site.weights().sum(-1), sees)
    dense.close(site.received.sum(-1), sees.sum(-1), rtol=1e-5)


@given(EXAMPLES)
@LAWS
def test_masked_keys_receive_nothing(example: Example) -> None:
    hidden = ~example.allowed.any(-2, keepdim=False).expand(example.P.shape[0], example.P.shape[1], -1)
    site = example.site()
    assert (site.received[hidden] == 0).all()
    assert (site.received_max[hidden] == 0).all()
    assert (site.weights()[~example.allowed.expand(example.P.shape)] == 0).all()


@given(EXAMPLES)
@LAWS
def test_a_batch_says_what_its_items_say(example: Example) -> None:
    whole = example.site()
    for index in range(2):
        alone = example.item(index)
        for name in ("entropy", "received", "received_max", "first"):
            dense.close(getattr(whole, name)[index], getattr(alone, name)[0], rtol=1e-5)
        dense.close(whole.map().mean[index], alone.map().mean[0])
        dense.close(whole.map().max[index], alone.map().max[0])
        dense.mean_distance_equal(alone, example.P[index : index + 1])


@given(EXAMPLES, st.integers(-70, 70))
@LAWS
def test_a_diagonal_is_that_of_the_dense_weights(example: Example, offset: int) -> None:
    site = example.site()
    dense.close(site.diagonal(offset), dense.diagonal(example.P, offset, site))


@given(EXAMPLES)
@LAWS
def test_visible_counts_the_keys_that_the_mask_allows(example: Example) -> None:
    wanted = example.allowed.expand(example.P.shape).sum(-1)
    assert torch.equal(example.site().visible().long(), wanted)


@given(EXAMPLES, st.integers(1, 5), st.integers(1, 5))
@LAWS
def test_joined_weights_are_sums_over_keys_and_means_over_queries(
    example: Example, rows: int, columns: int
) -> None:
    query_groups = torch.randint(-1, rows, (example.P.shape[2],)).tolist()
    key_groups = torch.randint(-1, columns, (example.P.shape[3],)).tolist()
    query_groups[0] = key_groups[0] = 0
    dense.close(example.site().joined(query_groups, key_groups), dense.joined(example.P, query_groups, key_groups))


@given(EXAMPLES, st.data())
@LAWS
def test_masses_of_parts_add_up_to_that_of_the_whole(example: Example, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, example.P.shape[3]))
    site = example.site()
    dense.close(site.mass(range(cut)), example.P[..., :cut].sum(-1))
    dense.close(site.mass(range(cut)) + site.mass(range(cut, example.P.shape[3])), example.P.sum(-1))


@given(EXAMPLES, st.data())
@LAWS
def test_chosen_rows_are_those_of_the_whole(example: Example, data: st.DataObject) -> None:
    last = example.P.shape[2] - 1
    chosen = data.draw(st.lists(st.integers(-last - 1, last), min_size=1, max_size=5))
    dense.close(example.site().rows(chosen), example.P[:, :, chosen])
