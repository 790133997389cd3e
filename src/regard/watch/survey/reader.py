"""How a text model reads documents: tokens, cut off where there are too many, and the model's inputs."""

import inspect
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from regard.errors import InputError
from regard.watch.survey.corpus import Entry
from regard.watch.survey.documents import Document, Words, after_start, words_of

# Documents are cut off after this many tokens where neither the model nor the user says less.
MOST_TOKENS = 2048

_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


@dataclass(frozen=True, eq=False)
class Prepared:
    """A document and what the model reads of it.

    Attributes:
        document: the document.
        inputs: the numbers of its tokens and what goes with them, by name.
        targets: the numbers of the decoder's tokens.
        truncated: whether its end was cut off.
    """

    document: Document
    inputs: dict[str, list[int]]
    targets: list[int]
    truncated: bool

    @property
    def sizes(self) -> tuple[int, int]:
        """How many tokens encoder and decoder read."""
        return len(self.inputs["input_ids"]), len(self.targets)


@dataclass(frozen=True, eq=False)
class Reader:
    """A model with its tokenizer.

    Attributes:
        model: the model; only the encoder of an encoder-decoder that is given no targets.
        tokenizer: the tokenizer.
        max_tokens: after how many tokens documents are cut off.
        start: the token with which decoders start, where there are targets.
    """

    model: torch.nn.Module
    tokenizer: Any
    max_tokens: int
    start: int | None = None

    @classmethod
    def of(cls, model: torch.nn.Module, tokenizer: Any, max_tokens: int | None, *, with_target: bool) -> "Reader":
        """Return a reader, once it is certain that model, tokenizer and length go together.

        Raises:
            InputError: they do not.
        """
        config: Any = getattr(model, "config", None)
        two_sides = bool(getattr(config, "is_encoder_decoder", False))
        if with_target and not two_sides:
            raise InputError("a field for the decoder's text: expected an encoder-decoder; the model is none")
        takes = _positions(config, tokenizer)
        most = min(takes, MOST_TOKENS) if max_tokens is None else max_tokens
        special = tokenizer.num_special_tokens_to_add()
        if not special < most <= takes:
            raise InputError(
                f"--max-tokens: expected from {special + 1} to {takes}, which the model takes; got {most}"
            )
        start = getattr(config, "decoder_start_token_id", None) if with_target else None
        if with_target and start is None:
            raise InputError("the model names no token that its decoder starts with (decoder_start_token_id)")
        whole: Any = model
        return cls(whole.get_encoder() if two_sides and not with_target else model, tokenizer, most, start)

    def prepare(self, entry: Entry) -> Prepared | str:
        """Return what the model reads of a document, or why it cannot."""
        inputs, words, truncated = self._encoded(entry.text or "", as_target=False)
        if not words.groups:
            return "has no token that the tokenizer knows"
        targets, target = [], None
        if entry.target is not None and self.start is not None:
            other, written, cut = self._encoded(entry.target, as_target=True)
            targets = [self.start, *other["input_ids"][:-1]]
            target = after_start(written, str(self.tokenizer.convert_ids_to_tokens(self.start)), self.start)
            truncated = truncated or cut
        document = Document(entry.number, entry.text or "", entry.place, words, target)
        return Prepared(document, inputs, targets, truncated)

    def run(self, batch: Sequence[Prepared]) -> None:
        """Run the model over documents of the same sizes."""
        device = next(self.model.parameters()).device
        inputs = {name: _stacked([p.inputs[name] for p in batch], device) for name in batch[0].inputs}
        if batch[0].targets:
            inputs["decoder_input_ids"] = _stacked([p.targets for p in batch], device)
        self.model(**inputs)

    def _encoded(self, text: str, *, as_target: bool) -> tuple[dict[str, list[int]], Words, bool]:
        """Return the inputs for a text, its words, and whether it was cut off."""
        name = "text_target" if as_target else "text"
        options = {name: text, "return_offsets_mapping": self.tokenizer.is_fast, "verbose": False}
        encoding = self.tokenizer(**options)
        truncated = len(encoding["input_ids"]) > self.max_tokens
        if truncated:
            encoding = self.tokenizer(**options, truncation=True, max_length=self.max_tokens)
        words = words_of(self.tokenizer, encoding, text)
        return {each: list(encoding[each]) for each in taken_by(self.model, encoding)}, words, truncated


def taken_by(model: torch.nn.Module, encoding: Container[str]) -> list[str]:
    """Return the names of what a tokenizer made that the model takes: some make kinds of tokens that T5 refuses."""
    there = [name for name in _INPUTS if name in encoding]
    named = [name for name in there if name in inspect.signature(model.forward).parameters]
    # A model that names none hands its inputs on to one that it wraps.
    return named or there


def _stacked(rows: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    return torch.tensor(rows, device=device)


def _positions(config: Any, tokenizer: Any) -> int:
    """Return how many tokens a model takes, by its tokenizer and its table of positions."""
    limits = [int(tokenizer.model_max_length)] if tokenizer.model_max_length else []
    if isinstance(table := getattr(config, "max_position_embeddings", None), int) and table > 0:
        # RoBERTa and its kin count positions from the padding token's number on.
        roberta = "roberta" in str(getattr(config, "model_type", ""))
        limits.append(table - ((getattr(config, "pad_token_id", None) or 0) + 1 if roberta else 0))
    return min(limits, default=MOST_TOKENS)
