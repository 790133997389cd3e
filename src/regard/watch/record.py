"""A record: all sites that were seen while a model was watched, and the receipt of what was covered."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from regard.engines.log_weights import log_sum_exp
from regard.engines.observe import observe
from regard.engines.statistics import STATISTICS
from regard.errors import UnknownSiteError
from regard.watch.calls import Call
from regard.watch.coverage import Coverage, cover
from regard.watch.kept import Gradient, Kept, can_be_copied
from regard.watch.relation import first_place, relation
from regard.watch.site import Site

# Without `want`, queries and keys are kept for calls of at most this many positions.
KEEP_LENGTH = 2048

# What is kept when asked for: queries and keys; values too; the gradient of the output too.
KEEPING = frozenset(("rows", "values", "gradients"))


class Record:
    """What was seen: `record.sites` in order, `record[path]`, `record[path, call]`, `record.coverage`."""

    def __init__(
        self,
        model: nn.Module | None,
        paths: Mapping[nn.Module, str],
        want: frozenset[str] | None,
        cells: int,
        sets: dict[str, Tensor],
        on_site: Callable[[Site], None] | None = None,
    ) -> None:
        self.sites: list[Site] = []
        self._on_site = on_site
        self._model, self._want, self._cells, self._sets = model, want, cells, sets
        self._paths = paths
        self._mask_copy: Tensor | None = None
        self._calls: Counter[str] = Counter()
        self._at_work: set[nn.Module] = set()
        self._entered: set[nn.Module] = set()
        self._missed: dict[nn.Module | None, str] = {}

    def __getitem__(self, key: str | tuple[str, int]) -> Site:
        """Return the site of a path, or of a path and a call's number.

        Raises:
            UnknownSiteError: there is none, or the path alone could mean several.
        """
        path, call = (key, None) if isinstance(key, str) else key
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
        return cover(self._paths, dict(self._calls), self._at_work, self._entered, self._missed)

    def __str__(self) -> str:
        return "\n".join([*map(repr, self.sites), str(self.coverage)])

    def call(self, modules: tuple[nn.Module, ...], call: Call) -> None:
        """Take in a call, if a module of the watched model is at work."""
        inside = [module for module in modules if module in self._paths]
        if self._model is not None and not inside:
            return
        self._at_work.update(inside)
        path = self._paths[inside[-1]] if inside else ""
        self.sites.append(self._site(path, inside, call))
        self._calls[path] += 1
        if self._on_site is not None:
            self._on_site(self.sites[-1])

    def missed(self, modules: tuple[nn.Module, ...], reason: str) -> None:
        """Take in that a call could not be looked into."""
        inside = [module for module in modules if module in self._paths]
        if inside or self._model is None:
            self._missed[inside[-1] if inside else None] = reason

    def entered(self, module: nn.Module) -> None:
        """Take in that a module ran."""
        if module in self._paths:
            self._entered.add(module)

    def _site(self, path: str, modules: list[nn.Module], call: Call) -> Site:
        problem = call.problem
        lse = log_sum_exp(problem) if call.lse is None else call.lse
        keep = self._keeps(max(problem.sizes.queries, problem.sizes.keys))
        kept = Kept(problem, lse)
        wanted = STATISTICS if self._want is None else self._want - KEEPING
        kind = relation(path, modules, problem)
        statistics = observe(problem, lse, wanted, cells=self._cells)
        start = first_place(kind, problem)
        if statistics.distance is not None and start:
            moved = replace(statistics.distance, mean=statistics.distance.mean - start)
            statistics = replace(statistics, distance=moved)
        return Site(
            path=path,
            call=self._calls[path],
            kind=kind,
            start=start,
            sizes=problem.sizes,
            mask=problem.mask.kind,
            engine=call.engine,
            dropout=call.dropout,
            dtype=problem.query.dtype,
            statistics=statistics,
            masses={name: kept.mass(_within(keys, problem.sizes.keys, lse)) for name, keys in self._sets.items()},
            kept=self._kept(call, lse) if keep and can_be_copied(problem) else None,
            cells=self._cells,
        )

    def _kept(self, call: Call, lse: Tensor) -> Kept:
        """Return a copy of what was asked for, and see to it that the gradient of the output finds its place."""
        asked = self._want or frozenset()
        gradient = Gradient() if "gradients" in asked else None
        output = call.output
        if gradient is not None and output is not None and output.requires_grad:

            def take(d_output: Tensor) -> None:
                gradient.output = call.folded(d_output.detach()).clone()

            output.register_hook(take)
        values = bool(asked & {"values", "gradients"})
        return Kept.of(call.problem, lse, self._copy_mask, values=values, gradient=gradient)

    def _copy_mask(self, tensor: Tensor) -> Tensor:
        """Return a copy, the last one if it still says the same: the layers of a model share one mask."""
        last = self._mask_copy
        same = last is not None and (last.shape, last.dtype, last.device) == (
            tensor.shape,
            tensor.dtype,
            tensor.device,
        )
        if last is None or not same or not torch.equal(last, tensor):
            self._mask_copy = last = tensor.detach().clone()
        return last

    def _keeps(self, length: int) -> bool:
        return length <= KEEP_LENGTH if self._want is None else bool(self._want & KEEPING)


def _within(keys: Tensor, count: int, like: Tensor) -> Tensor:
    """Return those positions of a set that a call has."""
    return keys[keys < count].to(device=like.device, dtype=keys.dtype)
