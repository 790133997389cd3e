"""Tiny random models of transformers, in the variants that their configs allow, and how each is called."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
import transformers
from torch import Tensor, nn

WORDS, LENGTH, BATCH = 50, 9, 3


def words(seed: int = 0, length: int = LENGTH) -> Tensor:
    return torch.randint(4, WORDS, (BATCH, length), generator=torch.Generator().manual_seed(seed))


# How many tokens of each item are real: all, some, one.
REAL = torch.tensor([LENGTH, 5, 1])
AT_END = torch.arange(LENGTH) < REAL[:, None]
AT_START = AT_END.flip(1)


@dataclass(frozen=True)
class Case:
    """A model class, its config, and its output and ours for the same input."""

    model: str
    config: str
    fields: dict[str, Any]
    theirs: Callable[[Any], Tensor]
    ours: Callable[[Any], Tensor]
    real: Callable[[], Tensor] = field(default=lambda: torch.ones(BATCH, LENGTH, dtype=torch.bool))

    def build(self) -> nn.Module:
        """Return the model, with weights large enough for differences to show."""
        torch.manual_seed(0)
        config = getattr(transformers, self.config)(**self.fields)
        model = getattr(transformers, self.model)(config).eval()
        with torch.no_grad():
            for each in (every for every in model.parameters() if every.requires_grad):
                each.add_(torch.randn(each.shape) * 0.1)
        return model


SIZES = {
    "vocab_size": WORDS,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 20,
    "bos_token_id": None,
    "eos_token_id": None,
}


def encoded(model: str, **fields: Any) -> Case:
    return Case(
        model,
        "BertConfig",
        SIZES | {"max_position_embeddings": 12} | fields,
        lambda each: each(words(), attention_mask=AT_END.long(), token_type_ids=words(1) % 2)[0],
        lambda each: each(words(), real=AT_END, segments=words(1) % 2),
        lambda: AT_END,
    )


def decoded(family: str, model: str | None = None, **fields: Any) -> Case:
    return Case(
        model or f"{family}ForCausalLM",
        f"{family}Config",
        SIZES | {"max_position_embeddings": 32} | fields,
        lambda each: (
            each(words(), attention_mask=AT_START.long(), position_ids=(AT_START.cumsum(1) - 1).clamp(min=0)).logits
        ),
        lambda each: each(words(), padding=LENGTH - REAL),
        lambda: AT_START,
    )


def gpt2(**fields: Any) -> Case:
    sizes = {"vocab_size": WORDS, "n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 12}
    case = decoded("GPT2", "GPT2LMHeadModel")
    ends = {"bos_token_id": None, "eos_token_id": None}
    return Case(case.model, case.config, sizes | ends | fields, case.theirs, case.ours, case.real)


def translated(model: str, config: str, **fields: Any) -> Case:
    return Case(
        model,
        config,
        fields,
        lambda each: each(words(), attention_mask=AT_END.long(), decoder_input_ids=words(1, 6)).logits,
        lambda each: each(words(), words(1, 6), real=AT_END),
        lambda: torch.ones(BATCH, 6, dtype=torch.bool),
    )


def t5(**fields: Any) -> Case:
    sizes = {"vocab_size": WORDS, "d_model": 16, "d_kv": 6, "d_ff": 20, "num_layers": 2, "num_heads": 2}
    buckets = {"relative_attention_num_buckets": 8, "relative_attention_max_distance": 6}
    return translated("T5ForConditionalGeneration", "T5Config", **sizes, **buckets, **fields)


def marian(**fields: Any) -> Case:
    sizes = {"vocab_size": WORDS, "d_model": 16, "encoder_layers": 2, "decoder_layers": 1}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 4}
    hidden = {"encoder_ffn_dim": 20, "decoder_ffn_dim": 24, "max_position_embeddings": 12}
    tokens = {"pad_token_id": 0, "eos_token_id": 1, "forced_eos_token_id": 1, "decoder_start_token_id": 0}
    return translated("MarianMTModel", "MarianConfig", **sizes, **heads, **hidden, **tokens, **fields)


def pictures() -> Tensor:
    return torch.randn(BATCH, 3, 16, 24, generator=torch.Generator().manual_seed(0))


def seen(model: str, **fields: Any) -> Case:
    sizes = {key: value for key, value in SIZES.items() if not key.endswith("_id") and key != "vocab_size"}
    picture = {"image_size": (16, 24), "patch_size": 8}
    return Case(
        model,
        "ViTConfig",
        sizes | picture | fields,
        lambda each: each(pictures())[0],
        lambda each: each(pictures()),
    )


def rotary(kind: str, **fields: Any) -> dict[str, Any]:
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 100.0} | fields}


GROUPED = {"num_key_value_heads": 2}
CASES = {
    "bert": encoded("BertModel"),
    "bert, masked words": encoded("BertForMaskedLM"),
    "bert, other activation": encoded("BertForMaskedLM", hidden_act="relu", layer_norm_eps=1e-3),
    "gpt2": gpt2(),
    "gpt2, untied, hidden width": gpt2(tie_word_embeddings=False, n_inner=24, activation_function="gelu"),
    "llama": decoded("Llama"),
    "llama, grouped, tied": decoded("Llama", **GROUPED, tie_word_embeddings=True),
    "llama, biases": decoded("Llama", attention_bias=True, mlp_bias=True, head_dim=6),
    "llama, linear scaling": decoded("Llama", **rotary("linear", factor=4.0)),
    # Ours goes by the length of each item, theirs by the longest of the batch: they agree on that one.
    "llama, dynamic scaling": replace(
        decoded("Llama", **rotary("dynamic", factor=4.0), max_position_embeddings=5),
        real=lambda: AT_START & (REAL == LENGTH)[:, None],
    ),
    "llama, yarn": decoded("Llama", **rotary("yarn", factor=4.0, original_max_position_embeddings=8)),
    "llama, llama3 scaling": decoded(
        "Llama",
        **rotary(
            "llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=8
        ),
    ),
    "mistral, window": decoded("Mistral", **GROUPED, sliding_window=3),
    "mistral, no window": decoded("Mistral", **GROUPED, sliding_window=None),
    "qwen2": decoded("Qwen2", **GROUPED),
    "qwen2, window in some": decoded(
        "Qwen2", **GROUPED, use_sliding_window=True, sliding_window=3, max_window_layers=1
    ),
    "qwen3": decoded("Qwen3", **GROUPED, head_dim=6),
    "stablelm, partial rotary": decoded("StableLm", **GROUPED, partial_rotary_factor=0.5, use_qkv_bias=True),
    "t5": t5(),
    "t5, gated, scale of its own": t5(feed_forward_proj="gated-gelu", tie_word_embeddings=False),
    "t5, fewer blocks in the decoder": t5(num_decoder_layers=1),
    "marian": marian(),
    "marian, scaled": marian(scale_embedding=True, activation_function="swish"),
    "vit": seen("ViTModel"),
    "vit, classes": seen("ViTForImageClassification", num_labels=7),
    "vit, no bias": seen("ViTModel", qkv_bias=False),
}
