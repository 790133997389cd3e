"""Records of several batches of one model as one record, in one process or from several."""

from collections.abc import Iterable, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from regard.engines.contract import Problem
from regard.errors import RecordError
from regard.mechanisms.attention import Attention
from regard.mechanisms.masks.rule import Mask
from regard.mechanisms.masks.tensors import TensorMask
from regard.mechanisms.modifiers import Bias, Modifier, TensorBias
from regard.watch.coverage import Coverage
from regard.watch.gathering import gathered
from regard.watch.kept import Gradient, Kept, without_numbers
from regard.watch.record import Record
from regard.watch.records.pieces import Piece, PiecedBias, PiecedMask, PiecedModifier, R
from regard.watch.records.saving import bytes_of, record_of
from regard.watch.site import Site


def merge(records: Iterable[Record]) -> Record:
    """Return records of several batches of one model as one, their batch axes one after the other.

    Args:
        records: of the same calls, watched alike; they may differ in the size of their batches.

    Raises:
        RecordError: there is none, or something else, or they differ in something else, which is named.
    """
    several = list(records) if isinstance(records, Iterable) and not isinstance(records, Record) else [records]
    if isinstance(records, Record) or not all(isinstance(each, Record) for each in several):
        got = "one" if isinstance(records, Record) else ", ".join(sorted({type(each).__name__ for each in several}))
        raise RecordError(f"merge: expected several records, as a list; got {got}")
    if not several:
        raise RecordError("merge: expected at least one record; got none")
    first = several[0]
    for number, other in enumerate(several[1:], 1):
        _expect(number, "sites", len(first.sites), len(other.sites))
        _expect(number, "sets", _comparable(first.sets), _comparable(other.sets))
        for one, another in zip(first.sites, other.sites, strict=True):
            _expect_alike(number, one, another)
    sites = [_merged(sites) for sites in zip(*several, strict=True)]
    return Record(sites, _receipt([record.coverage for record in several]), first.sets)


def gather(record: Record, group: dist.ProcessGroup | None = None) -> Record:
    """Return the records of all processes of a group merged, in the order of their ranks, on every one of them.

    Args:
        record: this process's.
        group: the group. Default: all processes.

    Raises:
        RecordError: torch.distributed is not set up, or the records differ in more than the size of their batches.
    """
    if not (dist.is_available() and dist.is_initialized()):
        raise RecordError("gather: expected torch.distributed.init_process_group(...) to have been called")
    parts = gathered(bytes_of(record), group)
    return merge(record_of(part, f"the record of rank {rank}") for rank, part in enumerate(parts))


def _expect(number: int, what: str, expected: object, got: object) -> None:
    if expected != got:
        raise RecordError(
            f"merge: expected record {number} to be of the same calls as record 0; got for {what}: {got}, and"
            f" {expected} in record 0"
        )


def _comparable(sets: Any) -> dict[str, list[int]]:
    return {name: keys.tolist() for name, keys in sets.items()}


def _expect_alike(number: int, one: Site, other: Site) -> None:
    """Expect two sites to differ in the batch at most."""
    name = one.name or "(no module)"
    _expect(number, f"the site in place of {name}", one.name, other.name)
    for field in fields(one.sizes):
        if field.name != "batch":
            _expect(number, f"{field.name} of {name}", *(getattr(site.sizes, field.name) for site in (one, other)))
    for what in ("kind", "dtype", "dropout", "cells", "start"):
        _expect(number, f"{what} of {name}", getattr(one, what), getattr(other, what))
    _expect(number, f"places of {name}", *(None if s.places is None else s.places.tolist() for s in (one, other)))
    _expect(number, f"statistics of {name}", _kept_of(one), _kept_of(other))
    _expect(number, f"masses of {name}", sorted(one.masses), sorted(other.masses))


def _kept_of(site: Site) -> list[str]:
    """Return which statistics a site has."""
    return [f.name for f in fields(site.statistics) if getattr(site.statistics, f.name) is not None]


def _merged(sites: Sequence[Site]) -> Site:
    first = sites[0]
    if len(sites) == 1:
        return first
    kept = [site.kept for site in sites if site.kept is not None]
    whole = _kept(kept) if len(kept) == len(sites) else None
    why = next((site.unkept for site in sites if site.unkept), "")
    if kept and whole is None:
        why = "not every record that was merged kept them"
    return replace(
        first,
        sizes=replace(first.sizes, batch=sum(site.sizes.batch for site in sites)),
        mask=", ".join(dict.fromkeys(site.mask for site in sites)),
        engine=", ".join(dict.fromkeys(site.engine for site in sites)),
        statistics=_catenated([site.statistics for site in sites]),
        masses={name: torch.cat([site.masses[name] for site in sites]) for name in first.masses},
        kept=whole,
        unkept=why,
    )


def _catenated(values: Sequence[Any]) -> Any:
    """Return values of one class as one, their tensors one after the other along the batch."""
    first = values[0]
    if isinstance(first, Tensor):
        return torch.cat(list(values))
    if not is_dataclass(first):
        return first
    inside = {f.name: _catenated([getattr(value, f.name) for value in values]) for f in fields(first)}
    return replace(first, **inside)  # type: ignore[type-var]


def _kept(several: Sequence[Kept]) -> Kept:
    first, problems = several[0], [kept.problem for kept in several]
    has_values = all(kept.has_values for kept in several)
    query, key = (torch.cat([getattr(p, name) for p in problems]) for name in ("query", "key"))
    values = [problem.value for problem in problems]
    value = torch.cat(values) if has_values else without_numbers(values[0], len(key), *values[0].shape[1:])
    holders = [kept.gradient for kept in several if kept.gradient is not None]
    outputs = [holder.output for holder in holders if holder.output is not None]
    return Kept(
        Problem(query, key, value, _mechanism(problems)),
        torch.cat([kept.lse for kept in several]),
        has_values=has_values,
        gradient=Gradient(torch.cat(outputs) if len(outputs) == len(several) else None) if holders else None,
        stretch=first.stretch if all(kept.stretch == first.stretch for kept in several) else None,
    )


def _mechanism(problems: Sequence[Problem]) -> Attention:
    each = [problem.mechanism for problem in problems]
    first = each[0]
    for other in each[1:]:
        for name in ("score", "weigh"):
            if not _same(getattr(first, name), getattr(other, name)):
                raise RecordError(
                    f"merge: expected mechanisms that differ in masks and biases at most; {name} differs"
                )
        if len(first.modifiers) != len(other.modifiers):
            raise RecordError("merge: expected mechanisms that change scores alike; some have more modifiers")
    modifiers = [_modifier(problems, same) for same in zip(*(m.modifiers for m in each), strict=True)]
    return replace(first, mask=_mask(problems), modify=modifiers)


def _mask(problems: Sequence[Problem]) -> Mask:
    masks = [problem.mask for problem in problems]
    if all(_same(masks[0], mask) for mask in masks) and masks[0].made_for[0] == 1:
        return masks[0]
    tensors = _along_batch(problems, [mask.tensor for mask in masks if isinstance(mask, TensorMask)])
    return PiecedMask(_pieces(problems, masks), "batches") if tensors is None else TensorMask(tensors)


def _modifier(problems: Sequence[Problem], modifiers: Sequence[Modifier]) -> Modifier:
    first = modifiers[0]
    biases = [modifier for modifier in modifiers if isinstance(modifier, Bias)]
    if not isinstance(first, TensorBias) and all(_same(first, modifier) for modifier in modifiers):
        return first
    tensors = _along_batch(problems, [each.tensor for each in modifiers if isinstance(each, TensorBias)])
    if tensors is not None:
        return TensorBias(tensors)
    if len(biases) == len(modifiers):
        return PiecedBias(_pieces(problems, biases))
    return PiecedModifier(_pieces(problems, modifiers))


def _along_batch(problems: Sequence[Problem], tensors: Sequence[Tensor]) -> Tensor | None:
    """Return tensors that broadcast to (B, H, Nq, Nk) as one, or None where not all have one of one shape."""
    if len(tensors) < len(problems):
        return None
    four = [tensor.reshape((1,) * (4 - tensor.ndim) + tuple(tensor.shape)) for tensor in tensors]
    if len({(tensor.dtype, tensor.shape[1:]) for tensor in four}) > 1:
        return None
    return torch.cat([t.expand(p.sizes.batch, -1, -1, -1) for t, p in zip(four, problems, strict=True)])


def _pieces(problems: Sequence[Problem], rules: Sequence[R]) -> tuple[Piece[R], ...]:
    """Return what each batch brings as a piece behind the one before."""
    pieces: list[Piece[R]] = []
    at = 0
    for problem, rule in zip(problems, rules, strict=True):
        sizes = problem.sizes
        pieces.append(Piece((at, at + sizes.batch), (0, sizes.queries), (0, sizes.keys), sizes, rule))
        at += sizes.batch
    return tuple(pieces)


def _same(one: Any, other: Any) -> bool:
    """Whether two parts of mechanisms say the same."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.shape == other.shape and one.dtype == other.dtype and torch.equal(one, other)
    if type(one) is not type(other):
        return False
    if is_dataclass(one):
        return all(_same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


def _receipt(receipts: Sequence[Coverage]) -> Coverage:
    """Return one receipt: what any of them says."""
    return replace(
        receipts[0],
        calls=sum(receipt.calls for receipt in receipts),
        paths=tuple(dict.fromkeys(path for receipt in receipts for path in receipt.paths)),
        unseen=tuple(dict.fromkeys(each for receipt in receipts for each in receipt.unseen)),
    )
