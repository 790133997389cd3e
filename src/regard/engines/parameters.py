"""The tensors of a mechanism between forward and backward: what is remembered, and how gradients are found."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from regard.engines.contract import Problem
from regard.errors import EngineError, MechanismError
from regard.mechanisms.attention import Attention
from regard.mechanisms.modifiers import ScoreMod
from regard.mechanisms.walk import parts_in, tensors_in


@dataclass(frozen=True, eq=False)
class Remembered:
    """What the backward pass needs of a problem beside its vectors, which autograd keeps.

    Attributes:
        mechanism: it is asked once more.
        versions: how often each of its tensors had been written into.
    """

    mechanism: Attention
    versions: tuple[int, ...]

    @classmethod
    def of(cls, problem: Problem) -> "Remembered":
        """Remember a problem."""
        return cls(problem.mechanism, _versions(problem.mechanism))

    def problem(self, query: Tensor, key: Tensor, value: Tensor) -> Problem:
        """Return the problem once more.

        Raises:
            EngineError: a tensor of the mechanism was written into since.
        """
        if _versions(self.mechanism) != self.versions:
            raise EngineError(
                "expected the mask, bias or other tensors of the mechanism as they were in the forward pass, which"
                " the gradient needs once more; got one modified in place. Write into a copy (clone) instead"
            )
        return Problem(query, key, value, self.mechanism)


def _versions(mechanism: Attention) -> tuple[int, ...]:
    return tuple(0 if tensor.is_inference() else tensor._version for tensor in tensors_in(mechanism))


def differentiated(
    results: Sequence[Tensor], vectors: Sequence[Tensor], parameters: Sequence[Tensor], grads: Sequence[Tensor]
) -> tuple[list[Tensor | None], list[Tensor | None]]:
    """Return the gradients of vectors and of parameters, each parameter's by its own uses alone.

    A parameter may have been computed from another one, or from anything else. What reaches it stops there:
    autograd carries it on once the gradients of all strips are added up.
    """
    inner = [(index, tensor) for index, tensor in enumerate(parameters) if tensor.grad_fn is not None]
    stopped: dict[int, Tensor] = {}
    hooks = [tensor.register_hook(partial(_stop, stopped, index)) for index, tensor in inner]
    try:
        found = torch.autograd.grad(
            results, [*vectors, *parameters], grads, allow_unused=True, retain_graph=bool(inner)
        )
    finally:
        for hook in hooks:
            hook.remove()
    others: list[Tensor | None] = list(found[len(vectors) :])
    for index, _ in inner:
        others[index] = stopped.get(index)
    return list(found[: len(vectors)]), others


def _stop(stopped: dict[int, Tensor], index: int, grad: Tensor) -> Tensor:
    stopped[index] = grad
    return torch.zeros_like(grad)


def check_functions(problem: Problem) -> None:
    """Ask each score_mod once, and see that every tensor which asks for a gradient there is known.

    Raises:
        MechanismError: one is hidden where it cannot be found, and would get no gradient.
    """
    if not torch.is_grad_enabled():
        return
    functions = [part.function for part in parts_in(problem.mechanism.modifiers) if isinstance(part, ScoreMod)]
    known = _leaves(problem.parameters)
    for function in functions:
        place = torch.zeros((), dtype=torch.long, device=problem.device)
        with torch.enable_grad():
            answer = function(torch.zeros((), device=problem.device), place, place, place, place)
        if isinstance(answer, Tensor) and not _leaves([answer]) <= known:
            raise MechanismError(
                "score_mod: expected every tensor that asks for a gradient to be captured by the function itself;"
                " got one that is reached by ways that cannot be followed. Capture it in a closure, by a local name"
            )


def _leaves(tensors: Sequence[Tensor]) -> set[int]:
    """Return the identities of the leaves from which tensors were computed."""
    found = {id(tensor) for tensor in tensors if tensor.is_leaf and tensor.requires_grad}
    waiting = [tensor.grad_fn for tensor in tensors if tensor.grad_fn is not None]
    seen: set[object] = set()
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        variable = getattr(node, "variable", None)
        found |= {id(variable)} if variable is not None else set()
        waiting += [each for each, _ in node.next_functions if each is not None]
    return found
