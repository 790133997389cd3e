"""Watched models: what is seen at every head of every layer equals the weights that the models themselves give.

Every architecture and implementation of Hugging Face is in test_watch_implementations; here are kinds, paths,
caches, torch's own modules and a real model.
"""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn

from regard import Record, watch
from tests import dense
from tests.models import FAMILIES, TOKENS, encoder_then_decoder, minilm_folder, without_empty_rows

TEXTS = sorted((Path(__file__).parent / "texts").glob("*.txt"))


FAST = [family for family, each in FAMILIES.items() if "sdpa" in each.implementations]


@cache
def watched(family: str) -> tuple[list[Tensor], Record]:
    """Return the eager model's weights, as kernels mean them, and the record of the other."""
    eager, fast = FAMILIES[family].pair()
    inputs = FAMILIES[family].inputs()
    with torch.no_grad():
        weights = FAMILIES[family].attentions(eager(**inputs, output_attentions=True))
        with watch(fast) as seen:
            fast(**inputs)
    return [without_empty_rows(P, inputs) for P in weights], seen


@pytest.mark.parametrize("family", FAST)
def test_a_coarse_map_equals_the_eager_models(family: str) -> None:
    for site, P in zip(watched(family)[1], watched(family)[0], strict=True):
        mean, largest = dense.pooled(P, 5)
        dense.close(site.map(5).mean, mean)
        dense.close(site.map(5).max, largest)


@pytest.mark.parametrize("family", ["t5", "bart", "whisper", "detr"])
def test_attention_on_the_encoder_is_called_cross(family: str) -> None:
    kinds = [site.kind for site in watched(family)[1]]
    assert kinds == ["self", "self", "self", "cross", "self", "cross"]


@pytest.mark.parametrize("family", [each for each in FAST if FAMILIES[each].attentions is not encoder_then_decoder])
def test_attention_on_itself_is_called_self(family: str) -> None:
    assert {site.kind for site in watched(family)[1]} == {"self"}


def test_sites_carry_the_paths_of_their_modules() -> None:
    paths = [site.path for site in watched("bert")[1]]
    assert paths == ["encoder.layer.0.attention.self", "encoder.layer.1.attention.self"]


def test_grouped_heads_are_seen_as_grouped() -> None:
    assert {(site.sizes.heads, site.sizes.key_heads) for site in watched("llama")[1]} == {(4, 2)}


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_generation_with_a_cache_is_seen_token_by_token(family: str) -> None:
    """The weights of a token with a cache of the past are the last row of the whole text's weights."""
    model = FAMILIES[family].build("sdpa")
    words = FAMILIES[family].inputs()["input_ids"]
    with torch.no_grad(), watch(model) as seen:
        past = model(words[:, :-1], use_cache=True).past_key_values
        model(words[:, -1:], past_key_values=past, use_cache=True)
    whole = watched(family)[0]
    for P, step in zip(whole, seen.sites[len(whole) :], strict=True):
        assert step.kind == "self"
        assert (step.call, step.sizes.queries, step.sizes.keys) == (1, 1, TOKENS)
        dense.statistics_equal(step, P[:, :, -1:])


def test_a_cache_that_grows_changes_no_earlier_site() -> None:
    """A static cache is written in place; sites keep what they saw."""
    model = FAMILIES["llama"].build("sdpa")
    words = FAMILIES["llama"].inputs()["input_ids"]
    cache_ = transformers.StaticCache(config=model.config, max_cache_len=TOKENS)
    with torch.no_grad(), watch(model) as seen:
        model(words[:, :-1], past_key_values=cache_, use_cache=True)
        before = [site.weights() for site in seen]
        model(words[:, -1:], past_key_values=cache_, use_cache=True)
    assert all(torch.equal(old, site.weights()) for old, site in zip(before, seen, strict=False))


# torch's own modules


def projected(attention: nn.MultiheadAttention, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
    """Return queries and keys (B, H, N, D) as the module's projections make them, from (B, N, width)."""
    weight, bias = attention.in_proj_weight, attention.in_proj_bias
    width = attention.embed_dim
    heads = []
    for tensor, part in ((query, slice(0, width)), (key, slice(width, 2 * width))):
        made = tensor @ weight[part].T + bias[part]
        heads.append(made.unflatten(-1, (attention.num_heads, -1)).transpose(1, 2))
    return heads[0], heads[1]


def multihead(**settings: Any) -> nn.MultiheadAttention:
    """Return a small module with weights and biases far from 0."""
    torch.manual_seed(0)
    attention = nn.MultiheadAttention(32, 4, batch_first=True, **settings)
    with torch.no_grad():
        for parameter in attention.parameters():
            parameter.normal_(0, 0.3)
    return attention


def encoder(norm_first: bool, layers: int = 2) -> nn.TransformerEncoder:
    """Return a small encoder whose layers differ and have weights far from 0."""
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(32, 4, 48, dropout=0.0, batch_first=True, norm_first=norm_first)
    stack = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
    with torch.no_grad():
        for parameter in stack.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return stack


NOBODY_LOOKS_AHEAD = ~dense.causal(TOKENS, TOKENS)
PADDING = torch.arange(TOKENS) >= torch.tensor([[TOKENS], [TOKENS - 6]])
MASKS = {
    "no mask": {},
    "causal": {"mask": NOBODY_LOOKS_AHEAD},
    "padding": {"src_key_padding_mask": PADDING},
    "causal and padding": {"mask": NOBODY_LOOKS_AHEAD, "src_key_padding_mask": PADDING},
}


def layer_weights(stack: nn.TransformerEncoder, source: Tensor, masks: dict[str, Tensor]) -> list[Tensor]:
    """Return the weights of each layer, by hand from its input and projection."""
    allowed = torch.ones(1, 1, TOKENS, TOKENS, dtype=torch.bool)
    if "mask" in masks:
        allowed = allowed & ~masks["mask"]
    if "src_key_padding_mask" in masks:
        allowed = allowed & ~masks["src_key_padding_mask"][:, None, None]
    given = {"src_mask" if name == "mask" else name: mask for name, mask in masks.items()}
    weights = []
    for layer in stack.layers:
        inside = layer.norm1(source) if layer.norm_first else source
        weights.append(dense.weights(*projected(layer.self_attn, inside, inside), allowed=allowed))
        source = layer(source, **given)
    return weights


def run_encoder(way: str, norm_first: bool, masks: dict[str, Tensor]) -> tuple[Record, list[Tensor], bool]:
    """Return what was seen of an encoder, its weights by hand, and whether its output stayed the same."""
    stack = encoder(norm_first).train(way == "training")
    source = torch.randn(2, TOKENS, 32, generator=torch.Generator().manual_seed(5))
    with torch.set_grad_enabled(way != "fast path"):
        unwatched = stack(source, **masks)
        with watch(stack) as seen:
            output = stack(source, **masks)
    with torch.no_grad():
        weights = layer_weights(stack, source, masks)
    return seen, weights, torch.equal(output, unwatched)


@pytest.mark.parametrize("masks", MASKS)
@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("way", ["fast path", "with gradient", "training"])
def test_a_torch_encoder_is_seen_as_computed_by_hand(way: str, norm_first: bool, masks: str) -> None:
    seen, weights, same = run_encoder(way, norm_first, MASKS[masks])
    assert same
    assert [site.engine == "fast path" for site in seen] == [way == "fast path"] * 2
    for site, P in zip(seen, weights, strict=True):
        dense.statistics_equal(site, P.detach())


@pytest.mark.parametrize("way", ["fast path", "with gradient"])
def test_a_torch_encoder_that_was_seen_is_not_listed_as_unseen(way: str) -> None:
    assert run_encoder(way, False, {})[0].coverage.unseen == ()


@pytest.mark.parametrize("way", ["fast path", "with gradient"])
def test_what_was_seen_explains_the_output(way: str) -> None:
    """For a mask of finite numbers, too: the output is made of the weights that are seen."""
    layer = encoder(norm_first=False, layers=1).eval().layers[0]
    source = torch.randn(2, TOKENS, 32, generator=torch.Generator().manual_seed(5))
    slope = -0.3 * (torch.arange(TOKENS) - torch.arange(TOKENS).unsqueeze(-1)).abs().float()
    with torch.set_grad_enabled(way != "fast path"), watch(layer) as seen:
        output = layer(source, src_mask=slope)
    (site,) = seen
    value = source @ layer.self_attn.in_proj_weight[64:].T + layer.self_attn.in_proj_bias[64:]
    value = value.unflatten(-1, (4, 8)).transpose(1, 2)
    attended = layer.self_attn.out_proj((site.weights() @ value).transpose(1, 2).flatten(2))
    inner = layer.norm1(source + attended)
    by_hand = layer.norm2(inner + layer.linear2(layer.linear1(inner).relu()))
    dense.close(output.detach(), by_hand.detach())


@pytest.mark.parametrize("grad", [False, True])
def test_multihead_attention_is_seen_as_computed_by_hand(grad: bool) -> None:
    attention = multihead().eval()
    x = torch.randn(2, TOKENS, 32, generator=torch.Generator().manual_seed(6))
    with torch.set_grad_enabled(grad), watch(attention) as seen:
        attention(x, x, x, need_weights=False)
    (site,) = seen
    assert (site.engine == "fast path") is not grad
    dense.statistics_equal(site, dense.weights(*projected(attention, x, x)).detach())


@pytest.mark.parametrize("grad", [False, True])
def test_multihead_cross_attention_is_seen_as_computed_by_hand(grad: bool) -> None:
    attention = multihead().eval()
    x, y = torch.randn(2, 7, 32), torch.randn(2, TOKENS, 32)
    with torch.set_grad_enabled(grad), watch(attention) as seen:
        attention(x, y, y, key_padding_mask=PADDING, need_weights=False)
    (site,) = seen
    P = dense.weights(*projected(attention, x, y), allowed=~PADDING[:, None, None])
    dense.statistics_equal(site, P.detach())


def test_multihead_attention_on_another_sequence_is_called_cross() -> None:
    attention = multihead().eval()
    x, y = torch.randn(2, 7, 32), torch.randn(2, TOKENS, 32)
    with watch(attention) as seen:
        attention(x, y, y, need_weights=False)
    assert seen.sites[0].kind == "cross"


def test_weights_that_the_fast_path_hands_out_are_those_seen() -> None:
    """In evaluation torch's fast path runs even where weights are asked for."""
    attention = multihead().eval()
    x = torch.randn(2, TOKENS, 32)
    with torch.no_grad(), watch(attention) as seen:
        _, P = attention(x, x, x, need_weights=True, average_attn_weights=False)
    dense.statistics_equal(seen.sites[0], P)


def test_a_torch_decoder_layer_has_a_self_and_a_cross_site() -> None:
    torch.manual_seed(0)
    layer = nn.TransformerDecoderLayer(32, 4, 48, batch_first=True).eval()
    with torch.no_grad(), watch(layer) as seen:
        layer(torch.randn(2, 7, 32), torch.randn(2, TOKENS, 32))
    assert [(site.path, site.kind) for site in seen] == [("self_attn", "self"), ("multihead_attn", "cross")]


# a real model on real text


@cache
def minilm(implementation: str) -> nn.Module:
    """Return MiniLM-L6 in float32."""
    return transformers.AutoModel.from_pretrained(
        minilm_folder(), attn_implementation=implementation, dtype=torch.float32
    ).eval()


@cache
def read(text: Path) -> tuple[list[Tensor], Record]:
    """Return the eager weights of a text of at most 512 tokens, and the record of the watched model."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(minilm_folder())
    inputs = tokenizer(text.read_text(), return_tensors="pt", truncation=True, max_length=512)
    with torch.no_grad():
        weights = list(minilm("eager")(**inputs, output_attentions=True).attentions)
        with watch(minilm("sdpa")) as seen:
            minilm("sdpa")(**inputs)
    return weights, seen


@pytest.mark.slow
@pytest.mark.parametrize("layer", range(6))
@pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.stem)
def test_all_heads_of_a_real_model_on_real_text_are_exact(text: Path, layer: int) -> None:
    weights, seen = read(text)
    # Head 2 of layer 0 looks at the token before with scores up to 77, of which float32 resolves 0.8e-5.
    dense.statistics_equal(seen.sites[layer], weights[layer], atol=1.5e-5 if layer == 0 else 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.stem)
def test_all_heads_of_a_real_model_are_as_exact_as_float32_resolves_their_scores(text: Path) -> None:
    weights, seen = read(text)
    for site, P in zip(seen, weights, strict=True):
        largest = float(dense.scores(site.kept.problem.query, site.kept.problem.key).abs().max())
        dense.statistics_equal(site, P, atol=dense.resolution(largest))


@pytest.mark.slow
@pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.stem)
def test_all_72_heads_of_a_real_model_are_seen(text: Path) -> None:
    assert [site.sizes.heads for site in read(text)[1]] == [12] * 6


@pytest.mark.slow
def test_a_text_that_is_too_long_fills_all_512_positions() -> None:
    _, seen = read(next(text for text in TEXTS if text.stem == "declaration"))
    assert {site.sizes.keys for site in seen} == {512}
