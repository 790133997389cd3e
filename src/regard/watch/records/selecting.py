"""Narrowing a record: some sites, layers, heads and queries, chosen by number, path or word."""

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from regard.errors import RecordError, UnknownSiteError
from regard.watch.paths import Paths, choice_of, chooses, unmet
from regard.watch.positions import Positions, positions
from regard.watch.records.narrowing import narrowed
from regard.watch.site import Site
from regard.watch.words import Axis, words


def selected(
    sites: Sequence[Site],
    *,
    layers: Positions | None,
    heads: Positions | None,
    queries: Positions | str | Collection[str] | None,
    kind: str | None,
    paths: Paths | None,
    named: Axis | Any | None,
) -> list[Site]:
    """Return some sites, narrowed; arguments as for `Record.select`, `named` is its `words`."""
    found = list(sites)
    if kind is not None:
        found = _of_kind(found, kind)
    if paths is not None:
        found = at_paths("select", found, paths)
    if layers is not None:
        numbers = layer_numbers(found)
        wanted = chosen("layers", layers, max(numbers.values(), default=-1) + 1)
        found = [site for site in found if numbers[site.path] in wanted]
    axis = None if named is None else words(named)
    return [
        narrowed(
            site,
            None if heads is None else chosen("heads", heads, site.sizes.heads),
            None if queries is None else _positions(site, queries, axis),
        )
        for site in found
    ]


def at_paths(asked: str, sites: Sequence[Site], paths: Paths) -> list[Site]:
    """Return the sites of modules chosen by path; arguments as for `Record.select`, `asked` says who asks.

    Raises:
        UnknownSiteError: something that was chosen stands for no site.
    """
    choice, known = choice_of(paths, RecordError), dict.fromkeys(site.path for site in sites)
    if missing := unmet(choice, known):
        raise UnknownSiteError(
            f"{asked}: expected paths of sites that were seen ({', '.join(map(repr, known)) or 'none'}); got"
            f" {', '.join(map(repr, missing))}"
        )
    return [site for site in sites if chooses(choice, site.path)]


def chosen(what: str, asked: object, count: int) -> list[int]:
    """Return numbers from 0 to count - 1; negative ones count from the end.

    Raises:
        RecordError: there is no such number.
    """
    return positions(what, asked, count, what="numbers", error=RecordError).tolist()


def layer_numbers(sites: Iterable[Site]) -> dict[str, int]:
    """Return the number of each path among those that differ from it in their numbers alone, in order."""
    alike: dict[str, list[str]] = {}
    for path in dict.fromkeys(site.path for site in sites):
        alike.setdefault(re.sub(r"\d+", "*", path), []).append(path)
    return {path: number for paths in alike.values() for number, path in enumerate(paths)}


def _of_kind(sites: Sequence[Site], kind: str) -> list[Site]:
    found = [site for site in sites if site.kind == kind]
    if not found:
        known = ", ".join(dict.fromkeys(repr(site.kind) for site in sites)) or "none"
        raise UnknownSiteError(f"expected one of the kinds seen ({known}); got {kind!r}")
    return found


def _positions(site: Site, asked: Any, axis: Axis | None) -> list[int]:
    """Return the queries of a site that were asked for by number, or by word."""
    several = [asked] if isinstance(asked, str) else list(asked) if isinstance(asked, list | tuple | set) else []
    if not several or not all(isinstance(each, str) for each in several):
        return chosen("queries", asked, site.sizes.queries)
    if axis is None:
        raise RecordError(
            f"queries: expected numbers; got {several}. To choose by word, say what the words are: words=encoding"
        )
    if len(axis.groups) != site.sizes.queries:
        raise RecordError(
            f"words: expected a token for each of {site.sizes.queries} queries of {site.name}; got"
            f" {len(axis.groups)}. Choose one sort of attention with kind= or paths="
        )
    return sorted({place for word in several for place in axis.positions(word)})
