"""The record while it is being made: takes in calls as they run and turns each into a site."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from regard.engines.log_weights import log_sum_exp
from regard.engines.statistics import STATISTICS
from regard.watch.calls import WRITTEN_OUT, Call
from regard.watch.coverage import Coverage, cover
from regard.watch.kept import Gradient, Kept, can_be_copied
from regard.watch.record import Record
from regard.watch.records.key_store import KeyStores
from regard.watch.relation import first_place, relation
from regard.watch.site import Kind, Site, statistics_of

# Without `want`, queries and keys are kept for calls of at most this many positions.
KEEP_LENGTH = 2048

# Of attention that a model wrote out, the weights themselves are kept, so there the matrix must be small too.
KEEP_WEIGHTS = 1 << 24

# What is kept when asked for: queries and keys; values too; the gradient of the output too.
KEEPING = frozenset(("rows", "values", "gradients"))


class Recorder(Record):
    """A record that grows while its model is watched."""

    def __init__(
        self,
        model: nn.Module | None,
        paths: Mapping[nn.Module, str],
        want: frozenset[str] | None,
        cells: int,
        sets: Mapping[str, Tensor],
        on_site: Callable[[Site], None] | None = None,
    ) -> None:
        super().__init__(sets=sets)
        self._on_site = on_site
        self._want, self._cells = want, cells
        self._any_model, self._closed = model is None, False
        self._paths = paths
        self._keys = KeyStores()
        self._mask_copy: Tensor | None = None
        self._calls: Counter[str] = Counter()
        self._at_work: set[nn.Module] = set()
        self._entered: set[nn.Module] = set()
        self._missed: dict[nn.Module | None, str] = {}

    @property
    def coverage(self) -> Coverage:
        """The receipt: what was seen, what not, why, and what to do."""
        if self._closed:
            return self._coverage
        return cover(self._paths, dict(self._calls), self._at_work, self._entered, self._missed)

    def close(self) -> None:
        """Let go of the model, once nothing more will come."""
        self._coverage, self._closed = self.coverage, True
        self._paths, self._missed, self._mask_copy = {}, {}, None
        self._at_work.clear()
        self._entered.clear()

    def call(self, modules: tuple[nn.Module, ...], call: Call) -> None:
        """Take in a call, if a module of the watched model is at work."""
        inside = [module for module in modules if module in self._paths]
        if not (inside or self._any_model):
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
        if inside or self._any_model:
            self._missed[inside[-1] if inside else None] = reason

    def entered(self, module: nn.Module) -> None:
        """Take in that a module ran."""
        if module in self._paths:
            self._entered.add(module)

    def _site(self, path: str, modules: list[nn.Module], call: Call) -> Site:
        problem = call.problem
        lse = log_sum_exp(problem) if call.lse is None else call.lse
        keep, can = self._keeps(call), can_be_copied(problem)
        known = Kept(problem, lse)
        wanted = STATISTICS if self._want is None else self._want - KEEPING
        kind = relation(path, modules, problem)
        start = first_place(kind, problem)
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
            statistics=statistics_of(known, wanted, self._cells, start),
            masses=known.masses(self.sets),
            kept=self._kept(path, kind, call, lse) if keep and can else None,
            cells=self._cells,
            unkept="" if can else "a function in its mechanism reads tensors, which cannot be copied",
        )

    def _kept(self, path: str, kind: Kind, call: Call, lse: Tensor) -> Kept:
        """Return a copy of what was asked for, and see to it that the gradient of the output finds its place."""
        asked = self._want or frozenset()
        gradient = Gradient() if "gradients" in asked else None
        output = call.output
        if gradient is not None and output is not None and output.requires_grad:
            # The hook is held by the output, which must not be held by the hook: nobody would see that ring.
            folded = replace(call, output=None).folded

            def take(d_output: Tensor) -> None:
                gradient.output = folded(d_output.detach()).clone()

            output.register_hook(take)
        # Weights that a model wrote out come without keys: there values tell which call continues which.
        values = bool(asked & {"values", "gradients"}) or call.engine == WRITTEN_OUT
        held = self._keys.hold(path, kind, call.problem, values=values)
        return Kept.of(call.problem, lse, held, self._copy_mask, gradient)

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

    def _keeps(self, call: Call) -> bool:
        """Whether to keep what weights are made of: as asked, else where it is small."""
        if self._want is not None:
            return bool(self._want & KEEPING)
        sizes = call.problem.sizes
        small = sizes.pairs <= KEEP_WEIGHTS or call.engine != WRITTEN_OUT
        return small and max(sizes.queries, sizes.keys) <= KEEP_LENGTH
