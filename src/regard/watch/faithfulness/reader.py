"""What a Hugging Face text model says to variants of a text: the embedding, or the logits from which it answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from regard.errors import WatchError
from regard.watch.faithfulness.variants import Variants


@dataclass(frozen=True, eq=False)
class Reader:
    """A model, and what of it is its answer.

    Attributes:
        model: a `transformers` model.
        kind: "embedding", "class", "next token", "masked token" or "target".
        decoder: `decoder_input_ids` (1, M) of an encoder-decoder, or nothing.
    """

    model: Any
    kind: str
    decoder: Mapping[str, Tensor]

    @property
    def takes_padding(self) -> bool:
        """Whether variants of different lengths can go through the model at once."""
        return self.kind != "class" or getattr(self.model.config, "pad_token_id", None) is not None

    def logits(self, variants: Variants, embeddings: Tensor | None = None) -> Tensor:
        """Return the logits at the place of the answer (variants, V), or of every target token (variants, M, V)."""
        logits = _wide(self._run(self.model, variants, embeddings).logits)
        if self.kind in ("class", "target"):
            return logits
        return logits[torch.arange(len(logits), device=logits.device), variants.place]

    def embedding(self, variants: Variants, embeddings: Tensor | None = None) -> Tensor:
        """Return the mean (variants, width) of the last layer over the tokens that stay."""
        hidden = _wide(self._run(self.model.base_model, variants, embeddings).last_hidden_state)
        seen = variants.inputs["attention_mask"].unsqueeze(-1).to(hidden.dtype)
        return (hidden * seen).sum(1) / seen.sum(1)

    def _run(self, model: Any, variants: Variants, embeddings: Tensor | None) -> Any:
        inputs: dict[str, Any] = dict(variants.inputs)
        if embeddings is not None:
            del inputs["input_ids"]
            inputs["inputs_embeds"] = embeddings
        for name, values in self.decoder.items():
            inputs[name] = values.expand(len(inputs["attention_mask"]), -1)
        if self.kind == "next token":
            inputs["use_cache"] = False
        return model(**inputs)


def reader_of(model: Any, tokenizer: Any, inputs: Mapping[str, Tensor]) -> Reader:
    """Return a model with the answer that follows from what it is.

    Raises:
        WatchError: an encoder-decoder without a target.
    """
    name = type(model).__name__
    if getattr(model.config, "is_encoder_decoder", False):
        if "labels" not in inputs or "decoder_input_ids" not in inputs:
            raise WatchError(
                f"{name}: expected the target as decoder_input_ids and labels; got {', '.join(inputs)}"
            )
        return Reader(model, "target", {"decoder_input_ids": inputs["decoder_input_ids"]})
    if "ForSequenceClassification" in name:
        return Reader(model, "class", {})
    if "LMHead" in name or "ForCausalLM" in name:
        return Reader(model, "next token", {})
    masked = tokenizer.mask_token_id is not None and bool((inputs["input_ids"] == tokenizer.mask_token_id).any())
    return Reader(model, "masked token" if "ForMaskedLM" in name and masked else "embedding", {})


def _wide(values: Tensor) -> Tensor:
    """Return numbers in float32 at least."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
