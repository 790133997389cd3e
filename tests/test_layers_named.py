"""Attention by words is the mechanism that they say: by hand the same, learned in a layer, cached, or refused."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import regard
from regard import Attention, attend, causal, window
from regard.errors import LayerError
from regard.layers import MultiHead, make_caches, named
from regard.mechanisms.walk import tensors_in

H, D, N = 4, 3, 7
E = H * D


def made(words, **more):
    torch.manual_seed(0)
    return named(words, heads=H, head_width=D, **more)


def inputs(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def learned(mechanism):
    return [each for each in tensors_in(mechanism) if isinstance(each, nn.Parameter)]


PLAIN = {
    "dot": Attention(),
    "dot(0.5); top_k(2)": Attention(scale=0.5, weigh=regard.top_k(2)),
    "top_k(2) ;dot(0.5);": Attention(scale=0.5, weigh=regard.top_k(2)),
    "cosine(0.2); soft_cap(3)": Attention(score=regard.cosine(0.2), modify=regard.soft_cap(3.0)),
    "alibi; soft_cap(3)": Attention(modify=regard.soft_cap(3.0), bias=regard.alibi(H)),
    "softmax(0)": Attention(weigh=regard.softmax(0)),
    "sparsemax": Attention(weigh=regard.sparsemax()),
    "entmax15": Attention(weigh=regard.entmax(1.5)),
    "entmax(1.3)": Attention(weigh=regard.entmax(1.3)),
    "sigmoid(-1.5)": Attention(weigh=regard.sigmoid(-1.5)),
    "hard": Attention(weigh=regard.hard()),
    "causal": Attention(mask=causal()),
    "full": Attention(),
    "window(1, 2)": Attention(mask=window(1, 2)),
    "causal & window(2)": Attention(mask=causal() & window(2)),
    "causal; window(2)": Attention(mask=causal() & window(2)),
    "window(1) | global_tokens([0, 4])": Attention(mask=window(1) | regard.global_tokens([0, 4])),
    "~window(1) & causal | window(0)": Attention(mask=(~window(1) & causal()) | window(0)),
    "dilated(2, ahead=0, dilation=2)": Attention(mask=regard.dilated(2, 0, dilation=2)),
    "strided(3)": Attention(mask=regard.strided(3)),
    "fixed(3, 1)": Attention(mask=regard.fixed(3)),
    "prefix(2)": Attention(mask=regard.prefix(2)),
    "random_blocks(2, 2, seed=3)": Attention(mask=regard.random_blocks(2, 2, seed=3)),
    "neighbourhood(7, 1, 2)": Attention(mask=regard.neighbourhood(7, 1, 2)),
    "linear": regard.linear(causal=False),
    "linear; causal": regard.linear(),
    "performer(20, seed=2)": regard.performer(D, 20, seed=2, causal=False),
    "retention": regard.retention(H),
}


@pytest.mark.parametrize("words", PLAIN)
def test_words_are_the_mechanism_by_hand(words):
    query, key, value = inputs(3, 2, H, N, D)
    got, wanted = (attend(query, key, value, each).output for each in (made(words), PLAIN[words]))
    torch.testing.assert_close(got, wanted, rtol=1e-12, atol=1e-12)


def by_network(query, key, found):
    W, U, v = (each.double() for each in found)
    hidden = (
        torch.einsum("had,bhqd->bhqa", W, query)[..., None, :] + torch.einsum("had,bhkd->bhka", U, key)[:, :, None]
    )
    return torch.einsum("bhqka,ha->bhqk", hidden.tanh(), v)


SCORES = {
    "additive": by_network,
    "additive(5)": by_network,
    "bilinear": lambda q, k, found: torch.einsum("bhqd,hde,bhke->bhqk", q, found[0].double(), k) / D**0.5,
    "cosine": lambda q, k, found: (
        F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).mT / found[0].double().exp().view(-1, 1, 1)
    ),
}


@pytest.mark.parametrize("words", SCORES)
def test_learned_scores_are_their_formula(words):
    mechanism, (query, key, value) = made(words), inputs(3, 2, H, N, D)
    found = [each.detach() for each in vars(mechanism.score).values() if isinstance(each, nn.Parameter)]
    scores = SCORES[words](query, key, found)
    wanted = scores.softmax(-1) @ value
    torch.testing.assert_close(attend(query, key, value, mechanism).output, wanted, rtol=1e-6, atol=1e-6)


# The words, and how many parameters they bring.
TRAINED = {
    **{
        "additive": 3,
        "additive(5); hard": 3,
        "bilinear; sparsemax": 1,
        "cosine": 1,
        "cosine(0.5)": 0,
        "sigmoid": 1,
    },
    **{"relative_buckets(8)": 1, "hard": 0, "entmax15; soft_cap(5); alibi": 0, "top_k(3)": 0, "dropout(0.3)": 0},
    **{"linear": 0, "performer(8)": 0, "retention": 0, "gated_linear": 3, "gated_linear(channels=False)": 2},
    **{"delta_rule": 2, "gated_delta_rule": 4},
}


@pytest.mark.parametrize("place", ["encoder", "decoder"])
@pytest.mark.parametrize("words", TRAINED)
def test_every_word_learns_in_a_layer(words, place):
    layer = MultiHead(E, H, mechanism=made(words, causal=place == "decoder")).double()
    layer(inputs(2, N, E)).square().sum().backward()
    inside = {name: each for name, each in layer.named_parameters() if name.startswith("mechanism")}
    assert len(inside) == TRAINED[words]
    learning = {**inside, "query.weight": layer.query.weight, "value.weight": layer.value.weight}
    assert [name for name, each in learning.items() if each.grad is None or not each.grad.any()] == []


WRITING = [
    *("dot", "additive", "sigmoid", "alibi", "relative_buckets(8)", "hard", "top_k(2)", "sparsemax; window(2)"),
    *("strided(3)", "fixed(3)", "global_tokens(1) | window(1)", "dilated(2, dilation=2)", "linear", "performer(8)"),
    *("retention", "gated_linear", "delta_rule", "gated_delta_rule"),
]


@pytest.mark.parametrize("words", WRITING)
def test_a_layer_that_writes_sees_nothing_ahead_with_a_cache_as_without(words):
    layer, x = MultiHead(E, H, mechanism=made(words, causal=True)).double().eval(), inputs(2, N, E)
    whole, (cache,) = layer(x), make_caches(layer)
    steps = [layer(piece, cache=cache) for piece in x.split([3, 1, 1, 2], 1)]
    torch.testing.assert_close(torch.cat(steps, 1), whole, rtol=1e-9, atol=1e-9)
    other = torch.cat([x[:, :4], inputs(2, N - 4, E, seed=9)], 1)
    torch.testing.assert_close(layer(other)[:, :4], whole[:, :4], rtol=1e-9, atol=1e-9)
    assert not torch.allclose(layer(other)[:, 4:], whole[:, 4:])


@pytest.mark.parametrize("words", ["additive", "bilinear", "gated_linear"])
def test_key_heads_and_widths_of_their_own(words):
    torch.manual_seed(0)
    mechanism = named(words, heads=4, key_heads=2, head_width=5, width=6)
    layer = MultiHead(6, 4, key_heads=2, head_width=5, mechanism=mechanism)
    assert layer(torch.randn(2, N, 6)).shape == (2, N, 6)


def test_layers_share_no_parameters():
    first, second = (learned(made("additive")) for _ in range(2))
    assert len(first) == len(second) == 3
    assert not {id(each) for each in first} & {id(each) for each in second}


def test_a_mechanism_says_what_it_is():
    said = [
        str(made(words)) for words in ("soft_cap(5); bilinear; window(3); entmax15", "gated_delta_rule", "linear")
    ]
    assert said == ["bilinear; soft cap 5; window(3, 3); entmax 1.5", "gated delta rule", "linear, both ways"]


REFUSED = {
    "": "got none",
    " ; ;": "got none",
    "Dot": "Did you mean dot",
    "entmx15": "Did you mean entmax15",
    "attention please": "cannot read",
    "dot'": "cannot read",
    "dot\x00": "cannot read",
    "(" * 100: "cannot read",
    "~" * 400 + "causal": "407|406 characters",
    "dot; cosine": "one score; got dot and cosine",
    "softmax; sparsemax": "one weighing",
    "alibi; alibi": "one bias",
    "linear; retention": "one linear",
    "window(-1)": "at least 0; got back=-1",
    "window": r"expected window\(back, ahead=None\)",
    "top_k(2, 3)": r"expected top_k\(k\)",
    "top_k(0)": "at least 1",
    "entmax(1)": "use softmax",
    "soft_cap(0)": "above 0",
    "dropout(1.5)": "probability",
    "dropout(True)": "probability",
    "additive(0)": "at least 1",
    "hard(straight_through=False)": "learn nothing",
    "global_tokens(-1)": "from 0",
    "global_tokens(10000000000)": "up to 16777216",
    "window('a')": "plain numbers",
    "window(2**9)": "plain numbers",
    "window(*[3])": "plain numbers",
    "window(**{'back': 3})": "plain numbers",
    "dot(__import__('os').getpid())": "plain numbers",
    "__import__('os')": "plain numbers",
    "().__class__": "a word such as",
    "dot(1)(2)": "a word such as",
    "causal, window(3)": "by semicolons",
    "causal and window(3)": "&, | and ~",
    "not causal": "&, | and ~",
    "dot & causal": "got a score",
    "causal & ~causal": "allows nothing",
    "padding": "differs from batch to batch",
    "linear; window(3)": "no mask but causal",
    "linear; ~causal": "no mask but causal",
    "linear; dropout(0.1)": "in place of scores",
    "retention; dot": "in place of scores",
    "delta_rule; alibi": "in place of scores",
    "performer; soft_cap(5)": "in place of scores",
    "gated_linear; softmax": "in place of scores",
    "performer(1.5)": "whole numbers",
}


@pytest.mark.parametrize("words", REFUSED)
def test_nonsense_is_refused_with_the_reason(words):
    with pytest.raises(LayerError, match=REFUSED[words]):
        made(words)


def test_what_is_no_text_is_refused():
    with pytest.raises(LayerError, match="got int"):
        made(3)


@pytest.mark.parametrize(
    "words",
    ["causal", "window(3)", "alibi", "relative_buckets", "dot; ~window(2) | full", "retention", "delta_rule"],
)
def test_places_have_no_meaning_before_a_source(words):
    with pytest.raises(LayerError, match="place"):
        made(words, cross=True)


@pytest.mark.parametrize("words", ["prefix(2)", "random_blocks(2, 2)", "neighbourhood(7, 1, 1)", "~causal"])
def test_a_layer_that_writes_refuses_what_it_cannot_mean(words):
    with pytest.raises(LayerError, match=r"ahead|drawn|picture|nothing"):
        made(words, causal=True)


def test_a_source_is_known_whole():
    with pytest.raises(LayerError, match="not both"):
        made("dot", cross=True, causal=True)
