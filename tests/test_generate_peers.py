"""Generation compared with that of transformers, on its own tiny models with the same weights."""

import functools
import tempfile

import pytest
import torch
import transformers
from transformers.generation import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from regard.models.generation import Beam, Greedy, Sample, generate
from regard.models.loading import from_pretrained
from tests import models
from tests.test_generation import build

LENGTH, PAD, STOPS = 14, 3, (4, 11, 18, 25, 32, 39, 46)


def marian():
    """Return a tiny Marian model."""
    config = transformers.MarianConfig(
        vocab_size=models.WORDS,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=37,
        decoder_ffn_dim=37,
        pad_token_id=PAD,
        decoder_start_token_id=PAD,
        scale_embedding=True,
    )
    torch.manual_seed(0)
    model = transformers.MarianMTModel(config).eval()
    models.sharpen(model)
    return model


@functools.cache
def both(family):
    """Return a model of transformers, and the same loaded here."""
    model = marian() if family == "marian" else build(family)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        return model, from_pretrained(folder)


def prompt():
    """Return tokens, which of them are real, and how many of each item are not."""
    tokens, real = models.tokens(1, 10, batch=3), torch.ones(3, 10, dtype=torch.long)
    real[1, :4] = 0
    real[2, :9] = 0
    return tokens, real, (1 - real).sum(1)


def written(result, start):
    """Return lists of what transformers wrote, up to the first stop."""
    rows = [row[start:] for row in result.tolist()]
    ends = [[place for place, token in enumerate(row) if token in STOPS] for row in rows]
    return [row[: end[0] + 1] if end else row[:LENGTH] for row, end in zip(rows, ends, strict=True)]


WAYS = {
    "greedy": (Greedy(), {}),
    "beams": (Beam(3, length_penalty=0.0), {"num_beams": 3, "length_penalty": 0.0, "early_stopping": "never"}),
    "beams, by length": (
        Beam(4, length_penalty=0.8, offset=0),
        {"num_beams": 4, "length_penalty": 0.8, "early_stopping": "never"},
    ),
    "beams, early": (
        Beam(4, length_penalty=1.0, offset=0, early=True),
        {"num_beams": 4, "length_penalty": 1.0, "early_stopping": True},
    ),
    "beams, short": (
        Beam(3, length_penalty=-0.5, offset=0),
        {"num_beams": 3, "length_penalty": -0.5, "early_stopping": "never"},
    ),
}


def same(got, theirs, start):
    count = got.beams.score.shape[1] if got.beams else 1
    wanted = written(theirs.sequences, start)
    assert got.lists() == wanted[::count]
    if got.beams:
        lists = [
            row[:n]
            for row, n in zip(got.beams.tokens.flatten(0, 1).tolist(), got.beams.lengths.flatten(), strict=True)
        ]
        assert lists == wanted
        torch.testing.assert_close(got.beams.score.flatten(), theirs.sequences_scores, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def theirs(model, tokens, settings, **named):
    fixed = {"max_new_tokens": LENGTH, "do_sample": False, "pad_token_id": PAD, "eos_token_id": list(STOPS)}
    many = {"num_return_sequences": settings.get("num_beams", 1), "return_dict_in_generate": True}
    scores = {"output_scores": True}
    return model.generate(tokens, **fixed, **many, **scores, **settings, **named)


@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("family", ["gpt2", "llama", "mistral"])
def test_decoders_write_what_they_write_there(family, way, cache):
    (model, own), (tokens, real, padding) = both(family), prompt()
    sampling, settings = WAYS[way]
    got = generate(
        own, tokens, length=LENGTH, sampling=sampling, stop=STOPS, padding=padding, cache=cache, fill=PAD
    )
    same(got, theirs(model, tokens, settings, attention_mask=real), tokens.shape[1])


@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("family", ["t5", "marian"])
def test_translations_are_what_they_are_there(family, way, cache):
    (model, own), (source, real, _) = both(family), prompt()
    real = real.flip(1)
    sampling, settings = WAYS[way]
    start = torch.full((3, 1), model.config.decoder_start_token_id)
    with torch.no_grad():
        memory = own.encode(source, real=real.bool())
    got = generate(own, start, length=LENGTH, sampling=sampling, stop=STOPS, memory=memory, cache=cache, fill=PAD)
    settings = settings | {"forced_eos_token_id": None, "forced_bos_token_id": None}
    same(got, theirs(model, source, settings, attention_mask=real), 1)


@pytest.mark.parametrize(("temperature", "top_k", "top_p"), [(0.7, 50, 1.0), (1.5, 7, 0.8), (1.0, 100, 0.3)])
def test_the_same_tokens_are_left_in(temperature, top_k, top_p):
    logits = 3 * torch.randn(20, 100, generator=torch.Generator().manual_seed(1))
    wanted = logits
    for warp in (TemperatureLogitsWarper(temperature), TopKLogitsWarper(top_k), TopPLogitsWarper(top_p)):
        wanted = warp(None, wanted)
    got = Sample(temperature, top_k, top_p).remaining(logits)
    torch.testing.assert_close(got.softmax(-1).float(), wanted.softmax(-1))
