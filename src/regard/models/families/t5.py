"""T5 as its pretrained models are stored."""

from collections.abc import Collection

from torch import nn

from regard.models.families.config import Config
from regard.models.families.family import Family, Rename, projections, rename
from regard.models.t5 import t5

_PROJECTIONS = ("q", "k", "v", "o")


def _build(config: Config, stored: Collection[str]) -> nn.Module:
    config.one_of("is_decoder", False)
    layers = config.take("num_layers", int)
    kind = config.one_of("feed_forward_proj", "relu", "gated-gelu", "gelu", "silu", "gated-silu", "gated-relu")
    gated = kind.startswith("gated-")
    # What is called gated-gelu was trained with the approximation by tanh; the field beside says so in new files.
    name = "gelu_new" if kind == "gated-gelu" else kind.removeprefix("gated-")
    config.one_of("is_gated_act", gated)
    scaled = config.take("tie_word_embeddings", bool, True)
    return t5(
        vocabulary=config.take("vocab_size", int),
        width=config.take("d_model", int),
        head_width=config.take("d_kv", int),
        layers=layers,
        heads=config.take("num_heads", int),
        hidden=config.take("d_ff", int),
        decoder_layers=config.take("num_decoder_layers", int, layers),
        buckets=config.take("relative_attention_num_buckets", int, 32),
        farthest=config.take("relative_attention_max_distance", int, 128),
        activation=config.activation("dense_act_fn", name),
        gated=gated,
        tied="lm_head.weight" not in stored,
        scaled=config.take("scale_decoder_outputs", bool, scaled),
        eps=config.take("layer_norm_epsilon", float, 1e-6),
        dropout=config.take("dropout_rate", float, 0.1),
    )


def _stack(stack: str, feed_forward: int) -> tuple[Rename, ...]:
    """Return the renames of the encoder or decoder, whose feed-forward layer is the last part of a block."""
    block, ours = f"{stack}.block.{{}}.layer", f"{stack}.blocks.{{}}"
    dense = f"{block}.{feed_forward}.DenseReluDense"
    bias = "SelfAttention.relative_attention_bias.weight"
    return (
        rename(f"{stack}.block.0.layer.0.{bias}", f"{stack}.blocks.0.attention.position_bias.weight"),
        *projections(f"{block}.0.SelfAttention", f"{ours}.attention", _PROJECTIONS),
        rename(f"{block}.0.layer_norm", f"{ours}.attention_residual.norm"),
        rename(f"{dense}.wi_0", f"{ours}.feed_forward.gate"),
        rename(f"{dense}.wi_1", f"{ours}.feed_forward.into"),
        rename(f"{dense}.wi", f"{ours}.feed_forward.into"),
        rename(f"{dense}.wo", f"{ours}.feed_forward.out"),
        rename(f"{block}.{feed_forward}.layer_norm", f"{ours}.feed_forward_residual.norm"),
        rename(f"{stack}.final_layer_norm", f"{stack}.norm.0"),
    )


T5 = Family(
    build=_build,
    renames=(
        rename("shared", "encoder.embedding.tokens"),
        *_stack("encoder", 1),
        *projections(
            "decoder.block.{}.layer.1.EncDecAttention", "decoder.blocks.{}.source_attention", _PROJECTIONS
        ),
        rename("decoder.block.{}.layer.1.layer_norm", "decoder.blocks.{}.source_residual.norm"),
        *_stack("decoder", 2),
        rename("lm_head", "decoder.head"),
    ),
    # The embedding stored again, and a table of the first models that they never read.
    ignored=(
        r"(encoder|decoder)\.embed_tokens\.weight",
        r"decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight",
    ),
    harmless=("classifier_dropout", "n_positions"),
)
