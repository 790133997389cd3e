"""One mask for all steps of a generation: a rule where their masks follow one, pieces where they do not.

Most steps show all keys so far, or all but padding, or the last of them; however many there are, that is one rule.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import torch
from torch import Tensor
from torch.nn.functional import pad

from regard.engines.pairs import chunks
from regard.mechanisms.masks.bands import Band, causal
from regard.mechanisms.masks.rule import Align, Full, Mask
from regard.mechanisms.masks.tensors import TensorMask
from regard.mechanisms.modifiers import Bias, TensorBias
from regard.shapes import Sizes
from regard.watch.kept import Kept
from regard.watch.records.pieces import Piece, PiecedBias, PiecedMask, R, Range

# Steps whose tensors follow no rule are put into one tensor for so many at a time.
_STACKED = 64


@dataclass(frozen=True, eq=False)
class Step:
    """A call as a part of the whole.

    Attributes:
        kept: what was kept of it.
        queries: its queries in the whole, from and to.
        keys: its keys in the whole, without the room of a static cache.
        cross: whether it is of cross-attention.
    """

    kept: Kept
    queries: Range
    keys: Range
    cross: bool

    @property
    def sizes(self) -> Sizes:
        """The call's sizes, without the room of a static cache."""
        return replace(self.kept.problem.sizes, keys=self.keys[1] - self.keys[0])

    @property
    def mask(self) -> Mask:
        """The call's mask, without the room of a static cache."""
        mask = self.kept.problem.mask
        return TensorMask(self.shown(mask.tensor)) if isinstance(mask, TensorMask) else mask

    def shown(self, tensor: Tensor) -> Tensor:
        """Return a tensor over the call's keys without the room of a static cache."""
        return tensor[..., : self.sizes.keys] if tensor.ndim and tensor.shape[-1] > 1 else tensor

    @property
    def pattern(self) -> int:
        """What steps have in common that one band can describe: 0 for all keys so far, or how many of the last."""
        return self.sizes.keys if self.keys[0] else 0

    def is_row(self, tensor: Tensor) -> bool:
        """Whether the call has one query, and a tensor says something of each key to it."""
        return self.sizes.queries == 1 and tensor.ndim > 1 and tensor.shape[-2:] == (1, self.sizes.keys)


def mask_of(steps: Sequence[Step]) -> Mask:
    """Return the mask of all steps together."""
    pieces: list[Piece[Mask]] = []
    for kind, members in groupby(steps, _kind):
        pieces += _merged(kind, list(members))
    if len(pieces) > 1:
        return PiecedMask(tuple(pieces), "steps")
    return pieces[0].rule


def bias_of(steps: Sequence[Step], biases: Sequence[Bias]) -> Bias:
    """Return the bias of all steps together."""
    pieces: list[Piece[Bias]] = []
    for kind, members in groupby(zip(steps, biases, strict=True), _kind_of_bias):
        pairs = list(members)
        if kind is None:
            pieces += [_piece([step], bias) for step, bias in pairs]
        else:
            rows = [step.shown(bias.tensor) for step, bias in pairs if isinstance(bias, TensorBias)]
            pieces += [_piece(group, TensorBias(t)) for group, t in _stacks([s for s, _ in pairs], rows, 0.0)]
    return PiecedBias(tuple(pieces))


_Kind = tuple[object, ...] | None


def _kind(step: Step) -> _Kind:
    """Return what the masks of neighbouring steps must have in common to be merged; None for one that is alone."""
    mask, one = step.mask, step.sizes.queries == 1
    if isinstance(mask, TensorMask):
        tensor = mask.tensor
        return ("row", tensor.dtype, tensor.shape[:-2], step.pattern) if step.is_row(tensor) else None
    if step.cross:
        return ("full",) if isinstance(mask, Full) else None
    square = step.sizes.queries == step.sizes.keys
    shows_the_past = (
        mask == causal(align="last") or (mask == causal() and square) or (isinstance(mask, Full) and one)
    )
    return ("past", step.pattern) if shows_the_past and (one or not step.pattern) else None


def _kind_of_bias(pair: tuple[Step, Bias]) -> _Kind:
    step, bias = pair
    if isinstance(bias, TensorBias) and step.is_row(step.shown(bias.tensor)):
        return (bias.tensor.dtype, bias.tensor.shape[:-2])
    return None


def _merged(kind: _Kind, steps: list[Step]) -> list[Piece[Mask]]:
    """Return pieces for steps of one kind."""
    if kind is None:
        return [_piece([step], step.mask) for step in steps]
    if kind[0] == "full":
        return [_piece(steps, Full())]
    past = Full() if steps[0].cross else _past(steps)
    if kind[0] == "past":
        return [_piece(steps, past)]
    rows = [step.mask.tensor for step in steps if isinstance(step.mask, TensorMask)]
    row = _common_row(steps, rows)
    if row is not None:
        return [_piece(steps, past & TensorMask(row))]
    beside = -torch.inf if rows[0].dtype.is_floating_point else False
    return [_piece(group, TensorMask(tensor)) for group, tensor in _stacks(steps, rows, beside)]


def _past(steps: Sequence[Step]) -> Mask:
    """Return the rule that shows each query the keys up to its own, all of them or so many of the last."""
    sizes, pattern = _sizes(steps), steps[0].pattern
    align: Align = "first" if sizes.queries == sizes.keys else "last"
    return Band(pattern - 1 if pattern else None, 0, align)


def _common_row(steps: Sequence[Step], rows: Sequence[Tensor]) -> Tensor | None:
    """Return one row over all keys of some steps of which each step's own is a part, or None."""
    if rows[0].dtype.is_floating_point and not steps[0].cross:
        return None
    first = steps[0].keys[0]
    parts, stop = [rows[0]], steps[0].keys[1]
    for step, row in zip(steps[1:], rows[1:], strict=True):
        parts.append(row[..., stop - step.keys[0] :])
        stop = step.keys[1]
    whole = torch.cat(parts, -1)
    parts_of_it = (whole[..., step.keys[0] - first : step.keys[1] - first] for step in steps)
    return whole if all(torch.equal(*pair) for pair in zip(rows, parts_of_it, strict=True)) else None


def _stacks(
    steps: Sequence[Step], rows: Sequence[Tensor], beside: bool | float
) -> list[tuple[Sequence[Step], Tensor]]:
    """Return runs of steps, each with its rows in one tensor over all keys of the run."""
    stacks = []
    for part in chunks(len(steps), _STACKED):
        group = steps[part]
        first, last = group[0].keys[0], group[-1].keys[1]
        around = [(step.keys[0] - first, last - step.keys[1]) for step in group]
        wide = [pad(row, sides, value=beside) for row, sides in zip(rows[part], around, strict=True)]
        stacks.append((group, torch.cat(wide, -2)))
    return stacks


def _sizes(steps: Sequence[Step]) -> Sizes:
    """Return the sizes of neighbouring steps together."""
    queries = steps[-1].queries[1] - steps[0].queries[0]
    return replace(steps[0].sizes, queries=queries, keys=steps[-1].keys[1] - steps[0].keys[0])


def _piece(steps: Sequence[Step], rule: R) -> Piece[R]:
    """Return neighbouring steps as one piece."""
    sizes = _sizes(steps)
    queries = (steps[0].queries[0], steps[-1].queries[1])
    return Piece((0, sizes.batch), queries, (steps[0].keys[0], steps[-1].keys[1]), sizes, rule)
