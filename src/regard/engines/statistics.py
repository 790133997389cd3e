"""Statistics of attention weights as plain values, and the names by which they are asked for."""

from collections.abc import Collection
from dataclasses import dataclass, fields

from jaxtyping import Float
from torch import Tensor

from regard.errors import WantError


@dataclass(frozen=True, eq=False)
class Distance:
    """Where each query looks, relative to itself, in positions.

    Attributes:
        mean: (B, H, Nq), weighted mean of key position minus query position; negative looks back. NaN for a
            query that sees no key.
        spread: (B, H, Nq), weighted standard deviation of the key position, resolved to 0.04. NaN likewise.
    """

    mean: Float[Tensor, "*lead Nq"]
    spread: Float[Tensor, "*lead Nq"]


@dataclass(frozen=True, eq=False)
class PooledMap:
    """The matrix of weights pooled to cells of neighbouring queries and keys.

    Attributes:
        mean: (B, H, rows, columns), mean weight of each cell.
        max: (B, H, rows, columns), largest weight of each cell, since the mean hides single tokens.
        query_cell: how many queries a cell spans (the last row may span fewer).
        key_cell: how many keys a cell spans (the last column may span fewer).
    """

    mean: Float[Tensor, "*lead rows columns"]
    max: Float[Tensor, "*lead rows columns"]
    query_cell: int
    key_cell: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Statistics:
    """What was asked for about the weights P of one call; None where it was not asked.

    Attributes:
        entropy: (B, H, Nq), -sum_k P log P, in nats; 0 for a query that sees no key.
        received: (B, H, Nk), sum over queries of the weight on each key.
        received_max: (B, H, Nk), the largest weight that any query gives to each key.
        distance: where each query looks, relative to itself.
        first: (B, H, Nq), weight on key 0, where many heads park attention they have no use for.
        map: the matrix, pooled to cells.
    """

    entropy: Float[Tensor, "*lead Nq"] | None = None
    received: Float[Tensor, "*lead Nk"] | None = None
    received_max: Float[Tensor, "*lead Nk"] | None = None
    distance: Distance | None = None
    first: Float[Tensor, "*lead Nq"] | None = None
    map: PooledMap | None = None


STATISTICS = tuple(field.name for field in fields(Statistics))


def check_want(want: Collection[str], known: Collection[str]) -> frozenset[str]:
    """Return the names asked for as a set.

    Raises:
        WantError: a name that is not known, or a lone string instead of a collection of names.
    """
    if isinstance(want, str) or not isinstance(want, Collection):
        raise WantError(f'want: expected a collection of names such as ("entropy",); got {want!r}')
    if unknown := sorted(set(want) - set(known)):
        raise WantError(f"want: expected names out of {', '.join(sorted(known))}; got {', '.join(unknown)}")
    return frozenset(want)
