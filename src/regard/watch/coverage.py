"""The coverage receipt: which attention a record covers, which it does not, why, and what to do."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from torch import nn

from regard.watch.modules import is_compiled

_LOOKS_LIKE_ATTENTION = re.compile(r"attention|attn", re.IGNORECASE)

# What to do, by a word of the reason.
_ADVICE = {
    "nested": "use TransformerEncoder(..., enable_nested_tensor=False)",
    "softmax": "if it is attention, multiply it with values by matmul or einsum, or call regard.attend",
}
_COMPILED = "the model is compiled: while it was watched, it ran as the Python that it was made of"


@dataclass(frozen=True)
class Unseen:
    """A module that looks like attention, of which no call was seen.

    Attributes:
        path: its path in the model.
        class_name: its class.
        reason: why nothing was seen.
        advice: what to do about it, "" if nothing.
    """

    path: str
    class_name: str
    reason: str
    advice: str

    def __str__(self) -> str:
        return f"{self.path} ({self.class_name}): {self.reason}" + (f"; {self.advice}" if self.advice else "")


@dataclass(frozen=True)
class Coverage:
    """What a record covers; prints as text.

    Attributes:
        calls: how many attention calls were seen.
        paths: the modules that made them, in order of their first call.
        unseen: modules that look like attention, by class or name, and were not seen, and modules whose calls
            could not be looked into.
        notes: what else there is to know of the run.
    """

    calls: int
    paths: tuple[str, ...]
    unseen: tuple[Unseen, ...]
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"seen: {_count(self.calls, 'attention call')} in {_count(len(self.paths), 'module')}"]
        if not self.calls and not self.unseen:
            lines.append("no module looks like attention by its class or name")
        if self.unseen:
            lines.append(f"not seen: {len(self.unseen)}")
        return "\n".join([*lines, *(f"  {each}" for each in self.unseen), *self.notes])


def cover(
    paths: Mapping[nn.Module, str],
    seen: Mapping[str, int],
    at_work: Collection[nn.Module],
    entered: Collection[nn.Module],
    missed: Mapping[nn.Module | None, str],
) -> Coverage:
    """Return the receipt.

    Args:
        paths: the modules of the watched model, and their paths.
        seen: number of calls by path.
        at_work: modules at work during a call that was seen.
        entered: modules whose forward was entered.
        missed: modules (None: outside of all) that made a call that could not be looked into, and why.
    """
    unseen = [_missed("(no module)", "call", missed[None])] if None in missed else []
    reported: list[str] = []
    for module, path in reversed(list(paths.items())):
        if module in missed:
            unseen.append(_missed(path, type(module).__name__, missed[module]))
        elif (
            module not in at_work
            and _looks_like_attention(path, module)
            and not any(inner.startswith(f"{path}." if path else "") for inner in reported)
        ):
            reason, advice = _why(module, module in entered)
            unseen.append(Unseen(path, type(module).__name__, reason, advice))
        else:
            continue
        reported.append(path)
    notes = (_COMPILED,) if any(is_compiled(module) for module in paths) else ()
    return Coverage(sum(seen.values()), tuple(seen), tuple(reversed(unseen)), notes)


def _missed(path: str, class_name: str, reason: str) -> Unseen:
    advice = next((what for word, what in _ADVICE.items() if word in reason), "")
    return Unseen(path, class_name, reason, advice)


def _looks_like_attention(path: str, module: nn.Module) -> bool:
    """By class; by name only for modules that hold others, so that a projection or norm inside does not count."""
    known = isinstance(module, nn.MultiheadAttention) or _is_linear(module)
    if known or _LOOKS_LIKE_ATTENTION.search(type(module).__name__):
        return True
    own_name = path.rpartition(".")[2]
    return bool(_LOOKS_LIKE_ATTENTION.search(own_name)) and any(True for _ in module.children())


def _is_linear(module: nn.Module) -> bool:
    """Whether a module says of itself that it attends by linear attention, as layers of regard do."""
    return getattr(module, "is_linear", False) is True


def _why(module: nn.Module, entered: bool) -> tuple[str, str]:
    if not entered:
        return "its forward did not run", ""
    if _is_linear(module):
        return (
            "it ran, and its attention is linear: a state stands in place of weights, so there are none to look at",
            "to see weights, give it another mechanism, such as softmax's",
        )
    return (
        "it ran, but no attention was recognised in it: no call of torch's or regard's attention, and no softmax"
        " over keys whose result is multiplied with values",
        "call regard.attend in its forward; of a function compiled by torch.compile, watch the original",
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
