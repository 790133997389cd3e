"""What is no record, no site and no survey is refused in words."""

import pytest
import torch
import torch.nn.functional as F

import regard
from regard.errors import InputError, RecordError, WatchError


def record():
    q, k, v = torch.randn(3, 1, 2, 4, 4).unbind()
    with regard.watch(want=("values", "entropy")) as seen:
        F.scaled_dot_product_attention(q, k, v)
    return seen


@pytest.mark.parametrize("ask", [regard.value_weighted, regard.head_kinds, regard.head_mean])
@pytest.mark.parametrize("given", [record(), "x", None, []], ids=lambda given: type(given).__name__)
def test_what_takes_a_site_says_so(ask, given):
    with pytest.raises(WatchError, match=rf"{ask.__name__}: expected a site, as .*; got {type(given).__name__}$"):
        ask(given)


@pytest.mark.parametrize("given", [None, 3, "x", [record()], record()[0]], ids=lambda given: type(given).__name__)
def test_what_takes_a_record_says_so(given):
    for ask in (regard.rollout, lambda seen: regard.who_read(seen, 0), regard.relevance):
        with pytest.raises(WatchError, match=r"expected a (record|site)"):
            ask(given)


@pytest.mark.parametrize(
    ("given", "got"), [(record(), "one"), (None, "NoneType"), (["x"], "str"), (record().sites, "Site")]
)
def test_records_to_merge_must_be_several(given, got):
    with pytest.raises(RecordError, match=f"merge: expected several records, as a list; got {got}$"):
        regard.merge(given)


def test_surveys_to_compare_must_be_surveys():
    with pytest.raises(InputError, match=r"compare_surveys: expected two surveys.*got str$"):
        regard.compare_surveys("a", "b")
