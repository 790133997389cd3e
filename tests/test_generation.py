"""The laws of joining: the steps of a generation with a cache are one map, that of one pass over the whole text."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn
from torch.nn import functional as F

import regard
from regard import Record, Site, watch
from regard.engines.statistics import STATISTICS
from regard.errors import NotKeptError, RecordError
from regard.watch.records.pieces import PiecedMask
from tests import dense, models

PROMPT, NEW = 10, 9


def mistral() -> Any:
    """Return Mistral's configuration, with a window shorter than the prompt and one that a prompt fits in."""
    return transformers.MistralConfig(
        vocab_size=models.WORDS,
        hidden_size=32,
        intermediate_size=37,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        sliding_window=6,
    )


DECODERS: dict[str, tuple[type[nn.Module], Any]] = {
    "gpt2": (transformers.GPT2LMHeadModel, models.gpt2()),
    "llama": (transformers.LlamaForCausalLM, models.llama()),
    "mistral": (transformers.MistralForCausalLM, mistral()),
}
PAIRS: dict[str, tuple[type[nn.Module], Any]] = {
    "t5": (transformers.T5ForConditionalGeneration, models.t5()),
    "bart": (transformers.BartForConditionalGeneration, models.bart()),
}


def build(name: str, implementation: str = "sdpa", **config: Any) -> Any:
    """Return a model, the same weights every time."""
    kind, base = (DECODERS | PAIRS)[name]
    torch.manual_seed(0)
    settings = deepcopy(base)
    settings._attn_implementation = implementation
    for key, value in config.items():
        setattr(settings, key, value)
    model = kind(settings).eval()
    models.sharpen(model)
    return model


def prompt(padded: bool = False, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Return token numbers (2, PROMPT) and which of them are real; the second item padded at its start."""
    tokens = models.tokens(seed, PROMPT)
    real = torch.ones_like(tokens)
    if padded:
        real[1, :4] = 0
    return tokens, real


@torch.no_grad()
def generate(model: Any, tokens: Tensor, real: Tensor, **settings: Any) -> Tensor:
    """Return prompt and answer (2, PROMPT + NEW)."""
    fixed = {"max_new_tokens": NEW, "min_new_tokens": NEW, "do_sample": False, "pad_token_id": 3}
    return model.generate(tokens, attention_mask=real, **(fixed | settings))


def watched_generation(model: Any, tokens: Tensor, real: Tensor, **settings: Any) -> tuple[Tensor, Record]:
    """Return all tokens that were fed, and the record."""
    want = settings.pop("want", (*STATISTICS, "values"))
    with watch(model, want=want, sets={"third": [2]}) as seen:
        written = generate(model, tokens, real, **settings)
    return written[:, :-1], seen


def one_pass(model: Any, fed: Tensor, real: Tensor) -> tuple[Record, Tensor]:
    """Return the record of one pass over tokens, and which of these are real."""
    real = torch.cat([real, real.new_ones(len(real), fed.shape[1] - real.shape[1])], 1)
    place = (real.cumsum(-1) - 1).clamp(min=0)
    with torch.no_grad(), watch(model, want=(*STATISTICS, "values"), sets={"third": [2]}) as seen:
        model(fed, attention_mask=real, position_ids=place)
    return seen, real


def by_head(site: Site) -> Tensor:
    """Return the values of each query head; models repeat those of grouped heads, or leave it to torch."""
    return site.values.repeat_interleave(site.sizes.heads // site.sizes.key_heads, 1)


def equal_for(real: Tensor, got: Record, wanted: Record) -> None:
    """Expect two records to say the same of real queries, and of all keys of items that are real throughout."""
    assert [site.name for site in got] == [site.name for site in wanted]
    whole = real.bool().all(-1)
    for one, other in zip(got, wanted, strict=True):
        rows = real.bool()[:, None].expand_as(one.entropy)
        assert one.start == other.start == 0
        dense.close(one.weights()[rows], other.weights()[rows])
        dense.close(one.entropy[rows], other.entropy[rows])
        dense.close(one.distance.mean[rows], other.distance.mean[rows], atol=1e-4)
        dense.close(one.mass("third")[rows], other.mass("third")[rows])
        dense.close(one.received[whole], other.received[whole], atol=1e-4)
        dense.close(one.map().mean[whole], other.map().mean[whole])
        dense.close(by_head(one)[rows], by_head(other)[rows])
        assert torch.equal(one.visible()[rows], other.visible()[rows])


@pytest.mark.parametrize("padded", [False, True], ids=["whole", "left padded"])
@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("family", sorted(DECODERS))
def test_joined_steps_are_the_map_of_one_pass(family: str, implementation: str, padded: bool) -> None:
    model, (tokens, real) = build(family, implementation), prompt(padded)
    fed, seen = watched_generation(model, tokens, real)
    wanted, real = one_pass(model, fed, real)
    assert len(seen) == NEW * len(wanted)
    equal_for(real, seen.joined(), wanted)


@pytest.mark.parametrize("window", [PROMPT - 1, PROMPT, PROMPT + 3, PROMPT + NEW + 1])
def test_a_window_may_begin_to_drop_keys_at_any_step(window: int) -> None:
    model, (tokens, real) = build("mistral", sliding_window=window), prompt()
    fed, seen = watched_generation(model, tokens, real)
    equal_for(torch.ones_like(fed), seen.joined(), one_pass(model, fed, real)[0])


@pytest.mark.parametrize("family", sorted(DECODERS))
@pytest.mark.parametrize("chunk", [1, 4])
def test_a_prompt_fed_in_chunks_is_one_map(family: str, chunk: int) -> None:
    model, (tokens, real) = build(family), prompt()
    cache = transformers.DynamicCache(config=model.config)
    with watch(model, want=(*STATISTICS, "values"), sets={"third": [2]}) as seen:
        for part in tokens.split(chunk, 1):
            model(part, past_key_values=cache, use_cache=True)
    equal_for(real, seen.joined(), one_pass(model, tokens, real)[0])


@pytest.mark.parametrize("padded", [False, True], ids=["whole", "left padded"])
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_the_room_of_a_static_cache_is_no_part_of_the_map(family: str, padded: bool) -> None:
    model, (tokens, real) = build(family), prompt(padded)
    model.generation_config.disable_compile = True
    fed, seen = watched_generation(model, tokens, real, cache_implementation="static")
    wanted, real = one_pass(model, fed, real)
    equal_for(real, seen.joined(), wanted)


@pytest.mark.parametrize("padded", [False, True], ids=["whole", "padded"])
@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("family", sorted(PAIRS))
def test_a_decoder_beside_an_encoder_has_joined_steps_and_joined_cross_attention(
    family: str, implementation: str, padded: bool
) -> None:
    model, (tokens, real) = build(family, implementation), prompt()
    if padded:
        real[1, -4:] = 0
    written, seen = watched_generation(model, tokens, real)
    with torch.no_grad(), watch(model, want=(*STATISTICS, "values"), sets={"third": [2]}) as wanted:
        model(input_ids=tokens, attention_mask=real, decoder_input_ids=written)
    joined = seen.joined()
    kinds = [(site.name, site.kind, site.sizes.queries, site.sizes.keys) for site in joined]
    assert kinds == [(site.name, site.kind, site.sizes.queries, site.sizes.keys) for site in wanted]
    for one, other in zip(joined, wanted, strict=True):
        dense.close(one.weights(), other.weights())
        dense.close(one.received, other.received, atol=1e-4)
        dense.close(one.values, other.values)


def test_several_generations_stay_several() -> None:
    model, (tokens, real) = build("gpt2"), prompt()
    with watch(model) as seen:
        generate(model, tokens, real)
        generate(model, tokens, real, max_new_tokens=1, min_new_tokens=1)
        generate(model, tokens, real)
    sizes = [(site.name, site.sizes.queries) for site in seen.joined() if "0" in site.path]
    path = "transformer.h.0.attn"
    last = PROMPT + NEW - 1
    assert sizes == [(path, last), (f"{path}#1", PROMPT), (f"{path}#2", last)]


def test_several_translations_of_one_text_stay_several() -> None:
    model, (tokens, real) = build("bart"), prompt()
    with watch(model) as seen:
        generate(model, tokens, real)
        generate(model, tokens, real)
    cross = [site for site in seen.joined() if site.kind == "cross"]
    assert [(site.call, site.sizes.queries) for site in cross] == [(0, NEW)] * 2 + [(1, NEW)] * 2


def test_a_conversation_goes_on_where_its_cache_ends() -> None:
    model, (tokens, real) = build("llama"), prompt()
    cache = transformers.DynamicCache(config=model.config)
    with watch(model, want=(*STATISTICS, "values"), sets={"third": [2]}) as seen:
        written = generate(model, tokens, real, past_key_values=cache)
        more = torch.cat([written, models.tokens(5, 4)], 1)
        written = generate(model, more, torch.ones_like(more), past_key_values=cache)
    fed = written[:, :-1]
    assert len(seen) > len(seen.joined()) == 2
    equal_for(torch.ones_like(fed), seen.joined(), one_pass(model, fed, real)[0])


@torch.no_grad()
def test_calls_without_a_cache_stay_as_they_are() -> None:
    model = models.FAMILIES["bert"].build("sdpa")
    with watch(model) as seen:
        model(models.tokens(1))
        model(models.tokens(1))
    assert [id(site.kept) for site in seen.joined()] == [id(site.kept) for site in seen]


def test_beams_are_refused_with_advice() -> None:
    model, (tokens, real) = build("gpt2"), prompt()
    _, seen = watched_generation(model, tokens, real, num_beams=3)
    with pytest.raises(RecordError, match="Beam search"):
        seen.joined()


def test_steps_that_kept_nothing_are_refused_with_advice() -> None:
    model, (tokens, real) = build("gpt2"), prompt()
    _, seen = watched_generation(model, tokens, real, want=("entropy",))
    with pytest.raises(NotKeptError, match="rows"):
        seen.joined()


@pytest.mark.parametrize("cache", ["dynamic", "static"])
@pytest.mark.parametrize("family", ["gpt2", "mistral"])
def test_every_step_still_says_what_it_saw(family: str, cache: str) -> None:
    model, (tokens, real) = build(family), prompt()
    model.generation_config.disable_compile = True
    copies: list[tuple[Any, Tensor]] = []
    want = (*STATISTICS, "values")
    with watch(model, want=want, on_site=lambda site: copies.append((site, site.weights()))):
        generate(model, tokens, real, cache_implementation=None if cache == "dynamic" else "static")
    for site, weights in copies:
        assert torch.equal(site.weights(), weights)


@pytest.mark.parametrize("family", ["gpt2", "mistral"])
def test_keys_that_only_grow_are_kept_once(family: str) -> None:
    model, (tokens, real) = build(family), prompt()
    _, seen = watched_generation(model, tokens, real, max_new_tokens=40, min_new_tokens=40)
    steps = [site.kept.problem for site in seen if "0" in site.path and site.kept is not None]
    for name in ("key", "value"):
        tensors = [getattr(step, name) for step in steps]
        storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
        once = (
            tensors[0][:, :2, :1].nbytes * (PROMPT + 40)
            if family == "mistral"
            else tensors[0][:, :, :1].nbytes * 50
        )
        assert sum(storages.values()) <= 3 * once


@torch.no_grad()
def test_gradients_of_steps_join() -> None:
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 1, 2, 6, 4)

    class Cached(nn.Module):
        def forward(self, q: Tensor, k: Tensor, v: Tensor, causal: bool) -> Tensor:
            return F.scaled_dot_product_attention(q, k, v, is_causal=causal)

    model = Cached()
    with torch.enable_grad():
        q.requires_grad_()
        with watch(model, want=(*STATISTICS, "gradients")) as seen:
            parts = [model(q[:, :, :4], k[:, :, :4], v[:, :, :4], True)]
            parts += [model(q[:, :, n : n + 1], k[:, :, : n + 1], v[:, :, : n + 1], False) for n in (4, 5)]
        with watch(model, want=(*STATISTICS, "gradients")) as one:
            whole = model(q, k, v, True)
        scale = torch.randn_like(whole)
        (torch.cat(parts, 2) * scale).sum().backward()
        (whole * scale).sum().backward()
    joined, wanted = seen.joined()[""], one[""]
    dense.close(joined.gradient, wanted.gradient)
    dense.close(joined.values, wanted.values)


def test_a_report_shows_prompt_and_answer() -> None:
    model, (tokens, real) = build("gpt2"), prompt(padded=True)
    fed, seen = watched_generation(model, tokens, real)
    names = [str(number) for number in fed[0].tolist()]
    shown = regard.report(seen.joined(), tokens=names)
    (group,) = shown.groups
    assert group.queries.words == tuple(names)
    dense.close(group.layers[1][2].weights, seen.joined()["transformer.h.1.attn"].weights()[0, 2])


class Steps(nn.Module):
    """Self-attention by `regard.attend`, of which each call has a mechanism of its own."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor, how: regard.Attention) -> Tensor:
        """Attend."""
        return regard.attend(q, k, v, how).output


HOW: dict[str, Callable[[], dict[str, Any]]] = {
    "bias a head": lambda: {"bias": torch.randn(1, 3, 9, 9)},
    "added mask": lambda: {"mask": torch.randn(2, 1, 9, 9)},
    "boolean mask": lambda: {"mask": torch.rand(2, 3, 9, 9) < 0.7},
    "soft cap": lambda: {"modify": regard.soft_cap(0.5)},
}


@torch.no_grad()
@pytest.mark.parametrize("rule", sorted(HOW))
def test_steps_with_tensors_of_their_own_join(rule: str) -> None:
    torch.manual_seed(0)
    (q, k, v), how = torch.randn(3, 2, 3, 9, 4), HOW[rule]()
    causal = torch.ones(9, 9, dtype=torch.bool).tril()
    mask = how.pop("mask", causal)
    mask = mask.masked_fill(~causal, -torch.inf) if mask.dtype.is_floating_point else mask & causal
    model = Steps()

    def step(start: int, stop: int) -> Tensor:
        cut = {name: t[..., start:stop, :stop] if isinstance(t, Tensor) else t for name, t in how.items()}
        own = regard.Attention(mask=mask[..., start:stop, :stop], **cut)
        return model(q[:, :, start:stop], k[:, :, :stop], v[:, :, :stop], own)

    with watch(model) as seen:
        for start, stop in ((0, 3), (3, 4), (4, 5), (5, 7), (7, 8), (8, 9)):
            step(start, stop)
    with watch(model) as one:
        step(0, 9)
    joined, wanted = seen.joined()[""], one[""]
    assert len(seen) == 6
    dense.statistics_equal(joined, wanted.weights())
    dense.close(joined.diagonal(-1), wanted.diagonal(-1))
    assert torch.equal(joined.visible(), wanted.visible())


@torch.no_grad()
def test_many_steps_are_few_pieces() -> None:
    torch.manual_seed(0)
    steps, model = 300, Steps()
    q, k, v = torch.randn(3, 1, 1, steps, 4)
    padding = torch.arange(steps).view(1, 1, 1, -1) > 3
    bias = torch.randn(1, 1, steps, steps)
    for rule in ("none", "padding", "bias"):
        with watch(model, want=("rows",)) as seen:
            for n in range(1, steps + 1):
                how: dict[str, Any] = {} if rule == "none" else {"mask": padding[..., :n]}
                if rule == "bias":
                    how = {"mask": bias[..., n - 1 : n, :n]}
                model(q[:, :, n - 1 : n], k[:, :, :n], v[:, :, :n], regard.Attention(**how))
        (joined,) = seen.joined()
        assert joined.kept is not None
        mask = joined.kept.problem.mask
        pieces = len(mask.pieces) if isinstance(mask, PiecedMask) else 1
        assert pieces == {"none": 1, "padding": 1, "bias": 5}[rule]
        keys = {site.kept.problem.key.untyped_storage().data_ptr() for site in seen if site.kept is not None}
        assert len(keys) <= 2
