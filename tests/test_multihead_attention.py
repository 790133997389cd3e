"""`MultiheadAttention` is torch's module, weights and all, with any mechanism in its heads; the oracle is torch."""

import copy
import pickle
import subprocess
import sys
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import regard
from regard import Attention, causal, cosine, sparsemax, window
from regard.drop_ins.multihead_attention import MultiheadAttention
from regard.errors import DropInError, MechanismError, RegardError, WantError

OPTIONS = {
    "plain": {},
    "no bias": {"bias": False},
    "bias_kv": {"add_bias_kv": True},
    "zero": {"add_zero_attn": True},
    "both added": {"add_bias_kv": True, "add_zero_attn": True, "batch_first": True},
    "other widths": {"kdim": 6, "vdim": 10},
    "other widths, no bias": {"kdim": 6, "vdim": 10, "bias": False, "batch_first": True},
    "own widths named": {"kdim": 8, "vdim": 8},
    "batch first": {"batch_first": True},
    "dropout": {"dropout": 0.3},
}


def random(*shape, dtype=torch.float64, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def pair(dtype=torch.float64, **options):
    """Return torch's module and ours, of the same parameters, none of which is 0."""
    theirs = nn.MultiheadAttention(8, 2, dtype=dtype, **options)
    with torch.no_grad():
        for seed, parameter in enumerate(theirs.parameters()):
            parameter.copy_(random(*parameter.shape, seed=100 + seed))
    ours = MultiheadAttention(8, 2, dtype=dtype, **options)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return theirs, ours


def close(ours, theirs, tolerance=1e-11):
    assert (ours is None) == (theirs is None)
    if theirs is not None:
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


def quietly(module, *args, **kwargs):
    """Call torch's module, which warns of masks of two kinds that ours takes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return module(*args, **kwargs)


@st.composite
def calls(draw):
    options = {
        "bias": draw(st.booleans()),
        "add_bias_kv": draw(st.booleans()),
        "add_zero_attn": draw(st.booleans()),
        "batch_first": draw(st.booleans()),
        **draw(st.sampled_from([{}, {"kdim": 6, "vdim": 10}])),
    }
    batch, queries, keys = (draw(st.integers(1, 4)) for _ in range(3))
    inputs = draw(st.sampled_from(["cross", "self", "key is value", "unbatched"]))
    inputs = "cross" if "kdim" in options and inputs != "unbatched" else inputs
    keys, batch = (queries if inputs == "self" else keys), (1 if inputs == "unbatched" else batch)
    seed = draw(st.integers(0, 99))
    mask, padding = (
        draw(st.sampled_from(["none", "bool", "bool 3", "float", "float 3"])),
        draw(st.sampled_from(["none", "bool", "float"])),
    )
    numbers = random(*((batch * 2,) if mask.endswith("3") else ()), queries, keys, seed=seed)
    # The first key stays, so that no row is empty, where torch gives NaN.
    attn_mask = {"n": None, "b": (numbers > 0).index_fill(-1, torch.tensor(0), False), "f": numbers}[mask[0]]
    numbers = random(batch, keys, seed=seed + 1)
    key_padding = {"n": None, "b": (numbers > 0).index_fill(-1, torch.tensor(0), False), "f": numbers}[padding[0]]

    def laid(tensor):
        return tensor[0] if inputs == "unbatched" else tensor if options["batch_first"] else tensor.transpose(0, 1)

    query = laid(random(batch, queries, 8, seed=seed + 2)).requires_grad_()
    key = laid(random(batch, keys, options.get("kdim", 8), seed=seed + 3))
    value = laid(random(batch, keys, options.get("vdim", 8), seed=seed + 4))
    tensors = {"self": (query, query, query), "key is value": (query, key, key)}.get(inputs, (query, key, value))
    asked = {
        "attn_mask": attn_mask,
        "key_padding_mask": key_padding[0] if key_padding is not None and inputs == "unbatched" else key_padding,
        "need_weights": draw(st.booleans()),
        "average_attn_weights": draw(st.booleans()),
    }
    return options, tensors, asked


@given(calls())
@settings(max_examples=150, deadline=None, derandomize=True)
def test_output_weights_and_gradients_as_torch(call):
    options, tensors, asked = call
    theirs, ours = pair(**options)
    found = []
    for module in (theirs, ours):
        output, weights = quietly(module, *tensors, **asked)
        total = output.sin().sum() + (0 if weights is None else weights.cos().sum())
        found.append((output, weights, torch.autograd.grad(total, [tensors[0], *module.parameters()])))
    close(found[1][0], found[0][0])
    close(found[1][1], found[0][1])
    for own, other in zip(found[1][2], found[0][2], strict=True):
        close(own, other)


@pytest.mark.parametrize("name", OPTIONS)
def test_state_dicts_load_either_way(name):
    torch.manual_seed(5)
    theirs = nn.MultiheadAttention(8, 2, **OPTIONS[name])
    torch.manual_seed(5)
    ours = MultiheadAttention(8, 2, **OPTIONS[name])
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))
    theirs, ours = pair(**OPTIONS[name])
    theirs.load_state_dict(MultiheadAttention(8, 2, dtype=torch.float64, **OPTIONS[name]).state_dict(), strict=True)
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]


def test_device_and_dtype_of_parameters():
    module = MultiheadAttention(8, 2, add_bias_kv=True, device="meta", dtype=torch.bfloat16)
    assert all((p.device.type, p.dtype) == ("meta", torch.bfloat16) for p in module.parameters())


def test_weights_are_not_handed_out_unless_asked_for():
    _, ours = pair()
    x = random(3, 2, 8)
    assert ours(x, x, x)[1] is None
    assert ours(x, x, x, need_weights=True)[1].shape == (2, 3, 3)


@pytest.mark.parametrize("as_float", [False, True])
def test_queries_that_may_see_no_key_give_the_bias(as_float):
    _, ours = pair(batch_first=True)
    x = random(2, 3, 8).requires_grad_()
    padding = torch.tensor([[True, True, True], [False, True, False]])
    given = torch.zeros(2, 3).double().masked_fill(padding, -torch.inf) if as_float else padding
    output, weights = ours(x, x, x, key_padding_mask=given, need_weights=True)
    assert torch.equal(output[0], ours.out_proj.bias.expand(3, 8))
    assert (weights[0] == 0).all()
    assert (weights[1, :, 1] == 0).all()
    torch.testing.assert_close(weights[1].sum(-1), torch.ones(3).double())
    gradients = torch.autograd.grad(output.sum() + weights.square().sum(), [x, *ours.parameters()])
    assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("added", [{}, {"add_bias_kv": True}, {"add_zero_attn": True}])
@pytest.mark.parametrize("need_weights", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_the_causal_hint_changes_nothing(added, need_weights, padded):
    _, ours = pair(**added)
    x, mask = random(4, 2, 8), torch.ones(4, 4, dtype=torch.bool).triu(1)
    padding = torch.tensor([[False, False, False, True]] * 2) if padded else None
    asked = {"attn_mask": mask, "need_weights": need_weights, "key_padding_mask": padding}
    for hinted, plain in zip(ours(x, x, x, is_causal=True, **asked), ours(x, x, x, **asked), strict=True):
        close(hinted, plain)


def test_dropout_in_training_only_and_settled_by_torchs_seed():
    _, ours = pair(dropout=0.5)
    _, plain = pair()
    x = random(4, 2, 8)
    torch.manual_seed(1)
    first, weights = ours(x, x, x, need_weights=True)
    torch.manual_seed(1)
    assert torch.equal(first, ours(x, x, x)[0])
    assert not torch.equal(first, ours(x, x, x)[0])
    assert not torch.allclose(first, plain(x, x, x)[0])
    close(weights, plain(x, x, x, need_weights=True)[1])
    close(ours.eval()(x, x, x)[0], plain(x, x, x)[0])
    _, all_dropped = pair(dropout=1.0)
    assert torch.equal(all_dropped(x, x, x)[0], all_dropped.out_proj.bias.expand(4, 2, 8))


def with_attention(attention, **options):
    _, plain = pair(**options)
    ours = MultiheadAttention(8, 2, dtype=torch.float64, attention=attention, **options)
    ours.load_state_dict(plain.state_dict(), strict=False)
    return ours


def test_a_mechanisms_mask_is_combined_with_those_of_the_call():
    theirs, _ = pair()
    ours = with_attention(Attention(mask=causal() & window(1)))
    x, mask = random(5, 2, 8), random(5, 5, seed=1) > 0.5
    mask.fill_diagonal_(False)
    padding = torch.tensor([[False] * 4 + [True], [False] * 5])
    forbidden = ~torch.ones(5, 5, dtype=torch.bool).tril().triu(-1)
    expected, _ = theirs(x, x, x, attn_mask=mask | forbidden, key_padding_mask=padding, need_weights=True)
    # Where padding hides the one key that a query sees, torch's output is NaN.
    seen = expected.isfinite()
    output, _ = ours(x, x, x, attn_mask=mask, key_padding_mask=padding)
    close(output[seen], expected[seen])


def test_a_mechanisms_score_and_weighing():
    theirs, _ = pair(batch_first=True)
    x = random(2, 5, 8)
    q, k, v = (
        part.unflatten(-1, (2, 4)).transpose(1, 2)
        for part in nn.functional.linear(x, theirs.in_proj_weight, theirs.in_proj_bias).chunk(3, -1)
    )
    S = nn.functional.normalize(q, dim=-1) @ nn.functional.normalize(k, dim=-1).transpose(-1, -2)
    expected = theirs.out_proj((torch.softmax(S, -1) @ v).transpose(1, 2).flatten(2))
    ours = with_attention(Attention(score=cosine(1.0)), batch_first=True)
    output, weights = ours(x, x, x, need_weights=True, average_attn_weights=False)
    close(output, expected)
    close(weights, torch.softmax(S, -1))


def test_weights_are_refused_where_they_are_no_softmax():
    ours = with_attention(Attention(weigh=sparsemax()))
    x = random(5, 2, 8)
    assert ours(x, x, x)[0].isfinite().all()
    with pytest.raises(WantError, match="need_weights=False"):
        ours(x, x, x, need_weights=True)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_parameters_of_a_mechanism_are_the_modules_own(copied):
    bias = nn.Parameter(random(2, 3, 3))
    ours = copied(with_attention(Attention(bias=bias)))
    (own,) = ours.mechanism_parameters
    assert own is not bias
    assert "mechanism_parameters.0" in ours.state_dict()
    x = random(3, 2, 8)
    output, _ = ours(x, x, x)
    output.square().sum().backward()
    assert own.grad.abs().sum() > 0
    assert bias.grad is None
    theirs, _ = pair()
    close(output, theirs(x, x, x, attn_mask=bias.detach().repeat(2, 1, 1))[0])
    assert not hasattr(MultiheadAttention(8, 2), "mechanism_parameters")


X = torch.zeros(4, 2, 8)
MISTAKES = {
    "four axes": ((X[None], X[None], X[None]), {}),
    "key without batch": ((X, X[:, 0], X[:, 0]), {}),
    "batches differ": ((X, X[:, :1], X[:, :1]), {}),
    "keys and values differ": ((X, X, X[:3]), {}),
    "another width": ((X[..., :6], X, X), {}),
    "mask of integers": ((X, X, X), {"attn_mask": torch.zeros(4, 4).int()}),
    "mask of another length": ((X, X, X), {"attn_mask": torch.zeros(4, 3)}),
    "mask for other heads": ((X, X, X), {"attn_mask": torch.zeros(3, 4, 4)}),
    "mask of one axis": ((X, X, X), {"attn_mask": torch.zeros(4)}),
    "padding of another length": ((X, X, X), {"key_padding_mask": torch.zeros(2, 3)}),
    "padding without batch": ((X, X, X), {"key_padding_mask": torch.zeros(4)}),
    "padding of integers": ((X, X, X), {"key_padding_mask": torch.zeros(2, 4).int()}),
    "the hint alone": ((X, X, X), {"is_causal": True}),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_that_torch_refuses_are_refused(case):
    args, kwargs = MISTAKES[case]
    with pytest.raises((RuntimeError, AssertionError)):
        nn.MultiheadAttention(8, 2)(*args, **kwargs)
    with pytest.raises(DropInError):
        MultiheadAttention(8, 2)(*args, **kwargs)


def test_what_is_no_tensor_or_nested_is_refused():
    with pytest.raises(TypeError, match="value"):
        MultiheadAttention(8, 2)(X, X, None)
    nested = torch.nested.nested_tensor([X[0], X[1]], layout=torch.jagged)
    with pytest.raises(DropInError, match="key_padding_mask"):
        MultiheadAttention(8, 2, batch_first=True)(nested, nested, nested)


@pytest.mark.parametrize("sizes", [(0, 2), (8, 0), (-8, 2), (8, 3)])
def test_sizes_that_torch_refuses_are_refused(sizes):
    with pytest.raises((ValueError, AssertionError)):
        nn.MultiheadAttention(*sizes)
    with pytest.raises(ValueError, match="num_heads") as error:
        MultiheadAttention(*sizes)
    assert isinstance(error.value, RegardError)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attention": causal()}, "expected an Attention"),
        ({"attention": Attention(dropout=0.1)}, "without dropout"),
        ({"attention": Attention(mask=causal()), "add_zero_attn": True}, "added keys"),
        ({"attention": Attention(mask=causal()), "add_bias_kv": True}, "added keys"),
    ],
)
def test_mechanisms_that_a_module_cannot_hold_are_refused(options, message):
    with pytest.raises(MechanismError, match=message):
        MultiheadAttention(8, 2, **options)


@pytest.mark.parametrize("options", [{}, {"add_bias_kv": True, "add_zero_attn": True}])
def test_autocast_as_torch(options):
    theirs, ours = pair(dtype=torch.float32, **options)
    x, mask = random(4, 2, 8, dtype=torch.float32), random(4, 4, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        expected, output = theirs(x, x, x, attn_mask=mask, need_weights=False)[0], ours(x, x, x, attn_mask=mask)[0]
        weights = ours(x, x, x, attn_mask=mask, need_weights=True)[1]
    assert output.dtype == expected.dtype == torch.bfloat16
    close(output, expected, 5e-2)
    close(weights.double(), theirs(x, x, x, attn_mask=mask)[1].double(), 5e-2)


def layers(kind, **options):
    """Return a layer of torch's, and a copy in which our module stands for torch's."""
    torch.manual_seed(2)
    theirs = kind(8, 2, 16, dropout=0.0, batch_first=True, dtype=torch.float64, **options)
    ours = copy.deepcopy(theirs)
    for name in ("self_attn", "multihead_attn"):
        if hasattr(theirs, name):
            module = MultiheadAttention(8, 2, batch_first=True, dtype=torch.float64)
            module.load_state_dict(getattr(theirs, name).state_dict())
            setattr(ours, name, module)
    return theirs, ours


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("masked", ["none", "causal", "padded"])
def test_in_torchs_encoder(training, masked):
    theirs, ours = layers(nn.TransformerEncoderLayer)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stacks = [nn.TransformerEncoder(layer, 2).train(training) for layer in (theirs, ours)]
    x = random(2, 4, 8)
    mask = torch.ones(4, 4, dtype=torch.bool).triu(1) if masked == "causal" else None
    padding = torch.tensor([[False] * 3 + [True], [False] * 4]) if masked == "padded" else None
    with torch.set_grad_enabled(training), regard.watch(stacks[1]) as seen:
        output = stacks[1](x, mask=mask, src_key_padding_mask=padding)
    with torch.set_grad_enabled(training), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = stacks[0](x, mask=mask, src_key_padding_mask=padding)
    rows = torch.ones(2, 4, dtype=torch.bool) if padding is None else ~padding
    close(output[rows], expected[rows])
    assert [site.path for site in seen] == ["layers.0.self_attn", "layers.1.self_attn"]


@pytest.mark.parametrize("training", [True, False])
def test_in_torchs_decoder(training):
    theirs, ours = (layer.train(training) for layer in layers(nn.TransformerDecoderLayer, norm_first=True))
    x, memory = random(2, 4, 8), random(2, 5, 8, seed=1)
    mask = nn.Transformer.generate_square_subsequent_mask(4, dtype=torch.float64)
    close(ours(x, memory, tgt_mask=mask, tgt_is_causal=True), theirs(x, memory, tgt_mask=mask, tgt_is_causal=True))


COMPILED = """
import torch
from regard.drop_ins.multihead_attention import MultiheadAttention
module, x, seen = MultiheadAttention(16, 4), torch.randn(5, 2, 16), torch.rand(5, 5) > 0.5
def function(x):
    return module(x, x, x, attn_mask=seen)[0], module(x, x, x, need_weights=True)[1]
compiled = torch.compile(function, backend="eager", fullgraph=True)
torch.testing.assert_close(compiled(x), function(x))
"""


@pytest.mark.slow
def test_compiles_in_one_graph():
    # In a process of its own, since the checks of shapes that tests switch on cannot be compiled.
    done = subprocess.run([sys.executable, "-c", COMPILED], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
