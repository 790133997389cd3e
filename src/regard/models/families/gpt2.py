"""GPT-2 as its pretrained models are stored."""

from collections.abc import Collection

from torch import nn

from regard.models.decoder import gpt2
from regard.models.families.config import Config
from regard.models.families.family import Family, rename


def _build(config: Config, stored: Collection[str]) -> nn.Module:
    for field, known in (
        ("scale_attn_weights", True),
        ("scale_attn_by_inverse_layer_idx", False),
        ("add_cross_attention", False),
    ):
        config.one_of(field, known)
    width = config.take("n_embd", int)
    return gpt2(
        vocabulary=config.take("vocab_size", int),
        width=width,
        layers=config.take("n_layer", int),
        heads=config.take("n_head", int),
        hidden=config.take("n_inner", int, 4 * width),
        positions=config.take("n_positions", int, 1024),
        activation=config.activation("activation_function", "gelu_new"),
        eps=config.take("layer_norm_epsilon", float, 1e-5),
        dropout=config.take("resid_pdrop", float, 0.1),
        embedding_dropout=config.take("embd_pdrop", float, 0.1),
        attention_dropout=config.take("attn_pdrop", float, 0.1),
        tied=config.take("tie_word_embeddings", bool, True),
    )


GPT2 = Family(
    build=_build,
    renames=(
        rename("wte", "embedding.tokens"),
        rename("wpe.weight", "embedding.positions.weight"),
        rename("h.{}.ln_1", "blocks.{}.attention_residual.norm"),
        rename(
            "h.{}.attn.c_attn",
            "blocks.{}.attention.query",
            "blocks.{}.attention.key",
            "blocks.{}.attention.value",
            transposed=True,
        ),
        rename("h.{}.attn.c_proj", "blocks.{}.attention.output", transposed=True),
        rename("h.{}.ln_2", "blocks.{}.feed_forward_residual.norm"),
        rename("h.{}.mlp.c_fc", "blocks.{}.feed_forward.into", transposed=True),
        rename("h.{}.mlp.c_proj", "blocks.{}.feed_forward.out", transposed=True),
        rename("ln_f", "norm"),
        rename("lm_head", "head"),
    ),
    prefix="transformer.",
    # Masks, which older versions stored.
    ignored=(r"h\.\d+\.attn\.(bias|masked_bias)",),
    tied=(r"lm_head\.weight",),
    harmless=(
        "n_ctx",
        "reorder_and_upcast_attn",
        "summary_activation",
        "summary_first_dropout",
        "summary_proj_to_labels",
        "summary_type",
        "summary_use_proj",
    ),
)
