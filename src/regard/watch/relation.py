"""How queries and keys of a call belong together: self or cross, told by what models say, and who stands where."""

import re
from collections.abc import Sequence
from typing import Literal

from torch import nn

from regard.engines.contract import Problem
from regard.mechanisms.masks import causal

# How models name attention over another sequence: BERT decoders and T5 ("crossattention", "EncDecAttention"),
# BART and Whisper ("encoder_attn"), torch's decoder layer ("multihead_attn").
_CROSS = re.compile(r"cross|enc_?dec|encoder_attn|multihead_attn", re.IGNORECASE)


def relation(path: str, modules: Sequence[nn.Module], problem: Problem) -> Literal["self", "cross"]:
    """Return "cross" where the innermost modules say so, or where there are more queries than keys.

    A module says so by an attribute `is_cross_attention`, or by its class or its last two names in the path. Fewer
    queries than keys are no sign: a model that generates with a cache has them in self-attention.

    Args:
        path: the path of the module that made the call.
        modules: the modules at work, outermost first.
        problem: the call.
    """
    if modules and isinstance(said := getattr(modules[-1], "is_cross_attention", None), bool):
        return "cross" if said else "self"
    if modules and isinstance(modules[-1], nn.MultiheadAttention) and problem.sizes.queries != problem.sizes.keys:
        return "cross"  # torch's module has no cache
    names = [*path.split(".")[-2:], *(type(module).__name__ for module in modules[-1:])]
    if any(_CROSS.search(name) for name in names):
        return "cross"
    return "cross" if problem.sizes.queries > problem.sizes.keys else "self"


def first_place(kind: str, problem: Problem) -> int:
    """Return at which key the first query stands.

    In self-attention with fewer queries than keys, as generation with a cache has it, the last query stands at the
    last key, unless the call is causal with first positions aligned; else the first stands at the first.
    """
    if kind == "cross" or problem.mask == causal():
        return 0
    return max(0, problem.sizes.keys - problem.sizes.queries)
