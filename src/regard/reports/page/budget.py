"""How much of the weights a page holds: all of them where they fit, else the matrix in as many cells as do."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from regard.reports.build import Section

# Bytes before compression: the upper bytes of all weights, the cells, the strongest weights.
FULL = 20_000_000
CELLS = 12_000_000
LINKS = 1_400_000
# Bytes of the whole page, compressed, up to which rows are added that nobody asked for.
PAGE = 18_000_000

_FEWEST_CELLS, _MOST_CELLS = 64, 512
_FEWEST_LINKS, _MOST_LINKS = 200, 2000
_BYTES_A_CELL, _BYTES_A_LINK = 2, 10


@dataclass(frozen=True)
class Budget:
    """What there is room for.

    Attributes:
        full: whether every weight is on the page.
        cells: else, how many cells a side.
        links: else, how many of the strongest weights a head.
    """

    full: bool
    cells: int
    links: int


def budget_of(sections: Sequence[Section]) -> Budget:
    """Return what a page with these sections has room for."""
    kept = [site.sizes for section in sections for site in section.sites if site.kept is not None]
    heads = max(1, sum(sizes.heads for sizes in kept))
    return Budget(
        full=sum(sizes.heads * sizes.queries * sizes.keys for sizes in kept) <= FULL,
        cells=_within(math.isqrt(CELLS // (_BYTES_A_CELL * heads)), _FEWEST_CELLS, _MOST_CELLS),
        links=_within(LINKS // (_BYTES_A_LINK * heads), _FEWEST_LINKS, _MOST_LINKS),
    )


def _within(number: int, least: int, most: int) -> int:
    return max(least, min(number, most))
