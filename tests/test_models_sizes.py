"""Models of published sizes have as many parameters as was published, and the face names all of them."""

import pytest
import torch

from regard import models

# As counted in the checkpoints that their authors published; BERT without the heads that it was trained with.
PUBLISHED = {
    "bert_base": 109_482_240,
    "bert_large": 335_141_888,
    "gpt2_small": 124_439_808,
    "llama_tiny": 1_100_048_384,
    "t5_base": 222_903_552,
    "t5_small": 60_506_624,
    "vit_base": 86_567_656,
}
# In millions, as the paper's table 3 says; its vocabulary is "about 37000 tokens".
ROUNDED = {"transformer_base": 65, "transformer_big": 213}


def parameters(name: str) -> int:
    with torch.device("meta"):
        return sum(each.numel() for each in getattr(models, name)().parameters())


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_as_many_as_published(name):
    assert parameters(name) == PUBLISHED[name]


@pytest.mark.parametrize("name", ROUNDED)
def test_parameters_are_about_as_many_as_the_paper_says(name):
    assert parameters(name) / 1e6 == pytest.approx(ROUNDED[name], rel=0.04)


def test_the_face_is_sorted_and_complete():
    assert models.__all__ == sorted(models.__all__)
    assert all(getattr(models, name).__doc__ for name in models.__all__)
