"""Which form of linear attention computes a call, and the call computed."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from regard.engines.choose import Explanation, Verdict
from regard.engines.linear.chunked import CHUNK, chunked
from regard.engines.linear.dense import dense
from regard.engines.linear.recurrent import recurrent
from regard.engines.linear.steps import Steps, steps_of
from regard.errors import EngineError
from regard.mechanisms.linear import LinearAttention
from regard.shapes import Sizes

FORMS: dict[str, Callable[[Steps], tuple[Tensor, Tensor]]] = {
    "recurrent": recurrent,
    "chunked": chunked,
    "dense": dense,
}

# Up to this many positions, one after another is faster than a chunk.
_FEW = 4


@dataclass(frozen=True, eq=False)
class LinearComputed:
    """What linear attention gives.

    Attributes:
        output: (B, H, N, Dv), differentiable, in the type of the inputs.
        state: (B, H, F, E) after the last position, differentiable; F features, and E = Dv + 1 where outputs are
            normalised, the sum of features being the last column.
        explanation: which form ran, and why.
    """

    output: Tensor
    state: Tensor
    explanation: Explanation


def explain_linear(sizes: Sizes, engine: str = "auto") -> Explanation:
    """Return which form is taken for a call of these sizes.

    Raises:
        EngineError: no form has this name.
    """
    if engine not in ("auto", *FORMS):
        raise EngineError(
            f'engine: expected "auto" or one of {", ".join(FORMS)} for linear attention; got {engine!r}'
        )
    few = "recurrent" if sizes.keys <= _FEW else "chunked"
    chosen = few if engine == "auto" else engine
    against = (
        f'engine="{engine}" was asked for' if engine != "auto" else f"{sizes.keys} positions: {chosen} is faster"
    )
    number = 4 * sizes.batch * sizes.heads
    memory = {
        "recurrent": number * sizes.width * sizes.value_width,
        "chunked": number * sizes.keys * (CHUNK + sizes.value_width),
        "dense": number * sizes.keys**2,
    }
    verdicts = [Verdict(name, () if name == chosen else (against,), memory[name]) for name in FORMS]
    return Explanation(chosen, tuple(verdicts))


def compute_linear(
    query: Tensor, key: Tensor, value: Tensor, mechanism: LinearAttention, engine: str = "auto"
) -> LinearComputed:
    """Compute linear attention.

    Args:
        query: (B, H, N, D).
        key: (B, G, N, D).
        value: (B, G, N, Dv).
        mechanism: which linear attention is meant.
        engine: "auto", or the name of a form.

    Raises:
        ShapeError: tensors, gates or state do not fit together.
        EngineError: no form has this name.
    """
    steps, sizes = steps_of(query, key, value, mechanism)
    explanation = explain_linear(sizes, engine)
    read, state = FORMS[explanation.chosen or "chunked"](steps) if steps.causal else _both_ways(steps)
    if mechanism.normalise:
        total = read[..., -1:]
        # No key at all, or none that any feature answers to: an output of 0, as everywhere.
        read = (read[..., :-1] / total.masked_fill(total == 0, 1.0)).masked_fill(total == 0, 0.0)
    return LinearComputed(read.to(query.dtype), state, explanation)


def _both_ways(steps: Steps) -> tuple[Tensor, Tensor]:
    """Return outputs and state where every query reads what all keys wrote: the same in all forms."""
    state = steps.state + steps.key.mT @ steps.value
    return steps.query @ state, state
