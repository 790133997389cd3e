"""BERT as its pretrained models are stored."""

from collections.abc import Collection

from torch import nn

from regard.models.encoder import MaskedLanguageModel, bert
from regard.models.families.config import Config
from regard.models.families.family import Family, rename

LAYER, BLOCK = "encoder.layer.{}", "blocks.{}"
HEAD = "cls.predictions"


def _build(config: Config, stored: Collection[str]) -> nn.Module:
    for field, known in (
        ("position_embedding_type", "absolute"),
        ("is_decoder", False),
        ("add_cross_attention", False),
        ("tie_word_embeddings", True),
    ):
        config.one_of(field, known)
    eps = config.take("layer_norm_eps", float, 1e-12)
    encoder = bert(
        vocabulary=config.take("vocab_size", int),
        width=config.take("hidden_size", int),
        layers=config.take("num_hidden_layers", int),
        heads=config.take("num_attention_heads", int),
        hidden=config.take("intermediate_size", int),
        positions=config.take("max_position_embeddings", int),
        segments=config.take("type_vocab_size", int),
        activation=config.activation("hidden_act", "gelu"),
        eps=eps,
        dropout=config.take("hidden_dropout_prob", float, 0.1),
        attention_dropout=config.take("attention_probs_dropout_prob", float, 0.1),
        pooled="pooler.dense.weight" in stored,
    )
    if f"{HEAD}.transform.dense.weight" not in stored:
        return encoder
    return MaskedLanguageModel(encoder, config.activation("hidden_act", "gelu"), eps)


# Ours are written as those of an `Encoder`; within a `MaskedLanguageModel` it is `encoder`.
BODY = (
    rename("embeddings.word_embeddings", "embedding.tokens"),
    rename("embeddings.position_embeddings.weight", "embedding.positions.weight"),
    rename("embeddings.token_type_embeddings", "embedding.segments"),
    rename("embeddings.LayerNorm", "embedding.norm"),
    rename(f"{LAYER}.attention.self.query", f"{BLOCK}.attention.query"),
    rename(f"{LAYER}.attention.self.key", f"{BLOCK}.attention.key"),
    rename(f"{LAYER}.attention.self.value", f"{BLOCK}.attention.value"),
    rename(f"{LAYER}.attention.output.dense", f"{BLOCK}.attention.output"),
    rename(f"{LAYER}.attention.output.LayerNorm", f"{BLOCK}.attention_residual.norm"),
    rename(f"{LAYER}.intermediate.dense", f"{BLOCK}.feed_forward.into"),
    rename(f"{LAYER}.output.dense", f"{BLOCK}.feed_forward.out"),
    rename(f"{LAYER}.output.LayerNorm", f"{BLOCK}.feed_forward_residual.norm"),
    rename("pooler.dense", "pooler"),
)
HEADS = (
    rename(f"{HEAD}.transform.dense", "head.0"),
    rename(f"{HEAD}.transform.LayerNorm", "head.2"),
    rename(f"{HEAD}.bias", "bias"),
)
BERT = Family(
    build=_build,
    renames=(*BODY, *HEADS),
    prefix="bert.",
    body="encoder",
    # Stored twice or computed; the head that guesses whether two texts follow one another is not built.
    ignored=(
        r"embeddings\.position_ids",
        r"cls\.predictions\.decoder\.(weight|bias)",
        r"cls\.seq_relationship\..*",
    ),
    harmless=("classifier_dropout",),
)
