"""Models assembled from layers, short enough to be read beside their papers; builders hold the published sizes."""

from regard.models.decoder import Decoder, gpt2, gpt2_small, llama, llama_tiny
from regard.models.encoder import Encoder, MaskedLanguageModel, bert, bert_base, bert_large
from regard.models.generation import (
    Beam,
    Generated,
    Greedy,
    Sample,
    at_strings,
    generate,
    left_padded,
    spelled,
    stream,
)
from regard.models.loading import from_pretrained
from regard.models.loss import vocabulary_loss
from regard.models.recurrent.model import Recurrent, input_feeding, searching
from regard.models.t5 import t5, t5_base, t5_small
from regard.models.transformer import Transformer, transformer, transformer_base, transformer_big
from regard.models.vit import VisionTransformer, vit, vit_base

__all__ = [
    "Beam",
    "Decoder",
    "Encoder",
    "Generated",
    "Greedy",
    "MaskedLanguageModel",
    "Recurrent",
    "Sample",
    "Transformer",
    "VisionTransformer",
    "at_strings",
    "bert",
    "bert_base",
    "bert_large",
    "from_pretrained",
    "generate",
    "gpt2",
    "gpt2_small",
    "input_feeding",
    "left_padded",
    "llama",
    "llama_tiny",
    "searching",
    "spelled",
    "stream",
    "t5",
    "t5_base",
    "t5_small",
    "transformer",
    "transformer_base",
    "transformer_big",
    "vit",
    "vit_base",
    "vocabulary_loss",
]
