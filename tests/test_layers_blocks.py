"""Blocks and feed-forward layers: torch's own with the same parameters, and the papers' formulas."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from regard import causal
from regard.errors import LayerError
from regard.layers import DecoderBlock, DropPath, EncoderBlock, FeedForward, GatedFeedForward, MultiHead

EXACT = {"rtol": 1e-9, "atol": 1e-9}
B, N, S, E, HEADS, HIDDEN = 2, 6, 4, 12, 3, 20
later = torch.ones(N, N, dtype=torch.bool).triu(1)


def inputs(length, seed=1):
    return torch.randn(B, length, E, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def with_attention(made, theirs):
    """Give a `MultiHead` the parameters of torch's module."""
    for name, weight, bias in zip(
        ("query", "key", "value"), theirs.in_proj_weight.chunk(3), theirs.in_proj_bias.chunk(3), strict=True
    ):
        getattr(made, name).load_state_dict({"weight": weight, "bias": bias})
    made.output.load_state_dict(theirs.out_proj.state_dict())
    return made


def with_feed_forward(theirs):
    made = FeedForward(E, HIDDEN, F.relu)
    made.into.load_state_dict(theirs.linear1.state_dict())
    made.out.load_state_dict(theirs.linear2.state_dict())
    return made


def random(module):
    torch.manual_seed(2)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    return module.double().eval()


@pytest.mark.parametrize("order", ["pre", "post"])
def test_an_encoder_block_is_torchs(order):
    theirs = random(nn.TransformerEncoderLayer(E, HEADS, HIDDEN, 0.0, batch_first=True, norm_first=order == "pre"))
    made = EncoderBlock(
        with_attention(MultiHead(E, HEADS), theirs.self_attn),
        with_feed_forward(theirs),
        theirs.norm1,
        theirs.norm2,
        order=order,
    ).double()
    x = inputs(N)
    torch.testing.assert_close(made(x), theirs(x), **EXACT)
    torch.testing.assert_close(made(x, mask=causal()), theirs(x, src_mask=later), **EXACT)


@pytest.mark.parametrize("order", ["pre", "post"])
def test_a_decoder_block_is_torchs(order):
    theirs = random(nn.TransformerDecoderLayer(E, HEADS, HIDDEN, 0.0, batch_first=True, norm_first=order == "pre"))
    made = DecoderBlock(
        with_attention(MultiHead(E, HEADS), theirs.self_attn),
        with_attention(MultiHead(E, HEADS, source_width=E), theirs.multihead_attn),
        with_feed_forward(theirs),
        theirs.norm1,
        theirs.norm2,
        theirs.norm3,
        order=order,
    ).double()
    x, source, hidden = inputs(N), inputs(S, seed=2), torch.arange(S) >= torch.tensor([[4], [2]])
    wanted = theirs(x, source, tgt_mask=later, memory_key_padding_mask=hidden)
    out = made(x, source, mask=causal(), source_mask=~hidden.view(B, 1, 1, S))
    torch.testing.assert_close(out, wanted, **EXACT)


@pytest.mark.parametrize("activation", [F.silu, F.gelu, torch.sigmoid, nn.ReLU()])
def test_gated_feed_forward_is_the_papers_formula(activation):
    made, x = random(GatedFeedForward(E, HIDDEN, activation)), inputs(N)
    W, V, W2 = (part.weight for part in (made.gate, made.into, made.out))
    torch.testing.assert_close(made(x), (activation(x @ W.T) * (x @ V.T)) @ W2.T, **EXACT)


@pytest.mark.parametrize("kind", [FeedForward, GatedFeedForward])
def test_dropout_of_hidden_numbers_is_for_training_alone(kind):
    made, x = random(kind(E, HIDDEN, dropout=0.5, bias=True)), inputs(N)
    still = made(x)
    torch.testing.assert_close(made(x), still, rtol=0, atol=0)
    made.train()
    assert not torch.allclose(made(x), still)
    made.dropout.p = 1.0
    torch.testing.assert_close(made(x), made.out.bias.expand(B, N, E), **EXACT)


def test_drop_path_leaves_items_out_whole_and_keeps_the_mean():
    torch.manual_seed(0)
    drop, x = DropPath(0.25), torch.rand(4000, 3, 2) + 1
    out = drop(x)
    stayed = out[:, 0, 0] != 0
    torch.testing.assert_close(out[stayed], x[stayed] / 0.75)
    assert not out[~stayed].any()
    # 4000 draws of probability 0.75: six standard deviations are 0.041.
    assert abs(stayed.float().mean().item() - 0.75) < 0.041
    torch.testing.assert_close(drop.eval()(x), x, rtol=0, atol=0)


def test_a_block_drops_whole_branches():
    """With all branches left out, the stream passes a pre-norm block as it is."""
    x = inputs(N)
    drop = DropPath(0.9)
    made = EncoderBlock(
        MultiHead(E, HEADS), FeedForward(E, HIDDEN), nn.LayerNorm(E), nn.LayerNorm(E), drop=drop
    ).double()
    torch.manual_seed(0)
    many = made(x[:1].expand(200, -1, -1))
    untouched = (many == x[:1]).flatten(1).all(1)
    assert 0.6 < untouched.float().mean().item() < 0.95  # 0.81 by the product of both branches
    assert drop.rate == 0.9


def test_what_cannot_be_is_refused():
    for rate in (-0.1, 1.0):
        with pytest.raises(LayerError, match="rate"):
            DropPath(rate)
    with pytest.raises(LayerError, match="order"):
        EncoderBlock(MultiHead(E, HEADS), FeedForward(E, 8), nn.LayerNorm(E), nn.LayerNorm(E), order="mid")
