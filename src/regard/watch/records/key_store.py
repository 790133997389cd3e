"""Keys that only grow are held once: the calls of a generation are stretches of one store.

Generation with a cache calls attention again and again, each time with the keys of before and a few new ones. A
store holds all of them one after the other, positions first, so that what is appended moves nothing; each call is
shown its own stretch. Whatever does not continue what a store holds, bit for bit, begins a new one.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from regard.engines.contract import Problem
from regard.mechanisms.masks.tensors import TensorMask

# A store that runs out of room grows by this factor, so that appending seldom moves it.
_GROWTH = 1.5


@dataclass(frozen=True)
class Stretch:
    """Which part of a store a call saw.

    Attributes:
        run: the number of the store: calls of one run belong together.
        offset: at which of the run's keys the call's keys begin; above 0 where a sliding window dropped some.
        keys: how many keys it saw; those after them, the room of a static cache, are hidden from every query.
    """

    run: int
    offset: int
    keys: int


@dataclass(frozen=True, eq=False)
class Held:
    """A call's keys and values as they are kept.

    Attributes:
        key: (B, G, Nk, D).
        value: (B, G, Nk, Dv), or None where values are not kept.
        stretch: what part of its run the call is.
    """

    key: Tensor
    value: Tensor | None
    stretch: Stretch


class KeyStores:
    """The newest store of each module."""

    def __init__(self) -> None:
        self._stores: dict[str, _Store] = {}
        self._runs = 0
        # How many self-attention calls there were, and whether the last one continued a run.
        self._own, self._continued = 0, True

    def hold(self, path: str, kind: str, problem: Problem, *, values: bool) -> Held:
        """Return a copy of a call's keys, within the copies of the calls before where it continues them.

        A self-attention call continues the one before if its keys are the earlier ones, or the last of them, and
        as many new ones as it has queries. A cross-attention call does if its keys are the same, unless
        self-attention has begun anew in between: then it is of another text.

        Args:
            path: the module that calls.
            kind: "self" or "cross".
            problem: the call.
            values: whether to hold its values too.
        """
        store = self._stores.get(path)
        tensors = [problem.key, problem.value] if values else [problem.key]
        stretch = None
        if store is not None and (fitted := store.fitted(tensors)):
            if kind == "self":
                stretch = store.continued(fitted, problem)
            elif self._continued or store.own == self._own:
                stretch = store.repeated(fitted)
        if kind == "self":
            self._own, self._continued = self._own + 1, stretch is not None
        if store is None or stretch is None:
            sizes = problem.sizes
            keys = seen_keys(problem) if sizes.keys > sizes.queries else sizes.keys
            store = self._stores[path] = _Store(self._runs, tensors, keys)
            self._runs += 1
            stretch = Stretch(store.run, 0, store.keys)
        store.own = self._own
        key, *rest = store.shown(stretch.offset, problem.sizes.keys, problem.sizes.key_heads)
        return Held(key, rest[0] if rest else None, stretch)


class _Store:
    """Keys, and perhaps values, of one run of calls."""

    def __init__(self, run: int, tensors: list[Tensor], keys: int) -> None:
        self.run, self.keys, self.own = run, keys, 0
        self._whole = [tensor.detach().clone(memory_format=torch.contiguous_format) for tensor in tensors]

    def fitted(self, tensors: list[Tensor]) -> list[Tensor]:
        """Return tensors with the heads of those that are held; none where they differ in more than positions.

        Models with grouped heads repeat keys in one call and leave it to torch in another; then each is held once.
        """
        heads, held = tensors[0].shape[1], self._whole[0].shape[1]
        if heads < held:
            self._whole = once(self._whole, heads)
        elif heads > held:
            tensors = once(tensors, held)
        like = [(t.dtype, t.device, t.shape[:2], t.shape[3:]) for t in tensors]
        same = like == [(w.dtype, w.device, w.shape[:2], w.shape[3:]) for w in self._whole]
        return tensors if same else []

    def repeated(self, tensors: list[Tensor]) -> Stretch | None:
        """Return the stretch of a call that sees just what is held, or None."""
        same = all(torch.equal(t, w) for t, w in zip(tensors, self._whole, strict=True))
        return Stretch(self.run, 0, self.keys) if same else None

    def continued(self, tensors: list[Tensor], problem: Problem) -> Stretch | None:
        """Return the stretch of a call that continues what is held, which then holds its new keys, or None."""
        sizes = problem.sizes
        for seen in dict.fromkeys((sizes.keys, seen_keys(problem))):
            old = seen - sizes.queries
            offset = self.keys - old
            if old < 1 or offset < 0:
                continue
            held = [w[:, :, offset : self.keys] for w in self._whole]
            if all(torch.equal(t[:, :, :old], w) for t, w in zip(tensors, held, strict=True)):
                self._append(tensors, old, seen, offset + sizes.keys)
                return Stretch(self.run, offset, seen)
        return None

    def shown(self, offset: int, keys: int, heads: int) -> list[Tensor]:
        """Return the stretch of a call, heads repeated where it had them so."""
        parts = [whole[:, :, offset : offset + keys] for whole in self._whole]
        return [p if p.shape[1] == heads else p.repeat_interleave(heads // p.shape[1], 1) for p in parts]

    def _append(self, tensors: list[Tensor], old: int, seen: int, room: int) -> None:
        start, stop = self.keys, self.keys + seen - old
        for place, tensor in enumerate(tensors):
            self._whole[place] = whole = _with_room(self._whole[place], max(stop, room))
            whole[:, :, start:stop] = tensor[:, :, old:seen]
        self.keys = stop


def _with_room(whole: Tensor, count: int) -> Tensor:
    """Return a tensor (B, G, N, D) with N at least `count`; stretches that were shown of it stay what they are."""
    if whole.shape[2] >= count:
        return whole
    count = max(count, int(_GROWTH * whole.shape[2]))
    rows = whole.permute(2, 0, 1, 3)
    if not rows.is_contiguous():  # a first call's copy; calls that none continues are kept as they came
        rows = rows.contiguous()
    # The storage itself grows, and with it all that shows a part of it.
    storage, (batch, heads, width) = rows.untyped_storage(), rows.shape[1:]
    row = batch * heads * width
    storage.resize_(row * count * rows.element_size())
    grown = rows.new_empty(0).set_(storage, 0, (count, batch, heads, width), (row, heads * width, width, 1))
    grown[rows.shape[0] :] = 0
    return grown.permute(1, 2, 0, 3)


def once(tensors: list[Tensor], heads: int) -> list[Tensor]:
    """Return tensors (B, H, N, D) with so many heads, if each of these is repeated; else as they are."""
    times = tensors[0].shape[1] // max(1, heads)
    fewer = [tensor[:, ::times] for tensor in tensors] if times * heads == tensors[0].shape[1] else tensors
    same = all(torch.equal(f.repeat_interleave(times, 1), t) for f, t in zip(fewer, tensors, strict=True))
    return fewer if same else tensors


def seen_keys(problem: Problem) -> int:
    """Return how many keys a call has up to the last that a boolean mask shows to any query.

    The room of a static cache lies behind them.
    """
    mask, sizes = problem.mask, problem.sizes
    if not isinstance(mask, TensorMask) or mask.adds or mask.tensor.shape[-1:] != (sizes.keys,):
        return sizes.keys
    shown = mask.tensor.reshape(-1, sizes.keys).any(0).nonzero()
    return int(shown[-1]) + 1 if len(shown) else sizes.keys
