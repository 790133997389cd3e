"""`change`: a block in which a model's attention is another, and after which the model is as it was."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import nn

from regard.errors import ChangeError
from regard.watch.change.changes import Change
from regard.watch.modules import paths_of, uncompiled
from regard.watch.relation import relation
from regard.watch.seams.live import Edit, Live
from regard.watch.seams.seam import editing


@contextmanager
def change(model: nn.Module, *changes: Change) -> Iterator[None]:
    """Change a model's attention within the block; no module and no parameter is touched.

    Gradients flow through what is changed. Where torch's own modules would take their fused fast path, they do not
    meanwhile. Changes of one sort apply in the order in which they are given, those of outer blocks first; but keys
    are hidden and values changed where a call begins, outputs where it ends. `watch` sees the changed call.
    Changing is for the thread that opened the block.

    Args:
        model: whose calls to change.
        changes: `knock_out(...)`, `scale_heads(...)`, `hide(...)`, `swap_values(...)`, `shift_values(...)`,
            `change_values(...)`, `change_output(...)`.

    Raises:
        ChangeError: something that is no model or no change, a call that cannot be changed so, or, when the block
            ends, a change that has met no call, or none in one of its layers or paths.
    """
    if not isinstance(model, nn.Module):
        raise ChangeError(f"model: expected a torch.nn.Module; got {type(model).__name__}")
    for each in changes:
        if not isinstance(each, Change):
            raise ChangeError(f"expected changes such as knock_out(heads=3); got {type(each).__name__}")
    changing = _Changing(model, changes)
    with uncompiled(model.modules()), editing(changing):
        yield
    changing.check()


class _Changing:
    """Answers what is to be changed in each call, and remembers which calls the changes have met."""

    def __init__(self, model: nn.Module, changes: Sequence[Change]) -> None:
        self._paths = paths_of(model)
        self._changes = [(each, dict[str, None]()) for each in changes]
        self._seen: dict[str, None] = {}

    def edits(self, modules: tuple[nn.Module, ...], call: Live, hindrance: str | None) -> list[Edit]:
        """Return the edits for a call, in the order of the changes.

        Raises:
            ChangeError: the call is one to be changed, and cannot be.
        """
        inside = [module for module in modules if module in self._paths]
        if not inside:
            return []
        path = self._paths[inside[-1]]
        self._seen[path] = None
        if not any(each.where.chooses(path, None) for each, _ in self._changes):
            return []
        if hindrance is not None:
            raise ChangeError(f"expected a call that can be changed at {path or 'the model'}; {hindrance}")
        problem = call.problem()
        kind = relation(path, inside, problem)
        found = []
        for each, met in self._changes:
            if each.where.chooses(path, kind):
                met[path] = None
                found.append(each.edit(problem, kind, each.where.heads_of(problem.sizes, path)))
        return found

    def check(self) -> None:
        """Expect every change to have met a call, and one in each of its layers and paths."""
        missed = [(each.name, each.where.missing(met)) for each, met in self._changes]
        if any(where for _, where in missed):
            known = ", ".join(path or "the model itself" for path in self._seen) or "none"
            said = "; ".join(f"{name} at {where}" for name, where in missed if where)
            raise ChangeError(f"{said}: expected to meet an attention call; met none. Calls came from: {known}")
