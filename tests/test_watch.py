"""The laws of `regard.watch`: it changes nothing, sees every call, says what it did not see, and is exact."""

import asyncio
import math
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import dense
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from models import FAMILIES
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.functional import scaled_dot_product_attention as imported_by_name
from torch.nn.modules import module as torch_hooks
from torch.overrides import _get_current_function_mode_stack
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack
from torch.utils.checkpoint import checkpoint

import regard
from regard import Record, Site, watch
from regard.errors import NotKeptError, ShapeError, UnknownSiteError, WantError, WatchError
from regard.watch.head_kinds import Head, head_kinds

HOOKS = (
    "_global_forward_hooks",
    "_global_forward_pre_hooks",
    "_global_forward_hooks_always_called",
    "_global_forward_hooks_with_kwargs",
    "_global_backward_hooks",
    "_global_backward_pre_hooks",
)
NAMES = [
    (F, "scaled_dot_product_attention"),
    (F, "multi_head_attention_forward"),
    (torch, "_transformer_encoder_layer_fwd"),
    (torch, "_native_multi_head_attention"),
]


@pytest.fixture(autouse=True)
def _seeded_and_put_back() -> Iterator[None]:
    """Seed, and keep a watch that fails to tidy up from reaching other tests."""
    torch.manual_seed(0)
    before = [(owner, name, getattr(owner, name)) for owner, name in NAMES]
    yield
    for owner, name, function in before:
        setattr(owner, name, function)
    for name in HOOKS:
        getattr(torch_hooks, name).clear()


def state(*models: nn.Module) -> list[Any]:
    """Return all that watching might leave behind: names, hooks, modes, settings."""
    modules = [module for model in models for module in model.modules()]
    return [
        *(getattr(owner, name) for owner, name in NAMES),
        *(list(getattr(torch_hooks, name).items()) for name in HOOKS),
        *(list(module._forward_hooks.items()) for module in modules),
        *(list(module._forward_pre_hooks.items()) for module in modules),
        *(sorted(module.__dict__) for module in modules),
        _get_current_function_mode_stack(),
        _get_current_dispatch_mode_stack(),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
    ]


def qkv(
    batch: int = 2,
    heads: int = 3,
    queries: int = 9,
    keys: int | None = None,
    width: int = 8,
    *,
    key_heads: int | None = None,
    value_width: int | None = None,
    dtype: torch.dtype = torch.float32,
    requires_grad: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return random queries, keys and values."""
    keys, key_heads = queries if keys is None else keys, key_heads or heads
    q = torch.randn(batch, heads, queries, width)
    k = torch.randn(batch, key_heads, keys, width)
    v = torch.randn(batch, key_heads, keys, value_width or width)
    q, k, v = (t.to(dtype).requires_grad_(requires_grad) for t in (q, k, v))
    return q, k, v


def see(q: Tensor, k: Tensor, v: Tensor, watching: dict[str, Any] | None = None, **call: Any) -> Site:
    """Return the site of one call of torch's attention."""
    with watch(**(watching or {})) as seen:
        F.scaled_dot_product_attention(q, k, v, **call)
    (site,) = seen
    return site


def see_scores(scores: Tensor, **watching: Any) -> Site:
    """Return the site of a call whose scores (H, Nq, Nk) are given: they are the queries, each key is one-hot."""
    keys = torch.eye(scores.shape[-1]).expand(scores.shape[0], -1, -1)[None]
    return see(scores[None], keys, keys, watching, scale=1.0)


class CallsByName(nn.Module):
    """Self-attention through the name in torch.nn.functional."""

    def forward(self, x: Tensor, **call: Any) -> Tensor:
        return F.scaled_dot_product_attention(x, x, x, **call)


class CallsImported(nn.Module):
    """Self-attention through the function imported by name."""

    def forward(self, x: Tensor, **call: Any) -> Tensor:
        return imported_by_name(x, x, x, **call)


class CallsStored(nn.Module):
    """Self-attention through the function stored on the module."""

    def __init__(self) -> None:
        super().__init__()
        self.fn = F.scaled_dot_product_attention

    def forward(self, x: Tensor, **call: Any) -> Tensor:
        return self.fn(x, x, x, **call)


class CallsRegard(nn.Module):
    """Self-attention through this library."""

    def forward(self, x: Tensor) -> Tensor:
        return regard.attend(x, x, x).output


class Projecting(nn.Module):
    """Causal self-attention with weights to learn, and dropout where asked."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.project = nn.Linear(24, 72)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (t.unflatten(-1, (3, 8)).transpose(1, 2) for t in self.project(x).chunk(3, -1))
        dropout = self.dropout if self.training else 0.0
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=dropout)


class Named(nn.Module):
    """A model with two attention modules of its own, called in turn."""

    def __init__(self, kind: Callable[[], nn.Module] = CallsByName) -> None:
        super().__init__()
        self.first, self.second = kind(), kind()

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))


class HomeMadeAttention(nn.Module):
    """Attention written by hand, which no one can see from outside."""

    def forward(self, x: Tensor) -> Tensor:
        return (x @ x.mT).softmax(-1) @ x


class Failing(nn.Module):
    """Attends, then raises."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def forward(self, x: Tensor, *_: Any, **__: Any) -> Tensor:
        F.scaled_dot_product_attention(x, x, x)
        raise self.error


class FailingLayer(nn.TransformerEncoderLayer):
    """One of torch's own layers, which raises."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(8, 2, 8, batch_first=True)
        self.error = error

    def forward(self, *_: Any, **__: Any) -> Tensor:
        raise self.error


def encoder(**settings_: Any) -> nn.TransformerEncoder:
    """Return torch's own encoder of two layers."""
    layer = nn.TransformerEncoderLayer(16, 2, 24, batch_first=True, **settings_)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


# Watching changes nothing: outputs and gradients.

CALLS: dict[str, Callable[[], tuple[tuple[Tensor, ...], dict[str, Any]]]] = {
    "plain": lambda: (qkv(), {}),
    "causal": lambda: (qkv(), {"is_causal": True}),
    "causal, fewer queries": lambda: (qkv(queries=5, keys=9), {"is_causal": True}),
    "causal, more queries": lambda: (qkv(queries=9, keys=5), {"is_causal": True}),
    "boolean mask": lambda: (qkv(), {"attn_mask": torch.rand(2, 1, 9, 9) > 0.4}),
    "blind rows": lambda: (qkv(), {"attn_mask": (torch.arange(9) % 3 > 0).unsqueeze(-1).expand(9, 9)}),
    "added mask": lambda: (qkv(), {"attn_mask": torch.randn(3, 9, 9)}),
    "added mask with -inf": lambda: (qkv(), {"attn_mask": torch.randn(9, 9).masked_fill(torch.eye(9) > 0, -math.inf)}),
    "own scale": lambda: (qkv(), {"scale": 0.7}),
    "grouped": lambda: (qkv(heads=6, key_heads=2), {"enable_gqa": True}),
    "cross": lambda: (qkv(queries=4, keys=33), {}),
    "wide values": lambda: (qkv(value_width=5), {}),
    "three axes": lambda: (tuple(t[:, 0] for t in qkv()), {}),
    "three axes, mask": lambda: (tuple(t[:, 0] for t in qkv()), {"attn_mask": torch.rand(2, 9, 9) > 0.4}),
    "two axes": lambda: (tuple(t[0, 0] for t in qkv()), {}),
    "float64": lambda: (qkv(dtype=torch.float64), {}),
    "bfloat16": lambda: (qkv(dtype=torch.bfloat16), {}),
    "float16": lambda: (qkv(dtype=torch.float16), {}),
    "not contiguous": lambda: (tuple(t.transpose(1, 2).contiguous().transpose(1, 2) for t in qkv()), {}),
}
AROUND = {"gradient": torch.enable_grad, "no_grad": torch.no_grad, "inference_mode": torch.inference_mode}


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("call", CALLS)
def test_a_watched_call_gives_the_same_bits(call: str, around: str) -> None:
    tensors, settings_ = CALLS[call]()
    with AROUND[around]():
        unwatched = F.scaled_dot_product_attention(*tensors, **settings_)
        with watch() as seen:
            watched = F.scaled_dot_product_attention(*tensors, **settings_)
    assert len(seen) == 1
    assert torch.equal(watched, unwatched)
    assert (watched.is_inference(), watched.dtype, watched.stride()) == (
        unwatched.is_inference(),
        unwatched.dtype,
        unwatched.stride(),
    )


@pytest.mark.parametrize("call", [call for call in CALLS if call != "blind rows"])
def test_a_watched_call_gives_gradients_of_the_same_bits(call: str) -> None:
    tensors, settings_ = CALLS[call]()
    gradients = []
    for watching in (False, True):
        leaves = [t.detach().clone().requires_grad_() for t in tensors]
        if watching:
            with watch():
                output = F.scaled_dot_product_attention(*leaves, **settings_)
        else:
            output = F.scaled_dot_product_attention(*leaves, **settings_)
        output.square().sum().backward()
        gradients.append([leaf.grad for leaf in leaves])
    assert all(torch.equal(*pair) for pair in zip(*gradients, strict=True))


def test_a_backward_pass_inside_the_block_gives_the_same_bits_and_is_not_recorded() -> None:
    model = Projecting()
    x = torch.randn(2, 9, 24)
    model(x).sum().backward()
    unwatched = model.project.weight.grad.clone()
    model.zero_grad()
    with watch(model) as seen:
        model(x).sum().backward()
    assert len(seen) == 1
    assert torch.equal(model.project.weight.grad, unwatched)


def test_a_mask_that_learns_gets_the_same_gradient() -> None:
    q, k, v = qkv()
    gradients = []
    for _ in range(2):
        mask = torch.ones(9, 9, requires_grad=True)
        with watch():
            F.scaled_dot_product_attention(q, k, v, attn_mask=mask).square().sum().backward()
        gradients.append(mask.grad)
        free = torch.ones(9, 9, requires_grad=True)
        F.scaled_dot_product_attention(q, k, v, attn_mask=free).square().sum().backward()
        gradients.append(free.grad)
    assert all(torch.equal(gradients[0], other) for other in gradients[1:])


@pytest.mark.parametrize("build", [lambda: Projecting(0.3), lambda: encoder(dropout=0.3)], ids=["own", "torch"])
def test_training_with_dropout_draws_the_same_numbers(build: Callable[[], nn.Module]) -> None:
    model = build().train()
    x = torch.randn(2, 9, 24 if isinstance(model, Projecting) else 16)
    outputs, after = [], []
    for watching in (False, True):
        torch.manual_seed(7)
        if watching:
            with watch(model) as seen:
                outputs.append(model(x))
        else:
            outputs.append(model(x))
        after.append(torch.get_rng_state())
    assert {site.dropout for site in seen} == {0.3}
    assert torch.equal(*outputs)
    assert torch.equal(*after)


@pytest.mark.parametrize("build", [Projecting, encoder], ids=["own", "torch"])
@pytest.mark.parametrize("grad", [False, True])
def test_autocast_gives_the_same_bits(build: Callable[[], nn.Module], grad: bool) -> None:
    model = build().eval()
    x = torch.randn(2, 9, 24 if isinstance(model, Projecting) else 16)
    with torch.set_grad_enabled(grad), torch.autocast("cpu", torch.bfloat16):
        unwatched = model(x)
        with watch(model) as seen:
            watched = model(x)
    assert torch.equal(watched, unwatched)
    assert {site.dtype for site in seen} == {torch.bfloat16}


@pytest.mark.parametrize("around", AROUND)
def test_torchs_own_encoder_gives_the_same_bits(around: str) -> None:
    model = encoder().eval()
    x = torch.randn(2, 9, 16)
    with AROUND[around]():
        unwatched = model(x)
        with watch(model) as seen:
            watched = model(x)
    assert len(seen) == 2
    assert torch.equal(watched, unwatched)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
def test_torchs_own_encoder_gives_the_same_bits_where_it_nests_tensors() -> None:
    layer = nn.TransformerEncoderLayer(16, 2, 24, batch_first=True)
    model = nn.TransformerEncoder(layer, 2, enable_nested_tensor=True).eval()
    x, padding = torch.randn(2, 9, 16), torch.arange(9) > torch.tensor([[8], [5]])
    with torch.no_grad():
        unwatched = model(x, src_key_padding_mask=padding)
        with watch(model):
            watched = model(x, src_key_padding_mask=padding)
    assert torch.equal(watched, unwatched)


# What torch takes, a watched model may call, whatever can be seen of it.

UNUSUAL: dict[str, tuple[Callable[[], tuple[tuple[Tensor, ...], dict[str, Any]]], str]] = {
    "keys of one item for a batch": (
        lambda: ((torch.randn(2, 3, 5, 8), *(torch.randn(1, 3, 5, 8),) * 2), {}),
        "bug: ShapeError from Problem reaches the model where batch axes broadcast",
    ),
    "queries of one head for many": (
        lambda: ((torch.randn(2, 1, 5, 8), *(torch.randn(2, 3, 5, 8),) * 2), {}),
        "bug: ShapeError from Problem reaches the model where head axes broadcast",
    ),
    "keys of one head for many": (lambda: ((torch.randn(2, 3, 5, 8), *(torch.randn(2, 1, 5, 8),) * 2), {}), ""),
    "five axes": (lambda: ((torch.randn(2, 2, 3, 5, 8),) * 3, {}), ""),
    "five axes, mask": (
        lambda: ((torch.randn(2, 2, 3, 5, 8),) * 3, {"attn_mask": torch.rand(2, 2, 3, 5, 5) > 0.4}),
        "bug: MaskError, Table is made of a mask with five axes before they are folded",
    ),
    "no queries": (
        lambda: ((torch.randn(2, 3, 0, 8), *(torch.randn(2, 3, 5, 8),) * 2), {}),
        "bug: reshape(-1, 0, D) of an empty tensor raises RuntimeError in the model",
    ),
    "no keys": (
        lambda: ((torch.randn(2, 3, 5, 8), *(torch.randn(2, 3, 0, 8),) * 2), {}),
        "bug: reshape(-1, 0, D) of an empty tensor raises RuntimeError in the model",
    ),
    "no items": (lambda: ((torch.randn(0, 3, 5, 8),) * 3, {}), ""),
    "no width": (
        lambda: ((torch.randn(2, 3, 5, 0), torch.randn(2, 3, 5, 0), torch.randn(2, 3, 5, 8)), {"scale": 1.0}),
        "bug: ShapeError from Problem reaches the model where queries have width 0",
    ),
    "meta": (lambda: ((torch.randn(2, 3, 5, 8, device="meta"),) * 3, {}), ""),
}


def unusual(reasons: bool) -> list[Any]:
    """Return the unusual calls as parameters, those that fail marked."""
    marks = {name: [pytest.mark.xfail(reason=reason)] if reason and reasons else [] for name, (_, reason) in UNUSUAL.items()}
    return [pytest.param(name, marks=marks[name]) for name in UNUSUAL]


@pytest.mark.parametrize("call", unusual(reasons=True))
def test_watching_makes_no_call_fail_that_torch_takes(call: str) -> None:
    tensors, settings_ = UNUSUAL[call][0]()
    unwatched = F.scaled_dot_product_attention(*tensors, **settings_)
    with watch():
        watched = F.scaled_dot_product_attention(*tensors, **settings_)
    assert watched.shape == unwatched.shape
    assert watched.is_meta or torch.equal(watched, unwatched)
