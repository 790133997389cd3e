"""The one verb: `attend` computes a mechanism on the best engine, observes what is asked, tells who listens."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from torch import Tensor

from regard.engines.choose import Explanation, choose
from regard.engines.choose import explain as explain_problem
from regard.engines.contract import Problem
from regard.engines.observe import observe
from regard.engines.partial import Partial
from regard.engines.statistics import STATISTICS, Statistics, check_want
from regard.errors import MaskError, ShapeError
from regard.mechanisms.attention import Attention

WANTED = ("lse", *STATISTICS)
PLAIN = Attention()


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Attended(Statistics):
    """The result of `attend`: the output, and what was asked for beside it (else None).

    Attributes:
        output: (B, H, Nq, Dv), differentiable.
        engine: name of the engine that ran.
        explanation: why that one; prints as text.
        lse: (B, H, Nq), natural log-sum-exp of the scores; without gradient.

    The statistics are those of `Statistics`, without gradient.
    """

    output: Tensor
    engine: str
    explanation: Explanation
    lse: Tensor | None = None

    def __repr__(self) -> str:
        asked = [name for name in WANTED if getattr(self, name) is not None]
        beside = ", ".join(asked) or "nothing"
        return f"Attended(output {tuple(self.output.shape)}, engine {self.engine}, beside it: {beside})"


@dataclass(frozen=True, eq=False)
class Announcement:
    """What listeners are told of a call of `attend`."""

    problem: Problem
    partial: Partial
    engine: str


_listeners: ContextVar[tuple[Callable[[Announcement], None], ...]] = ContextVar("listeners", default=())
_running: ContextVar[bool] = ContextVar("running", default=False)


def is_running() -> bool:
    """Whether a call of `attend` is under way, whose inner calls of torch are no calls of their own."""
    return _running.get()


@contextmanager
def listening(listener: Callable[[Announcement], None]) -> Iterator[None]:
    """Within the block, tell the listener of every call of `attend`."""
    token = _listeners.set((*_listeners.get(), listener))
    try:
        yield
    finally:
        _listeners.reset(token)


def attend(
    query: Float[Tensor, "B H Nq D"],
    key: Float[Tensor, "B G Nk D"],
    value: Float[Tensor, "B G Nk Dv"],
    mechanism: Attention = PLAIN,
    *,
    want: Collection[str] = (),
    engine: str = "auto",
) -> Attended:
    """Compute attention.

    Args:
        query: (B, H, Nq, D).
        key: (B, G, Nk, D); H is a multiple of G, and query head h reads key head h // (H / G).
        value: (B, G, Nk, Dv).
        mechanism: which attention is meant; default: softmax over scaled dot products, everyone sees everyone.
        want: names out of "lse", "entropy", "received", "received_max", "distance", "first", "map".
        engine: "auto" for the first that can, or a name ("fused", "reference"), which runs or raises.

    Returns:
        The output and what was asked for. A query that may see no key has output 0, gradient 0 and lse -inf;
        NaN or infinity in a masked key or value does not reach the output. Autocast is not applied: the inputs'
        data type is the output's.

    Raises:
        ShapeError: the tensors do not fit together.
        MaskError: the mask does not fit them.
        WantError: an unknown name in `want`.
        EngineError: an unknown engine, or none that takes the call.
    """
    wanted = check_want(want, WANTED)
    problem = _problem(query, key, value, mechanism)
    chosen, explanation = choose(problem, engine)
    token = _running.set(True)
    try:
        with torch.autocast(problem.device.type, enabled=False):
            partial = chosen.run(problem)
    finally:
        _running.reset(token)
    for listener in _listeners.get():
        listener(Announcement(problem, partial, chosen.name))
    statistics = observe(problem, partial.lse, wanted - {"lse"})
    return Attended(
        output=partial.output,
        engine=chosen.name,
        explanation=explanation,
        lse=partial.lse if "lse" in wanted else None,
        **{field.name: getattr(statistics, field.name) for field in fields(Statistics)},
    )


def explain(
    query: Float[Tensor, "B H Nq D"],
    key: Float[Tensor, "B G Nk D"],
    value: Float[Tensor, "B G Nk Dv"],
    mechanism: Attention = PLAIN,
    *,
    engine: str = "auto",
) -> Explanation:
    """Say which engine `attend` would take and why the others not, without running; arguments as for `attend`."""
    return explain_problem(_problem(query, key, value, mechanism), engine)


def _problem(query: object, key: object, value: object, mechanism: object) -> Problem:
    """Return the problem, if its parts are of the right kinds at all."""
    if not isinstance(mechanism, Attention):
        raise MaskError(
            f"mechanism: expected an Attention; got {type(mechanism).__name__}. Write Attention(mask=...)"
        )
    if not (isinstance(query, Tensor) and isinstance(key, Tensor) and isinstance(value, Tensor)):
        got = ", ".join(type(each).__name__ for each in (query, key, value))
        raise ShapeError(f"expected three torch tensors; got {got}")
    return Problem(query, key, value, mechanism)
