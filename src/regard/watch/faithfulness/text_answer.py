"""The answer of a Hugging Face text model, asked again with words removed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from regard.errors import ShapeError, WatchError
from regard.watch.faithfulness.reader import Reader, reader_of
from regard.watch.faithfulness.variants import Variants, Words, filler_for

# How many tokens of padded variants go through the model at once; logits of each over the vocabulary are large.
_TOKENS = 4096
# By what share a word's embeddings are made longer and shorter to see where the text's embedding turns.
_NUDGE = 1e-2


@dataclass(frozen=True, eq=False)
class TextAnswer:
    """A model's answer to one text, as a function of which words stay: `answer(keep)` for `faithfulness`.

    Attributes:
        reader: the model; its kind is "embedding" (cosine with the full text's mean over tokens), "class",
            "next token" or "masked token" (probability of what is predicted for the full text), or "target"
            (log-probability of it, mean over its tokens).
        words: the text.
        wanted: the full text's embedding, the number of the class or token, or the target's tokens.
        about: the answer in words.
        place: the token of the text from whose position the answer is read; None where there is no single one.
    """

    reader: Reader
    words: Words
    wanted: Tensor
    about: str
    place: int | None

    @property
    def units(self) -> int:
        """How many words can be removed."""
        return self.words.count

    @torch.no_grad()
    def __call__(self, keep: Tensor) -> Tensor:
        """Return the answer's score (variants,) when some words stay, (variants, units) booleans."""
        return torch.cat([self._score(self.words.variants(part)) for part in keep.split(self._at_once)])

    def position(self) -> Tensor:
        """Return scores (units,) that know nothing but where words stand.

        Where a token is predicted, the words nearest to it come first; else the first ones do.
        """
        at = torch.arange(len(self.words.words), device=self.words.words.device, dtype=torch.float)
        centre = self._by_word(at) / self._by_word(torch.ones_like(at))
        if self.reader.kind not in ("next token", "masked token"):
            return -centre
        return -(centre - at[-1 if self.words.place is None else self.words.place]).abs()

    def rarity(self) -> Tensor:
        """Return scores (units,) that know nothing of the model: the largest token number of each word.

        Vocabularies list frequent pieces first, more or less, so rare words come first.
        """
        ids, words = self.words.ids.float(), self.words.words
        there = words >= 0
        return ids.new_zeros(self.units).scatter_reduce(0, words[there], ids[there], "amax")

    def gradient_times_input(self) -> Tensor:
        """Return scores (units,): the gradient of the answer by the input embeddings, times these, by word.

        The cosine of an embedding with itself is at its maximum, so its gradient is 0. There the score is how far
        the direction of the text's embedding turns, to first order, as a word's input embeddings are made shorter:
        the length of the Jacobian times input, by a central difference.

        Source: Simonyan et al. 2013; Shrikumar et al. 2016 (gradient times input).
        """
        whole = self.words.whole()
        embeddings = self.reader.model.get_input_embeddings()(whole.inputs["input_ids"]).detach()
        if self.reader.kind == "embedding":
            return self._turned(whole, embeddings)
        with torch.enable_grad():
            embeddings.requires_grad_(True)
            (gradient,) = torch.autograd.grad(self._score(whole, embeddings).sum(), embeddings)
        return self._by_word((gradient * embeddings.detach()).sum(-1)[0])

    @torch.no_grad()
    def _turned(self, whole: Variants, embeddings: Tensor) -> Tensor:
        parts = []
        for words in torch.arange(self.units, device=embeddings.device).split(self._at_once):
            own = (self.words.words == words.unsqueeze(-1)).unsqueeze(-1)
            step = _NUDGE * own.to(embeddings.dtype)
            inputs = {name: values.expand(len(words), -1) for name, values in whole.inputs.items()}
            up, down = (
                F.normalize(self.reader.embedding(Variants(inputs, whole.place), embeddings * factor), dim=-1)
                for factor in (1 + step, 1 - step)
            )
            parts.append((up - down).norm(dim=-1) / (2 * _NUDGE))
        return torch.cat(parts)

    @property
    def _at_once(self) -> int:
        """How many variants go through the model at once."""
        return max(1, _TOKENS // len(self.words.ids)) if self.reader.takes_padding else 1

    def _by_word(self, values: Tensor) -> Tensor:
        return sum_by_word(values, self.words.words)

    def _score(self, variants: Variants, embeddings: Tensor | None = None) -> Tensor:
        if self.reader.kind == "embedding":
            return F.cosine_similarity(self.reader.embedding(variants, embeddings), self.wanted, dim=-1)
        logits = self.reader.logits(variants, embeddings)
        if self.reader.kind == "target":
            wanted = self.wanted.expand(len(logits), -1).unsqueeze(-1)
            return logits.log_softmax(-1).gather(-1, wanted).squeeze(-1).mean(-1)
        return logits.softmax(-1)[:, int(self.wanted)]


def text_answer(
    model: Any,
    tokenizer: Any,
    inputs: Mapping[str, Tensor],
    words: Sequence[int] | Tensor,
    *,
    remove: str = "delete",
) -> TextAnswer:
    """Return the answer of a model to one text, as a function of which words stay.

    What the answer is follows from the model: of an encoder-decoder the log-probability of `labels`, of a
    classifier the class, of a decoder the next token, of a masked language model the token at its mask, if the text
    has one; of all others the embedding. A text without a token that always stays gets the tokenizer's first (or
    last) special one in front, in all variants alike, lest nothing be left of it.

    Args:
        model: a `transformers` model in evaluation.
        tokenizer: its tokenizer.
        inputs: of one text, `input_ids` (1, N); `token_type_ids`, `decoder_input_ids` and `labels` where needed.
        words: (N,) number of each token's word, from 0; -1 for tokens that always stay, such as special ones.
        remove: "delete" words, "hide" their keys from attention everywhere, or put the "mask", "pad" or "unk"
            token in their place.

    Raises:
        WantError: no such way to remove words, or the tokenizer lacks its token.
        ShapeError: words and tokens do not fit together, there is more than one text, or the masked token may go.
        WatchError: nothing would stay, or an encoder-decoder without `labels`.
    """
    ids = inputs["input_ids"]
    numbers = torch.as_tensor(words, dtype=torch.long, device=ids.device)
    _check(ids, numbers)
    reader = reader_of(model, tokenizer, inputs)
    text = Words(
        ids=ids[0],
        types=inputs["token_type_ids"][0] if "token_type_ids" in inputs else None,
        words=numbers,
        way=remove,
        filler=filler_for(remove, tokenizer),
        place=_masked(tokenizer, ids[0], numbers) if reader.kind == "masked token" else None,
    )
    text = _started(text, tokenizer)
    wanted, about = _said(reader, tokenizer, text, inputs)
    return TextAnswer(reader, text, wanted, about, _read_at(reader, text.place, len(ids[0])))


def sum_by_word(values: Tensor, words: Tensor) -> Tensor:
    """Return sums (words,) of values (N,) over the tokens of each word; number -1 is left out."""
    there = words >= 0
    sums = values.new_zeros(int(words.max()) + 1)
    return sums.index_add_(0, words[there], values[there])


@torch.no_grad()
def _said(reader: Reader, tokenizer: Any, text: Words, inputs: Mapping[str, Tensor]) -> tuple[Tensor, str]:
    """Return what the model says to the full text, and the answer in words."""
    if reader.kind == "embedding":
        return reader.embedding(text.whole()), "the embedding of the text (cosine with that of the full text)"
    if reader.kind == "target":
        return inputs["labels"], "the target (mean log-probability of its tokens)"
    best = reader.logits(text.whole())[0].argmax()
    number = int(best)
    if reader.kind == "class":
        label = str(reader.model.config.id2label.get(number, number))
    else:
        label = tokenizer.decode([number]).strip()
    return best, f"the probability of the {reader.kind} {label!r}"


def _masked(tokenizer: Any, ids: Tensor, words: Tensor) -> int:
    place = int((ids == tokenizer.mask_token_id).nonzero()[0])
    if int(words[place]) >= 0:
        raise ShapeError(
            f"words: expected -1 at the masked token {place}, as it must stay; got {int(words[place])}"
        )
    return place


def _read_at(reader: Reader, masked: int | None, tokens: int) -> int | None:
    """Return the token from which an answer is read: for the class of an encoder the first."""
    if reader.kind == "class" and not any(getattr(each, "is_causal", False) for each in reader.model.modules()):
        return 0
    return tokens - 1 if reader.kind in ("class", "next token") else masked


def _started(text: Words, tokenizer: Any) -> Words:
    if bool((text.words < 0).any()):
        return text
    start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    if start is None:
        raise WatchError(
            "words: expected at least one token that stays (-1), as the tokenizer has none to begin with"
        )

    def led(values: Tensor, first: int) -> Tensor:
        return torch.cat([values.new_tensor([first]), values])

    types = None if text.types is None else led(text.types, 0)
    return replace(text, ids=led(text.ids, start), types=types, words=led(text.words, -1))


def _check(ids: Tensor, words: Tensor) -> None:
    if ids.ndim != 2 or len(ids) != 1 or words.shape != ids.shape[1:]:
        raise ShapeError(
            f"expected one text (1, N) and a word for each of its N tokens; got {tuple(ids.shape)} and"
            f" {tuple(words.shape)}"
        )
    numbers = words[words >= 0].unique()
    if not torch.equal(numbers, torch.arange(len(numbers), device=words.device)) or not len(numbers):
        raise ShapeError("words: expected every number from 0 to the last one, and at least one word")
