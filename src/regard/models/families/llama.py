"""Llama and its relatives Mistral, Qwen2, Qwen3 and StableLM as their pretrained models are stored."""

from collections.abc import Callable, Collection
from functools import partial

from torch import nn

from regard.models.decoder import llama
from regard.models.families.config import Config
from regard.models.families.family import Family, projections, rename
from regard.models.families.rotary import rotary_of

LAYER, BLOCK = "layers.{}", "blocks.{}"
FULL, SLIDING = "full_attention", "sliding_attention"


def _build(config: Config, stored: Collection[str]) -> nn.Module:
    for field, known in (
        ("use_parallel_residual", False),
        ("qk_layernorm", False),
        ("use_mrope", False),
        ("rope_interleaved", False),
        ("hidden_dropout", 0.0),
    ):
        config.one_of(field, known)
    width, heads = config.take("hidden_size", int), config.take("num_attention_heads", int)
    head_width = config.take("head_dim", int, width // heads)
    layers = config.take("num_hidden_layers", int)
    return llama(
        vocabulary=config.take("vocab_size", int),
        width=width,
        layers=layers,
        heads=heads,
        key_heads=config.take("num_key_value_heads", int, heads),
        head_width=head_width,
        hidden=config.take("intermediate_size", int),
        rotary=rotary_of(config, head_width, 0.25 if config.take("model_type", str) == "stablelm" else 1.0),
        norm=_norm(config),
        activation=config.activation("hidden_act", "silu"),
        bias="layers.0.self_attn.q_proj.bias" in stored,
        out_bias="layers.0.self_attn.o_proj.bias" in stored,
        feed_forward_bias="layers.0.mlp.gate_proj.bias" in stored,
        head_norms="layers.0.self_attn.q_norm.weight" in stored,
        windows=_windows(config, layers),
        attention_dropout=config.take("attention_dropout", float, 0.0),
        tied=config.take("tie_word_embeddings", bool, False),
    )


def _norm(config: Config) -> Callable[[int], nn.Module]:
    """Return what makes a norm: StableLM has those of GPT-2, and says so by the name of their epsilon."""
    if config.has("layer_norm_eps"):
        return partial(nn.LayerNorm, eps=config.take("layer_norm_eps", float))
    return partial(nn.RMSNorm, eps=config.take("rms_norm_eps", float, 1e-6))


def _windows(config: Config, layers: int) -> list[int | None]:
    """Return how many tokens one sees in each block; what a family's fields mean where they are absent differs."""
    mistral = config.take("model_type", str) == "mistral"
    used = config.take("use_sliding_window", bool, mistral) and config.has("sliding_window")
    seen = config.take("sliding_window", int) if used else None
    free = min(config.take("max_window_layers", int, 0 if mistral else 28), layers)
    kinds = config.take("layer_types", list, [FULL] * free + [SLIDING] * (layers - free))
    for kind in kinds:
        config.check("layer_types", kind, FULL, SLIDING)
    return [seen if kind == SLIDING else None for kind in kinds]


LLAMA = Family(
    build=_build,
    renames=(
        rename("embed_tokens", "embedding.tokens"),
        rename(f"{LAYER}.input_layernorm", f"{BLOCK}.attention_residual.norm"),
        *projections(f"{LAYER}.self_attn", f"{BLOCK}.attention", ("q_proj", "k_proj", "v_proj", "o_proj")),
        rename(f"{LAYER}.self_attn.q_norm", f"{BLOCK}.attention.query_norm"),
        rename(f"{LAYER}.self_attn.k_norm", f"{BLOCK}.attention.key_norm"),
        rename(f"{LAYER}.post_attention_layernorm", f"{BLOCK}.feed_forward_residual.norm"),
        rename(f"{LAYER}.mlp.gate_proj", f"{BLOCK}.feed_forward.gate"),
        rename(f"{LAYER}.mlp.up_proj", f"{BLOCK}.feed_forward.into"),
        rename(f"{LAYER}.mlp.down_proj", f"{BLOCK}.feed_forward.out"),
        rename("norm", "norm"),
        rename("lm_head", "head"),
    ),
    prefix="model.",
    ignored=(r"(layers\.\d+\.self_attn\.)?rotary_emb\.inv_freq",),
    tied=(r"lm_head\.weight",),
    # Biases and norms are where their tensors are stored; positions end nowhere.
    harmless=("attention_bias", "mlp_bias", "use_qkv_bias", "max_position_embeddings", "sliding_window"),
)
