"""Generation with a cache: its calls, prompt and steps, put together as one over the whole text."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from regard.engines.contract import Problem
from regard.engines.statistics import STATISTICS
from regard.errors import RecordError
from regard.mechanisms.attention import Attention
from regard.mechanisms.modifiers import Bias, Modifier
from regard.watch.kept import Gradient, Kept, without_numbers
from regard.watch.records.key_store import once
from regard.watch.records.pieces import Piece, PiecedModifier
from regard.watch.records.step_masks import Step, bias_of, mask_of
from regard.watch.relation import first_place
from regard.watch.site import Site, statistics_of


def joined(sites: Sequence[Site], sets: Mapping[str, Tensor]) -> list[Site]:
    """Return sites with the calls of each run as one, in the order of their first calls.

    Args:
        sites: those of a record.
        sets: named sets of key positions, whose mass sites keep.

    Raises:
        RecordError: a call has earlier keys which are not those of the call before it.
        NotKeptError: a step kept no queries and keys.
    """
    runs: dict[object, list[Site]] = {}
    for site in sites:
        stretch = None if site.kept is None else site.kept.stretch
        runs.setdefault(id(site) if stretch is None else (site.path, stretch.run), []).append(site)
    result: list[Site] = []
    for run in runs.values():
        _refuse_broken(run[0])
        call = sum(site.path == run[0].path for site in result)
        result.append(replace(run[0] if len(run) == 1 else _as_one(run, sets), call=call))
    return result


def _refuse_broken(first: Site) -> None:
    """Refuse a run that begins with a step, though its module was called before."""
    if first.kind == "cross" or first.call == 0 or first.sizes.queries > 1:
        return
    stretch = first.kept_for("joined").stretch if first.sizes.keys > 1 else None
    if stretch is not None and stretch.keys > 1:
        raise RecordError(
            f"joined: expected {first.name} to continue the keys of the call before; got {stretch.keys} keys for 1"
            " query, of which the earlier ones are others. Beam search moves sequences within the batch, assisted"
            " decoding takes tokens back: generate greedily or by sampling, or watch one forward pass over the"
            " finished text"
        )


def _as_one(run: Sequence[Site], sets: Mapping[str, Tensor]) -> Site:
    """Return the calls of a run as one site."""
    steps = _steps(run)
    keeps = [step.kept for step in steps]
    problem = Problem(
        torch.cat([kept.problem.query for kept in keeps], 2),
        _whole(steps, [kept.problem.key for kept in keeps]),
        _values(steps),
        _mechanism(steps),
    )
    kept = Kept(
        problem,
        torch.cat([kept.lse for kept in keeps], 2),
        has_values=all(kept.has_values for kept in keeps),
        gradient=_gradient(keeps),
    )
    first = replace(run[0], engine=", ".join(dict.fromkeys(site.engine for site in run)))
    named = {name: sets[name] for name in first.masses if name in sets}
    wanted = [name for name in STATISTICS if getattr(first.statistics, name) is not None]
    start = first_place(first.kind, problem)
    return replace(
        first,
        start=start,
        sizes=problem.sizes,
        mask=problem.mask.kind,
        statistics=statistics_of(kept, wanted, first.cells, start),
        masses=kept.masses(named),
        kept=kept,
    )


def _steps(run: Sequence[Site]) -> list[Step]:
    steps: list[Step] = []
    at = 0
    for site in run:
        kept = site.kept_for("joined")
        assert kept.stretch is not None
        keys = (kept.stretch.offset, kept.stretch.offset + kept.stretch.keys)
        steps.append(Step(kept, (at, at + site.sizes.queries), keys, site.kind == "cross"))
        at += site.sizes.queries
    return steps


def _whole(steps: Sequence[Step], tensors: Sequence[Tensor]) -> Tensor:
    """Return the keys of the whole, or their values: the last step's, after those that a window has dropped."""
    first, last = steps[0], steps[-1]
    if last.keys[0] == 0:
        return tensors[-1][:, :, : last.keys[1]]
    heads = min(tensor.shape[1] for tensor in tensors)
    fewest = [once([tensor], heads)[0] for tensor in tensors]
    parts = [fewest[0][:, :, : first.keys[1]]]
    for before, step, tensor in zip(steps[:-1], steps[1:], fewest[1:], strict=True):
        parts.append(tensor[:, :, before.keys[1] - step.keys[0] : step.keys[1] - step.keys[0]])
    return torch.cat(parts, 2)


def _values(steps: Sequence[Step]) -> Tensor:
    values = [step.kept.problem.value for step in steps]
    if all(step.kept.has_values for step in steps):
        return _whole(steps, values)
    batch, heads, _, width = values[-1].shape
    return without_numbers(values[-1], batch, heads, steps[-1].keys[1], width)


def _gradient(keeps: Sequence[Kept]) -> Gradient | None:
    """Return the gradient of all outputs, where it was asked for and has come by everywhere."""
    holders = [kept.gradient for kept in keeps if kept.gradient is not None]
    outputs = [holder.output for holder in holders if holder.output is not None]
    if not holders:
        return None
    return Gradient(torch.cat(outputs, 2) if len(outputs) == len(keeps) else None)


def _mechanism(steps: Sequence[Step]) -> Attention:
    each = [step.kept.problem.mechanism for step in steps]
    if len({len(mechanism.modifiers) for mechanism in each}) > 1:
        raise RecordError("joined: expected every step to change scores alike; some steps have more modifiers")
    modifiers = [_modifier(steps, same) for same in zip(*(m.modifiers for m in each), strict=True)]
    return replace(each[-1], mask=mask_of(steps), modify=modifiers)


def _modifier(steps: Sequence[Step], modifiers: Sequence[Modifier]) -> Modifier:
    """Return one modifier that does to each step what its own does."""
    biases = [modifier for modifier in modifiers if isinstance(modifier, Bias)]
    if len(biases) == len(modifiers):
        return bias_of(steps, biases)
    if all(modifier == modifiers[0] for modifier in modifiers):
        return modifiers[0]
    whole = (0, steps[0].sizes.batch)
    return PiecedModifier(
        tuple(Piece(whole, s.queries, s.keys, s.sizes, m) for s, m in zip(steps, modifiers, strict=True))
    )
