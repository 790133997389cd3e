"""The laws of what a site keeps, what it makes of that on demand, and what it refuses."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn import functional as F

import regard
from regard import Site, watch
from regard.errors import NotKeptError, ShapeError, WantError, WatchError
from regard.mechanisms.walk import tensors_in
from tests import dense
from tests.calls import qkv, see


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


# What is kept.


def test_a_site_holds_copies() -> None:
    q, k, v = qkv()
    P = dense.weights(q, k)
    site = see(q, k, v)
    for tensor in (q, k, v):
        tensor.zero_()
    dense.statistics_equal(site, P)


ATTENDS: dict[str, Callable[..., object]] = {
    "torch": lambda q, k, v, mask: F.scaled_dot_product_attention(q, k, v, attn_mask=mask),
    "regard": lambda q, k, v, mask: regard.attend(q, k, v, regard.Attention(mask=mask)),
}


@pytest.mark.parametrize("attend", ATTENDS)
def test_a_site_holds_no_gradient_history(attend: str) -> None:
    q, k, v = qkv(requires_grad=True)
    mask = torch.zeros(9, 9, requires_grad=True)
    with watch() as seen:
        ATTENDS[attend](q * 2, k * 2, v * 2, mask * 2)
    kept = seen[""].kept
    assert not any((kept.problem.query.requires_grad, kept.problem.key.requires_grad, kept.lse.requires_grad))
    assert not any(tensor.requires_grad for tensor in tensors_in(kept.problem.mechanism))


@pytest.mark.parametrize("kind", ["boolean", "added"])
def test_a_site_holds_a_copy_of_the_mask(kind: str) -> None:
    q, k, v = qkv()
    mask = torch.ones(9, 9, dtype=torch.bool) if kind == "boolean" else torch.zeros(9, 9)
    site = see(q, k, v, attn_mask=mask)
    before = site.weights()
    mask[:, 4:] = False if kind == "boolean" else -math.inf
    assert torch.equal(site.weights(), before)


STATISTICS: dict[str, Callable[[Site], object]] = {
    "entropy": lambda site: site.entropy,
    "received": lambda site: site.received,
    "received_max": lambda site: site.received_max,
    "distance": lambda site: site.distance,
    "first": lambda site: site.first,
    "map": lambda site: site.map(),
}
FROM_ROWS: dict[str, Callable[[Site], object]] = {
    "rows": lambda site: site.rows(0),
    "top": lambda site: site.top(2),
    "mass": lambda site: site.mass([0]),
    "diagonal": lambda site: site.diagonal(0),
    "joined": lambda site: site.joined([0] * 9, [0] * 9),
    "visible": lambda site: site.visible(),
    "weights": lambda site: site.weights(),
    "map(cells=3)": lambda site: site.map(3),
}


@pytest.mark.parametrize("name", STATISTICS)
def test_want_keeps_what_it_names_and_no_more(name: str) -> None:
    site = see(*qkv(), watching={"want": (name,)})
    STATISTICS[name](site)
    for other in set(STATISTICS) - {name}:
        with pytest.raises(NotKeptError, match=rf'{other}: not kept.*want=\(\.\.\., "{other}"\)'):
            STATISTICS[other](site)
    for made in FROM_ROWS.values():
        with pytest.raises(NotKeptError, match=r'want=\(\.\.\., "rows"\)'):
            made(site)


@pytest.mark.parametrize("name", FROM_ROWS)
def test_rows_make_any_weight_later(name: str) -> None:
    site = see(*qkv(), watching={"want": ("rows",)})
    FROM_ROWS[name](site)
    with pytest.raises(NotKeptError):
        _ = site.entropy


def test_an_empty_want_only_lists_the_calls() -> None:
    site = see(*qkv(), watching={"want": ()})
    assert site.sizes.keys == 9
    for get in STATISTICS.values():
        with pytest.raises(NotKeptError):
            get(site)


def test_a_long_call_keeps_no_rows_unless_asked() -> None:
    tensors = qkv(1, 1, 1, 2049, 2)
    kept_not = see(*tensors)
    with pytest.raises(
        NotKeptError, match=r"top\(3\): this site kept no queries and keys \(1 queries, 2049 keys\)"
    ):
        kept_not.top(3)
    assert kept_not.entropy.shape == (1, 1, 1)
    kept = see(*tensors, watching={"want": ("rows",)})
    dense.close(kept.rows(0), dense.weights(*tensors[:2]))


def test_a_call_of_2048_positions_keeps_its_rows() -> None:
    assert see(*qkv(1, 1, 1, 2048, 2)).rows(0).shape == (1, 1, 1, 2048)


def test_a_set_keeps_its_mass_by_name() -> None:
    tensors = qkv()
    site = see(
        *tensors, watching={"want": (), "sets": {"ends": [0, 8], "late": torch.tensor([5, 6, 7, 70]), "none": []}}
    )
    P = dense.weights(*tensors[:2])
    dense.close(site.mass("ends"), P[..., [0, 8]].sum(-1))
    dense.close(site.mass("late"), P[..., 5:8].sum(-1))
    assert torch.equal(site.mass("none"), torch.zeros(2, 3, 9))
    with pytest.raises(NotKeptError, match=r"\(ends, late, none\); got 'early'"):
        site.mass("early")


def test_mass_takes_any_positions() -> None:
    tensors = qkv()
    P, site = dense.weights(*tensors[:2]), see(*tensors)
    dense.close(site.mass([1, 4]), P[..., [1, 4]].sum(-1))
    dense.close(site.mass(torch.tensor([-1])), P[..., -1])
    dense.close(site.mass(range(9)), torch.ones(2, 3, 9))
    assert torch.equal(site.mass([]), torch.zeros(2, 3, 9))


def test_a_position_named_twice_is_in_the_set_once() -> None:
    site = see(*qkv(), watching={"sets": {"twice": [0, 0]}})
    dense.close(site.mass("twice"), site.first)
    dense.close(site.mass([0, 0, -9]), site.first)


def test_booleans_are_no_positions_unless_they_choose_them() -> None:
    site, chosen = see(*qkv()), torch.arange(9) > 6
    try:
        mass = site.mass(chosen)
    except (ShapeError, TypeError):
        return
    dense.close(mass, site.mass([7, 8]))


def test_the_whole_matrix_is_refused_where_it_is_too_large() -> None:
    q, k, v = qkv(1, 1, 8193, width=1)
    site = see(q, k, v, watching={"want": ("rows",)})
    with pytest.raises(WatchError, match=r"\(1, 1, 8193, 8193\) are 67,125,249 \(0\.3 GB\)\. Use rows"):
        site.weights()
    assert site.rows([0, 8192]).shape == (1, 1, 2, 8193)


@pytest.mark.parametrize("cells", [1, 2, 4, 5, 9, 64])
def test_a_map_of_any_cells_is_made_on_demand(cells: int) -> None:
    tensors = qkv(queries=9, keys=13)
    mean, largest = dense.pooled(dense.weights(*tensors[:2]), cells)
    pooled = see(*tensors).map(cells)
    dense.close(pooled.mean, mean)
    dense.close(pooled.max, largest)
    assert (pooled.query_cell, pooled.key_cell) == (math.ceil(9 / cells), math.ceil(13 / cells))


@pytest.mark.parametrize("cells", [1, 3, 64])
def test_a_map_is_kept_at_the_cells_watched(cells: int) -> None:
    tensors = qkv(queries=9, keys=13)
    mean, largest = dense.pooled(dense.weights(*tensors[:2]), cells)
    pooled = see(*tensors, watching={"cells": cells, "want": ("map",)}).map()
    dense.close(pooled.mean, mean)
    dense.close(pooled.max, largest)


@pytest.mark.parametrize("cells", [0, -1])
def test_no_cells_are_refused(cells: int) -> None:
    site = see(*qkv())
    with pytest.raises(ShapeError, match="at least 1"), watch(cells=cells):
        pass
    with pytest.raises(ShapeError, match="at least 1"):
        site.map(cells)


@pytest.mark.parametrize("k", [0, -1])
def test_no_top_keys_are_refused(k: int) -> None:
    with pytest.raises(ShapeError, match="at least 1"):
        see(*qkv()).top(k)


def test_more_top_keys_than_there_are_give_all() -> None:
    tensors = qkv(keys=5)
    best = see(*tensors).top(50)
    assert best.keys.shape == (2, 3, 9, 5)
    dense.close(best.weights.sum(-1), torch.ones(2, 3, 9))


@pytest.mark.parametrize("positions", [[9], [-10], [0, 100]])
def test_positions_out_of_range_are_refused(positions: list[int]) -> None:
    site = see(*qkv())
    with pytest.raises(ShapeError, match="rows: expected positions from 0 to 8"):
        site.rows(positions)
    with pytest.raises(ShapeError, match="mass: expected positions from 0 to 8"):
        site.mass(positions)


def test_negative_positions_of_a_set_are_refused() -> None:
    with pytest.raises(ShapeError, match="negative ones in last"), watch(sets={"last": [-1]}):
        pass


@pytest.mark.parametrize("groups", [[0] * 8, [[0] * 9]])
def test_groups_that_do_not_fit_are_refused(groups: Any) -> None:
    with pytest.raises(ShapeError, match="a group for each of 9 queries and 9 keys"):
        see(*qkv()).joined(groups, [0] * 9)


@pytest.mark.parametrize("want", [("entropi",), ("entropy", "lse"), "entropy"])
def test_a_wrong_want_is_refused_before_anything_runs(want: Any) -> None:
    with pytest.raises(WantError, match="expected"), watch(want=want):
        pytest.fail("the block ran")
