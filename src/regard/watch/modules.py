"""The modules of a watched model by path, and compiled ones run as plain Python meanwhile."""

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import nn


def paths_of(model: nn.Module) -> dict[nn.Module, str]:
    """Return the modules of a model and their paths, without the names that compiling puts into them."""
    parts = {module: path.split(".") for path, module in model.named_modules()}
    return {module: ".".join(each for each in path if each != "_orig_mod") for module, path in parts.items()}


def is_compiled(module: nn.Module) -> bool:
    """Whether torch.compile stands between a module and its forward."""
    return type(module).__name__ == "OptimizedModule" or getattr(module, "_compiled_call_impl", None) is not None


@contextmanager
def uncompiled(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Within the block, run compiled code as the Python it was made of, if any of the modules is compiled."""
    if not any(is_compiled(module) for module in modules):
        yield
        return
    with torch.compiler.set_stance("force_eager"), warnings.catch_warnings():
        # It says that hooks see the wrapper as a module too, which does no harm.
        warnings.filterwarnings("ignore", message=".*when there are global hooks on modules")
        yield
