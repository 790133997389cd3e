"""The answer of a Hugging Face text model, asked again with words removed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from regard.errors import ShapeError, WatchError
from regard.watch.faithfulness.variants import Variants, Words, filler_for

# How many tokens of padded variants go through the model at once; logits of each over the vocabulary are large.
_TOKENS = 4096
# By what share a word's embeddings are made longer and shorter to see where the text's embedding goes.
_NUDGE = 1e-2


@dataclass(frozen=True, eq=False)
class TextAnswer:
    """A model's answer to one text, as a function of which words stay: `answer(keep)` for `faithfulness`.

    Attributes:
        kind: "embedding" (cosine with the full text's mean over tokens), "class", "next token", "masked token"
            (probability of what is predicted for the full text), or "target" (log-probability a token of it).
        about: the answer in words.
        place: the token of the text from whose position the answer is read; None where there is no single one.
    """

    kind: str
    about: str
    place: int | None
    model: Any
    words: Words
    extra: dict[str, Tensor]
    wanted: Tensor

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

        Where the answer is read at one place, the nearest words come first; else the first ones do.
        """
        at = torch.arange(len(self.words.words), device=self.words.words.device, dtype=torch.float)
        centre = self._by_word(at) / self._by_word(torch.ones_like(at))
        near = self.kind in ("next token", "masked token")
        at_place = at[-1] if self.words.place is None else at[self.words.place]
        return -(centre - at_place).abs() if near else -centre

    def gradient_times_input(self) -> Tensor:
        """Return scores (units,): the gradient of the answer by the input embeddings, times these, by word.

        The cosine of an embedding with itself is at its maximum, so its gradient is 0. There the score is how far
        the direction of the text's embedding turns, to first order, as a word's input embeddings are made shorter:
        the length of the Jacobian times input, by a central difference.

        Source: Simonyan et al. 2013; Shrikumar et al. 2016 (gradient times input).
        """
        whole = self.words.variants(torch.ones((1, self.units), dtype=torch.bool))
        embeddings = self.model.get_input_embeddings()(whole.inputs["input_ids"]).detach()
        if self.kind == "embedding":
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
            factor = _NUDGE * own.to(embeddings.dtype)
            many = Variants(
                {name: values.expand(len(words), -1) for name, values in whole.inputs.items()}, whole.place
            )
            up, down = (
                F.normalize(self._embedding(many, embeddings * sign), dim=-1) for sign in (1 + factor, 1 - factor)
            )
            parts.append((up - down).norm(dim=-1) / (2 * _NUDGE))
        return torch.cat(parts)

    @property
    def _at_once(self) -> int:
        """How many variants go through the model at once; a classifier that knows no padding takes them singly."""
        single = self.kind == "class" and getattr(self.model.config, "pad_token_id", None) is None
        return 1 if single else max(1, _TOKENS // len(self.words.ids))

    def _by_word(self, values: Tensor) -> Tensor:
        """Return sums (units,) of values (N,) over the tokens of each word."""
        return sum_by_word(values, self.words.words)

    def _score(self, variants: Variants, embeddings: Tensor | None = None) -> Tensor:
        if self.kind == "embedding":
            return F.cosine_similarity(self._embedding(variants, embeddings), self.wanted, dim=-1)
        logits = _wide(self._run(self.model, variants, embeddings).logits)
        if self.kind == "target":
            wanted = self.wanted.expand(len(logits), -1).unsqueeze(-1)
            return logits.log_softmax(-1).gather(-1, wanted).squeeze(-1).mean(-1)
        if self.kind != "class":
            logits = logits[torch.arange(len(logits), device=logits.device), variants.place]
        return logits.softmax(-1)[:, int(self.wanted)]

    def _embedding(self, variants: Variants, embeddings: Tensor | None = None) -> Tensor:
        """Return the mean (variants, width) of the last layer over the tokens that stay."""
        hidden = _wide(self._run(self.model.base_model, variants, embeddings).last_hidden_state)
        seen = variants.inputs["attention_mask"].unsqueeze(-1).to(hidden.dtype)
        return (hidden * seen).sum(1) / seen.sum(1)

    def _run(self, model: Any, variants: Variants, embeddings: Tensor | None) -> Any:
        inputs = dict(variants.inputs)
        if embeddings is not None:
            del inputs["input_ids"]
            inputs["inputs_embeds"] = embeddings
        count = len(inputs["attention_mask"])
        extra: dict[str, Any] = {name: values.expand(count, -1) for name, values in self.extra.items()}
        if self.kind == "next token":
            extra["use_cache"] = False
        return model(**inputs, **extra)


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
        ShapeError: words and tokens do not fit together, or there is more than one text.
        WatchError: nothing would stay, or an encoder-decoder without `labels`.
    """
    ids, numbers = inputs["input_ids"], torch.as_tensor(words, dtype=torch.long, device=inputs["input_ids"].device)
    _check(ids, numbers)
    kind = _kind(model, tokenizer, inputs)
    place = _place(kind, tokenizer, ids[0], numbers)
    text = Words(
        ids=ids[0],
        types=inputs["token_type_ids"][0] if "token_type_ids" in inputs else None,
        words=numbers,
        way=remove,
        filler=filler_for(remove, tokenizer),
        place=place,
    )
    extra = {name: inputs[name] for name in ("decoder_input_ids",) if name in inputs and kind == "target"}
    answer = TextAnswer(kind, "", place, model, _started(text, tokenizer), extra, ids.new_zeros(()))
    if kind in ("next token", "class"):
        answer = replace(answer, place=_read_at(kind, model, len(ids[0])))
    return _aimed(answer, tokenizer, inputs)


@torch.no_grad()
def _aimed(answer: TextAnswer, tokenizer: Any, inputs: Mapping[str, Tensor]) -> TextAnswer:
    """Return an answer that knows what the model says to the full text."""
    whole = answer.words.variants(torch.ones((1, answer.units), dtype=torch.bool))
    if answer.kind == "embedding":
        about = "the embedding of the text (cosine with that of the full text)"
        return replace(answer, wanted=answer._embedding(whole), about=about)
    if answer.kind == "target":
        about = "the target (mean log-probability of its tokens)"
        return replace(answer, wanted=inputs["labels"], about=about)
    logits = answer._run(answer.model, whole, None).logits[0]
    best = (logits if answer.kind == "class" else logits[int(whole.place)]).argmax(-1)
    label = (
        str(answer.model.config.id2label.get(int(best), int(best)))
        if answer.kind == "class"
        else tokenizer.decode([int(best)]).strip()
    )
    return replace(answer, wanted=best, about=f"the probability of the {answer.kind} {label!r}")


def sum_by_word(values: Tensor, words: Tensor) -> Tensor:
    """Return sums (words,) of values (N,) over the tokens of each word; number -1 is left out."""
    there = words >= 0
    sums = values.new_zeros(int(words.max()) + 1)
    return sums.index_add_(0, words[there], values[there])


def _wide(values: Tensor) -> Tensor:
    """Return numbers in float32 at least."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _kind(model: Any, tokenizer: Any, inputs: Mapping[str, Tensor]) -> str:
    name = type(model).__name__
    if getattr(model.config, "is_encoder_decoder", False):
        if "labels" not in inputs or "decoder_input_ids" not in inputs:
            raise WatchError(
                f"{name}: expected the target as decoder_input_ids and labels; got {', '.join(inputs)}"
            )
        return "target"
    if "ForSequenceClassification" in name:
        return "class"
    if "LMHead" in name or "ForCausalLM" in name:
        return "next token"
    masked = tokenizer.mask_token_id is not None and bool((inputs["input_ids"] == tokenizer.mask_token_id).any())
    return "masked token" if "ForMaskedLM" in name and masked else "embedding"


def _place(kind: str, tokenizer: Any, ids: Tensor, words: Tensor) -> int | None:
    if kind != "masked token":
        return None
    place = int((ids == tokenizer.mask_token_id).nonzero()[0])
    if int(words[place]) >= 0:
        raise ShapeError(
            f"words: expected -1 at the masked token {place}, as it must stay; got {int(words[place])}"
        )
    return place


def _read_at(kind: str, model: Any, tokens: int) -> int:
    """Return the token from which an answer is read: the first for classes of an encoder, else the last."""
    causal = kind == "next token" or getattr(model.base_model, "is_causal", False)
    return tokens - 1 if causal else 0


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
