"""`watch`: a block in which every attention call of a model is looked into, and nothing else changes."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from regard.engines.observe import CELLS
from regard.engines.statistics import STATISTICS, check_want
from regard.errors import ShapeError, WatchError
from regard.watch.modules import paths_of, uncompiled
from regard.watch.record import Record
from regard.watch.recorder import KEEPING, Recorder
from regard.watch.seams.seam import intercepting
from regard.watch.site import Site


@contextmanager
def watch(
    model: nn.Module | None = None,
    *,
    want: Collection[str] | None = None,
    cells: int = CELLS,
    sets: Mapping[str, Sequence[int] | Tensor] | None = None,
    on_site: Callable[[Site], None] | None = None,
) -> Iterator[Record]:
    """Watch a model: within the block, keep exact statistics of the weights of each of its attention calls.

    The model's outputs and gradients are bit for bit those it has unwatched; but a compiled model runs as the
    Python it was made of meanwhile, so that rounding may differ. What is seen, and what not, is listed in
    docs/looking.md and, for a run, in the record's coverage.

    Args:
        model: whose calls; default: all calls made in the block.
        want: names out of "entropy", "received", "received_max", "distance", "first", "map", and "rows", which
            keeps a copy of queries and keys, so that any weight can be had later; "values" keeps values too, and
            "gradients" the gradient of each call's output as well, once a backward pass has come by. Default: all
            statistics, with "rows" for calls of at most 2,048 positions.
        cells: maps have at most this many rows and columns.
        sets: named sets of key positions, whose mass is kept as `site.mass(name)`; positions that a call does
            not have do not count.
        on_site: called with each site as soon as it is observed, for progress.

    Raises:
        WantError: an unknown name in `want`.
        WatchError: something that is no model.
    """
    if model is not None and not isinstance(model, nn.Module):
        raise WatchError(f"model: expected a torch.nn.Module or None; got {type(model).__name__}")
    paths = {} if model is None else paths_of(model)
    if cells < 1:
        raise ShapeError(f"cells: expected at least 1; got {cells}")
    wanted = None if want is None else check_want(want, (*STATISTICS, *KEEPING))
    named = {name: torch.as_tensor(keys, dtype=torch.long).reshape(-1) for name, keys in (sets or {}).items()}
    if bad := [name for name, keys in named.items() if keys.numel() and int(keys.min()) < 0]:
        raise ShapeError(f"sets: expected positions of at least 0; got negative ones in {', '.join(bad)}")
    record = Recorder(model, paths, wanted, cells, named, on_site)
    try:
        with uncompiled(paths), intercepting(record):
            yield record
    finally:
        record.close()
