"""The induction probe: what a head attends to when random tokens come a second time."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from regard.errors import InputError
from regard.watch.heads.probe import Probe
from regard.watch.heads.running import Measured, Vocabulary, run
from regard.watch.site import Site


def induction(
    model: nn.Module,
    *,
    tokenizer: Any = None,
    vocab: int | Sequence[int] | None = None,
    length: int = 50,
    repeats: int = 8,
    seed: int = 0,
    start: Sequence[int] | None = None,
    call: Callable[[Tensor], Any] | None = None,
) -> Probe:
    """Measure how much each head looks back to what followed a token the last time, and to the token itself.

    The model reads sequences of different random tokens, each twice in a row. "induction" (the prefix-matching
    score) is the mean weight from a token's second occurrence to the one after its first, "duplicate" that to its
    first occurrence itself. Both are exact, and depend on a text's repeating itself alone, not on its meaning.

    An encoder, whose tokens see the whole text, is measured too, but there the scores do not speak of predicting
    what comes next; `Probe.causal` says which it is.

    Args:
        model: any module that takes token numbers (1, N), as `input_ids` where its forward has such an argument.
        tokenizer: names special tokens to avoid, beside those that the model's configuration names. Default: none.
        vocab: how many tokens there are, or the numbers to draw from. Default: as the model says.
        length: how many tokens a sequence has, before it is repeated.
        repeats: how many sequences are read, one by one.
        seed: settles the tokens.
        start: what stands before each text. Default: the token that starts texts, where one is named.
        call: takes token numbers (1, N) and runs the model on them. Default: the model itself.

    Returns:
        The scores of every head, with a 95 % interval over sequences.

    Raises:
        InputError: fewer tokens than a sequence needs, or a text longer than the model takes.
        WatchError: no self-attention over the whole text was seen.

    Source: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits"; Olsson et al. 2022, "In-context
        Learning and Induction Heads" (prefix-matching score).
    """
    if length < 2 or repeats < 1:
        raise InputError(f"expected a length of at least 2 and at least 1 repeat; got {length} and {repeats}")
    words = Vocabulary.of(model, tokenizer, vocab, start)
    total = len(words.start) + 2 * length
    words.check_length(total)
    generator = torch.Generator().manual_seed(seed)
    measured = Measured()
    for _ in range(repeats):
        once = words.drawn(length, generator)
        run(model, call, torch.cat([words.start, once, once]), lambda site: _scores(site, length, total), measured)
    how = f"induction: {repeats} sequences of {length} random tokens, each twice, seed {seed}"
    return Probe("induction", how, measured.stacked(), measured.causal, tuple(measured.left_out))


def _scores(site: Site, length: int, total: int) -> dict[str, Tensor] | None:
    """Return (H,) mean weights from the last `length` tokens to the same tokens before, and to those after them."""
    if site.kind != "self" or (site.sizes.queries, site.sizes.keys) != (total, total):
        return None
    back = {"induction": 1 - length, "duplicate": -length}
    return {name: site.diagonal(offset)[..., -length:].double().mean((0, 2)).cpu() for name, offset in back.items()}
