"""A record: all sites that were seen while a model was watched, and the receipt of what was covered."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, SupportsIndex, overload

from torch import Tensor

from regard.errors import UnknownSiteError
from regard.watch.coverage import Coverage
from regard.watch.paths import Paths
from regard.watch.positions import Positions, positions, whole
from regard.watch.records.selecting import selected
from regard.watch.records.steps import joined
from regard.watch.reporting import Shown, report_on
from regard.watch.site import Kind, Site
from regard.watch.words import Axis


class Record:
    """What was seen: `record.sites` in order, `record[path]`, `record[path, call]`, `record[0]`, `.coverage`."""

    def __init__(
        self,
        sites: Iterable[Site] = (),
        coverage: Coverage | None = None,
        sets: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Put a record together.

        Args:
            sites: the calls, in order.
            coverage: the receipt.
            sets: the named sets of key positions whose mass the sites keep.
        """
        self.sites: list[Site] = list(sites)
        self.sets: dict[str, Tensor] = dict(sets or {})
        self._coverage = Coverage(0, (), ()) if coverage is None else coverage

    @overload
    def __getitem__(self, key: str | tuple[str, int] | SupportsIndex) -> Site: ...
    @overload
    def __getitem__(self, key: slice) -> list[Site]: ...
    def __getitem__(self, key: str | tuple[str, int] | SupportsIndex | slice) -> Site | list[Site]:
        """Return the site of a path, of a path and a call's number, or of a place; of a slice, a list of sites.

        Raises:
            UnknownSiteError: there is none, or the path alone could mean several.
        """
        if isinstance(key, slice):
            return [self.sites[place] for place in _places(key, len(self.sites))]
        if not isinstance(key, str | tuple):
            return self.sites[_places(whole("sites", key, "places", error=UnknownSiteError), len(self.sites))[0]]
        path, call = (key, None) if isinstance(key, str) else key if len(key) == 2 else (key, None)
        found = [s for s in self.sites if s.path == path and call in (None, s.call)]
        if len(found) == 1:
            return found[0]
        if found:
            raise UnknownSiteError(f"{path!r} was called {len(found)} times; choose with [{path!r}, 0] and so on")
        known = ", ".join(dict.fromkeys(repr(s.path) for s in self.sites)) or "none"
        raise UnknownSiteError(f"expected one of the sites seen ({known}); got {key!r}")

    def __iter__(self) -> Iterator[Site]:
        return iter(self.sites)

    def __len__(self) -> int:
        return len(self.sites)

    @property
    def coverage(self) -> Coverage:
        """The receipt: what was seen, what not, why, and what to do."""
        return self._coverage

    def report(self, tokens: Any = None, **options: Any) -> Shown:
        """Return a report on what was seen, which saves itself and shows itself in notebooks.

        Args:
            tokens: the tokens that the model read, one a position, or an `Axis`; default: position numbers.
            options: as for `regard.report`.
        """
        return report_on(self, tokens, **options)

    def __str__(self) -> str:
        return "\n".join([*map(repr, self.sites), str(self.coverage)])

    def joined(self) -> "Record":
        """Return a record in which the steps of a generation with a cache are one site.

        Calls of a self-attention module whose keys continue those of its call before become one site over all
        queries and keys; so do calls of a cross-attention module over the same keys. Several generations stay
        several sites, and calls that belong to none stay as they are.

        Raises:
            RecordError: a call has earlier keys which are not those of the call before it, as beams that change
                places have.
            NotKeptError: a step kept no queries and keys.
        """
        return Record(joined(self.sites, self.sets), self.coverage, self.sets)

    def select(
        self,
        *,
        layers: Positions | None = None,
        heads: Positions | None = None,
        queries: Positions | str | Collection[str] | None = None,
        kind: Kind | None = None,
        paths: Paths | None = None,
        words: Axis | Any | None = None,
    ) -> "Record":
        """Return a record of some sites, heads and queries only.

        Statistics of queries are cut; those of keys and the map are made anew for the chosen queries.

        Args:
            layers: a number, a slice, several numbers, or a boolean for each, counted from 0 among paths that
                differ in their numbers alone, negative ones from the end.
            heads: likewise, the query heads.
            queries: likewise, the queries; or words, if `words` is given.
            kind: "self" or "cross".
            paths: a path chooses the module of that path and those below it, a pattern with *, ? or [, such as
                "*.self_attn", those whose paths match it; several of these choose what any of them does; a function
                is asked of each path.
            words: what the queries are called: a value of `regard.words`, or what that takes.

        Raises:
            UnknownSiteError: no site is of this kind, path or layer.
            RecordError: no such head, query or word.
        """
        sites = selected(
            self.sites, layers=layers, heads=heads, queries=queries, kind=kind, paths=paths, named=words
        )
        return Record(sites, self.coverage, self.sets)

    def save(self, path: str | Path) -> Path:
        """Write the record to a file that `regard.load_record` reads, whole or not at all.

        What holds Python functions, as a mask given as one, cannot be written: of such sites the statistics are.

        Args:
            path: where to; by custom it ends in .safetensors.

        Raises:
            RecordError: the file cannot be written, or safetensors is not installed.
        """
        # Reading a file gives a record, so that file stands above this one.
        from regard.watch.records.saving import save_record

        return save_record(self, Path(path))


def _places(key: int | slice, count: int) -> list[int]:
    return positions("sites", key, count, what="places", error=UnknownSiteError).tolist()
