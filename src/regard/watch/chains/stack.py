"""Choosing what a chain goes through: the self-attention sites of one stack of layers, and positions in it."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from regard.errors import WatchError
from regard.watch.paths import Paths
from regard.watch.positions import Positions, positions
from regard.watch.record import Record
from regard.watch.records.selecting import at_paths
from regard.watch.site import Site, site_of

Seen = Record | Sequence[Site]

# Without a choice of tokens, chains start from all of a text of at most this many.
ALL = 1024

CHOOSE = (
    'Choose with paths="encoder", a pattern or a function of the path, or hand in a list of sites'
    ' such as [site for site in seen if site.kind == "self" and site.path.startswith("decoder")]'
)


def chosen_sites(asked: str, seen: Seen, paths: Paths | None) -> list[Site]:
    """Return the sites of a record or list whose paths are chosen, in call order.

    Args:
        asked: who asks, for messages.
        seen: a record or sites.
        paths: which, as for `Record.select`.

    Raises:
        WatchError: what was given holds no sites, or none of one of the paths.
    """
    if not isinstance(seen, Iterable):
        raise WatchError(f"{asked}: expected a record or a list of sites; got {type(seen).__name__}")
    sites = [site_of(asked, each) for each in seen]
    if not sites:
        raise WatchError(f"{asked}: expected at least one site; got none")
    return sites if paths is None else at_paths(asked, sites, paths)


def stack_of(asked: str, seen: Seen, paths: Paths | None) -> list[Site]:
    """Return the self-attention sites of one stack of layers, in call order.

    Raises:
        WatchError: there is cross-attention among them, lengths differ, or the record holds several passes.
        NotKeptError: a site kept no rows.
    """
    sites = chosen_sites(asked, seen, paths)
    cross = next((site for site in sites if site.kind == "cross"), None)
    if cross is not None:
        raise WatchError(
            f"{asked}: expected the self-attention of one stack of layers; {cross.name!r} is cross-attention."
            f" {CHOOSE}"
        )
    if isinstance(seen, Record):
        expect_one_pass(asked, sites)
    expect_alike(asked, sites)
    return sites


def expect_one_pass(asked: str, sites: Sequence[Site]) -> None:
    """Raise where modules were called in turn more than once, as by a second forward pass or generation.

    Modules that are called several times on end, as where layers share one, are one pass.
    """
    runs = [site.path for place, site in enumerate(sites) if not place or sites[place - 1].path != site.path]
    if len(set(runs)) < len(runs):
        raise WatchError(
            f"{asked}: expected one forward pass; the modules of this record were called in turn"
            f" {runs.count(runs[0])} times. Watch one pass, without generation, or hand in a list of sites"
        )


def expect_alike(asked: str, sites: Sequence[Site]) -> None:
    """Raise unless each site keeps rows and attends over the same positions of the same batch."""
    shapes = {(s.sizes.batch, length) for s in sites for length in (s.sizes.queries, s.sizes.keys)}
    if len(shapes) > 1:
        found = ", ".join(f"{s.name!r} {s.sizes.queries} x {s.sizes.keys}" for s in sites)
        raise WatchError(
            f"{asked}: expected layers over the same positions of the same batch; got queries x keys of {found}."
            f" {CHOOSE}"
        )
    for site in sites:
        site.kept_for(asked)


def starts(asked: str, queries: Positions | None, site: Site) -> Tensor:
    """Return the positions (m,) of chosen queries of a site; all where none are chosen and there are few.

    Raises:
        WatchError: none are chosen, and there are too many.
        ShapeError: a position that there is not.
    """
    count, device = site.sizes.queries, site.kept_for(asked).lse.device
    if queries is None:
        if count > ALL:
            raise WatchError(
                f"{asked}: expected a choice of queries for more than {ALL:,} positions; got none for {count:,}."
                " Say from which tokens to start, as queries=[0]"
            )
        return torch.arange(count, device=device)
    return positions(asked, queries, count).to(device)


def unit_rows(index: Tensor, site: Site) -> Tensor:
    """Return a row (B, m, Nq), in float64, for each chosen query: 1 at the query, 0 elsewhere."""
    rows = torch.zeros((site.sizes.batch, len(index), site.sizes.queries), dtype=torch.float64, device=index.device)
    rows[:, torch.arange(len(index), device=index.device), index] = 1.0
    return rows
