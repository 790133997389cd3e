"""The names by which models and libraries call attention, each led through the seam of the thread that calls."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import wraps
from typing import Any, Protocol

import torch
from torch import nn
from torch.nn import functional as F

from regard.watch.seams.fast_path import ENCODER_LAYER, MULTIHEAD
from regard.watch.seams.functions import FUNCTIONS, Function
from regard.watch.seams.names import Names, Replacement, references


class Seam(Protocol):
    """What calls are led through, by the way in which they come."""

    def attention(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run torch's attention function."""
        ...

    def function(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a function of torch that may be part of attention written out."""
        ...

    def whole_layer(self, name: str, func: Any, args: tuple[Any, ...]) -> Any:
        """Run one of torch's whole-layer operators."""
        ...

    def interface(self, implementation: str, func: Any, module: nn.Module, *args: Any, **kw: Any) -> Any:
        """Run an implementation of Hugging Face's attention interface."""
        ...

    def library(self, kind: Function, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run an attention function of another library."""
        ...


class _Thread(threading.local):
    """What a thread has open: its seam, and the seam that sees calls by name at the moment."""

    seam: Seam | None = None
    opened: ExitStack = ExitStack()
    by_name: Seam | None = None


thread = _Thread()


def _by_torch() -> Iterator[Replacement]:
    """The names by which torch's own modules call attention, or write it out."""

    def led(func: Any, way: Callable[[Seam, Any, tuple[Any, ...], dict[str, Any]], Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            seam = thread.by_name
            return func(*args, **kwargs) if seam is None else way(seam, func, args, kwargs)

        return call

    yield (
        F,
        "scaled_dot_product_attention",
        led(F.scaled_dot_product_attention, lambda seam, *call: seam.attention(*call)),
    )
    for owner, name in ((F, "softmax"), (F, "dropout"), (torch, "bmm")):
        yield owner, name, led(getattr(owner, name), lambda seam, *call: seam.function(*call))
    for name in (ENCODER_LAYER, MULTIHEAD):

        def whole(seam: Seam, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], name: str = name) -> Any:
            return seam.whole_layer(name, func, args)

        yield torch, name, led(getattr(torch, name), whole)


def _by_libraries() -> Iterator[Replacement]:
    """The names by which models call Hugging Face's interface and attention functions of other libraries."""
    utils = sys.modules.get("transformers.modeling_utils")
    interface = getattr(utils, "AttentionInterface", None)
    if interface is not None:
        find = interface.get_interface

        def get_interface(self: Any, implementation: str, default: Any) -> Any:
            func, seam = find(self, implementation, default), thread.seam
            if seam is None or implementation is None:
                return func
            return lambda module, *args, **kw: seam.interface(implementation, func, module, *args, **kw)

        yield interface, "get_interface", get_interface
    loaded = [(kind, function) for kind in FUNCTIONS if (function := kind.loaded) is not None]
    owners = _owners() if loaded else []
    for kind, function in loaded:
        for owner, name in references(function, [kind.module, *owners]):
            yield owner, name, _led_to(kind, getattr(owner, name))


def _led_to(kind: Function, func: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that leads calls of a library's function through the thread's seam."""

    @wraps(func)
    def call(*args: Any, **kwargs: Any) -> Any:
        seam = thread.seam
        return func(*args, **kwargs) if seam is None else seam.library(kind, func, args, kwargs)

    return call


def _owners() -> list[str]:
    """Return the modules that define nn.Modules, in which a library's function may stand beside its own."""
    owners = {cls.__module__ for cls in _subclasses(nn.Module)}
    return sorted(owner for owner in owners if not owner.startswith(("torch.", "transformers.")))


def _subclasses(cls: type) -> Iterator[type]:
    waiting, seen = [cls], {cls}
    each: type
    while waiting:
        for each in type.__subclasses__(waiting.pop()):
            if each not in seen:
                seen.add(each)
                waiting.append(each)
                yield each


torch_names, library_names = Names(_by_torch), Names(_by_libraries)
