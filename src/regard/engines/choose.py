"""Which engine computes a problem: an ordered choice that can be asked for its reasons."""

from dataclasses import dataclass

from regard.engines.contract import Engine, Problem
from regard.engines.flex import Flex
from regard.engines.fused import Fused
from regard.engines.reference import Reference
from regard.engines.rows import Rows
from regard.engines.tiled import Tiled
from regard.errors import EngineError
from regard.mechanisms.grid import Blocks
from regard.mechanisms.masks.rule import Tile
from regard.mechanisms.masks.tiles import classify

ENGINES: tuple[Engine, ...] = (Rows(), Fused(), Flex(), Tiled(), Reference())

# "auto" takes an engine only while what it holds beside inputs and output, such as a matrix of scores or a mask as
# one tensor, stays below this; beyond, it must be asked for by name.
DENSE_LIMIT = 1 << 28

VISITED_TILE = 128


@dataclass(frozen=True)
class Verdict:
    """What is to be said of one engine for one problem.

    Attributes:
        engine: its name.
        against: why it cannot compute the problem, or why "auto" does not take it; empty if it can.
        memory: bytes that it needs beside inputs and output, an estimate.
    """

    engine: str
    against: tuple[str, ...]
    memory: int


@dataclass(frozen=True)
class Explanation:
    """Which engine is taken for a problem, and why the others are not; prints as text.

    Attributes:
        chosen: name of the engine, or None where none is taken.
        verdicts: one an engine, in the order of preference; after a run, none beyond the one that was taken.
        visited: the share of all pairs of positions that lie in tiles of which the mask leaves something; None
            after a run.
    """

    chosen: str | None
    verdicts: tuple[Verdict, ...]
    visited: float | None = None

    def __str__(self) -> str:
        lines = [self._line(verdict) for verdict in self.verdicts]
        if self.visited is not None:
            lines.append(f"   visited: {self.visited:.1%} of all pairs of positions, in tiles of {VISITED_TILE}")
        return "\n".join(lines)

    def _line(self, verdict: Verdict) -> str:
        memory = f"{verdict.memory / 1e6:,.1f} MB beside inputs and output"
        if verdict.engine == self.chosen:
            return f"-> {verdict.engine}: taken; {memory}"
        reason = "; ".join(verdict.against) or "able, but an engine before it is preferred"
        return f"   {verdict.engine}: not taken, {reason}; {memory}"


def explain(problem: Problem, engine: str = "auto") -> Explanation:
    """Return which engine is taken for a problem and why, without running it.

    Args:
        problem: the call.
        engine: "auto", or the name of the one engine that may be taken.

    Raises:
        EngineError: no engine has this name.
    """
    _check_name(engine)
    verdicts = tuple(_verdict(each, problem, engine) for each in ENGINES)
    chosen = next((v.engine for v in verdicts if not v.against), None)
    return Explanation(chosen, verdicts, _visited(problem))


def choose(problem: Problem, engine: str = "auto") -> tuple[Engine, Explanation]:
    """Return the engine for a problem and the explanation.

    Raises:
        EngineError: no engine has this name, or none can compute the problem as asked.
    """
    _check_name(engine)
    verdicts = []
    for each in ENGINES:
        verdicts.append(_verdict(each, problem, engine))
        if not verdicts[-1].against:
            return each, Explanation(each.name, tuple(verdicts))
    if engine == "auto":
        raise EngineError(f"no engine takes this call:\n{Explanation(None, tuple(verdicts))}")
    reasons = "; ".join(next(verdict.against for verdict in verdicts if verdict.engine == engine))
    raise EngineError(f'engine="{engine}" cannot take this call: {reasons}. Leave engine out to take one that can')


def _check_name(engine: str) -> None:
    names = [each.name for each in ENGINES]
    if engine not in ("auto", *names):
        raise EngineError(f'engine: expected "auto" or one of {", ".join(names)}; got {engine!r}')


def _visited(problem: Problem) -> float:
    """Return the share of pairs in tiles that are not empty."""
    blocks = Blocks.of(problem.sizes, VISITED_TILE, VISITED_TILE)
    area = (blocks.query_stop - blocks.query_start) * (blocks.key_stop - blocks.key_start)
    kinds = classify(problem.mask, blocks, problem.device)
    total = int(area.sum()) * kinds.shape[0] * kinds.shape[1]
    return float(((kinds != Tile.EMPTY) * area).sum()) / total if total else 0.0


def _verdict(each: Engine, problem: Problem, engine: str) -> Verdict:
    memory = each.memory(problem)
    if engine not in ("auto", each.name):
        reasons = [f'engine="{engine}" was asked for']
    else:
        reasons = each.against(problem)
        if engine == "auto" and not reasons:
            reasons = each.unasked(problem)
        if engine == "auto" and not reasons and memory > DENSE_LIMIT:
            reasons = [f'too large to take unasked; ask for it with engine="{each.name}"']
    return Verdict(each.name, tuple(reasons), memory)
