"""Watching takes memory that grows with the length and not with its square, measured in processes of their own."""

import pytest

from tests.memory import on_linux, peak

ONE_LONG_CALL = """
import contextlib
import sys
import torch
import regard

torch.manual_seed(0)
watching = sys.argv[1] == "watched"
q, k, v = torch.randn(3, 1, 12, 16384, 32)
with torch.no_grad(), regard.watch() if watching else contextlib.nullcontext() as seen:
    torch.nn.functional.scaled_dot_product_attention(q, k, v)
assert not watching or seen[""].entropy.shape == (1, 12, 16384)
"""

A_LONG_TEXT = """
import torch
import transformers
import regard

config = transformers.LlamaConfig(
    vocab_size=1000, hidden_size=256, intermediate_size=512, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=32768,
)
model = transformers.LlamaModel(config).eval()
with torch.no_grad(), regard.watch(model) as seen:
    model(torch.randint(0, 1000, (1, 20_000)))
assert [site.entropy.shape for site in seen] == [(1, 4, 20_000)] * 2
"""


@pytest.mark.slow
@on_linux
def test_watching_16384_tokens_adds_less_than_150_megabytes() -> None:
    assert peak(ONE_LONG_CALL, "watched") - peak(ONE_LONG_CALL, "plain") < 150


@pytest.mark.slow
@on_linux
def test_a_llama_that_reads_20000_tokens_takes_less_than_2_gigabytes_in_all_while_watched() -> None:
    assert peak(A_LONG_TEXT) < 2048
