"""Marian as its pretrained models are stored: the Transformer, trained to translate."""

from collections.abc import Collection

from torch import nn

from regard.layers.positions import Sinusoidal
from regard.models.families.config import Config
from regard.models.families.family import Family, Rename, projections, rename
from regard.models.transformer import transformer

_PROJECTIONS = ("q_proj", "k_proj", "v_proj", "out_proj")


def _build(config: Config, stored: Collection[str]) -> nn.Module:
    vocabulary = config.take("vocab_size", int)
    for field, known in (
        ("decoder_vocab_size", vocabulary),
        ("share_encoder_decoder_embeddings", True),
        ("tie_word_embeddings", True),
        ("activation_dropout", 0.0),
        ("normalize_before", False),
        ("normalize_embedding", False),
        ("add_final_layer_norm", False),
        ("static_position_embeddings", True),
        ("add_bias_logits", False),
        ("is_decoder", False),
    ):
        config.one_of(field, known)
    width = config.take("d_model", int)
    return transformer(
        vocabulary=vocabulary,
        width=width,
        layers=config.take("encoder_layers", int),
        heads=config.take("encoder_attention_heads", int),
        hidden=config.take("encoder_ffn_dim", int),
        decoder_layers=config.take("decoder_layers", int),
        decoder_heads=config.take("decoder_attention_heads", int),
        decoder_hidden=config.take("decoder_ffn_dim", int),
        activation=config.activation("activation_function", "gelu"),
        positions=Sinusoidal(width, interleaved=False),
        scaled=config.take("scale_embedding", bool, False),
        bias=True,
        dropout=config.take("dropout", float, 0.1),
        attention_dropout=config.take("attention_dropout", float, 0.0),
    )


def _stack(stack: str) -> tuple[Rename, ...]:
    layer, block = f"{stack}.layers.{{}}", f"{stack}.blocks.{{}}"
    return (
        *projections(f"{layer}.self_attn", f"{block}.attention", _PROJECTIONS),
        rename(f"{layer}.self_attn_layer_norm", f"{block}.attention_residual.norm"),
        *projections(f"{layer}.encoder_attn", f"{block}.source_attention", _PROJECTIONS),
        rename(f"{layer}.encoder_attn_layer_norm", f"{block}.source_residual.norm"),
        rename(f"{layer}.fc1", f"{block}.feed_forward.into"),
        rename(f"{layer}.fc2", f"{block}.feed_forward.out"),
        rename(f"{layer}.final_layer_norm", f"{block}.feed_forward_residual.norm"),
    )


MARIAN = Family(
    build=_build,
    renames=(
        rename("shared", "encoder.embedding.tokens"),
        rename("final_logits_bias", "decoder.bias"),
        *_stack("encoder"),
        *_stack("decoder"),
    ),
    prefix="model.",
    # The embedding stored again, and waves that are computed.
    ignored=(r"(encoder|decoder)\.(embed_tokens|embed_positions)\.weight", r"lm_head\.weight"),
    # Layers are left out in training only.
    harmless=(
        "classif_dropout",
        "classifier_dropout",
        "decoder_layerdrop",
        "encoder_layerdrop",
        "extra_pos_embeddings",
        "force_bos_token_to_be_generated",
        "init_std",
        "max_position_embeddings",
        "num_hidden_layers",
    ),
)
