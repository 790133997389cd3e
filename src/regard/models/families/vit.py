"""ViT as its pretrained models are stored, by older and newer versions."""

from collections.abc import Collection
from typing import Any

from torch import nn

from regard.models.families.config import Config
from regard.models.families.family import Family, rename
from regard.models.vit import vit


def _build(config: Config, stored: Collection[str]) -> nn.Module:
    width = config.take("hidden_size", int)
    config.one_of("pooler_act", "tanh")
    config.one_of("pooler_output_size", width)
    return vit(
        size=_pair(config, "image_size"),
        patch=config.take("patch_size", int, 16),
        width=width,
        layers=config.take("num_hidden_layers", int),
        heads=config.take("num_attention_heads", int),
        hidden=config.take("intermediate_size", int),
        channels=config.take("num_channels", int, 3),
        classes=_classes(config, stored),
        activation=config.activation("hidden_act", "gelu"),
        bias=config.take("qkv_bias", bool, True),
        eps=config.take("layer_norm_eps", float, 1e-12),
        dropout=config.take("hidden_dropout_prob", float, 0.0),
        attention_dropout=config.take("attention_probs_dropout_prob", float, 0.0),
        pooled="pooler.dense.weight" in stored,
    )


def _pair(config: Config, field: str) -> tuple[int, int]:
    """Return height and width, which may be stored as one number."""
    if config.is_a(field, list):
        height, width = config.take(field, list)
        return height, width
    side = config.take(field, int, 224)
    return side, side


def _classes(config: Config, stored: Collection[str]) -> int | None:
    """Return how many classes the head tells apart, two where the config is silent."""
    if "classifier.weight" not in stored:
        return None
    names: dict[str, Any] = config.take("id2label", dict, {"0": "", "1": ""})
    return len(names)


PARTS = (("q_proj", "query"), ("k_proj", "key"), ("v_proj", "value"))
VIT = Family(
    build=_build,
    renames=(
        rename("embeddings.cls_token", "patches.first"),
        rename("embeddings.position_embeddings", "patches.positions"),
        rename("embeddings.patch_embeddings.projection", "patches.project"),
        *(rename(f"layers.{{}}.attention.{theirs}", f"blocks.{{}}.attention.{ours}") for theirs, ours in PARTS),
        rename("layers.{}.attention.o_proj", "blocks.{}.attention.output"),
        rename("layers.{}.layernorm_before", "blocks.{}.attention_residual.norm"),
        rename("layers.{}.layernorm_after", "blocks.{}.feed_forward_residual.norm"),
        rename("layers.{}.mlp.fc1", "blocks.{}.feed_forward.into"),
        rename("layers.{}.mlp.fc2", "blocks.{}.feed_forward.out"),
        # The names of older versions.
        *(
            rename(f"encoder.layer.{{}}.attention.attention.{ours}", f"blocks.{{}}.attention.{ours}")
            for _, ours in PARTS
        ),
        rename("encoder.layer.{}.attention.output.dense", "blocks.{}.attention.output"),
        rename("encoder.layer.{}.layernorm_before", "blocks.{}.attention_residual.norm"),
        rename("encoder.layer.{}.layernorm_after", "blocks.{}.feed_forward_residual.norm"),
        rename("encoder.layer.{}.intermediate.dense", "blocks.{}.feed_forward.into"),
        rename("encoder.layer.{}.output.dense", "blocks.{}.feed_forward.out"),
        rename("layernorm", "norm"),
        rename("pooler.dense", "pooler"),
        rename("classifier", "head"),
    ),
    prefix="vit.",
    # Of training by guessing hidden patches.
    ignored=(r"embeddings\.mask_token",),
    harmless=("encoder_stride",),
)
