"""Variants of one text: words deleted, hidden from attention, or replaced, as the inputs of a model."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from regard.errors import WantError

WAYS = ("delete", "hide", "mask", "pad", "unk")


@dataclass(frozen=True, eq=False)
class Variants:
    """Variants of a text, ready for a model.

    Attributes:
        inputs: `input_ids`, `attention_mask` and, where the text has them, `token_type_ids`, (variants, n) each.
        place: (variants,) where the answer is read.
    """

    inputs: dict[str, Tensor]
    place: Tensor


@dataclass(frozen=True, eq=False)
class Words:
    """A text of which words can be removed.

    Attributes:
        ids: (N,) tokens.
        types: (N,) token types, or None.
        words: (N,) the number of each token's word, -1 for tokens that always stay.
        way: how words are removed, one of WAYS.
        filler: the token that stands for removed ones, or that pads.
        place: where the answer is read, None for the last token that stays.
    """

    ids: Tensor
    types: Tensor | None
    words: Tensor
    way: str
    filler: int
    place: int | None

    @property
    def count(self) -> int:
        """How many words can be removed."""
        return int(self.words.max()) + 1

    def whole(self) -> Variants:
        """Return the text with all its words."""
        return self.variants(torch.ones((1, self.count), dtype=torch.bool))

    def variants(self, keep: Tensor) -> Variants:
        """Return the variants of a text in which some words stay, (variants, words)."""
        keep = keep.to(self.ids.device)
        # What always stays has the number -1, and finds itself in a last column that is true.
        stays = torch.cat([keep, keep.new_ones((len(keep), 1))], -1)[:, self.words]
        if self.way == "delete":
            return self._deleted(stays)
        ids = self.ids.expand(len(keep), -1)
        if self.way == "hide":
            return self._with(ids, self.types, stays)
        return self._with(ids.where(stays, self.filler), self.types, torch.ones_like(stays))

    def _deleted(self, stays: Tensor) -> Variants:
        longest = int(stays.sum(-1).max())
        left = (~stays).long().argsort(dim=-1, stable=True)[:, :longest]
        there = torch.arange(longest, device=stays.device) < stays.sum(-1, keepdim=True)
        found = self._with(
            self.ids[left].where(there, self.filler), None if self.types is None else self.types[left], there
        )
        return found if self.place is None else Variants(found.inputs, stays[:, : self.place].sum(-1))

    def _with(self, ids: Tensor, types: Tensor | None, seen: Tensor) -> Variants:
        inputs = {"input_ids": ids, "attention_mask": seen.long()}
        if types is not None:
            inputs["token_type_ids"] = types.expand_as(ids)
        last = seen.shape[-1] - 1 - seen.flip(-1).long().argmax(-1)
        return Variants(inputs, last if self.place is None else torch.full_like(last, self.place))


def filler_for(way: str, tokenizer: Any) -> int:
    """Return the token that stands for removed words, or that pads where they are deleted or hidden.

    Raises:
        WantError: an unknown way, or a tokenizer without the token it takes.
    """
    if way not in WAYS:
        raise WantError(f"remove: expected one of {', '.join(WAYS)}; got {way!r}")
    if way in ("delete", "hide"):
        return int(tokenizer.pad_token_id or 0)
    found = getattr(tokenizer, f"{way}_token_id", None)
    if found is None:
        raise WantError(f"remove: {way!r} needs a token that this tokenizer lacks; use 'delete' or 'hide'")
    return int(found)
