"""Finding and changing the tensors that a mechanism holds, however deep they lie."""

import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from types import CodeType
from typing import Any, TypeVar

from torch import Tensor, nn

T = TypeVar("T")


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Yield every tensor in a value: its fields, items, and what a function has captured."""
    return (each for each in parts_in(value) if isinstance(each, Tensor))


def parts_in(value: Any) -> Iterator[Any]:
    """Yield a value and everything in it, each once."""
    seen: dict[int, Any] = {}
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen[id(each)] = each  # held, so that nothing else can get its identity
        yield each
        if not isinstance(each, Tensor):
            waiting.extend(_inside(each))


def with_tensors(value: T, change: Callable[[Tensor], Tensor]) -> T:
    """Return a value with each tensor in its fields changed; what a function has captured stays as it is."""
    if isinstance(value, Tensor):
        return change(value)  # type: ignore[return-value]
    if isinstance(value, tuple):
        items = [with_tensors(each, change) for each in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    if not is_dataclass(value) or isinstance(value, type):
        return value
    old = {field.name: getattr(value, field.name) for field in fields(value) if field.init}
    new = {name: with_tensors(each, change) for name, each in old.items()}
    changed = {name: each for name, each in new.items() if each is not old[name]}
    return replace(value, **changed) if changed else value


def _inside(value: Any) -> list[Any]:
    """Return what lies one step inside a value."""
    if is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, field.name) for field in fields(value)]
    if isinstance(value, tuple | list | set | frozenset):
        return list(value)
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, nn.Module):
        return [*value.parameters(), *value.buffers(), *vars(value).values()]
    if isinstance(value, functools.partial):
        return [value.func, *value.args, *value.keywords.values()]
    if inspect.ismethod(value):
        return [value.__func__, value.__self__]
    if inspect.isfunction(value):
        return _captured(value)
    if isinstance(value, type) or inspect.ismodule(value) or not hasattr(value, "__dict__"):
        return []
    called = [type(value).__call__] if callable(value) else []
    return [*called, *vars(value).values()]


def _captured(function: Any) -> list[Any]:
    """Return the values that a function reads beside its arguments: from its closure, globals and defaults."""
    cells = []
    for cell in function.__closure__ or ():
        try:
            cells.append(cell.cell_contents)
        except ValueError:  # a name that is not bound yet
            continue
    read = [function.__globals__.get(name) for name in _names(function.__code__)]
    return [*cells, *read, *(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]


def _names(code: CodeType) -> set[str]:
    """Return the names that code reads from outside, that of functions within it included."""
    inner = [_names(constant) for constant in code.co_consts if isinstance(constant, CodeType)]
    return set(code.co_names).union(*inner)
