"""Running a model on made-up tokens: which numbers it takes, what starts a text, and how it is called."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from regard.errors import InputError, WatchError
from regard.watch.site import Site
from regard.watch.watching import watch

# What a measure gives for a site: (H,) for each score, or None where the site has no such scores.
Measure = Callable[[Site], dict[str, Tensor] | None]


@dataclass(eq=False)
class Measured:
    """Scores of trial after trial: `scores[name][site]` is a list of (H,), one a trial."""

    causal: bool = True
    scores: dict[str, dict[str, list[Tensor]]] = field(default_factory=dict)
    left_out: dict[str, None] = field(default_factory=dict)

    def take(self, site: Site, found: dict[str, Tensor] | None) -> None:
        """Take in what a trial found at a site."""
        if found is None:
            self.left_out[site.name] = None
            return
        self.causal = self.causal and not bool(site.diagonal(1).any())
        for name, score in found.items():
            self.scores.setdefault(name, {}).setdefault(site.name, []).append(score)

    def stacked(self) -> dict[str, dict[str, Tensor]]:
        """Return (H, trials) for each score and site.

        Raises:
            WatchError: no self-attention over the whole text was seen.
        """
        if not self.scores:
            raise WatchError(
                "expected at least one self-attention call over the whole text; got"
                f" {', '.join(self.left_out) or 'no call that could be seen'}. Pass call=, a function that takes"
                " token numbers (1, N) and runs the model on them"
            )
        return {
            name: {site: torch.stack(trials, -1) for site, trials in sites.items()}
            for name, sites in self.scores.items()
        }


def run(
    model: nn.Module, call: Callable[[Tensor], Any] | None, tokens: Tensor, measure: Measure, into: Measured
) -> None:
    """Run a model on tokens (N,) and measure each site as it comes by."""

    def take(site: Site) -> None:
        into.take(site, measure(site))
        # The queries and keys of all layers together would be as large as a cache.
        seen.sites.clear()

    call = _call(model) if call is None else call
    with _evaluating(model), torch.no_grad(), watch(model, want=("rows",), on_site=take) as seen:
        call(tokens.unsqueeze(0).to(_device(model)))


def _call(model: nn.Module) -> Callable[[Tensor], Any]:
    """Return how a model is called: `input_ids=` where its forward has that, without a cache where it has one."""
    names = inspect.signature(model.forward).parameters
    options = {"use_cache": False} if "use_cache" in names else {}
    if "input_ids" in names:
        return lambda tokens: model(input_ids=tokens, **options)
    return lambda tokens: model(tokens, **options)


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Turn dropout off, and back on where it was on."""
    training = [module for module in model.modules() if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


def _device(model: nn.Module) -> torch.device:
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The numbers of the tokens that made-up texts are drawn from, and those that start a text."""

    numbers: Tensor
    start: Tensor
    longest: int | None

    @classmethod
    def of(
        cls, model: nn.Module, tokenizer: Any, vocab: int | Sequence[int] | None, start: Sequence[int] | None
    ) -> "Vocabulary":
        """Return a model's vocabulary without special tokens.

        Args:
            model: its configuration, where it has one, names special tokens and the longest text.
            tokenizer: names special tokens too; may be None.
            vocab: how many tokens there are, or the numbers to draw from, which are taken as they are.
            start: what to begin each text with. Default: the token that starts texts, where one is named.

        Raises:
            InputError: it is not known how many tokens there are.
        """
        named = _special(model, tokenizer)
        if vocab is None or isinstance(vocab, int):
            size = _size(model, tokenizer) if vocab is None else vocab
            special = {number for numbers in named.values() for number in numbers}
            numbers = [number for number in range(size) if number not in special]
        else:
            numbers = list(dict.fromkeys(vocab))
        if start is None:
            start = next((named[name][:1] for name in ("bos_token_id", "cls_token_id") if named.get(name)), [])
        longest = getattr(_config(model), "max_position_embeddings", None)
        return cls(torch.tensor(numbers), torch.tensor(start, dtype=torch.long), longest)

    def drawn(self, count: int, generator: torch.Generator, without: Tensor | None = None) -> Tensor:
        """Return (count,) different random tokens, none of those in `without`.

        Raises:
            InputError: there are not so many.
        """
        pool = self.besides(without)
        if len(pool) < count:
            raise InputError(
                f"expected at least {count} different tokens that are not special; the vocabulary has {len(pool)}."
                " Make the text shorter, or name more tokens with vocab="
            )
        return pool[torch.randperm(len(pool), generator=generator)[:count]]

    def besides(self, without: Tensor | None) -> Tensor:
        """Return the numbers that are not among some others."""
        return self.numbers if without is None else self.numbers[~torch.isin(self.numbers, without)]

    def check_length(self, count: int) -> None:
        """Raise InputError where the model takes no text of so many tokens."""
        if self.longest is not None and count > self.longest:
            raise InputError(f"expected at most {self.longest} tokens, which the model takes; the text has {count}")


def _config(model: nn.Module) -> Any:
    config = getattr(model, "config", None)
    return getattr(config, "text_config", None) or config


def _size(model: nn.Module, tokenizer: Any) -> int:
    known = [getattr(_config(model), "vocab_size", None), None if tokenizer is None else len(tokenizer)]
    known.append(next((m.num_embeddings for m in model.modules() if isinstance(m, nn.Embedding)), None))
    sizes = [size for size in known if isinstance(size, int)]
    if not sizes:
        raise InputError("vocab: expected the number of tokens, since neither model nor tokenizer tells it")
    return min(sizes[: 1 if tokenizer is None else 2])


def _special(model: nn.Module, tokenizer: Any) -> Mapping[str, list[int]]:
    """Return the special tokens by the name under which model and tokenizer know them."""
    found: dict[str, list[int]] = {}
    for owner in (_config(model), getattr(model, "config", None), getattr(model, "generation_config", None)):
        for name, value in vars(owner).items() if owner is not None else ():
            if name.endswith(("_token_id", "_token_ids")) and value is not None:
                found[name] = [number for number in _as_list(value) if isinstance(number, int)]
    if tokenizer is not None:
        found["of the tokenizer"] = list(tokenizer.all_special_ids)
        for name in ("bos_token_id", "cls_token_id"):
            if (number := getattr(tokenizer, name, None)) is not None:
                found[name] = [number]
    return found


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
