"""Sinusoidal, learned and two-dimensional positions, and biases of scores: formulas, and transformers' own."""

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BloomConfig, DINOv3ViTConfig, T5Config
from transformers.models.bloom.modeling_bloom import build_alibi_tensor
from transformers.models.dinov3_vit import modeling_dinov3_vit as dinov3
from transformers.models.marian.modeling_marian import MarianSinusoidalPositionalEmbedding
from transformers.models.t5.modeling_t5 import T5Attention
from transformers.models.vit_mae.modeling_vit_mae import build_2d_sinusoidal_position_embedding

import regard
from regard import Attention
from regard.errors import LayerError, MechanismError, ShapeError
from regard.layers.positions import (
    AlibiBias,
    Learned,
    RelativeBias,
    Rotary,
    Rotary2d,
    Sinusoidal,
    Sinusoidal2d,
    grid_positions,
)


def seeded(*shape, dtype=torch.float64, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


# Sinusoidal


def test_waves_are_the_formula():
    made = Sinusoidal(10, base=300.0).double()(torch.tensor([0, 1, 17, 4000]))
    for row, place in enumerate([0, 1, 17, 4000]):
        for pair in range(5):
            angle = place / 300.0 ** (2 * pair / 10)
            assert made[row, 2 * pair].item() == pytest.approx(math.sin(angle), abs=1e-12)
            assert made[row, 2 * pair + 1].item() == pytest.approx(math.cos(angle), abs=1e-12)


def test_sines_before_cosines_are_those_of_marian():
    wanted = MarianSinusoidalPositionalEmbedding(60, 16).create_weight()
    assert torch.allclose(Sinusoidal(16, interleaved=False)(torch.arange(60)), wanted, rtol=0, atol=1e-5)


def test_a_shift_is_a_turn():
    """Section 3.5: PE(pos + k) is a linear function of PE(pos), one for all positions."""
    waves = Sinusoidal(8).double()
    places = torch.arange(40)
    turn = torch.linalg.lstsq(waves(places), waves(places + 5)).solution
    assert torch.allclose(waves(places + 1000) @ turn, waves(places + 1005), rtol=0, atol=1e-9)


def test_waves_come_in_the_type_of_the_module_and_are_made_in_float32():
    places = torch.tensor([[1000, 2000, 3001]])
    narrow = Sinusoidal(64).bfloat16()(places)
    assert narrow.shape == (1, 3, 64)
    assert torch.equal(narrow, Sinusoidal(64)(places).bfloat16())
    assert Sinusoidal(64).double()(places).dtype == torch.float64
    assert not Sinusoidal(64).state_dict()


# Learned


def test_learned_positions_are_rows_of_the_table():
    learned = Learned(6, 4)
    assert torch.equal(learned(torch.tensor([[5, 0], [2, 2]])), learned.weight[torch.tensor([[5, 0], [2, 2]])])
    assert list(learned.state_dict()) == ["weight"]
    learned(torch.tensor([1, 1, 4])).sum().backward()
    assert learned.weight.grad[:, 0].tolist() == [0, 2, 0, 0, 1, 0]


@pytest.mark.parametrize("places", [[6], [-1], [0, 7]])
def test_positions_outside_of_the_table_are_refused(places):
    with pytest.raises(ShapeError, match="from 0 to 5; got"):
        Learned(6, 4)(torch.tensor(places))


def test_no_positions_have_no_vectors():
    nothing = torch.arange(0)
    assert Learned(6, 4)(nothing).shape == Sinusoidal(4)(nothing).shape == (0, 4)
    assert Sinusoidal2d(8)(grid_positions(0, 3)).shape == (0, 8)


# Patches


def test_a_grid_is_read_row_by_row():
    assert grid_positions(2, 3).tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]
    assert grid_positions(0, 3).shape == grid_positions(3, 0).shape == (0, 2)


def test_waves_of_patches_are_the_formula():
    made = Sinusoidal2d(12).double()(grid_positions(4, 5)).numpy()
    for index, place in enumerate(np.ndindex(4, 5)):
        rates = 10000.0 ** (-np.arange(3) / 3)
        wanted = [wave(number * rates) for number in place for wave in (np.sin, np.cos)]
        np.testing.assert_allclose(made[index], np.concatenate(wanted), rtol=0, atol=1e-12)


def test_waves_of_patches_are_those_of_the_masked_autoencoder():
    wanted = build_2d_sinusoidal_position_embedding(7, 5, 64)
    assert torch.allclose(Sinusoidal2d(64)(grid_positions(7, 5)), wanted, rtol=0, atol=1e-6)


def test_turns_of_patches_are_those_of_dinov3():
    config = DINOv3ViTConfig(hidden_size=64, num_attention_heads=2, image_size=48, patch_size=8, rope_theta=100.0)
    x = seeded(1, 2, 24, 32, dtype=torch.float32)
    cosine, sine = dinov3.DINOv3ViTRopePositionEmbedding(config).eval()(torch.zeros(1, 3, 48, 32))
    wanted = dinov3.apply_rotary_pos_emb(x, x, cosine, sine)[0]
    places = 2 * math.pi * dinov3.get_patches_center_coordinates(6, 4, dtype=torch.float32, device=x.device)
    assert torch.allclose(Rotary2d(32, base=100.0)(x, places), wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("interleaved", [False, True])
def test_each_half_of_the_pairs_turns_by_one_axis(interleaved):
    """Rotary2d is two Rotary of half the width, one at rows and one at columns."""
    x, places = seeded(2, 3, 20, 16), grid_positions(4, 5)
    turned = Rotary2d(16, 50.0, interleaved).double()(x, places)
    if interleaved:
        order = torch.arange(16)
    else:
        order = torch.cat([torch.arange(4), torch.arange(8, 12), torch.arange(4, 8), torch.arange(12, 16)])
    one = Rotary(8, 50.0, interleaved=interleaved).double()
    by_row, by_column = one(x[..., order[:8]], places[:, 0]), one(x[..., order[8:]], places[:, 1])
    assert torch.allclose(turned[..., order], torch.cat([by_row, by_column], -1), rtol=0, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(
    query=st.tuples(st.integers(0, 50), st.integers(0, 50)),
    key=st.tuples(st.integers(0, 50), st.integers(0, 50)),
    shift=st.tuples(st.integers(-50, 50), st.integers(-50, 50)),
    seed=st.integers(0, 100),
)
def test_scores_of_patches_know_rows_and_columns_between_them(query, key, shift, seed):
    rotary, vectors = Rotary2d(8, base=100.0).double(), seeded(2, 1, 1, 1, 8, seed=seed)

    def score(*places):
        turned = [rotary(x, torch.tensor([place])) for x, place in zip(vectors, places, strict=True)]
        return (turned[0] * turned[1]).sum()

    moved = [(row + shift[0], column + shift[1]) for row, column in (query, key)]
    assert torch.allclose(score(query, key), score(*moved), rtol=0, atol=1e-9)


def test_patches_of_each_item_have_places_of_their_own():
    x, places = seeded(2, 2, 6, 8), torch.stack([grid_positions(2, 3), grid_positions(3, 2)])
    rotary = Rotary2d(8).double()
    assert torch.equal(rotary(x, places)[1:], rotary(x[1:], places[1]))
    assert torch.equal(rotary(x, torch.zeros(6, 2)), x)
    assert rotary(x.half(), places).dtype == torch.float16


# Biases of scores


def attended(bias, queries, keys, heads=4):
    q, k, v = (seeded(2, heads, keys, 8, seed=seed) for seed in range(3))
    q = q[:, :, keys - queries :]
    mechanism = Attention(modify=bias(queries, keys), mask=regard.causal(align="last"))
    return regard.attend(q, k, v, mechanism).output


BIASES = {
    "alibi": lambda: AlibiBias(4),
    "alibi, 6 heads": lambda: AlibiBias(6),
    "relative": lambda: RelativeBias(8, 20, 4, both_ways=True),
    "relative, back alone": lambda: RelativeBias(8, 20, 4, both_ways=False),
}


@pytest.mark.parametrize("queries", [1, 3, 30])
@pytest.mark.parametrize("name", BIASES)
def test_the_last_queries_get_what_they_get_among_all(name, queries):
    bias = BIASES[name]()
    for weight in bias.parameters():
        weight.data = seeded(*weight.shape, seed=9)
    heads = 6 if "6" in name else 4
    whole = attended(bias, 30, 30, heads)
    assert torch.allclose(attended(bias, queries, 30, heads), whole[:, :, -queries:], rtol=0, atol=1e-6)
    without = attended(lambda queries, keys: None, 30, 30, heads)
    assert not torch.allclose(without, whole, atol=1e-2)


@pytest.mark.parametrize("heads", [4, 6])
def test_alibi_is_that_of_bloom(heads):
    keys, config = 12, BloomConfig(n_head=heads)
    q, k, v = (seeded(1, heads, keys, 8, dtype=torch.float32, seed=seed) for seed in range(3))
    added = build_alibi_tensor(torch.ones(1, keys), config.n_head, torch.float32).view(1, heads, 1, keys)
    S = (q @ k.mT) / math.sqrt(8) + added
    wanted = S.masked_fill(torch.ones(keys, keys).triu(1).bool(), -torch.inf).softmax(-1) @ v
    mechanism = Attention(modify=AlibiBias(heads)(keys, keys), mask=regard.causal())
    assert torch.allclose(regard.attend(q, k, v, mechanism).output, wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("queries", "keys"), [(40, 40), (1, 40), (7, 300)])
@pytest.mark.parametrize("decoder", [False, True])
def test_relative_bias_is_that_of_t5(queries, keys, decoder):
    config = T5Config(d_model=16, d_kv=4, num_heads=4, is_decoder=decoder)
    theirs = T5Attention(config, has_relative_attention_bias=True, layer_idx=0)
    bias = RelativeBias(32, 128, 4, both_ways=not decoder)
    bias.load_state_dict(theirs.relative_attention_bias.state_dict())
    q, k, v = (seeded(1, 4, n, 8, dtype=torch.float32, seed=n) for n in (queries, keys, keys))
    S = (q @ k.mT) / math.sqrt(8) + theirs.compute_bias(queries, keys, past_seen_tokens=keys - queries)
    output = regard.attend(q, k, v, Attention(modify=bias(queries, keys))).output
    assert torch.allclose(output, S.softmax(-1) @ v, rtol=0, atol=1e-5)
    output.sum().backward()
    assert bias.weight.grad.abs().sum() > 0


def test_slopes_stay_exact_in_a_narrow_module():
    slopes = AlibiBias(12).bfloat16()(1, 1).slopes
    assert torch.equal(slopes, AlibiBias(12)(1, 1).slopes)
    assert not torch.equal(slopes, slopes.bfloat16().float())
    assert not AlibiBias(12).state_dict()


# All of them

LAYERS = {
    "sinusoidal": (Sinusoidal(8), (torch.arange(6),)),
    "learned": (Learned(6, 8), (torch.arange(6),)),
    "sinusoidal, patches": (Sinusoidal2d(8), (grid_positions(2, 3),)),
    "rotary, patches": (Rotary2d(8), (torch.ones(1, 2, 6, 8), grid_positions(2, 3))),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_compile_export_and_copy(name):
    layer, given = LAYERS[name]
    wanted = layer(*given)
    assert torch.allclose(torch.compile(layer, backend="eager", fullgraph=True)(*given), wanted)
    assert torch.allclose(torch.export.export(layer, given).module()(*given), wanted)
    assert torch.equal(copy.deepcopy(layer)(*given), wanted)
    assert str(layer).startswith(f"{type(layer).__name__}(")


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: Sinusoidal(7), "even width"),
        (lambda: Sinusoidal(0), "even width"),
        (lambda: Sinusoidal(8, base=0.5), "base above 1"),
        (lambda: Sinusoidal2d(6), "multiple of 4"),
        (lambda: Rotary2d(0), "multiple of 4"),
        (lambda: Rotary2d(8, base=1), "base above 1"),
        (lambda: Learned(0, 8), "count and a width"),
        (lambda: grid_positions(-1, 2), "rows and columns"),
    ],
)
def test_what_cannot_be_built_is_refused(build, says):
    with pytest.raises(LayerError, match=says):
        build()


@pytest.mark.parametrize(
    "build",
    [
        lambda: AlibiBias(0),
        lambda: RelativeBias(3, 128, 4, both_ways=True),
        lambda: RelativeBias(0, 128, 4, both_ways=False),
        lambda: RelativeBias(32, 8, 4, both_ways=True),
    ],
)
def test_biases_without_meaning_are_refused(build):
    with pytest.raises(MechanismError, match="expected"):
        build()


@pytest.mark.parametrize(
    ("layer", "given"),
    [
        (Sinusoidal(8), (torch.tensor([True]),)),
        (Learned(6, 8), (torch.tensor([1.5]),)),
        (Sinusoidal2d(8), (torch.arange(6),)),
        (Sinusoidal2d(8), (torch.zeros(6, 3),)),
        (Rotary2d(8), (torch.zeros(1, 2, 6, 8), torch.arange(6))),
        (Rotary2d(8), (torch.zeros(1, 2, 6, 8), torch.zeros(5, 2))),
    ],
)
def test_what_does_not_fit_is_refused(layer, given):
    with pytest.raises(ShapeError, match=f"{type(layer).__name__}: expected"):
        layer(*given)
