"""Attention functions of other libraries, called by a model as its author would: each call is seen as it computes.

The libraries need a GPU; modules that stand in for them have their signatures and compute by the dense formula.
"""

import sys
from functools import partial
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import flex_attention as flex

from regard import Record, watch
from tests import dense

B, H, G, NQ, NK, D = 2, 4, 2, 7, 11, 8


def allowed_by_flash(queries: int, keys: int, causal: bool, window: tuple[int, int]) -> Tensor:
    """Return who may see whom: the last query stands at the last key, and -1 is no bound."""
    ahead = torch.arange(keys) - (torch.arange(queries) + keys - queries).unsqueeze(-1)
    allowed = torch.ones(queries, keys, dtype=torch.bool)
    allowed = allowed & (ahead <= 0) if causal else allowed
    allowed = allowed if window[0] < 0 else allowed & (ahead >= -window[0])
    return allowed if window[1] < 0 else allowed & (ahead <= window[1])


def flash_weights(
    q: Tensor,
    k: Tensor,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: tuple[int, int] = (-1, -1),
    softcap: float = 0.0,
    alibi_slopes: Tensor | None = None,
    **_: Any,
) -> Tensor:
    """Return the weights that flash_attn's documentation describes, from tensors (B, N, H or G, D)."""
    S = dense.scores(q.transpose(1, 2), k.transpose(1, 2), softmax_scale)
    S = softcap * torch.tanh(S / softcap) if softcap else S
    if alibi_slopes is not None:
        place = torch.arange(q.shape[1]).unsqueeze(-1) + k.shape[1] - q.shape[1]
        S = S - alibi_slopes.view(-1, q.shape[2], 1, 1) * (place - torch.arange(k.shape[1])).abs()
    allowed = allowed_by_flash(q.shape[1], k.shape[1], causal, window_size)
    return S.masked_fill(~allowed, -torch.inf).softmax(-1).nan_to_num(0.0)


def applied(P: Tensor, v: Tensor) -> Tensor:
    """Return the output (B, N, H, D)."""
    v = v.transpose(1, 2).repeat_interleave(P.shape[1] // v.shape[2], 1)
    return (P @ v).transpose(1, 2)


def flash_attn_func(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    dropout_p: float = 0.0,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: tuple[int, int] = (-1, -1),
    softcap: float = 0.0,
    alibi_slopes: Tensor | None = None,
    deterministic: bool = False,
    return_attn_probs: bool = False,
) -> Any:
    with torch._C.DisableTorchFunction():  # a kernel shows nothing of what is inside
        P = flash_weights(q, k, softmax_scale, causal, window_size, softcap, alibi_slopes)
    return (applied(P, v), P.logsumexp(-1), None) if return_attn_probs else applied(P, v)


def flash_attn_kvpacked_func(
    q: Tensor,
    kv: Tensor,
    dropout_p: float = 0.0,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: tuple[int, int] = (-1, -1),
    softcap: float = 0.0,
    alibi_slopes: Tensor | None = None,
    deterministic: bool = False,
    return_attn_probs: bool = False,
) -> Any:
    k, v = kv.unbind(2)
    return flash_attn_func(q, k, v, dropout_p, softmax_scale, causal, window_size, softcap, alibi_slopes)


def flash_attn_qkvpacked_func(
    qkv: Tensor,
    dropout_p: float = 0.0,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: tuple[int, int] = (-1, -1),
    softcap: float = 0.0,
    alibi_slopes: Tensor | None = None,
    deterministic: bool = False,
    return_attn_probs: bool = False,
) -> Any:
    q, k, v = qkv.unbind(2)
    return flash_attn_func(q, k, v, dropout_p, softmax_scale, causal, window_size, softcap, alibi_slopes)


def xformers_weights(query: Tensor, key: Tensor, attn_bias: Any = None, scale: float | None = None) -> Tensor:
    """Return the weights that xformers' documentation describes, from tensors (B, N, H, D)."""
    S = dense.scores(query.transpose(1, 2), key.transpose(1, 2), scale)
    if attn_bias is not None:
        S = S + (attn_bias if isinstance(attn_bias, Tensor) else attn_bias.materialize(S.shape))
    return S.softmax(-1)


def memory_efficient_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_bias: Any = None,
    p: float = 0.0,
    scale: float | None = None,
    *,
    op: Any = None,
    output_dtype: torch.dtype | None = None,
) -> Tensor:
    if query.ndim == 3:
        single = (each.unsqueeze(2) for each in (query, key, value))
        return memory_efficient_attention(*single, attn_bias, p, scale).squeeze(2)
    return applied(xformers_weights(query, key, attn_bias, scale), value)


class LowerTriangularMask:
    """Hides the future; first positions are aligned."""

    def materialize(self, shape: Any, dtype: torch.dtype = torch.float32, device: Any = "cpu") -> Tensor:
        return torch.full(tuple(shape), -torch.inf, dtype=dtype).triu(1)


class LowerTriangularFromBottomRightMask(LowerTriangularMask):
    """Hides the future; last positions are aligned."""

    def materialize(self, shape: Any, dtype: torch.dtype = torch.float32, device: Any = "cpu") -> Tensor:
        return torch.full(tuple(shape), -torch.inf, dtype=dtype).triu(1 + shape[-1] - shape[-2])


class BlockDiagonalMask(LowerTriangularMask):
    """Hides other sequences: some mask that only writes itself out."""

    def materialize(self, shape: Any, dtype: torch.dtype = torch.float32, device: Any = "cpu") -> Tensor:
        queries, keys = (torch.arange(length) // 4 for length in shape[-2:])
        return torch.zeros(tuple(shape), dtype=dtype).masked_fill(queries.unsqueeze(-1) != keys, -torch.inf)


def module(name: str, *functions: Any) -> ModuleType:
    made = ModuleType(name)
    for each in functions:
        setattr(made, each.__name__, each)
    return made


AUTHOR = """
from flash_attn import flash_attn_func, flash_attn_kvpacked_func, flash_attn_qkvpacked_func
from torch import nn
from torch.nn.attention.flex_attention import flex_attention
from xformers.ops import memory_efficient_attention
import xformers.ops as xops

class FlashAttention(nn.Module):
    def forward(self, q, k, v, **settings):
        return flash_attn_func(q, k, v, **settings)

class FlashCrossAttention(nn.Module):
    def forward(self, q, kv, **settings):
        return flash_attn_kvpacked_func(q, kv, **settings)

class FlashSelfAttention(nn.Module):
    def forward(self, qkv, **settings):
        return flash_attn_qkvpacked_func(qkv, **settings)

class MemoryEfficientAttention(nn.Module):
    def forward(self, *args, **settings):
        return memory_efficient_attention(*args, **settings)

class ByModule(nn.Module):
    def forward(self, *args, **settings):
        return xops.memory_efficient_attention(*args, **settings)

class FlexAttention(nn.Module):
    def forward(self, *args, **settings):
        return flex_attention(*args, **settings)
"""


@pytest.fixture
def author(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A model's module that imports the libraries in the usual way."""
    ops = module("xformers.ops", memory_efficient_attention)
    package = module("xformers")
    package.ops = ops  # type: ignore[attr-defined]
    flash = module("flash_attn", flash_attn_func, flash_attn_kvpacked_func, flash_attn_qkvpacked_func)
    made = ModuleType("author")
    for each in (flash, package, ops, made):
        monkeypatch.setitem(sys.modules, each.__name__, each)
    monkeypatch.setattr(flex, "_FLEX_ATTENTION_DISABLE_COMPILE_DEBUG", True)
    exec(AUTHOR, vars(made))
    return made


def tensors(keys: int = NK, key_heads: int = G) -> tuple[Tensor, Tensor, Tensor]:
    """Return queries, keys and values (B, N, H or G, D)."""
    random = torch.Generator().manual_seed(0)
    shapes = ((B, NQ, H, D), (B, keys, key_heads, D), (B, keys, key_heads, D))
    q, k, v = (torch.randn(shape, generator=random) for shape in shapes)
    return 2 * q, k, v


def run(model: nn.Module, *args: Any, **settings: Any) -> Record:
    """Return what was seen; watching keeps the output, and weights and values make it."""
    unwatched = model(*args, **settings)
    with watch(model, want=("entropy", "received", "received_max", "distance", "first", "map", "values")) as seen:
        output = model(*args, **settings)
    pairs = zip(unwatched, output, strict=True) if isinstance(output, tuple) else [(unwatched, output)]
    assert all(a is b or torch.equal(a, b) for a, b in pairs)
    assert seen.coverage.unseen == ()
    return seen


SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "causal": {"causal": True},
    "scale": {"softmax_scale": 0.1},
    "window": {"window_size": (3, 2)},
    "window back": {"window_size": (2, -1)},
    "window ahead": {"window_size": (-1, 1)},
    "causal window": {"causal": True, "window_size": (3, 0)},
    "soft cap": {"softcap": 2.0},
    "alibi": {"alibi_slopes": torch.tensor([0.5, 0.25, 0.125, 0.1])},
    "capped causal alibi": {"softcap": 2.0, "causal": True, "alibi_slopes": torch.tensor([0.5, 0.2, 0.1, 0.0])},
}


@pytest.mark.parametrize("keys", [NQ, NK, NQ - 3])
@pytest.mark.parametrize("name", SETTINGS)
def test_flash_attention_is_seen_as_documented(author: Any, name: str, keys: int) -> None:
    q, k, v = tensors(keys)
    (site,) = run(author.FlashAttention(), q, k, v, **SETTINGS[name])
    dense.close(site.weights(), flash_weights(q, k, **SETTINGS[name]))
    dense.close(site.entropy, dense.entropy(flash_weights(q, k, **SETTINGS[name])))
    dense.close(site.values, v.transpose(1, 2))
    assert (site.engine, site.sizes.key_heads) == ("flash_attn_func", G)


def test_flash_attention_may_return_more(author: Any) -> None:
    q, k, v = tensors()
    (site,) = run(author.FlashAttention(), q, k, v, return_attn_probs=True)
    dense.statistics_equal(site, flash_weights(q, k))


@pytest.mark.parametrize("name", SETTINGS)
def test_flash_attention_on_packed_keys_and_values_is_seen(author: Any, name: str) -> None:
    q, k, v = tensors()
    (site,) = run(author.FlashCrossAttention(), q, torch.stack([k, v], 2), **SETTINGS[name])
    dense.close(site.weights(), flash_weights(q, k, **SETTINGS[name]))
    dense.close(site.values, v.transpose(1, 2))


@pytest.mark.parametrize("name", SETTINGS)
def test_flash_attention_on_everything_packed_is_seen(author: Any, name: str) -> None:
    q, k, v = tensors(NQ, H)
    (site,) = run(author.FlashSelfAttention(), torch.stack([q, k, v], 2), **SETTINGS[name])
    dense.close(site.weights(), flash_weights(q, k, **SETTINGS[name]))
    dense.close(site.values, v.transpose(1, 2))


BIASES: dict[str, Any] = {
    "none": None,
    "tensor": torch.linspace(-2, 2, B * H * NQ * NK).view(B, H, NQ, NK),
    "triangle": LowerTriangularMask(),
    "triangle from the bottom right": LowerTriangularFromBottomRightMask(),
    "another mask": BlockDiagonalMask(),
}


@pytest.mark.parametrize("kind", ["MemoryEfficientAttention", "ByModule"])
@pytest.mark.parametrize("name", BIASES)
def test_memory_efficient_attention_is_seen_as_documented(author: Any, name: str, kind: str) -> None:
    q, k, v = tensors(key_heads=H)
    (site,) = run(getattr(author, kind)(), q, k, v, BIASES[name], scale=0.3)
    dense.statistics_equal(site, xformers_weights(q, k, BIASES[name], 0.3))


def test_memory_efficient_attention_without_heads_is_seen(author: Any) -> None:
    q, k, v = (each[:, :, 0] for each in tensors())
    (site,) = run(author.MemoryEfficientAttention(), q, k, v)
    dense.statistics_equal(site, xformers_weights(q.unsqueeze(2), k.unsqueeze(2)))


def near(b: Any, h: Any, q: Any, k: Any) -> Any:
    return (q - k).abs() <= 3


def slanted(score: Tensor, b: Any, h: Any, q: Any, k: Any) -> Tensor:
    return score - 0.1 * (h + 1) * (q - k).abs()


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("modified", [False, True])
def test_flex_attention_is_seen_as_documented(author: Any, masked: bool, modified: bool) -> None:
    q, k, v = (each.transpose(1, 2) for each in tensors())
    mask = flex.create_block_mask(near, None, None, NQ, NK, device="cpu") if masked else None
    settings = {"score_mod": slanted if modified else None, "block_mask": mask, "enable_gqa": True}
    (site,) = run(author.FlexAttention(), q, k, v, scale=0.4, **settings)
    gap = (torch.arange(NQ).unsqueeze(-1) - torch.arange(NK)).abs()
    added = -0.1 * torch.arange(1, H + 1).view(H, 1, 1) * gap if modified else None
    dense.statistics_equal(site, dense.weights(q, k, scale=0.4, added=added, allowed=gap <= 3 if masked else None))


def test_gradients_stay_the_same(author: Any) -> None:
    given = [each.requires_grad_() for each in tensors()]
    model, grads = author.FlashAttention(), []
    model(*given).square().sum().backward()
    grads.append([each.grad for each in given])
    for each in given:
        each.grad = None
    with watch(model):
        model(*given).square().sum().backward()
    grads.append([each.grad for each in given])
    assert all(torch.equal(a, b) for a, b in zip(*grads, strict=True))


def test_dropout_is_told(author: Any) -> None:
    (site,) = run(author.FlashAttention(), *tensors(), dropout_p=0.3)
    assert site.dropout == 0.3


def test_a_reference_that_is_held_elsewhere_is_listed(author: Any) -> None:
    """A function bound into an object cannot be replaced; the module is said to be unseen."""

    class HeldAttention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attend = partial(flash_attn_func, causal=True)

        def forward(self, *tensors: Tensor) -> Any:
            return self.attend(*tensors)

    model = HeldAttention()
    with watch(model) as seen:
        model(*tensors())
    assert len(seen) == 0
    assert [each.class_name for each in seen.coverage.unseen] == ["HeldAttention"]


def test_slopes_of_each_item_are_listed_with_the_reason(author: Any) -> None:
    model = author.FlashAttention()
    with watch(model) as seen:
        model(*tensors(), alibi_slopes=torch.linspace(0.1, 0.8, B * H).view(B, H))
    assert len(seen) == 0
    assert "alibi" in seen.coverage.unseen[0].reason


def test_names_are_put_back(author: Any) -> None:
    with watch(author.FlashAttention()):
        assert author.flash_attn_func is not flash_attn_func
    assert author.flash_attn_func is flash_attn_func
    assert sys.modules["flash_attn"].flash_attn_func is flash_attn_func


def test_a_wrong_call_fails_as_it_does_unwatched(author: Any) -> None:
    q, k, _ = tensors()
    with pytest.raises(TypeError, match="missing"), watch(author.FlashAttention()):
        author.flash_attn_func(q, k)
