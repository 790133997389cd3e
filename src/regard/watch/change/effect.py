"""What follows from a change: the output before and after, beside what was seen in either run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from regard.errors import ChangeError
from regard.watch.change.changes import Change, knock_out
from regard.watch.change.changing import change
from regard.watch.record import Record
from regard.watch.watching import watch

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
        """Mean Kullback-Leibler divergence, in nats, of the distributions that the last axes are logits of."""
        before, after = (t.log_softmax(-1) for t in (self.before, self.after))
        return float((before.exp() * (before - after)).sum(-1).mean())

    def __repr__(self) -> str:
        return f"Effect(distance {self.distance:.4g}, cosine {self.cosine:.4f}, divergence {self.divergence:.4g})"


@torch.no_grad()
def effect(
    model: nn.Module, inputs: Mapping[str, Any] | Tensor, *changes: Change, read: Read | None = None
) -> Effect:
    """Run a model without and with changes and return what becomes of its output, beside what either run saw.

    Args:
        model: the model, best in evaluation.
        inputs: its named inputs, or its only input.
        changes: as for `change`.
        read: takes what the model returns to a floating-point tensor. Default: its logits, else its last hidden
            state, else the tensor or the first one that it returns.

    Raises:
        ChangeError: as for `change`, or nothing to read in the output.
    """
    reader = read or default_read
    with watch(model) as seen_before:
        before = reader(_run(model, inputs)).double()
    with watch(model) as seen_after, change(model, *changes):
        after = reader(_run(model, inputs)).double()
    return Effect(before, after, seen_before, seen_after)


@torch.no_grad()
def head_effects(
    model: nn.Module,
    inputs: Mapping[str, Any] | Tensor,
    *,
    read: Read | None = None,
    by: str = "zero",
    on_head: Callable[[str, int], None] | None = None,
) -> dict[tuple[str, int], float]:
    """Knock out every head by itself and return how far the output moves, by path and head, largest first.

    Args:
        model: as for `effect`.
        inputs: as for `effect`.
        read: as for `effect`.
        by: what stands in for a head, as for `knock_out`.
        on_head: told of each head before it is knocked out, for progress.

    Returns:
        `Effect.distance` of each head.
    """
    reader = read or default_read
    with watch(model, want=()) as seen:
        before = reader(_run(model, inputs)).double()
    heads = {site.path: site.sizes.heads for site in seen}
    moved = {}
    for path, count in heads.items():
        for head in range(count):
            if on_head is not None:
                on_head(path, head)
            out = knock_out(head, paths=_only(path), by="mean" if by == "mean" else "zero")
            with change(model, out):
                after = reader(_run(model, inputs)).double()
            moved[path, head] = Effect(before, after, seen, seen).distance
    return dict(sorted(moved.items(), key=lambda item: -item[1]))


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


def _run(model: nn.Module, inputs: Mapping[str, Any] | Tensor) -> Any:
    return model(**inputs) if isinstance(inputs, Mapping) else model(inputs)


def _only(path: str) -> Callable[[str], bool]:
    return lambda other: other == path
