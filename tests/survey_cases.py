"""A tiny model with a tokenizer of whole words, and texts for it, for the tests of surveys."""

import random

import tokenizers
import torch
import transformers
from tokenizers import pre_tokenizers, processors

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def tokenizer():
    words = {word: i for i, word in enumerate(["<s>", "<pad>", "</s>", "<unk>", *LETTERS])}
    whole = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="<unk>"))
    whole.pre_tokenizer = pre_tokenizers.Whitespace()
    whole.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=whole, unk_token="<unk>", pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )


def model(seed=0):
    torch.manual_seed(seed)
    shape = {"vocab_size": 30, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.BertConfig(
        **shape, intermediate_size=16, max_position_embeddings=24, initializer_range=0.5
    )
    return transformers.BertModel(config).eval()


def encoder_decoder():
    torch.manual_seed(0)
    config = transformers.BartConfig(
        vocab_size=30, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_position_embeddings=40,
        pad_token_id=1, bos_token_id=0, eos_token_id=2, decoder_start_token_id=2, forced_eos_token_id=2,
    )  # fmt: skip
    return transformers.BartForConditionalGeneration(config).eval()


def save(folder, seed=0):
    """Save model and tokenizer for the command line; return the folder."""
    model(seed).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def texts(count, seed=0):
    """Return texts of one to twelve words."""
    pick = random.Random(seed)
    return [" ".join(pick.choices(LETTERS, k=pick.randint(1, 12))) for _ in range(count)]
