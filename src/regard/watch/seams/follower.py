"""Follows the results of softmax through a model to where they meet values.

A softmax over the last axis is remembered; what is made of it by slicing, reshaping, casting, masking and dropout
are weights still. Where they are multiplied with values, summing over keys, a call of attention ends.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from weakref import finalize

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.watch.seams.einsum import letters_of
from regard.watch.seams.written_out import Weights, WrittenOutCall

_SOFTMAX = {F.softmax, torch.softmax, Tensor.softmax, torch.special.softmax}
_DROPOUT = {F.dropout, torch.dropout, torch.dropout_}
_SLICES = {Tensor.__getitem__, Tensor.narrow, torch.narrow}
_SHAPES = {
    Tensor.view,
    Tensor.reshape,
    Tensor.flatten,
    Tensor.unflatten,
    Tensor.squeeze,
    Tensor.unsqueeze,
    Tensor.expand,
    torch.reshape,
    torch.flatten,
    torch.squeeze,
    torch.unsqueeze,
}
_MT: Any = Tensor.mT
_TURNS = {
    Tensor.transpose,
    Tensor.swapaxes,
    Tensor.permute,
    _MT.__get__,
    torch.transpose,
    torch.swapaxes,
    torch.permute,
}
_SAME = {Tensor.contiguous, Tensor.clone, Tensor.detach, torch.clone}
_CASTS = {Tensor.to, Tensor.type_as, Tensor.type, Tensor.float, Tensor.half, Tensor.bfloat16, Tensor.double}
_NUMBERS = {
    Tensor.masked_fill,
    Tensor.where,
    Tensor.mul,
    Tensor.__mul__,
    Tensor.__rmul__,
    Tensor.div,
    Tensor.__truediv__,
    Tensor.nan_to_num,
    Tensor.clamp,
    Tensor.clamp_min,
    torch.clamp,
    torch.clamp_min,
    torch.masked_fill,
    torch.where,
    torch.mul,
    torch.div,
    torch.nan_to_num,
}
_IN_PLACE = {
    Tensor.masked_fill_,
    Tensor.mul_,
    Tensor.__imul__,
    Tensor.div_,
    Tensor.__itruediv__,
    Tensor.nan_to_num_,
    Tensor.clamp_,
    Tensor.__setitem__,
}
_FOLLOWED = _DROPOUT | _SLICES | _SHAPES | _TURNS | _SAME | _CASTS | _NUMBERS | _IN_PLACE
_PRODUCTS = {
    torch.matmul,
    torch.bmm,
    torch.mm,
    Tensor.matmul,
    Tensor.bmm,
    Tensor.mm,
    Tensor.__matmul__,
}
# After these, what came out stands for the weights.
_STEPS = _FOLLOWED - _IN_PLACE
_CONCERNS = _FOLLOWED | _PRODUCTS | {torch.einsum}
# What mixes the outputs of experts has the form of attention with a single query.
_ROUTER = re.compile(r"moe|expert|router", re.IGNORECASE)


class Follower:
    """Follows weights by the identity of tensors."""

    def __init__(self) -> None:
        # What is known of a tensor, and the version of it of which that is known.
        self._known: dict[int, tuple[Weights, int]] = {}
        self._count = 0
        self._open: dict[int, tuple[nn.Module, ...]] = {}

    def forget(self) -> None:
        """Let go of everything."""
        self._known.clear()
        self._open.clear()

    def open_ends(self) -> list[tuple[nn.Module, ...]]:
        """Return the modules at work, outermost first, at each softmax over 3 axes or more that met no values."""
        return list(self._open.values())

    def call(
        self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], module: nn.Module | None
    ) -> WrittenOutCall | None:
        """Return the attention call that a function is about to finish, if it is one.

        Args:
            func: the function.
            args: its arguments.
            kwargs: its arguments by name.
            module: the module at work.
        """
        if module is not None and _is_router(module):
            return None
        call = None
        if func in _PRODUCTS and "out" not in kwargs:
            call = self._product(func, (*args, *kwargs.values()), module)
        elif func is torch.einsum and args and isinstance(args[0], str):
            operands = args[1] if len(args) == 2 and isinstance(args[1], tuple | list) else args[1:]
            call = self._einsum(args[0], operands, module)
        if call is not None:
            self._open.pop(call.weights.softmax, None)
        return call

    def concerns(self, func: Any) -> bool:
        """Whether a function may begin, carry on or end the way of weights."""
        return func in _SOFTMAX or (bool(self._known) and func in _CONCERNS)

    def before(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Take in that a function is about to run, which may change weights where they lie."""
        known = self._of(args[0]) if args else None
        if known is None:
            return
        if func in _DROPOUT and _in_place(func, args, kwargs) and (rate := _dropped(args, kwargs)):
            before = replace(known, tensor=known.of(args[0]).detach().clone(), dropout=rate)
            self._known[id(args[0])] = before, _version(args[0]) + 1
        elif func in _IN_PLACE and known.tensor is not None:
            del self._known[id(args[0])]

    def follow(
        self,
        func: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        result: Any,
        modules: tuple[nn.Module, ...],
    ) -> None:
        """Take in that a function has run while modules, outermost first, were at work."""
        if not isinstance(result, Tensor) or result.ndim < 2:
            return
        if func in _SOFTMAX:
            self._begin(result, _axis(args, kwargs), modules)
            return
        place = next((i for i, each in enumerate(args[:3]) if self._of(each) is not None), None)
        if place is not None and result is not args[place] and func in _STEPS:
            after = self._after(func, args, kwargs, place, result)
            if after is not None:
                self._remember(result, after)

    def _begin(self, result: Tensor, axis: int | None, modules: tuple[nn.Module, ...]) -> None:
        """Take in a softmax; those over few axes are more often choices of classes than attention."""
        self._count += 1
        if result.ndim > 2 and not (modules and _is_router(modules[-1])):
            self._open[self._count] = modules
        if axis in (-1, result.ndim - 1):
            self._remember(result, Weights(softmax=self._count))

    def _of(self, tensor: Any) -> Weights | None:
        """Return what is known of a tensor; what another one kept of it is void once it was written into."""
        known, version = self._known.get(id(tensor), (None, 0))
        if known is None or known.tensor is None or version == _version(tensor):
            return known
        return replace(known, tensor=None, dropout=0.0)

    def _after(
        self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], place: int, result: Tensor
    ) -> Weights | None:
        """Return what is known of weights after a step; None where they are weights no longer."""
        standing = args[place]
        known = self._of(standing)
        assert known is not None

        def again(tensor: Tensor) -> Tensor:
            if tensor.stride() != standing.stride():  # a view needs the same strides
                tensor = torch.empty_like(standing, dtype=tensor.dtype).copy_(tensor)
            made: Tensor = func(*args[:place], tensor.detach(), *args[place + 1 :], **kwargs)
            return made

        if func in _DROPOUT:
            rate = _dropped(args, kwargs)
            return replace(known, tensor=known.of(standing).detach(), dropout=rate) if rate else known
        if func in _CASTS:
            return replace(known, tensor=known.of(standing).detach())
        if func in _TURNS:
            turned = _turned(func, args, kwargs, known.turned)
            return None if turned is None else replace(known.remade(again), turned=turned)
        if func in _SAME:
            return known.remade(again)
        if known.turned or (func is Tensor.__getitem__ and not _keeps_keys(args[1], standing.ndim)):
            return None
        if func not in _SLICES and result.shape[-1] != standing.shape[-1]:
            return None
        return known.remade(again)

    def _product(self, func: Any, operands: Sequence[Any], module: nn.Module | None) -> WrittenOutCall | None:
        """Return the call in a product of weights and values, or of values and weights that were both turned."""
        if len(operands) != 2 or not all(isinstance(each, Tensor) and each.ndim > 1 for each in operands):
            return None
        for P, V, turned in ((*operands, False), (*operands[::-1], True)):
            known = self._of(P)
            if known is not None and known.turned == turned and not _is_table(V):
                if turned:
                    P, V, known = P.mT, V.mT, known.remade(lambda tensor: tensor.mT)
                return WrittenOutCall(func, (P, V), None, known, module)
        return None

    def _einsum(self, rule: str, operands: Sequence[Any], module: nn.Module | None) -> WrittenOutCall | None:
        """Return the call in an einsum of weights and values."""
        place = next((i for i, each in enumerate(operands) if self._of(each) is not None), None)
        if len(operands) != 2 or place is None or _is_table(operands[1 - place]):
            return None
        known = self._of(operands[place])
        assert known is not None
        letters = None if known.turned else letters_of(rule, operands, place)
        if letters is None:
            return None
        order = letters.order(letters.ordered)
        P, V = operands[place].permute(order), operands[1 - place]
        return WrittenOutCall(
            torch.einsum, (P, V), letters.ordered, known.remade(lambda tensor: tensor.permute(order)), module
        )

    def _remember(self, tensor: Tensor, weights: Weights) -> None:
        number = id(tensor)
        self._known[number] = weights, _version(tensor)
        finalize(tensor, self._known.pop, number, None).atexit = False


def _version(tensor: Tensor) -> int:
    """Return how often a tensor was written into; inference mode does not count."""
    return 0 if tensor.is_inference() else int(tensor._version)


def _is_router(module: nn.Module) -> bool:
    return bool(_ROUTER.search(type(module).__name__))


def _is_table(tensor: Any) -> bool:
    """Whether a tensor is a parameter: what a softmax picks from a codebook or from classes is no attention."""
    return isinstance(tensor, nn.Parameter) or isinstance(getattr(tensor, "_base", None), nn.Parameter)


def _dropped(args: tuple[Any, ...], kwargs: dict[str, Any]) -> float:
    """Return with what probability a dropout drops, 0 outside of training."""
    rate = kwargs.get("p", args[1] if len(args) > 1 else 0.5)
    training = kwargs.get("training", kwargs.get("train", args[2] if len(args) > 2 else True))
    return float(rate) if training else 0.0


def _in_place(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    return func is torch.dropout_ or bool(kwargs.get("inplace", args[3] if len(args) > 3 else False))


def _axis(args: tuple[Any, ...], kwargs: dict[str, Any]) -> int | None:
    axis = kwargs.get("dim", kwargs.get("axis", args[1] if len(args) > 1 else None))
    return axis if isinstance(axis, int) else None


def _turned(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], turned: bool) -> bool | None:
    """Return whether keys stand last but one after axes have changed places; None where they are elsewhere."""
    axes: Callable[..., Tensor] = func
    ndim = args[0].ndim
    # Sizes that tell the axes apart say where each of them goes.
    shape = axes(torch.empty(tuple(range(2, ndim + 2)), device="meta"), *args[1:], **kwargs).shape
    place = shape.index(ndim if turned else ndim + 1) - ndim
    return {-1: False, -2: True}.get(place)


def _keeps_keys(index: Any, ndim: int) -> bool:
    """Whether an index leaves the last axis last, whole or a slice of it."""
    parts = index if isinstance(index, tuple) else (index,)
    if any(isinstance(part, Tensor | list) for part in parts):
        return False
    used = sum(part is not None and part is not Ellipsis for part in parts)
    reaches = used == ndim or (parts[-1] is not Ellipsis and any(part is Ellipsis for part in parts))
    return not reaches or isinstance(parts[-1], slice)
