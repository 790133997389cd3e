"""What follows from a change: the output before and after, beside what was seen in either run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from regard.errors import ChangeError
from regard.watch.change.changes import Change, knock_out
from regard.watch.change.changing import change
from regard.watch.record import Record
from regard.watch.watching import watch

Inputs = Mapping[str, Any] | Sequence[Any] | Tensor
Read = Callable[[Any], Tensor]


@dataclass(frozen=True, eq=False, repr=False)
class Effect:
    """The output of a model without and with changes.

    Attributes:
        before: what was read from the output without them.
        after: the same with them.
        seen_before: what was watched without them.
        seen_after: what was watched with them.
    """

    before: Tensor
    after: Tensor
    seen_before: Record
    seen_after: Record

    @property
    def difference(self) -> Tensor:
        """After less before."""
        return self.after - self.before

    @property
    def distance(self) -> float:
        """Length of the difference relative to that of the output before."""
        return float(self.difference.norm() / self.before.norm().clamp(min=torch.finfo(torch.float32).tiny))

    @property
    def cosine(self) -> float:
        """Mean cosine similarity of the last axes, before and after."""
        return float(torch.cosine_similarity(self.before, self.after, dim=-1).mean())

    @property
    def divergence(self) -> float:
        """Mean Kullback-Leibler divergence, in nats, of the distributions that the last axes are logits of.

        Of those after from those before, Σ p log(p / q) with p before and q after.
        """
        before, after = (t.log_softmax(-1) for t in (self.before, self.after))
        terms = before.exp() * (before - after)
        return float(terms.masked_fill(before == -torch.inf, 0).sum(-1).mean())

    def __repr__(self) -> str:
        return f"Effect(distance {self.distance:.4g}, cosine {self.cosine:.4f}, divergence {self.divergence:.4g})"


@torch.no_grad()
def effect(model: nn.Module, inputs: Inputs, *changes: Change, read: Read | None = None) -> Effect:
    """Run a model without and with changes and return what becomes of its output, beside what either run saw.

    Args:
        model: the model, in evaluation: dropout would draw anew for the second run.
        inputs: its named inputs, its inputs in order, or its only input.
        changes: as for `change`.
        read: takes what the model returns to a floating-point tensor. Default: its logits, else its last hidden
            state, else the first tensor that it returns. Padding counts unless `read` leaves it out.

    Raises:
        ChangeError: as for `change`, or nothing to read in the output.
    """
    with watch(model) as seen_before:
        before = _read(model, inputs, read)
    with watch(model) as seen_after, change(model, *changes):
        after = _read(model, inputs, read)
    return Effect(before, after, seen_before, seen_after)


@torch.no_grad()
def head_effects(
    model: nn.Module,
    inputs: Inputs,
    *,
    read: Read | None = None,
    by: Literal["zero", "mean"] = "zero",
    measure: Callable[[Effect], float] = lambda effect: effect.distance,
    on_head: Callable[[str, int], None] | None = None,
) -> dict[tuple[str, int], float]:
    """Knock out every head by itself and return how far the output moves, by path and head, largest first.

    Heads of a module that is called several times are knocked out in all its calls at once.

    Args:
        model: as for `effect`.
        inputs: as for `effect`.
        read: as for `effect`.
        by: what stands in for a head, as for `knock_out`.
        measure: what is measured. Default: `Effect.distance`.
        on_head: told of each head before it is knocked out, for progress.

    Raises:
        ChangeError: as for `effect`, or no attention call was seen.
    """
    with watch(model, want=()) as seen:
        before = _read(model, inputs, read)
    heads = {site.path: site.sizes.heads for site in seen}
    if not heads:
        raise ChangeError(f"expected at least one attention call; met none.\n{seen.coverage}")
    moved = {}
    for path, head in ((path, head) for path, count in heads.items() for head in range(count)):
        if on_head is not None:
            on_head(path, head)
        with watch(model, want=()) as seen_after, change(model, knock_out(head, by=by, paths=path.__eq__)):
            after = _read(model, inputs, read)
        moved[path, head] = measure(Effect(before, after, seen, seen_after))
    return dict(sorted(moved.items(), key=lambda item: -item[1]))


def _read(model: nn.Module, inputs: Inputs, read: Read | None) -> Tensor:
    """Run a model and return what is read in its output, in float64."""
    if isinstance(inputs, Mapping):
        output = model(**inputs)
    else:
        output = model(*inputs) if isinstance(inputs, tuple | list) else model(inputs)
    found: Any = (read or default_read)(output)
    if not isinstance(found, Tensor) or not found.is_floating_point():
        got = found.dtype if isinstance(found, Tensor) else type(found).__name__
        raise ChangeError(f"read: expected a floating-point tensor; got {got}")
    return found.double()


def default_read(output: Any) -> Tensor:
    """Return the logits in what a model returned, else its last hidden state, else the first tensor.

    Raises:
        ChangeError: there is none of these.
    """
    if isinstance(output, Tensor):
        return output
    for name in ("logits", "last_hidden_state"):
        if isinstance(found := getattr(output, name, None), Tensor):
            return found
    items = output.values() if isinstance(output, Mapping) else output if isinstance(output, tuple | list) else ()
    found = next((each for each in items if isinstance(each, Tensor)), None)
    if found is None:
        raise ChangeError(f"read: expected an output that holds a tensor; got {type(output).__name__}")
    return found
