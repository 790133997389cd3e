"""When a text ends: at a token, at a string, or where a function says so."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.errors import GenerationError

StopRule = Callable[[Tensor], Tensor]
Stop = int | StopRule | Collection[int | StopRule]
Decode = Callable[[list[int]], str]


@dataclass(frozen=True)
class Stops:
    """Several rules, of which any one ends a text."""

    tokens: tuple[int, ...]
    rules: tuple[StopRule, ...]

    @classmethod
    def of(cls, stop: Stop) -> "Stops":
        """Return the rules that a user's argument means.

        Raises:
            GenerationError: something that is neither a token's number nor a function.
        """
        parts = list(stop) if isinstance(stop, Collection) and not isinstance(stop, str) else [stop]
        for part in parts:
            if isinstance(part, bool) or not (callable(part) or (isinstance(part, int) and part >= 0)):
                raise GenerationError(
                    f"stop: expected numbers of tokens, or functions of what is written; got {part!r}. For strings,"
                    " write stop=at_strings([...], tokenizer.decode)"
                )
        return cls(
            tuple(part for part in parts if isinstance(part, int)), tuple(part for part in parts if callable(part))
        )

    def __len__(self) -> int:
        return len(self.tokens) + len(self.rules)

    def ended(self, written: Tensor) -> Tensor:
        """Return which items (B,) end with the last of the tokens written so far (B, n), n at least 1.

        Raises:
            GenerationError: a rule returned something else than a boolean an item.
        """
        last = written[:, -1]
        ended = torch.zeros_like(last, dtype=torch.bool)
        for token in self.tokens:
            ended = ended | (last == token)
        for rule in self.rules:
            said = rule(written)
            if not isinstance(said, Tensor) or said.shape != ended.shape or said.dtype != torch.bool:
                raise GenerationError(
                    f"stop: expected a boolean tensor ({len(ended)},) from {rule}, one an item; got {said!r}"
                )
            ended = ended | said.to(ended.device)
        return ended


def at_strings(strings: Sequence[str], decode: Decode) -> StopRule:
    """Return a rule that ends a text as soon as one of some strings stands anywhere in what was written.

    Args:
        strings: at least one, none empty; looked for in the text of the tokens written, without the prompt.
        decode: text of token numbers, such as a tokenizer's `decode`.

    Raises:
        GenerationError: no string, or an empty one.
    """
    wanted = [strings] if isinstance(strings, str) else list(strings)
    if not wanted or not all(wanted):
        raise GenerationError(f"strings: expected at least one, none of them empty; got {strings!r}")

    def ended(written: Tensor) -> Tensor:
        texts = [decode(tokens) for tokens in written.tolist()]
        return torch.tensor([any(each in text for each in wanted) for text in texts], dtype=torch.bool)

    return ended
