"""The retrieval probe: which heads find a needle in a haystack while the model copies it out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from regard.errors import InputError
from regard.watch.heads.probe import Probe
from regard.watch.heads.running import Measured, Vocabulary, run
from regard.watch.site import Site

# A random needle is asked for by random tokens that stand before it: the cue.
_CUE = 4


def retrieval(
    model: nn.Module,
    *,
    tokenizer: Any = None,
    filler: str | Sequence[int] | None = None,
    needle: str | Sequence[int] | None = None,
    question: str | Sequence[int] | None = None,
    lengths: Sequence[int] = (256,),
    depths: Sequence[float] = (0.0, 0.25, 0.5, 0.75, 1.0),
    repeats: int = 3,
    needle_length: int = 16,
    vocab: int | Sequence[int] | None = None,
    seed: int = 0,
    start: Sequence[int] | None = None,
    call: Callable[[Tensor], Any] | None = None,
) -> Probe:
    """Measure how often each head's strongest key is the token of a needle that the model is about to copy.

    The model reads a haystack (filler with a needle in it), a question, and then the needle once more, as if it had
    written it. At the position before each of these tokens, a head retrieves if the key with its largest weight
    holds that very token within the needle in the haystack. "retrieval" is the share of the needle's tokens that it
    retrieves, "retrieval weight" its mean weight on them. The paper counts tokens only where the model writes them
    by itself; here all count, whether the model would have written them or not.

    Args:
        model: any module that takes token numbers (1, N), as `input_ids` where its forward has such an argument.
        tokenizer: needed for texts in words; names special tokens to avoid. Default: none.
        filler: the text around the needle, repeated as often as it takes, in each trial from another place; words
            or token numbers. Default: random tokens.
        needle: what is hidden; words or token numbers. Default: random tokens, each once, and none of the filler's.
        question: what stands between haystack and copy; words or token numbers. Default: nothing; for a random
            needle 4 random tokens that stand before it in the haystack too, so that it is known what to copy.
        lengths: of haystacks, in tokens.
        depths: where the needle is, from 0 (at the start) to 1 (at the end).
        repeats: trials of each length and depth.
        needle_length: of a random needle, in tokens.
        vocab: how many tokens there are, or the numbers to draw from. Default: as the model says.
        seed: settles what is random.
        start: what stands before each text. Default: the token that starts texts, where one is named.
        call: takes token numbers (1, N) and runs the model on them. Default: the model itself.

    Returns:
        The scores of every head, with a 95 % interval over trials.

    Raises:
        InputError: words without a tokenizer, a haystack shorter than its needle, too few tokens to draw from, or a
            text longer than the model takes.
        WatchError: no self-attention over the whole text was seen.

    Source: Wu et al. 2024, "Retrieval Head Mechanistically Explains Long-Context Factuality", section 2.
    """
    if not lengths or not depths or repeats < 1 or not all(0 <= depth <= 1 for depth in depths):
        raise InputError(
            f"expected lengths, depths from 0 to 1 and at least 1 repeat; got {lengths}, {depths}, {repeats}"
        )
    words = Vocabulary.of(model, tokenizer, vocab, start)
    given = _Given(*(_numbers(name, text, tokenizer) for name, text in _named(filler, needle, question)))
    generator = torch.Generator().manual_seed(seed)
    measured = Measured()
    for length, depth, _ in product(lengths, depths, range(repeats)):
        trial = _Trial.drawn(words, given, length, depth, needle_length, generator)
        words.check_length(len(trial.tokens))
        run(model, call, trial.tokens, trial.scores, measured)
    how = (
        f"retrieval: a needle in haystacks of {', '.join(map(str, lengths))} tokens, at depths"
        f" {', '.join(f'{depth:g}' for depth in depths)}, {repeats} times each, seed {seed}"
    )
    return Probe("retrieval", how, measured.stacked(), measured.causal, tuple(measured.left_out))


@dataclass(frozen=True, eq=False)
class _Given:
    """What the user gave, as token numbers; None for what is random."""

    filler: Tensor | None
    needle: Tensor | None
    question: Tensor | None


@dataclass(frozen=True, eq=False)
class _Trial:
    """One text: tokens (N,), and where in it the needle stands, first hidden, then copied."""

    tokens: Tensor
    hidden: range
    copied: range

    @classmethod
    def drawn(
        cls,
        words: Vocabulary,
        given: _Given,
        length: int,
        depth: float,
        needle_length: int,
        generator: torch.Generator,
    ) -> "_Trial":
        """Put a text together."""
        needle, question, cue = given.needle, given.question, torch.empty(0, dtype=torch.long)
        if needle is None:
            fresh = words.drawn(needle_length + (_CUE if question is None else 0), generator, given.filler)
            needle, cue = fresh[:needle_length], fresh[needle_length:]
        if question is None:
            question = cue
        room = length - len(cue) - len(needle)
        if room < 0 or not len(needle):
            raise InputError(f"expected a needle, and haystacks to hold it; got {len(needle)} tokens in {length}")
        filler = _filler(words, given.filler, torch.cat([needle, question]), room, generator)
        cut = round(depth * room)
        haystack = torch.cat([words.start, filler[:cut], cue, needle, filler[cut:]])
        begin, end = len(words.start) + cut + len(cue), len(haystack) + len(question)
        # The last token of the copy is never read from: nothing follows it.
        tokens = torch.cat([haystack, question, needle[:-1]])
        return cls(tokens, range(begin, begin + len(needle)), range(end, end + len(needle)))

    def scores(self, site: Site) -> dict[str, Tensor] | None:
        """Return (H,) how much of the needle each head retrieves, and its weight on it."""
        count = len(self.tokens)
        if site.kind != "self" or (site.sizes.queries, site.sizes.keys) != (count, count):
            return None
        P = site.rows([place - 1 for place in self.copied]).double().cpu()  # (B, H, needle, N)
        needle = self.tokens[self.hidden.start : self.hidden.stop]
        right = torch.zeros(len(needle), count, dtype=torch.bool)
        right[:, self.hidden.start : self.hidden.stop] = needle.unsqueeze(-1) == needle
        strongest = P.argmax(-1, keepdim=True)
        found = right.expand_as(P).gather(-1, strongest) & (P.gather(-1, strongest) > 0)
        return {
            "retrieval": found.double().mean((0, 2, 3)),
            "retrieval weight": (P * right).sum(-1).mean((0, 2)),
        }


def _filler(
    words: Vocabulary, given: Tensor | None, without: Tensor, count: int, generator: torch.Generator
) -> Tensor:
    """Return (count,) tokens: the given ones round and round from a random place, or random ones."""
    pool = words.besides(without) if given is None else given
    if not len(pool) and count:
        raise InputError("expected tokens to fill the haystack with; got none beside those of the needle")
    if given is None or not len(pool):
        return pool[torch.randint(len(pool), (count,), generator=generator)] if count else without[:0]
    begin = int(torch.randint(len(given), (), generator=generator))
    return given[(begin + torch.arange(count)) % len(given)]


def _named(*texts: str | Sequence[int] | None) -> list[tuple[str, str | Sequence[int] | None]]:
    return list(zip(("filler", "needle", "question"), texts, strict=True))


def _numbers(name: str, text: str | Sequence[int] | None, tokenizer: Any) -> Tensor | None:
    """Return token numbers of words, or of what was given as numbers."""
    if isinstance(text, str):
        if tokenizer is None:
            raise InputError(
                f"{name}: expected a tokenizer beside a text in words; pass tokenizer=, or token numbers"
            )
        text = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    return None if text is None else torch.as_tensor(text, dtype=torch.long)
