"""How much of a run is kept: queries and keys where there is room for them, so that any weight can be had."""

from typing import Any

from regard.cli.model import TextModel
from regard.cli.request import Request
from regard.engines.observe import CELLS
from regard.engines.statistics import STATISTICS
from regard.errors import InputError

# Bytes of all queries and keys that are kept at most.
MOST_KEPT = 4 << 30
# Rows and columns of the maps where these are not kept.
CELLS_ALONE = 2 * CELLS


def kept_of(loaded: TextModel, tokens: int, request: Request) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return what to ask of `watch`, and sentences on what is not kept.

    Args:
        loaded: the model.
        tokens: how many tokens it reads.
        request: what is asked of that.

    Raises:
        InputError: it needs every weight, and there is no room for that.
    """
    a_token = _bytes_a_token(loaded)
    if tokens * a_token <= MOST_KEPT:
        return {"want": (*STATISTICS, "rows")}, ()
    most = MOST_KEPT // a_token
    if request.every_weight:
        raise InputError(
            f"{', '.join(request.every_weight)}: expected at most {most:,} tokens, of which every weight is kept at"
            f" hand; got {tokens:,}. Read the beginning with --max-tokens {most}"
        )
    size = f"{tokens * a_token / 1e9:.0f} GB for {tokens:,} tokens"
    told = (
        f"Queries and keys were not kept, since they take {size} (they are up to {most:,} tokens): maps are in"
        f" {CELLS_ALONE} cells a side, and kinds of heads and single weights are not told."
    )
    return {"want": STATISTICS, "cells": CELLS_ALONE}, (told,)


def _bytes_a_token(loaded: TextModel) -> int:
    """Return what queries and keys of one token take in all layers, as wide as the model's hidden states."""
    config = loaded.model.config
    layers, width = (int(getattr(config, name, None) or 1) for name in ("num_hidden_layers", "hidden_size"))
    calls = 3 * layers if loaded.has_encoder_and_decoder else layers
    return 2 * calls * width * int(loaded.model.dtype.itemsize)
