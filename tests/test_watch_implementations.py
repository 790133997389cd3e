"""Watched models of every architecture: each implementation of attention is seen as the eager model means it.

Flash attention needs a GPU. Here Hugging Face's own preparation of its arguments runs (it drops padding, finds
packed sequences and turns windows), and only the two kernels below it are stood in for by the dense formula.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention.flex_attention import create_block_mask, flex_attention
from transformers import masking_utils
from transformers import modeling_flash_attention_utils as flash_utils
from transformers.integrations import flash_attention as flash_integration
from transformers.integrations.flex_attention import WrappedFlexAttention
from transformers.masking_utils import AttentionMaskInterface, flash_attention_mask
from transformers.modeling_utils import AttentionInterface

from regard import Record, watch
from tests import dense
from tests.models import FAMILIES, Family, without_empty_rows

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
    with patch.object(family.model, "_compatible_flash_implementations", None):
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
    weights, inputs = eager_weights(name), FAMILIES[name].inputs()
    if implementation == "eager":
        return weights
    weights = [without_empty_rows(P, inputs) for P in weights]
    real = inputs.get("attention_mask")
    if implementation == "flash" and real is not None:
        # Flash leaves padding out altogether, as queries too.
        weights = [P * real[:, None, :, None] if P.shape[-2] == real.shape[-1] else P for P in weights]
    return weights


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
