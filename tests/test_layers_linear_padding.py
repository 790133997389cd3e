"""Linear attention reads no padding: whatever stands there, results are those with the padding cut away."""

import pytest
import torch
from torch.nn import functional as F

import regard
from regard import LinearAttention, attend, causal, padding
from regard.errors import LayerError, MechanismError, ShapeError
from regard.layers import MultiHead, make_caches, named
from regard.mechanisms.masks.rule import Not

H, D, N = 4, 3, 9
E = H * D
EXACT = {"rtol": 1e-9, "atol": 1e-9}
# Where there are tokens: everywhere, at the front, at the end, with a hole.
REAL = torch.tensor(
    [[1] * 9, [1, 1, 1, 1, 0, 0, 0, 0, 0], [0, 0, 0, 1, 1, 1, 1, 1, 1], [1, 1, 0, 0, 1, 0, 1, 1, 1]]
)
REAL = REAL.bool()
IN_ORDER = ["linear; causal", "performer(8); causal", "retention", "gated_linear", "delta_rule", "gated_delta_rule"]
BOTH_WAYS = ["linear", "performer(8)"]


def inputs(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def layer_of(words, **more):
    torch.manual_seed(0)
    mechanism = named(words, heads=H, head_width=D, cross="source_width" in more)
    return MultiHead(E, H, mechanism=mechanism, **more).double().eval()


@pytest.mark.parametrize("words", [*IN_ORDER, *BOTH_WAYS])
def test_a_layer_with_padding_is_that_with_the_padding_cut_away(words):
    layer = layer_of(words)
    x = inputs(4, N, E).requires_grad_()
    whole = layer(x, mask=REAL[:, None, None])
    for item, real in enumerate(REAL):
        alone = layer(x[item : item + 1, real])[0]
        torch.testing.assert_close(whole[item, real], alone, **EXACT)
        weights = inputs(*alone.shape, seed=4)
        (got,) = torch.autograd.grad((whole[item, real] * weights).sum(), x, retain_graph=True)
        (wanted,) = torch.autograd.grad((alone * weights).sum(), x)
        torch.testing.assert_close(got, wanted, **EXACT)


@pytest.mark.parametrize("engine", ["chunked", "dense", "recurrent"])
@pytest.mark.parametrize("words", [*IN_ORDER, *BOTH_WAYS])
def test_nothing_in_a_missing_key_reaches_output_or_state(words, engine):
    mechanism = named(words, heads=H, head_width=D)
    mechanism = mechanism if isinstance(mechanism, LinearAttention) else mechanism.double()(inputs(4, N, E))
    query, key, value = inputs(3, 4, H, N, D)
    before = attend(query, key, value, mechanism).state
    hidden = ~REAL[:, None, :, None]
    key, value = key.masked_fill(hidden, torch.nan), value.masked_fill(hidden, torch.inf)
    found = attend(query, key, value, mechanism.among(REAL[:, None]).after(before), engine=engine)
    for item, real in enumerate(REAL):
        cut = {
            name: each[item : item + 1][:, :, real]
            for name in ("log_decay", "beta")
            if (each := getattr(mechanism, name)) is not None and each.shape[2] > 1
        }
        parts = (each[item : item + 1][:, :, real] for each in (query, key, value))
        alone = attend(*parts, LinearAttention(**{**vars(mechanism), **cut, "state": before[item : item + 1]}))
        torch.testing.assert_close(found.output[item][:, real], alone.output[0], **EXACT)
        torch.testing.assert_close(found.state[item], alone.state[0], **EXACT)


@pytest.mark.parametrize("words", IN_ORDER)
def test_text_after_padding_in_pieces_is_the_text_alone(words):
    layer, x, skipped = layer_of(words), inputs(3, N, E), torch.tensor([0, 2, 5])
    (cache,) = make_caches(layer)
    outputs, read = [], 0
    for piece in x.split([3, 1, 1, 4], 1):
        read += piece.shape[1]
        mask = causal() & Not(padding(skipped.clamp(max=read)))
        outputs.append(layer(piece, mask=mask, cache=cache))
    whole = torch.cat(outputs, 1)
    for item, start in enumerate(skipped.tolist()):
        torch.testing.assert_close(whole[item, start:], layer(x[item : item + 1, start:])[0], **EXACT)


def test_a_source_is_read_by_the_formula_of_linear_attention():
    layer, x, source = layer_of("linear", source_width=5), inputs(4, 6, E), inputs(4, N, 5, seed=2)
    found = layer(x, source, mask=REAL[:, None, None])
    for item, real in enumerate(REAL):
        heads = []
        parts = (layer.query(x[item]), layer.key(source[item, real]), layer.value(source[item, real]))
        for query, key, value in zip(*(part.chunk(H, -1) for part in parts), strict=True):
            weights = (F.elu(query) + 1) @ (F.elu(key) + 1).T
            heads.append(weights / weights.sum(-1, keepdim=True) @ value)
        torch.testing.assert_close(found[item], layer.output(torch.cat(heads, -1)), **EXACT)


@pytest.mark.parametrize("words", BOTH_WAYS)
def test_a_source_is_read_once_for_a_cache(words):
    layer, x, source = layer_of(words, source_width=5), inputs(4, 6, E), inputs(4, N, 5, seed=2)
    mask, items = REAL[:, None, None], torch.tensor([3, 0, 0, 1])
    whole, (cache,) = layer(x, source, mask=mask), make_caches(layer)
    first = layer(x[:, :2], source, mask=mask, cache=cache)
    torch.testing.assert_close(first, whole[:, :2], **EXACT)
    cache.reorder(items)
    cache.crop(1)
    later = layer(x[items, 2:], torch.full_like(source, torch.nan), mask=mask[items], cache=cache)
    torch.testing.assert_close(later, whole[items, 2:], **EXACT)


@pytest.mark.parametrize(
    "mask",
    [regard.window(2), ~causal(), REAL[:, None, None].double(), REAL[:, None, :, None].expand(-1, -1, -1, N)],
)
def test_a_mask_that_tells_queries_apart_is_refused(mask):
    with pytest.raises(LayerError, match="hides keys from all queries"):
        layer_of("linear")(inputs(4, N, E), mask=mask)


def test_what_is_wrong_with_real_is_said():
    query, key, value = inputs(3, 2, H, N, D)
    with pytest.raises(MechanismError, match="booleans"):
        regard.linear().among(torch.ones(2, 1, N))
    with pytest.raises(ShapeError, match="real"):
        attend(query, key, value, regard.linear().among(torch.ones(2, 1, N + 1, dtype=torch.bool)))


def test_what_has_an_order_is_refused_before_a_source():
    with pytest.raises(LayerError, match="causal=False"):
        MultiHead(E, H, mechanism=lambda x: regard.linear(), source_width=5).double()(
            inputs(1, 2, E), inputs(1, 3, 5)
        )


def test_compiled_it_reads_no_padding_either():
    layer, x = layer_of("linear"), inputs(4, N, E)
    compiled = torch.compile(lambda y, real: layer(y, mask=real), fullgraph=True, backend="eager")
    wanted = layer(x, mask=REAL[:, None, None])
    torch.testing.assert_close(compiled(x, REAL[:, None, None]), wanted, **EXACT)
