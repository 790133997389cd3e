"""Rotary positions: the formula, its law of distances, and every scaling beside the formula and transformers."""

import copy
import math
import pickle
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig
from transformers.models.gptj.modeling_gptj import apply_rotary_pos_emb as turned_by_gptj
from transformers.models.gptj.modeling_gptj import create_sinusoidal_positions
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb

from regard.errors import LayerError, ShapeError
from regard.layers.positions import (
    DynamicNTKScaling,
    LinearScaling,
    Llama3Scaling,
    NTKScaling,
    Rotary,
    YarnScaling,
)

SCALINGS = {
    "linear": (LinearScaling(4.0), {"rope_type": "linear", "factor": 4.0}),
    "dynamic": (DynamicNTKScaling(4.0, 64), {"rope_type": "dynamic", "factor": 4.0}),
    "yarn": (
        YarnScaling(4.0, 64),
        {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64},
    ),
    "yarn, its own ramp": (
        YarnScaling(8.0, 4096, fast=16.0, slow=2.0, magnitudes=(0.7, 0.4), whole=False),
        {
            "rope_type": "yarn",
            "factor": 8.0,
            "original_max_position_embeddings": 4096,
            "beta_fast": 16.0,
            "beta_slow": 2.0,
            "mscale": 0.7,
            "mscale_all_dim": 0.4,
            "truncate": False,
        },
    ),
    "yarn, its own attention factor": (
        YarnScaling(2.0, 512, attention_factor=1.25),
        {
            "rope_type": "yarn",
            "factor": 2.0,
            "original_max_position_embeddings": 512,
            "attention_factor": 1.25,
        },
    ),
    "llama3": (
        Llama3Scaling(8.0, 1.0, 4.0, 256),
        {
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 256,
        },
    ),
}


def seeded(*shape, dtype=torch.float64, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def turned_by_formula(x, positions, base=10000.0, turned=None, interleaved=False):
    """Each pair as a complex number times e^(i p base^(-2i/d)), one number at a time."""
    width = x.shape[-1] if turned is None else turned
    out = x.clone()
    for pair in range(width // 2):
        first, second = (2 * pair, 2 * pair + 1) if interleaved else (pair, pair + width // 2)
        for item in range(x.shape[0]):
            for place in range(x.shape[2]):
                angle = positions[item][place] * base ** (-2 * pair / width)
                factor = complex(math.cos(angle), math.sin(angle))
                for head in range(x.shape[1]):
                    a, b = x[item, head, place, first].item(), x[item, head, place, second].item()
                    product = complex(a, b) * factor
                    out[item, head, place, first], out[item, head, place, second] = product.real, product.imag
    return out


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("part", [1.0, 0.5, 0.25])
def test_turns_are_the_formula(interleaved, part):
    x, positions = seeded(2, 3, 4, 16), [[0, 1, 2, 3], [7, 5, 5, 1000]]
    rotary = Rotary(16, 500.0, part, interleaved).double()
    wanted = turned_by_formula(x, positions, 500.0, int(16 * part), interleaved)
    assert torch.allclose(rotary(x, torch.tensor(positions)), wanted, rtol=0, atol=1e-12)


def test_float32_is_near_the_formula_at_distant_positions():
    x, positions = seeded(1, 1, 3, 64), [[0, 1000, 30000]]
    x = x.float().double()
    near = Rotary(64)(x.float(), torch.tensor(positions))
    error = (near.double() - turned_by_formula(x, positions)).abs().amax((0, 1, 3))
    assert error[0] == 0
    assert error[1] < 5e-4
    assert error[2] < 1e-2


@settings(max_examples=40, deadline=None)
@given(
    first=st.integers(0, 5000),
    second=st.integers(0, 5000),
    shift=st.integers(-3000, 3000),
    interleaved=st.booleans(),
    part=st.sampled_from([0.5, 1.0]),
    seed=st.integers(0, 100),
)
def test_scores_know_the_distance_alone(first, second, shift, interleaved, part, seed):
    rotary = Rotary(8, part=part, interleaved=interleaved).double()
    query, key = seeded(1, 1, 1, 8, seed=seed), seeded(1, 1, 1, 8, seed=seed + 1)

    def score(query_at, key_at):
        turned = rotary(query, torch.tensor([query_at])), rotary(key, torch.tensor([key_at]))
        return (turned[0] * turned[1]).sum()

    assert torch.allclose(score(first, second), score(first + shift, second + shift), rtol=0, atol=1e-8)


def test_turns_keep_lengths_and_position_zero():
    x = seeded(2, 2, 5, 12)
    rotary = Rotary(12).double()
    assert torch.allclose(rotary(x, torch.arange(5)).norm(dim=-1), x.norm(dim=-1))
    assert torch.equal(rotary(x, torch.zeros(5, dtype=torch.long)), x)


def test_what_is_not_turned_passes_as_it_is():
    x = seeded(1, 2, 5, 12)
    turned = Rotary(12, part=1 / 3).double()(x, torch.arange(5))
    assert torch.equal(turned[..., 4:], x[..., 4:])
    assert not torch.isclose(turned[:, :, 1:, :4], x[:, :, 1:, :4]).any()


@pytest.mark.parametrize("scaling", [None, DynamicNTKScaling(2.0, 3)])
def test_positions_of_each_item_are_those_of_the_item_alone(scaling):
    x, positions = seeded(3, 2, 5, 8), torch.tensor([[0, 1, 2, 3, 4], [0, 0, 0, 1, 2], [9, 8, 7, 6, 5]])
    rotary = Rotary(8, scaling=scaling).double()
    alone = torch.cat([rotary(x[item : item + 1], positions[item]) for item in range(3)])
    assert torch.allclose(rotary(x, positions), alone, rtol=0, atol=1e-12)
    assert torch.equal(rotary(x, positions[:1]), rotary(x, positions[0]))


@pytest.mark.parametrize("part", [1.0, 0.5])
@pytest.mark.parametrize("name", SCALINGS)
def test_scalings_are_those_of_transformers(name, part):
    scaling, stated = SCALINGS[name]
    length = 200
    config = LlamaConfig(
        hidden_size=128,
        num_attention_heads=2,
        max_position_embeddings=64,
        rope_parameters={"rope_theta": 10000.0, "partial_rotary_factor": part, **stated},
    )
    x, positions = seeded(1, 2, length, 64, dtype=torch.float32), torch.arange(length)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cosine, sine = LlamaRotaryEmbedding(config)(x, positions[None])
    turned = int(64 * part)
    wanted = torch.cat(
        [
            apply_rotary_pos_emb(x[..., :turned], x, cosine, sine)[0]
            if part == 1
            else apply_rotary_pos_emb(x[..., :turned], x[..., :turned], cosine, sine)[0],
            x[..., turned:],
        ],
        -1,
    )
    rotary = Rotary(64, part=part, scaling=scaling)
    assert torch.allclose(rotary(x, positions), wanted, rtol=0, atol=2e-4)
    plain = Rotary(64, part=part)(x, positions)
    assert not torch.allclose(plain, wanted, atol=1e-2)


def test_neighbouring_pairs_are_those_of_gptj():
    x, positions = seeded(1, 2, 50, 32, dtype=torch.float32), torch.arange(50)
    sine, cosine = create_sinusoidal_positions(50, 32).chunk(2, dim=-1)
    wanted = turned_by_gptj(x.transpose(1, 2), sine[None], cosine[None]).transpose(1, 2)
    assert torch.allclose(Rotary(32, interleaved=True)(x, positions), wanted, rtol=0, atol=1e-5)


def test_halves_and_neighbours_differ_by_a_permutation():
    x = seeded(1, 1, 6, 10)
    order = torch.arange(10).view(5, 2).t().flatten()  # neighbours to halves
    halves = Rotary(10).double()(x[..., order], torch.arange(6))
    assert torch.equal(halves, Rotary(10, interleaved=True).double()(x, torch.arange(6))[..., order])


def rates(width, scaling, base=10000.0):
    """The angles of position 1, read off a turned vector (1, 0)."""
    x = torch.zeros(1, 1, 1, width, dtype=torch.float64)
    x[..., : width // 2] = 1
    turned = Rotary(width, base, scaling=scaling).double()(x, torch.tensor([1]))[0, 0, 0]
    return torch.atan2(turned[width // 2 :], turned[: width // 2])


def test_ntk_scaling_is_a_larger_base():
    larger = 10000.0 * 4.0 ** (16 / 14)
    assert torch.allclose(rates(16, NTKScaling(4.0)), rates(16, None, base=larger), rtol=1e-12)
    plain, scaled = rates(16, None), rates(16, NTKScaling(4.0))
    assert torch.allclose(plain[[0, -1]] / scaled[[0, -1]], torch.tensor([1.0, 4.0], dtype=torch.float64))


def test_linear_scaling_moves_positions_closer():
    x = seeded(1, 1, 6, 8)
    scaled = Rotary(8, scaling=LinearScaling(4.0)).double()(x, torch.arange(6))
    assert torch.allclose(scaled, Rotary(8).double()(x, torch.arange(6) / 4), rtol=0, atol=1e-12)


def test_dynamic_scaling_begins_beyond_the_trained_length():
    x, rotary = seeded(1, 1, 8, 8), Rotary(8, scaling=DynamicNTKScaling(3.0, 8)).double()
    assert rotary.by_length
    for places in (torch.arange(8), torch.arange(8) // 2):
        assert torch.equal(rotary(x, places), Rotary(8).double()(x, places))
    base = 10000.0 * (3.0 * 12 / 8 - 2) ** (8 / 6)
    wanted = Rotary(8, base).double()(x, torch.arange(4, 12))
    assert torch.allclose(rotary(x, torch.arange(4, 12)), wanted, rtol=0, atol=1e-12)


def test_llama3_scaling_is_the_published_formula():
    scaled, plain = rates(32, Llama3Scaling(8.0, 1.0, 4.0, 256)), rates(32, None)
    for index, frequency in enumerate(plain.tolist()):
        wave = 2 * math.pi / frequency
        if wave < 256 / 4:
            wanted = frequency
        elif wave > 256 / 1:
            wanted = frequency / 8
        else:
            smooth = (256 / wave - 1) / (4 - 1)
            wanted = (1 - smooth) * frequency / 8 + smooth * frequency
        assert scaled[index].item() == pytest.approx(wanted, rel=1e-12)


def test_yarn_keeps_fast_frequencies_and_divides_slow_ones():
    scaling = YarnScaling(4.0, 2048)
    ratio = rates(64, None) / rates(64, scaling)
    turns = 2048 * rates(64, None) / (2 * math.pi)
    assert torch.allclose(ratio[turns > 40], torch.ones((), dtype=torch.float64))
    assert torch.allclose(ratio[turns < 0.7], torch.full((), 4.0, dtype=torch.float64))
    assert (ratio.diff() > -1e-12).all()
    x = seeded(1, 1, 3, 64)
    grown = Rotary(64, scaling=scaling).double()(x, torch.arange(3)).norm() / x.norm()
    assert grown.item() == pytest.approx(0.1 * math.log(4) + 1)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrow_types_turn_in_float32(dtype):
    x, positions = seeded(1, 2, 40, 32, dtype=dtype), torch.arange(40) + 4000
    wanted = Rotary(32)(x.float(), positions).to(dtype)
    for rotary in (Rotary(32), Rotary(32).to(dtype)):
        assert rotary(x, positions).dtype == dtype
        assert torch.equal(rotary(x, positions), wanted)


def test_frequencies_survive_every_move_of_the_module():
    x, positions = seeded(1, 2, 40, 32, dtype=torch.float32), torch.arange(40)
    wanted = Rotary(32)(x, positions)
    with torch.device("meta"):
        built = Rotary(32)
    assert torch.equal(built(x, positions), wanted)
    assert torch.equal(Rotary(32).to("meta").to_empty(device="cpu")(x, positions), wanted)
    assert torch.equal(Rotary(32).half().float()(x, positions), wanted)
    assert not Rotary(32).state_dict()
    assert not list(Rotary(32).parameters())


def test_gradients_turn_back():
    rotary = Rotary(6, part=2 / 3, scaling=YarnScaling(2.0, 16)).double()
    x = seeded(2, 1, 3, 6).requires_grad_()
    assert torch.autograd.gradcheck(lambda each: rotary(each, torch.arange(3)), (x,))


@pytest.mark.parametrize("shape", [(0, 2, 3, 8), (1, 0, 3, 8), (2, 2, 0, 8)])
@pytest.mark.parametrize("scaling", [None, DynamicNTKScaling(2.0, 4)])
def test_nothing_turns_into_nothing(shape, scaling):
    rotary = Rotary(8, scaling=scaling)
    for positions in (torch.arange(shape[2]), torch.arange(shape[2]).expand(shape[0], -1)):
        assert rotary(torch.zeros(shape), positions).shape == shape


@pytest.mark.parametrize("scaling", [None, DynamicNTKScaling(2.0, 4)])
def test_compiled_and_exported_turns_are_the_same(scaling):
    rotary = Rotary(8, part=0.5, scaling=scaling)
    x, positions = seeded(2, 2, 6, 8, dtype=torch.float32), torch.arange(6)
    compiled = torch.compile(rotary, backend="eager", fullgraph=True)
    assert torch.allclose(compiled(x, positions), rotary(x, positions))
    exported = torch.export.export(rotary, (x, positions)).module()
    assert torch.allclose(exported(x, positions), rotary(x, positions))


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: Rotary(7), "even part"),
        (lambda: Rotary(8, part=0.0), "even part"),
        (lambda: Rotary(8, part=1.5), "even part"),
        (lambda: Rotary(8, base=1.0), "base above 1"),
        (lambda: Rotary(8, base=math.nan), "base above 1"),
        (lambda: LinearScaling(0.5), "factor"),
        (lambda: NTKScaling(math.inf), "factor"),
        (lambda: DynamicNTKScaling(2.0, 0), "trained"),
        (lambda: YarnScaling(2.0, 64, fast=1.0, slow=2.0), "slow < fast"),
        (lambda: Llama3Scaling(2.0, 4.0, 4.0, 64), "low < high"),
    ],
)
def test_what_cannot_be_built_is_refused(build, says):
    with pytest.raises(LayerError, match=says):
        build()


@pytest.mark.parametrize(
    ("x", "positions"),
    [
        (torch.zeros(1, 2, 3, 6), torch.arange(3)),
        (torch.zeros(2, 3, 8), torch.arange(3)),
        (torch.zeros(1, 2, 3, 8), torch.arange(4)),
        (torch.zeros(4, 2, 3, 8), torch.zeros(2, 3)),
        (torch.zeros(1, 2, 3, 8), torch.tensor(3)),
        (torch.zeros(1, 2, 3, 8), torch.ones(3, dtype=torch.bool)),
    ],
)
def test_what_does_not_fit_is_refused(x, positions):
    with pytest.raises(ShapeError, match="Rotary: expected"):
        Rotary(8)(x, positions)


def test_positions_that_were_written_into_and_frequencies_that_moved_turn_anew():
    rotary, x, positions = Rotary(8), seeded(1, 2, 5, 8), torch.arange(5)
    before = rotary(x, positions)
    assert torch.equal(rotary(x, positions), before)
    positions += 7
    assert torch.equal(rotary(x, positions), Rotary(8)(x, torch.arange(7, 12)))
    copied = pickle.loads(pickle.dumps(copy.deepcopy(rotary)))
    assert torch.equal(copied(x, positions), rotary(x, positions))
    assert torch.equal(rotary.double()(x, positions), Rotary(8).double()(x, positions))
    with torch.no_grad():
        rotary.frequencies.numbers.zero_()
    assert torch.equal(rotary(x, positions), x)
