"""Rows held out of the training side, where a user has none to validate on."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from regard.errors import TaskError

if TYPE_CHECKING:
    from regard.tasks.data.read import Table

# One row in so many is held out, and no more than:
_ONE_IN = 20
_MOST = 1000


def hold_out(table: "Table") -> "tuple[Table, Table]":
    """Return a table in two: what to train on, and rows to validate on, evenly spread, one in 20 and at most 1,000.

    Raises:
        TaskError: it has a single row.
    """
    rows: Any = table.rows
    count = len(rows)
    if count < 2:
        raise TaskError("expected at least 2 rows to train on, of which one is held out to validate on; got 1")
    held = min(_MOST, max(1, count // _ONE_IN))
    chosen = (2 * np.arange(held) + 1) * count // (2 * held)
    sides = {"train": np.delete(np.arange(count), chosen), "valid": chosen}
    train, valid = (
        replace(table, rows=rows.select(side), digest=f"{table.digest}:{name}") for name, side in sides.items()
    )
    return train, valid
