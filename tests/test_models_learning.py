"""A decoder learns a text: it says the next character better than any model that knows the last one alone."""

import math
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from regard.layers import Rotary
from regard.models import llama

TEXT = (Path(__file__).parents[1] / "examples/texts/gettysburg.txt").read_text(encoding="utf-8")
CONTEXT, REACHED = 48, 1.0


def entropy_of_pairs(text: str) -> float:
    """Return the least cross entropy of a text by what follows each character: no bigram model can reach less."""
    pairs, firsts = Counter(pairwise(text)), Counter(text[:-1])
    return -sum(count * math.log(count / firsts[first]) for (first, _), count in pairs.items()) / (len(text) - 1)


@pytest.mark.slow
def test_a_decoder_learns_characters_beyond_what_the_last_one_says():
    assert entropy_of_pairs("ababacab") == pytest.approx((3 * math.log(4 / 3) + math.log(4)) / 7)
    assert entropy_of_pairs(TEXT) > REACHED + 0.5
    signs = sorted(set(TEXT))
    text = torch.tensor([signs.index(sign) for sign in TEXT])
    torch.manual_seed(0)
    model = llama(vocabulary=len(signs), width=64, layers=2, heads=4, hidden=128, rotary=Rotary(16))
    optimizer = torch.optim.AdamW(model.parameters(), 4e-3)
    for _ in range(120):
        starts = torch.randint(len(text) - CONTEXT, (8, 1))
        part = text[starts + torch.arange(CONTEXT + 1)]
        optimizer.zero_grad()
        F.cross_entropy(model(part[:, :-1]).flatten(0, 1), part[:, 1:].flatten()).backward()
        optimizer.step()
    model.eval()
    count = (len(text) - 1) // CONTEXT
    inputs, after = (text[shift : shift + count * CONTEXT].view(count, CONTEXT) for shift in (0, 1))
    with torch.no_grad():
        loss = F.cross_entropy(model(inputs).flatten(0, 1), after.flatten()).item()
    assert loss < REACHED
