"""`change`: a block in which a model's attention is another, and after which the model is as it was."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import nn

from regard.engines.contract import Problem
from regard.errors import ChangeError
from regard.watch.change.changes import Change
from regard.watch.modules import paths_of, uncompiled
from regard.watch.relation import relation
from regard.watch.seams.live import Edit
from regard.watch.seams.seam import editing


@contextmanager
def change(model: nn.Module, *changes: Change) -> Iterator[None]:
    """Change a model's attention within the block; no module and no parameter is touched.

    Gradients flow through what is changed. Where torch's own modules would take their fused fast path, they do not
    meanwhile. Changes apply in the order in which they are given; `watch` sees the changed weights.

    Args:
        model: whose calls to change.
        changes: `knock_out(...)`, `scale_heads(...)`, `hide(...)`, `swap_values(...)`, `shift_values(...)`,
            `change_values(...)`, `change_output(...)`.

    Raises:
        ChangeError: something that is no change, a call that cannot be changed so, or, when the block ends, a
            change that has met no call.
    """
    for each in changes:
        if not isinstance(each, Change):
            raise ChangeError(f"expected changes such as knock_out(heads=3); got {type(each).__name__}")
    changing = _Changing(model, changes)
    with uncompiled(model.modules()), editing(changing):
        yield
    changing.check()


class _Changing:
    """Answers what is to be changed in each call, and remembers which changes have met one."""

    def __init__(self, model: nn.Module, changes: Sequence[Change]) -> None:
        self._paths = paths_of(model)
        self._changes = changes
        self._met: set[int] = set()
        self._seen: dict[str, None] = {}

    def edits(self, modules: tuple[nn.Module, ...], problem: Problem) -> list[Edit]:
        """Return the edits for a call, last change first, since the first edit is applied last."""
        inside = [module for module in modules if module in self._paths]
        if not inside:
            return []
        path = self._paths[inside[-1]]
        self._seen[path] = None
        kind = relation(path, inside, problem)
        found = []
        for number, each in enumerate(self._changes):
            if each.where.chooses(path, kind):
                self._met.add(number)
                found.append(each.edit(problem, each.where.heads_of(problem.sizes, path)))
        return found[::-1]

    def check(self) -> None:
        """Expect every change to have met a call."""
        missed = [str(each) for number, each in enumerate(self._changes) if number not in self._met]
        if missed:
            known = ", ".join(self._seen) or "none"
            raise ChangeError(
                f"{'; '.join(missed)}: expected to meet an attention call; met none. Seen were calls of: {known}"
            )
