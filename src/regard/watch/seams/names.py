"""Names by which libraries call attention, replaced while someone watches, and put back afterwards.

A replaced name leads every call through the seam of the thread that makes it, if that thread has one.
"""

import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from inspect import isfunction
from typing import Any
from unittest.mock import patch

Replacement = tuple[Any, str, Callable[..., Any]]


class Names:
    """Names replaced by others while at least one user needs it."""

    def __init__(self, replacements: Callable[[], Iterable[Replacement]]) -> None:
        self._replacements = replacements
        self._lock = threading.Lock()
        self._users = 0
        self._patches = ExitStack()

    @contextmanager
    def replaced(self) -> Iterator[None]:
        """Replace the names within the block."""
        with self._lock:
            if self._users == 0:
                with ExitStack() as stack:  # an interrupt meanwhile puts back what was replaced so far
                    for owner, name, new in self._replacements():
                        stack.enter_context(patch.object(owner, name, new))
                    self._patches = stack.pop_all()
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0:
                    self._patches.close()


def references(function: Any, modules: Iterable[str]) -> Iterator[tuple[Any, str]]:
    """Yield where a function, or its compiled form, stands in the globals of modules that are loaded.

    Args:
        function: the function as its library defines it.
        modules: names of modules to look into.
    """
    for name in dict.fromkeys(modules):
        module = sys.modules.get(name)
        for key, value in list(vars(module).items()) if module is not None else []:
            # Only functions are asked for attributes: other objects may do anything when they are.
            compiled = vars(value).get("_torchdynamo_orig_callable") if isfunction(value) else None
            if value is function or compiled is function:
                yield module, key
