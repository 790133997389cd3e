"""Watched models of every architecture: each implementation of attention is seen as the eager model means it.

Flash attention needs a GPU. Here Hugging Face's own preparation of its arguments runs (it drops padding, finds
packed sequences and turns windows), and only the two kernels below it are stood in for by the dense formula.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from typing import Any
from unittest.mock import patch

import pytest
import torch
import transformers
from torch import Tensor, nn
from torch.nn.attention.flex_attention import create_block_mask, flex_attention
from transformers import masking_utils
from transformers import modeling_flash_attention_utils as flash_utils
from transformers.integrations import flash_attention as flash_integration
from transformers.integrations.flex_attention import WrappedFlexAttention
from transformers.masking_utils import AttentionMaskInterface, flash_attention_mask
from transformers.modeling_utils import AttentionInterface

from regard import Record, Site, watch
from regard.errors import ChangeError, WatchError
from regard.watch.seams.hugging_face import InterfaceCall
from tests import dense
from tests.models import FAMILIES, TOKENS, Family, left_padded, tokens, without_empty_rows
from tests.test_flex import NEEDS_COMPILER

STAND_IN = "flash_stand_in"

# Flex attention says so where it runs uncompiled.
pytestmark = pytest.mark.filterwarnings("ignore:.*flex_attention called without torch.compile")


def near_and_before(queries: int, keys: int, causal: bool, window: tuple[int, int]) -> Tensor:
    """Return who may see whom in a flash kernel: the last query stands at the last key; -1 is no bound."""
    ahead = torch.arange(keys) - (torch.arange(queries) + keys - queries).unsqueeze(-1)
    allowed = ahead <= 0 if causal else torch.ones(queries, keys, dtype=torch.bool)
    back, front = window
    allowed = allowed if back < 0 else allowed & (ahead >= -back)
    return allowed if front < 0 else allowed & (ahead <= front)


def flash_varlen_func(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    cu_seqlens_q: Tensor,
    cu_seqlens_k: Tensor,
    max_seqlen_q: int,
    max_seqlen_k: int,
    dropout_p: float = 0.0,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: tuple[int, int] = (-1, -1),
    softcap: float = 0.0,
    s_aux: Tensor | None = None,
) -> Tensor:
    """Attend within each of the sequences that are packed into tensors (positions, H or G, D)."""
    ends = zip(cu_seqlens_q.tolist(), cu_seqlens_k.tolist(), strict=True)
    made, (start, key_start) = torch.zeros_like(q), next(ends)
    for end, key_end in ends:
        query = q[start:end].transpose(0, 1)
        key, value = (each[key_start:key_end].transpose(0, 1) for each in (k, v))
        key, value = (each.repeat_interleave(q.shape[1] // k.shape[1], 0) for each in (key, value))
        S = query @ key.mT * (q.shape[-1] ** -0.5 if softmax_scale is None else softmax_scale)
        S = torch.tanh(S / softcap) * softcap if softcap else S
        S = S.masked_fill(~near_and_before(end - start, key_end - key_start, causal, window_size), -torch.inf)
        sink = q.new_full((q.shape[1],), -torch.inf) if s_aux is None else s_aux
        everything = torch.cat([S, sink.view(-1, 1, 1).expand_as(S[..., :1])], -1)
        P = torch.exp(S - everything.logsumexp(-1, keepdim=True)).nan_to_num(0.0)
        made[start:end] = (P @ value).transpose(0, 1)
        start, key_start = end, key_end
    return made


def flash_func(q: Tensor, k: Tensor, v: Tensor, **settings: Any) -> Tensor:
    """Attend in each item of (B, N, H or G, D)."""
    (batch, queries), keys = q.shape[:2], k.shape[1]
    ends = (torch.arange(batch + 1) * length for length in (queries, keys))
    return flash_varlen_func(*(t.flatten(0, 1) for t in (q, k, v)), *ends, queries, keys, **settings).view_as(q)


def imports(*_: Any, **__: Any) -> tuple[Any, ...]:
    """Return what Hugging Face looks for in flash libraries."""
    return flash_func, flash_varlen_func, None, flash_utils._pad_input, flash_utils._unpad_input


def block_mask(*args: Any, _compile: bool, **kwargs: Any) -> Any:
    """Make a mask for flex attention without a compiler."""
    return create_block_mask(*args, **kwargs)


@contextmanager
def standing_in() -> Iterator[None]:
    """Within the block, the stand-in is an implementation, and flex attention runs without a compiler."""
    flex = {"_compiled_flex_attention": staticmethod(flex_attention), "_is_flex_compiled": True}
    with (
        patch.multiple(flash_utils, _lazy_imports=imports, _loaded_implementation=None),
        patch.object(flash_integration, "get_target_dtype", lambda *_: None),  # the formula takes float32 as it is
        patch.dict(AttentionInterface._global_mapping, {STAND_IN: flash_integration.flash_attention_forward}),
        patch.dict(AttentionMaskInterface._global_mapping, {STAND_IN: flash_attention_mask}),
        patch.multiple(WrappedFlexAttention, **flex, training=False, create=True),
        patch.object(masking_utils, "create_block_mask", block_mask),
        patch.object(torch.nn.attention.flex_attention, "_FLEX_ATTENTION_DISABLE_COMPILE_DEBUG", True),
    ):
        yield


@pytest.fixture(autouse=True)
def _standing_in() -> Iterator[None]:
    with standing_in():
        yield


def build(family: Family, implementation: str, model: type[nn.Module] | None = None) -> nn.Module:
    """Return the model of a family for an implementation."""
    # GPT-OSS would have a kernel from a hub.
    with patch.object(family.model.__base__, "_compatible_flash_implementations", None):
        return family.build(STAND_IN if implementation == "flash" else implementation, model)


def same(one: Any, other: Any) -> bool:
    """Whether two outputs hold the same bits."""
    pairs = [(one[key], other[key]) for key in one if isinstance(one[key], Tensor)]
    return bool(pairs) and all(torch.equal(a, b) for a, b in pairs)


@cache
def eager_weights(name: str) -> list[Tensor]:
    """Return the weights that the eager model gives out itself."""
    family = FAMILIES[name]
    with torch.no_grad():
        return family.attentions(build(family, "eager")(**family.inputs(), output_attentions=True))


@cache
def watched(name: str, implementation: str) -> tuple[Record, bool]:
    """Return what was seen of a model, and whether watching kept its output."""
    family = FAMILIES[name]
    model, inputs = build(family, implementation), family.inputs()
    with torch.no_grad():
        unwatched = model(**inputs)
        with watch(model) as seen:
            output = model(**inputs)
    return seen, same(output, unwatched)


def meant(name: str, implementation: str) -> list[Tensor]:
    """Return the weights that an implementation is to have, from the eager model's."""
    real = FAMILIES[name].inputs().get("attention_mask")
    return [as_meant(P, real, implementation) for P in eager_weights(name)]


def as_meant(P: Tensor, real: Tensor | None, implementation: str) -> Tensor:
    """Return weights of the eager model as an implementation makes them, given which tokens are real."""
    if implementation == "eager" or real is None:
        return P
    P = without_empty_rows(P, {"attention_mask": real})
    # Flash leaves padding out altogether, as queries too.
    alone = implementation == "flash" and P.shape[-2] == real.shape[-1]
    return P * real[:, None, :, None] if alone else P


EVERY = [(name, each) for name, family in FAMILIES.items() for each in family.implementations]


@pytest.mark.parametrize(("name", "implementation"), EVERY)
def test_every_call_is_seen(name: str, implementation: str) -> None:
    seen, _ = watched(name, implementation)
    assert len(seen) == len(eager_weights(name))
    assert seen.coverage.unseen == ()


@pytest.mark.parametrize(("name", "implementation"), EVERY)
def test_a_watched_model_gives_the_same_bits(name: str, implementation: str) -> None:
    assert watched(name, implementation)[1]


@pytest.mark.parametrize(("name", "implementation"), EVERY)
def test_every_statistic_of_every_head_equals_the_eager_models(name: str, implementation: str) -> None:
    for site, P in zip(watched(name, implementation)[0], meant(name, implementation), strict=True):
        dense.statistics_equal(site, P)
        dense.spread_equal(site, P)


@pytest.mark.parametrize("name", [name for name, each in EVERY if each == "flash"])
def test_flash_is_seen_as_it_computes(name: str) -> None:
    """The weights and values that are seen make the output of the kernel, padding and all."""
    outputs = []

    def attend(*args: Any, **kwargs: Any) -> Any:
        made = flash_integration.flash_attention_forward(*args, **kwargs)
        outputs.append(made[0])
        return made

    family = FAMILIES[name]
    with patch.dict(AttentionInterface._global_mapping, {STAND_IN: attend}), torch.no_grad():
        model = build(family, "flash")
        with watch(model, want=("values",)) as seen:
            model(**family.inputs())
    for site, output in zip(seen, outputs, strict=True):
        value = site.values.repeat_interleave(site.sizes.heads // site.sizes.key_heads, 1)
        dense.close((site.weights() @ value).transpose(1, 2), output)


@pytest.mark.parametrize("implementation", FAMILIES["gpt-oss"].implementations)
def test_what_a_sink_takes_is_missing_from_the_sums(implementation: str) -> None:
    for site in watched("gpt-oss", implementation)[0]:
        assert (site.weights().sum(-1) < 0.999).any()
        assert (site.weights().sum(-1) <= 1 + 1e-5).all()


# what flash attention is told beside tensors


@pytest.mark.parametrize("told", ["lengths", "positions"])
@pytest.mark.parametrize("name", ["llama", "mistral"])
def test_sequences_packed_into_one_row_are_seen_apart(name: str, told: str) -> None:
    """Each part has the weights that it has alone."""
    family, ends = FAMILIES[name], [0, 8, 11, TOKENS]
    words = tokens(1, batch=1)
    positions = torch.cat([torch.arange(stop - start) for start, stop in pairwise(ends)])[None]
    given: dict[str, Any] = {"input_ids": words, "position_ids": positions}
    if told == "lengths":
        starts = torch.tensor(ends, dtype=torch.int32)
        given |= {"cu_seq_lens_q": starts, "cu_seq_lens_k": starts, "max_length_q": 8, "max_length_k": 8}
    model = build(family, "flash")
    with torch.no_grad(), watch(model) as seen:
        model(**given, use_cache=False)
    with torch.no_grad():
        alone = [
            build(family, "eager")(words[:, a:b], output_attentions=True).attentions for a, b in pairwise(ends)
        ]
    for layer, site in enumerate(seen):
        whole = [torch.block_diag(*(part[layer][0, head] for part in alone)) for head in range(4)]
        dense.statistics_equal(site, torch.stack(whole)[None])


def test_flash_sees_of_a_static_cache_what_is_filled() -> None:
    family = FAMILIES["llama"]
    model, words = build(family, "flash"), tokens(1)
    room = transformers.StaticCache(config=model.config, max_cache_len=TOKENS + 9)
    real = torch.ones_like(words)
    with torch.no_grad(), watch(model) as seen:
        model(words[:, :-1], attention_mask=real[:, :-1], past_key_values=room, use_cache=True)
        model(words[:, -1:], attention_mask=real, past_key_values=room, use_cache=True)
    for P, site in zip(eager_weights("llama"), seen.sites[2:], strict=True):
        assert (site.sizes.queries, site.sizes.keys) == (1, TOKENS)
        dense.close(site.weights(), P[:, :, -1:])


def test_keys_in_pages_of_a_cache_are_listed() -> None:
    call = InterfaceCall(STAND_IN, nn.Identity(), nn.Identity(), *inputs_of_a_call(), options={"cache": object()})
    with pytest.raises(WatchError, match="pages"):
        call.problem()


def test_float32_is_seen_in_the_type_that_flash_takes_it_in() -> None:
    query, key, value = inputs_of_a_call()
    call = InterfaceCall(STAND_IN, nn.Identity(), nn.Linear(2, 2, dtype=torch.bfloat16), query, key, value)
    assert torch.equal(call.problem().query, query.bfloat16())
    with torch.autocast("cpu", torch.float16):
        assert torch.equal(call.problem().key, key.half())


def test_flash_hides_keys_from_single_queries_only() -> None:
    query, key, value = inputs_of_a_call()
    hidden = torch.zeros(1, 1, 1, 5, dtype=torch.bool)
    with pytest.raises(ChangeError, match="sdpa"):
        InterfaceCall(STAND_IN, nn.Identity(), nn.Identity(), query, key, value).hiding(hidden)
    single = InterfaceCall(STAND_IN, nn.Identity(), nn.Identity(), query[:, :, -1:], key, value)
    hidden[..., 2] = True
    assert single.hiding(hidden).mask.tolist() == [[1, 1, 0, 1, 1]] * 2


def inputs_of_a_call() -> list[Tensor]:
    return [torch.randn(2, heads, 5, 4) for heads in (4, 2, 2)]


# generation

WRITERS: dict[str, tuple[str, type[nn.Module]]] = {
    "gpt2": ("gpt2", transformers.GPT2LMHeadModel),
    "llama": ("llama", transformers.LlamaForCausalLM),
    "mistral": ("mistral", transformers.MistralForCausalLM),
    "gemma2": ("gemma2", transformers.Gemma2ForCausalLM),
    "gpt-oss": ("gpt-oss", transformers.GptOssForCausalLM),
    "bloom": ("bloom left padded", transformers.BloomForCausalLM),
    "t5": ("t5", transformers.T5ForConditionalGeneration),
    "bart": ("bart", transformers.BartForConditionalGeneration),
}
NEW = 4
GENERATING = [
    (name, implementation, beams)
    for name, (family, _) in WRITERS.items()
    for implementation in FAMILIES[family].implementations
    for beams in (1, 2)
    # Flex attention makes its masks for whole blocks anew in every step, which takes long without a compiler.
    if implementation != "flex_attention"
]


def steps_of(made: Any) -> list[Tensor]:
    """Return the weights of all steps in the order of the calls: encoder, then every step with its layers."""
    if "decoder_attentions" not in made:
        return [P for step in made.attentions for P in step]
    steps = zip(made.decoder_attentions, made.cross_attentions, strict=True)
    layers = [P for own, cross in steps for layer in zip(own, cross, strict=True) for P in layer]
    return [*made.encoder_attentions, *layers]


@pytest.mark.parametrize(("name", "implementation", "beams"), GENERATING)
def test_every_step_of_generation_is_seen(name: str, implementation: str, beams: int) -> None:
    """A batch with padding on the left; every weight of every step is the eager model's."""
    family, head = FAMILIES[WRITERS[name][0]], WRITERS[name][1]
    given = {"input_ids": tokens(1), "attention_mask": left_padded()}
    asked: dict[str, Any] = {"max_new_tokens": NEW, "min_new_tokens": NEW, "do_sample": False, "num_beams": beams}
    eager, model = build(family, "eager", head), build(family, implementation, head)
    wanted = eager.generate(**given, **asked, output_attentions=True, return_dict_in_generate=True)
    unwatched = model.generate(**given, **asked)
    with watch(model) as seen:
        made = model.generate(**given, **asked)
    assert torch.equal(made, unwatched)
    assert torch.equal(made, wanted.sequences)
    assert seen.coverage.unseen == ()
    for site, P in zip(seen, steps_of(wanted), strict=True):
        P = as_meant(P, real_keys(site, len(P)), implementation)
        dense.close(site.weights(), P)
        dense.close(site.received, dense.received(P), rtol=1e-5)


def real_keys(site: Site, items: int) -> Tensor | None:
    """Return which keys of a step are real; a window holds the last ones, and a decoder has no padding."""
    real = left_padded().repeat_interleave(items // 2, 0)
    if "decoder" in site.path or "encoder" in site.path:
        return real if site.sizes.keys == TOKENS else None
    real = torch.cat([real, real.new_ones(items, site.call)], -1)
    return real[:, -site.sizes.keys :]


# compiled flex attention, as people run it


@NEEDS_COMPILER
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's compiler warns of its own parts
@pytest.mark.parametrize("name", ["bert padded", "llama left padded", "mistral", "gemma2"])
def test_compiled_flex_attention_is_seen(name: str) -> None:
    family = FAMILIES[name]
    compiled = torch.compile(flex_attention)
    model, given = build(family, "flex_attention"), family.inputs()
    with (
        patch.object(WrappedFlexAttention, "_compiled_flex_attention", staticmethod(compiled)),
        patch.object(torch.nn.attention.flex_attention, "_FLEX_ATTENTION_DISABLE_COMPILE_DEBUG", False),
        torch.no_grad(),
    ):
        unwatched = model(**given)
        with watch(model) as seen:
            output = model(**given)
    assert same(output, unwatched)
    for site, P in zip(seen, meant(name, "flex_attention"), strict=True):
        dense.statistics_equal(site, P)
