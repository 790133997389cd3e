"""Multi-head attention as a layer: its formula with every part, torch's module, and what it means to a model."""

import copy

import pytest
import torch
from torch import nn

import regard
from regard import Attention, causal
from regard.errors import LayerError, ShapeError
from regard.layers import GrowingCache, MultiHead
from regard.layers.positions import AlibiBias, Rotary

EXACT = {"rtol": 1e-9, "atol": 1e-9}
B, N, S, E = 2, 7, 5, 12


def inputs(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def random(module):
    """Fill all parameters with numbers that matter."""
    generator = torch.Generator().manual_seed(5)
    module = module.double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
    return module.eval()


def by_formula(made, x, source=None, allowed=None, bias=0.0):
    """Return what the layer's formula gives, one head after another."""
    read = x if source is None else source
    group, outputs = made.heads // made.key_heads, []
    queries = made.query(x).chunk(made.heads, -1)
    keys, values = made.key(read).chunk(made.key_heads, -1), made.value(read).chunk(made.key_heads, -1)
    places = torch.arange(x.shape[1])
    for head, query in enumerate(queries):
        key, value = keys[head // group], values[head // group]
        query = query if made.query_norm is None else made.query_norm(query)
        key = key if made.key_norm is None else made.key_norm(key)
        if made.rotary is not None:
            query, key = (made.rotary(part.unsqueeze(1), places).squeeze(1) for part in (query, key))
        scores = query @ key.transpose(1, 2) / query.shape[-1] ** 0.5
        scores = scores + (bias[head] if isinstance(bias, torch.Tensor) else bias)
        if allowed is not None:
            scores = scores.masked_fill(~allowed, -torch.inf)
        weights = scores.exp()
        total = weights.sum(-1, keepdim=True) + (0 if made.sink is None else made.sink[head].exp())
        outputs.append(weights / total @ value)
    joined = torch.cat(outputs, -1)
    return made.output(joined if made.gate is None else joined * made.gate(x).sigmoid())


lower = torch.ones(N, N, dtype=torch.bool).tril()
distances = (torch.arange(N).view(-1, 1) - torch.arange(N)).abs()
PARTS = {
    "plain": {},
    "grouped": {"key_heads": 2},
    "one key head": {"key_heads": 1},
    "widths": {"head_width": 6, "value_width": 2},
    "no biases": {"bias": False},
    "bias of queries, keys and values": {"out_bias": False},
    "bias of the output": {"bias": False, "out_bias": True},
    "norms": {"query_norm": nn.RMSNorm(3), "key_norm": nn.LayerNorm(3)},
    "gate": {"gate": True, "value_width": 4},
    "sink": {"sink": True},
    "rotary": {"rotary": Rotary(4), "head_width": 4},
    "everything": {
        "key_heads": 2,
        "head_width": 6,
        "query_norm": nn.RMSNorm(6),
        "key_norm": nn.RMSNorm(6),
        "gate": True,
        "sink": True,
        "rotary": Rotary(6),
    },
}


@pytest.mark.parametrize("parts", PARTS)
@pytest.mark.parametrize("mask", ["everyone", "causal"])
def test_the_formula(parts, mask):
    made, x = random(MultiHead(E, 4, **PARTS[parts])), inputs(B, N, E)
    given, allowed = (None, None) if mask == "everyone" else (causal(), lower)
    torch.testing.assert_close(made(x, mask=given), by_formula(made, x, allowed=allowed), **EXACT)


def test_the_mask_of_a_call_and_of_the_mechanism_both_hold():
    made = random(MultiHead(E, 4, mechanism=Attention(mask=regard.window(2))))
    x = inputs(B, N, E)
    wanted = by_formula(made, x, allowed=lower & (distances <= 2))
    torch.testing.assert_close(made(x, mask=causal()), wanted, **EXACT)
    torch.testing.assert_close(made(x, mask=lower), wanted, **EXACT)


def test_position_bias_is_added_beside_the_mechanisms_own():
    own = inputs(4, 1, N)
    made = random(MultiHead(E, 4, mechanism=Attention(bias=own), position_bias=AlibiBias(4)))
    x = inputs(B, N, E)
    slopes = torch.tensor([2.0**-2, 2.0**-4, 2.0**-6, 2.0**-8], dtype=torch.float64)
    wanted = by_formula(made, x, bias=own - slopes.view(-1, 1, 1) * distances)
    torch.testing.assert_close(made(x), wanted, **EXACT)


def test_attention_to_a_source():
    made = random(MultiHead(E, 4, key_heads=2, source_width=9, gate=True))
    x, source, allowed = inputs(B, N, E), inputs(B, S, 9, seed=2), torch.arange(S) < 3
    torch.testing.assert_close(made(x, source), by_formula(made, x, source), **EXACT)
    hidden = regard.padding(torch.tensor([3, 3]))
    torch.testing.assert_close(made(x, source, mask=hidden), by_formula(made, x, source, allowed), **EXACT)


def test_torchs_module_with_the_same_parameters():
    theirs = nn.MultiheadAttention(E, 4, batch_first=True).double().eval()
    made, x = MultiHead(E, 4).double().eval(), inputs(B, N, E)
    nn.init.normal_(theirs.in_proj_bias)
    query, key, value = zip(theirs.in_proj_weight.chunk(3), theirs.in_proj_bias.chunk(3), strict=True)
    made.load_state_dict(
        {
            **{f"{name}.weight": each[0] for name, each in (("query", query), ("key", key), ("value", value))},
            **{f"{name}.bias": each[1] for name, each in (("query", query), ("key", key), ("value", value))},
            "output.weight": theirs.out_proj.weight,
            "output.bias": theirs.out_proj.bias,
        }
    )
    torch.testing.assert_close(made(x, mask=causal()), theirs(x, x, x, attn_mask=~lower)[0], **EXACT)


def test_rotary_is_given_the_positions_of_a_call():
    made, x = random(MultiHead(E, 3, rotary=Rotary(4))), inputs(B, N, E)
    apart = torch.tensor([0, 1, 2, 7, 8, 20, 21])
    far, near = made(x, positions=apart), made(x)
    assert not torch.allclose(far, near)
    torch.testing.assert_close(made(x, positions=apart + 5), far, **EXACT)
    torch.testing.assert_close(made(x, positions=torch.stack([apart, torch.arange(N)]))[1], near[1], **EXACT)


def test_an_item_that_sees_nothing_gets_the_bias_of_the_output():
    made, x = random(MultiHead(E, 4)), inputs(B, N, E)
    out = made(x, mask=regard.padding(torch.tensor([0, N])))
    torch.testing.assert_close(out[0], made.output.bias.expand(N, E), **EXACT)


@pytest.mark.parametrize(("items", "length"), [(0, 3), (2, 0), (1, 1)])
def test_nothing_and_one_token(items, length):
    made = random(MultiHead(E, 4, key_heads=2, rotary=Rotary(4), head_width=4, gate=True))
    assert made(inputs(items, length, E), mask=causal()).shape == (items, length, E)


@pytest.mark.parametrize(
    "parts", [{"dropout": 0.5}, {"mechanism": Attention(dropout=0.5)}], ids=["layer", "mechanism"]
)
def test_dropout_is_for_training_alone(parts):
    made, x = random(MultiHead(E, 4, **parts)), inputs(B, N, E)
    still = made(x)
    torch.testing.assert_close(still, by_formula(made, x), **EXACT)
    made.train()
    torch.manual_seed(1)
    first = made(x)
    torch.manual_seed(1)
    torch.testing.assert_close(made(x), first, rtol=0, atol=0)
    assert not torch.allclose(first, still)


def test_parameters_of_the_mechanism_are_the_layers():
    weight = nn.Parameter(torch.randn(3, 3))
    made = random(MultiHead(E, 4, mechanism=Attention(score=regard.bilinear(weight), bias=torch.ones(1, 1, N, N))))
    x = inputs(B, N, E)
    assert any(each is weight for each in made.parameters())
    made(x).sum().backward()
    assert weight.grad.abs().sum() > 0
    other = copy.deepcopy(made)
    with torch.no_grad():
        next(each for name, each in other.named_parameters() if name.startswith("mechanism")).zero_()
    assert not torch.allclose(other(x), made(x))
    other.load_state_dict(made.state_dict())
    torch.testing.assert_close(other(x), made(x), rtol=0, atol=0)


def test_state_dicts_hold_plain_names():
    made = MultiHead(
        E, 4, mechanism=Attention(bias=regard.alibi(4)), gate=True, sink=True, rotary=Rotary(3 + 1), head_width=4
    )
    layers = {
        f"{name}.{part}" for name in ("query", "key", "value", "output", "gate") for part in ("weight", "bias")
    }
    assert set(made.state_dict()) == layers | {"sink"}


def test_linear_attention_in_grouped_heads():
    made, x = random(MultiHead(E, 4, key_heads=2, mechanism=regard.linear())), inputs(B, N, E)
    heads = []
    for head, query in enumerate(made.query(x).chunk(4, -1)):
        key, value = (part(x).chunk(2, -1)[head // 2] for part in (made.key, made.value))
        query, key = nn.functional.elu(query) + 1, nn.functional.elu(key) + 1
        weights = (query @ key.transpose(1, 2)).masked_fill(~lower, 0)
        heads.append(weights / weights.sum(-1, keepdim=True) @ value)
    wanted = made.output(torch.cat(heads, -1))
    torch.testing.assert_close(made(x), wanted, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(made(x, mask=causal()), wanted, rtol=1e-6, atol=1e-6)
    with pytest.raises(LayerError, match="no other mask"):
        made(x, mask=regard.window(2))


def test_watch_sees_the_layer_by_its_name():
    model = nn.ModuleDict({"own": MultiHead(E, 4), "source": MultiHead(E, 2, source_width=9)}).double()
    x = inputs(B, N, E)
    with regard.watch(model) as seen:
        model["source"](model["own"](x, mask=causal()), inputs(B, S, 9))
    assert [(site.path, site.sizes.heads, site.sizes.keys) for site in seen.sites] == [
        ("own", 4, N),
        ("source", 2, S),
    ]


def test_autocast_and_narrow_types():
    norms = {"query_norm": nn.LayerNorm(3), "key_norm": nn.LayerNorm(3)}
    made, x = random(MultiHead(E, 4, **norms)).float(), inputs(B, N, E).float()
    wanted = made(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = made(x)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), wanted, rtol=0.1, atol=0.1)
    rotating = random(MultiHead(E, 3, rotary=Rotary(4))).bfloat16()
    assert rotating(x.bfloat16(), mask=causal()).dtype == torch.bfloat16


def test_compiled_and_exported_it_says_the_same():
    made, x = random(MultiHead(E, 3, key_heads=1, rotary=Rotary(4))).float(), inputs(B, N, E).float()

    class Causal(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = made

        def forward(self, x):
            return self.inner(x, mask=causal())

    wanted = made(x, mask=causal())
    compiled = torch.compile(Causal(), fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(x), wanted)
    exported = torch.export.export(Causal(), (x,)).module()
    torch.testing.assert_close(exported(x), wanted)


@pytest.mark.parametrize("parts", ["everything", "norms"])
def test_gradients_are_those_of_the_formula(parts):
    made, x = random(MultiHead(E, 4, **PARTS[parts])), inputs(B, N, E)
    made(x, mask=causal()).square().sum().backward()
    found = {name: parameter.grad.clone() for name, parameter in made.named_parameters()}
    made.zero_grad()
    by_formula(made, x, allowed=lower).square().sum().backward()
    for name, parameter in made.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad, msg=name, **EXACT)


REFUSED = {
    "heads that do not divide": (lambda: MultiHead(10, 4), "heads divide"),
    "key heads that do not divide": (lambda: MultiHead(12, 4, key_heads=3), "multiple of key_heads"),
    "no heads": (lambda: MultiHead(12, 0), "multiple of key_heads"),
    "dropout twice": (lambda: MultiHead(12, 4, mechanism=Attention(dropout=0.1), dropout=0.1), "expected one"),
    "rotary to a source": (lambda: MultiHead(12, 3, rotary=Rotary(4), source_width=9), "without rotary"),
    "linear to a source": (lambda: MultiHead(12, 3, mechanism=regard.linear(), source_width=9), "causal=False"),
    "two sinks": (lambda: MultiHead(12, 3, mechanism=Attention(weigh=regard.softmax(0.0)), sink=True), "softmax"),
    "a sink without softmax": (
        lambda: MultiHead(12, 3, mechanism=Attention(weigh=regard.sparsemax()), sink=True),
        "softmax",
    ),
    "dropout of linear attention": (lambda: MultiHead(12, 3, mechanism=regard.linear(), dropout=0.1), "no scores"),
    "no mechanism": (lambda: MultiHead(12, 3, mechanism="softmax"), "got str"),
}


@pytest.mark.parametrize("wrong", REFUSED)
def test_parts_that_do_not_go_together_are_refused(wrong):
    make, told = REFUSED[wrong]
    with pytest.raises(LayerError, match=told):
        make()


def test_inputs_that_do_not_fit_are_refused():
    own, other = MultiHead(E, 4), MultiHead(E, 4, source_width=9)
    x = torch.zeros(B, N, E)
    for wrong in (torch.zeros(B, N, E + 1), torch.zeros(N, E)):
        with pytest.raises(ShapeError, match="expected"):
            own(wrong)
    for wrong in (torch.zeros(B, S, 8), torch.zeros(B + 1, S, 9), torch.zeros(S, 9)):
        with pytest.raises(ShapeError, match="source"):
            other(x, wrong)
    with pytest.raises(LayerError, match="got none"):
        other(x)
    with pytest.raises(LayerError, match="source_width"):
        own(x, x)


SHARING = {
    "plain": {},
    "fewer key heads": {"key_heads": 2},
    "sink": {"sink": True},
    "gate": {"gate": True},
    "entmax": {"mechanism": Attention(weigh=regard.entmax(1.5))},
}


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("queries", [1, 3])
@pytest.mark.parametrize("parts", SHARING)
def test_items_in_a_row_read_one_source_as_they_read_copies_of_it(parts, queries, cached):
    made = random(MultiHead(E, 4, source_width=10, **SHARING[parts]))
    x, source = inputs(3 * B, queries, E), inputs(B, S, 10, seed=2)
    mask = (torch.arange(S) < torch.tensor([[S], [2]])).view(B, 1, 1, S)
    copies = torch.arange(B).repeat_interleave(3)
    wanted = made(x, source[copies], mask=mask[copies])
    cache = made.new_cache(GrowingCache) if cached else None
    for _ in range(2):
        torch.testing.assert_close(made(x, source, mask=mask, cache=cache), wanted, **EXACT)


@pytest.mark.parametrize(
    "parts",
    [
        {"mechanism": Attention(bias=regard.alibi(4))},
        {"mechanism": Attention(mask=causal())},
        {"mechanism": Attention(weigh=regard.hard(sample=True))},
        {"mechanism": regard.linear(causal=False)},
        {"position_bias": AlibiBias(4)},
    ],
    ids=["alibi", "causal", "drawn", "linear", "position bias"],
)
def test_a_source_is_not_shared_where_it_matters_which_query_asks(parts):
    made = MultiHead(E, 4, source_width=10, **parts)
    assert not made.shares_source
    with pytest.raises(ShapeError, match="source"):
        made(torch.randn(2 * B, 1, E), torch.randn(B, S, 10))


def test_sources_that_items_do_not_share_out_evenly_or_with_a_mask_of_queries_are_refused():
    made = MultiHead(E, 4, source_width=10, dropout=0.5).eval()
    x, source = torch.randn(2 * B, 3, E), torch.randn(B, S, 10)
    for count in (0, 3):
        with pytest.raises(ShapeError, match="source"):
            made(x, torch.randn(count, S, 10))
    with pytest.raises(LayerError, match="same of all queries"):
        made(x, source, mask=torch.ones(3, S, dtype=torch.bool))
    assert made.shares_source
    assert not made.train().shares_source
