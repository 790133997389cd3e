"""Modules are chosen by path alike wherever they are: in chains, in changes, in records."""

import pytest
import torch
from torch import nn

import regard
from regard.errors import ChangeError, RegardError, UnknownSiteError
from regard.watch.paths import choice_of, chooses, unmet

PATHS = ["", "layers.1.own", "layers.10.own", "layers.10.own.inner", "decoder.layers.1.own"]


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        ("", PATHS),
        ("layers", PATHS[1:4]),
        ("layers.1", PATHS[1:2]),
        ("layers.10.", PATHS[2:4]),
        ("layer", []),
        ("*.own", [PATHS[1], PATHS[2], PATHS[4]]),
        ("layers.?.own", PATHS[1:2]),
        ("layers.1[0]*", PATHS[2:4]),
        (["decoder", "layers.1"], [PATHS[1], PATHS[4]]),
        ({"*.inner"}, PATHS[3:4]),
        (lambda path: path.endswith("inner"), PATHS[3:4]),
    ],
)
def test_what_is_chosen(paths, expected):
    choice = choice_of(paths, ChangeError)
    assert [path for path in PATHS if chooses(choice, path)] == expected


def test_what_stands_for_no_module_is_named():
    assert unmet(choice_of(["decoder", "encoder", "*.other"], ChangeError), PATHS) == ["encoder", "*.other"]
    assert unmet(choice_of("".__eq__, ChangeError), PATHS) == []
    assert unmet(choice_of("none".__eq__, ChangeError), PATHS) == ["__eq__"]


@pytest.mark.parametrize("paths", [3, [], ["a", 3], b"a", slice(2)], ids=str)
def test_what_is_no_choice_is_refused(paths):
    with pytest.raises(RegardError, match=r'paths: expected a path such as "decoder".*got '):
        choice_of(paths, ChangeError)


def stack():
    return nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 8, batch_first=True), 11).eval()


@pytest.mark.parametrize(
    ("paths", "layers"), [("layers.1", [1]), ("layers.1*", [1, 10]), (["layers.0", "layers.10"], [0, 10])]
)
@torch.no_grad()
def test_chains_changes_and_records_choose_alike(paths, layers):
    model, x = stack(), torch.randn(1, 4, 8)
    with regard.watch(model) as seen:
        model(x)
    expected = [f"layers.{layer}.self_attn" for layer in layers]
    assert [site.path for site in seen.select(paths=paths)] == expected
    assert {each.site for each in regard.who_read(seen, 0, 99, paths=paths).heads} == set(expected)
    heads = regard.knock_out(paths=paths)
    assert [site.path for site in seen if heads.where.chooses(site.path, None)] == expected
    by_function = seen.select(paths=lambda path: path in expected)
    assert [site.path for site in by_function] == expected


@torch.no_grad()
def test_paths_that_there_are_not_are_refused_with_those_that_are():
    model = stack()
    with regard.watch(model) as seen:
        model(torch.randn(1, 4, 8))
    for ask in (
        lambda paths: seen.select(paths=paths),
        lambda paths: regard.rollout(seen, paths=paths),
        lambda paths: regard.who_read(seen, 0, paths=paths),
    ):
        with pytest.raises(
            UnknownSiteError, match=r"paths of sites that were seen .*'layers.0.self_attn'.*got 'lay'"
        ):
            ask("lay")
        with pytest.raises(UnknownSiteError, match="got 'nowhere'"):
            ask(["layers.0", "nowhere"])
        with pytest.raises(RegardError, match="paths: expected a path"):
            ask(3)
