"""The one verb: `attend` computes a mechanism on the best engine, and observes what is asked."""

from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from regard.engines.choose import Explanation, choose
from regard.engines.choose import explain as explain_problem
from regard.engines.contract import Computed, Engine, Problem
from regard.engines.linear.choose import compute_linear, explain_linear
from regard.engines.log_weights import log_sum_exp
from regard.engines.observe import observe
from regard.engines.statistics import STATISTICS, Statistics, check_want
from regard.errors import EngineError, MechanismError, ShapeError, WantError
from regard.mechanisms.attention import Attention
from regard.mechanisms.linear import LinearAttention
from regard.mechanisms.walk import tensors_in, with_tensors
from regard.shapes import check, four_axes

WANTED = ("lse", *STATISTICS)
PLAIN = Attention()


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Attended(Statistics):
    """The result of `attend`: the output, and what was asked for beside it (else None).

    Attributes:
        output: (B, H, Nq, Dv), differentiable.
        engine: name of the engine that ran.
        explanation: why that one; prints as text.
        lse: (B, H, Nq), natural log-sum-exp of the scores, and of the sink where there is one; without gradient.
        log_probability: (B, H, Nq), of the key that hard attention chose, differentiable; else None.
        chosen: (B, H, Nq), the key that hard attention chose, -1 for a query that may see none; else None.
        state: (B, H, F, E), what linear attention keeps of all positions, differentiable; else None.
        seed: what settled dropout and sampling, to repeat the call with; None where nothing is left to chance.

    The statistics are those of `Statistics`, without gradient.
    """

    output: Tensor
    engine: str
    explanation: Explanation
    lse: Tensor | None = None
    log_probability: Tensor | None = None
    chosen: Tensor | None = None
    state: Tensor | None = None
    seed: int | None = None

    def __repr__(self) -> str:
        asked = [name for name in WANTED if getattr(self, name) is not None]
        beside = ", ".join(asked) or "nothing"
        return f"Attended(output {tuple(self.output.shape)}, engine {self.engine}, beside it: {beside})"


Compute = Callable[[Problem], tuple[Computed, str]]
Lead = Callable[[Problem, Compute], tuple[Computed, str]]

_leads: ContextVar[tuple[Lead, ...]] = ContextVar("leads", default=())
_running: ContextVar[bool] = ContextVar("running", default=False)


def is_running() -> bool:
    """Whether a call of `attend` is under way, whose inner calls of torch are no calls of their own."""
    return _running.get()


def is_led() -> bool:
    """Whether somebody follows calls of `attend`, and so has to see each attention as one call."""
    return bool(_leads.get())


@contextmanager
def leading(lead: Lead) -> Iterator[None]:
    """Within the block, lead every call of `attend` through a function.

    It is given the problem and what computes a problem, and returns what came out and the name of the engine.
    """
    token = _leads.set((*_leads.get(), lead))
    try:
        yield
    finally:
        _leads.reset(token)


def attend(
    query: Float[Tensor, "*B H Nq D"],
    key: Float[Tensor, "*B G Nk D"],
    value: Float[Tensor, "*B G Nk Dv"],
    mechanism: Attention | LinearAttention = PLAIN,
    *,
    want: Collection[str] = (),
    engine: str = "auto",
) -> Attended:
    """Compute attention.

    Args:
        query: (B, H, Nq, D). Any number of axes may lead, or none; they broadcast to those of keys and values.
        key: (B, G, Nk, D); H is a multiple of G, and query head h reads key head h // (H / G).
        value: (B, G, Nk, Dv).
        mechanism: which attention is meant; default: softmax over scaled dot products, everyone sees everyone.
        want: names out of "lse", "entropy", "received", "received_max", "distance", "first", "map"; for softmax
            weights only. Statistics are of the weights before dropout. Linear attention has no such weights and
            always hands out its state.
        engine: "auto" for the first that can, or a name ("rows", "fused", "flex", "tiled", "reference"; of linear
            attention "chunked", "recurrent", "dense"), which runs or raises.

    Returns:
        The output and what was asked for. A query that may see no key has output 0, gradient 0 and lse -inf;
        NaN or infinity in a masked key or value does not reach the output. Autocast is not applied: the inputs'
        data type is the output's.

    Raises:
        ShapeError: the tensors do not fit together.
        MechanismError: a part of the mechanism does not fit them; MaskError, the mask.
        WantError: an unknown name in `want`, or a statistic of weights that are no softmax.
        EngineError: an unknown engine, or none that takes the call.
    """
    wanted = check_want(want, WANTED)
    if isinstance(mechanism, LinearAttention):
        return _attended_linearly(query, key, value, mechanism, wanted, engine)
    problem, lead = _problem(query, key, value, mechanism)
    if wanted and not problem.is_softmax:
        raise WantError(
            f"want: expected softmax weights to look into; got {mechanism.weighing.kind}. Leave want out, or take"
            " weigh=softmax()"
        )
    chosen, explanation = choose(problem, engine)
    # A compiled call is led by nobody: it would have to leave the compiled code for that.
    if torch.compiler.is_compiling():
        computed, ran = _run(chosen, problem), chosen.name
    else:
        problem, computed, ran = _led(chosen, problem, engine)
    beside = _beside(problem, computed, wanted) if wanted else {}
    attended = Attended(
        output=computed.output,
        engine=ran,
        explanation=explanation,
        log_probability=computed.log_probability,
        chosen=computed.chosen,
        seed=problem.mechanism.seed if problem.mechanism.draws else None,
        **beside,
    )
    return _unfolded(attended, lead)


def _unfolded(attended: Attended, lead: tuple[int, ...]) -> Attended:
    """Give a result the leading axes that the call came with."""
    if lead == attended.output.shape[:2]:
        return attended
    return with_tensors(attended, lambda tensor: tensor.reshape(*lead, *tensor.shape[2:]))


def _attended_linearly(
    query: Tensor, key: Tensor, value: Tensor, mechanism: LinearAttention, wanted: frozenset[str], engine: str
) -> Attended:
    if wanted:
        raise WantError(
            f"want: expected softmax weights to look into; got {mechanism}. Leave want out, or take an Attention"
        )
    query, key, value, lead = _four_axes(query, key, value, mechanism)
    with _without_autocast(query.device):
        computed = compute_linear(query, key, value, mechanism, engine)
    explanation = computed.explanation
    attended = Attended(
        output=computed.output, engine=str(explanation.chosen), explanation=explanation, state=computed.state
    )
    return _unfolded(attended, lead)


def _beside(problem: Problem, computed: Computed, wanted: frozenset[str]) -> dict[str, Any]:
    """Return what was asked for beside the output, by name."""
    lse = computed.lse
    if lse is None:
        lse = log_sum_exp(problem).masked_fill(computed.output.isnan().any(-1), torch.nan)
    statistics = observe(problem, lse, wanted - {"lse"})
    return {name: lse if name == "lse" else getattr(statistics, name) for name in wanted}


def _without_autocast(device: torch.device) -> AbstractContextManager[Any]:
    """Turn autocast off within the block; where it is off already, nothing is the fastest way to do so."""
    enabled = device.type in ("cpu", "cuda") and torch.is_autocast_enabled(device.type)
    return torch.autocast(device.type, enabled=False) if enabled else nullcontext()


def _run(engine: Engine, problem: Problem) -> Computed:
    with _without_autocast(problem.device):
        return engine.run(problem)


def _led(engine: Engine, problem: Problem, asked: str) -> tuple[Problem, Computed, str]:
    """Run a problem through whoever leads; one that was changed on the way gets an engine of its own.

    Returns:
        The problem that was computed, what came out, and the engine's name.
    """
    computed = problem

    def compute(given: Problem) -> tuple[Computed, str]:
        nonlocal computed
        computed = given
        chosen = engine if given is problem else choose(given, asked)[0]
        token = _running.set(True)
        try:
            return _run(chosen, given), chosen.name
        finally:
            _running.reset(token)

    way: Compute = compute
    for lead in _leads.get():
        way = partial(_through, lead, way)
    result = way(problem)
    return computed, *result


def _through(lead: Lead, compute: Compute, problem: Problem) -> tuple[Computed, str]:
    return lead(problem, compute)


def explain(
    query: Float[Tensor, "*B H Nq D"],
    key: Float[Tensor, "*B G Nk D"],
    value: Float[Tensor, "*B G Nk Dv"],
    mechanism: Attention | LinearAttention = PLAIN,
    *,
    engine: str = "auto",
) -> Explanation:
    """Say which engine `attend` would take and why the others not, without running; arguments as for `attend`."""
    if isinstance(mechanism, LinearAttention):
        sizes = check(*_four_axes(query, key, value, mechanism)[:3])
        mechanism.check(sizes)
        return explain_linear(sizes, engine)
    if isinstance(mechanism, Attention) and mechanism.seed is None:
        mechanism = replace(mechanism, seed=0)  # any will do, and drawing one would not be without trace
    return explain_problem(_problem(query, key, value, mechanism)[0], engine)


def _transformed(query: Tensor, key: Tensor, value: Tensor, mechanism: Attention | LinearAttention) -> bool:
    """Whether tensors stand for others inside a functorch transform; a compiler refuses such calls by itself."""
    if torch.compiler.is_compiling():
        return False
    wrapped = torch._C._functorch.is_functorch_wrapped_tensor
    if wrapped(query) or wrapped(key) or wrapped(value):
        return True
    return _may_hold_tensors(mechanism) and any(map(wrapped, tensors_in(mechanism)))


def _may_hold_tensors(mechanism: Attention | LinearAttention) -> bool:
    """Whether a glance at the mechanism leaves it open."""
    return isinstance(mechanism, LinearAttention) or bool(mechanism.modifiers)


def _problem(query: object, key: object, value: object, mechanism: object) -> tuple[Problem, tuple[int, ...]]:
    """Return the problem, if its parts are of the right kinds at all, and the leading axes of the result."""
    if not isinstance(mechanism, Attention):
        raise MechanismError(
            f"mechanism: expected an Attention; got {type(mechanism).__name__}. Write Attention(mask=...)"
        )
    query, key, value, lead = _four_axes(query, key, value, mechanism)
    with _without_autocast(query.device):
        return Problem.of(query, key, value, mechanism), lead


def _four_axes(
    query: object, key: object, value: object, mechanism: Attention | LinearAttention
) -> tuple[Tensor, Tensor, Tensor, tuple[int, ...]]:
    """Return plain tensors with four axes each, and the leading axes of the result."""
    if not (isinstance(query, Tensor) and isinstance(key, Tensor) and isinstance(value, Tensor)):
        got = ", ".join(type(each).__name__ for each in (query, key, value))
        raise ShapeError(f"expected three torch tensors; got {got}")
    if _transformed(query, key, value, mechanism):
        raise EngineError(
            "expected plain tensors; got tensors inside a functorch transform. In place of vmap, call it once on"
            " the whole batch, as it takes any number of leading axes; in place of torch.func.grad take"
            " torch.autograd.grad"
        )
    return four_axes(query, key, value)
