"""Stand-in models for the laws of generation: one that is known by a formula, one made of attention."""

import itertools
import math

import torch
from torch import Tensor, nn

from regard.layers import Caches, GrowingCache, MultiHead
from regard.mechanisms.masks import causal
from regard.mechanisms.masks import padding as lengths

PLACES = 997


class State:
    """What `Known` has read, as one number an item."""

    def __init__(self):
        self.number, self.length = None, 0

    def reorder(self, items):
        self.number = self.number[items]


class Known:
    """A model of which the next token's logits are looked up by a number that all tokens of the text make up."""

    def __init__(self, words, seed=0, forbidden=0.0):
        generator = torch.Generator().manual_seed(seed)
        self.table = 2 * torch.randn(PLACES, words, generator=generator)
        self.table[torch.rand(PLACES, words, generator=generator) < forbidden] = -torch.inf
        self.table[:, 0] = self.table[:, 0].nan_to_num(neginf=0.0)
        self.words, self.calls = words, 0

    def caches(self):
        return [State()]

    def __call__(self, tokens, *, cache=None, padding=None):
        self.calls += 1
        (state,) = cache if cache is not None else [State()]
        number = tokens.new_zeros(len(tokens)) if state.number is None else state.number
        skipped = torch.zeros_like(number) if padding is None else padding
        logits = []
        for token in tokens.unbind(1):
            number = torch.where(state.length < skipped, number, (31 * number + token + 1) % PLACES)
            state.number, state.length = number, state.length + 1
            logits.append(self.table[number])
        return torch.stack(logits, 1)

    def log_probabilities(self, text):
        """Return log p(token | text) for each token, by the formula, in float64."""
        number = 0
        for token in text:
            number = (31 * number + token + 1) % PLACES
        row = self.table[number].double().tolist()
        total = math.log(math.fsum(math.exp(each) for each in row))
        return [each - total for each in row]


class KnownTranslation(Known):
    """The same with a memory, whose number the text goes on from."""

    def encode(self, source):
        return (source.sum(1) % PLACES, {"no tensor": 1})

    def decode(self, tokens, memory, *, cache=None):
        (state,) = cache if cache is not None else [State()]
        if state.number is None:
            state.number = memory[0]
        assert len(memory[0]) == len(tokens)
        return self(tokens, cache=[state])


class Attending(nn.Module):
    """Two layers of causal attention, with positions that are added and padding that is hidden."""

    def __init__(self, words=11, width=16, heads=2):
        super().__init__()
        self.embed, self.place = nn.Embedding(words, width), nn.Embedding(64, width)
        self.layers = nn.ModuleList(MultiHead(width, heads) for _ in range(2))
        self.head = nn.Linear(width, words)

    def caches(self):
        return Caches([GrowingCache(), GrowingCache()])

    def forward(self, tokens, *, cache=None, padding=None):
        before = 0 if cache is None else cache.length
        places = torch.arange(before, before + tokens.shape[1]).expand_as(tokens)
        places = places if padding is None else (places - padding[:, None]).clamp(min=0)
        x = self.embed(tokens) + self.place(places)
        for layer, own in zip(self.layers, cache or (None, None), strict=True):
            x = x + layer(x, mask=self.mask(padding, before + tokens.shape[1]), cache=own)
        return self.head(x)

    @staticmethod
    def mask(skipped, keys):
        return causal() if skipped is None else causal() & ~lengths(skipped.clamp(max=keys))


def attending(seed=0) -> Attending:
    torch.manual_seed(seed)
    model = Attending().eval()
    for parameter in model.parameters():
        parameter.data.mul_(2)
    return model


def every_text(model, prompt, length, stop):
    """Yield each text that ends at a stop token or is of full length, with its log-probability by the formula."""
    for count in range(1, length + 1):
        for text in itertools.product(range(model.words), repeat=count):
            if any(token == stop for token in text[:-1]) or (text[-1] != stop and count < length):
                continue
            terms = [model.log_probabilities([*prompt, *text[:n]])[text[n]] for n in range(count)]
            yield list(text), math.fsum(terms) if all(map(math.isfinite, terms)) else -math.inf


def as_tokens(*texts) -> Tensor:
    return torch.tensor(texts)
