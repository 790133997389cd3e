"""The laws of `regard.watch`: it changes nothing, sees every call, says what it did not see, and is exact."""

import asyncio
import math
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.functional import scaled_dot_product_attention as imported_by_name
from torch.nn.modules import module as torch_hooks
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack
from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode_stack
from torch.utils.checkpoint import checkpoint

import regard
from regard import Record, Site, watch
from regard.errors import NotKeptError, ShapeError, UnknownSiteError, WantError, WatchError
from regard.mechanisms.walk import tensors_in
from regard.watch.head_kinds import Head, head_kinds
from tests import dense

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
    """Attention written by hand."""

    def forward(self, x: Tensor) -> Tensor:
        return (x @ x.mT).softmax(-1) @ x


class SigmoidAttention(nn.Module):
    """Attention written by hand whose weights are no softmax, so that no one can tell it from outside."""

    def forward(self, x: Tensor) -> Tensor:
        return (x @ x.mT).sigmoid() @ x


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
    "added mask with -inf": lambda: (
        qkv(),
        {"attn_mask": torch.randn(9, 9).masked_fill(torch.eye(9) > 0, -math.inf)},
    ),
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


class Counting(TorchFunctionMode):
    """A mode of the user's own, which counts functions."""

    def __init__(self) -> None:
        super().__init__()
        self.called: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.called.append(getattr(func, "__name__", str(func)))
        return func(*args, **(kwargs or {}))


class Operators(TorchDispatchMode):
    """A mode of the user's own, which counts operators."""

    def __init__(self) -> None:
        super().__init__()
        self.called: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.called.append(str(func))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("build", [Projecting, encoder], ids=["own", "torch"])
@pytest.mark.parametrize("mode", [Counting, Operators])
@pytest.mark.parametrize("outside", [False, True])
def test_modes_of_the_user_see_the_same(mode: Any, outside: bool, build: Callable[[], nn.Module]) -> None:
    model = build().eval()
    x = torch.randn(2, 9, 24 if isinstance(model, Projecting) else 16)
    with torch.no_grad(), mode() as unwatched:
        plain = model(x)
    with torch.no_grad(), ExitStack() as stack:
        first, second = (mode(), watch(model)) if outside else (watch(model), mode())
        entered = [stack.enter_context(first), stack.enter_context(second)]
        output = model(x)
    watched, seen = entered if outside else reversed(entered)
    assert torch.equal(output, plain)
    assert len(seen) == (1 if isinstance(model, Projecting) else 2)
    assert watched.called == unwatched.called


# What torch takes, a watched model may call, whatever can be seen of it.

UNUSUAL: dict[str, Callable[[], tuple[tuple[Tensor, ...], dict[str, Any]]]] = {
    "keys of one item for a batch": lambda: ((torch.randn(2, 3, 5, 8), *(torch.randn(1, 3, 5, 8),) * 2), {}),
    "queries of one head for many": lambda: ((torch.randn(2, 1, 5, 8), *(torch.randn(2, 3, 5, 8),) * 2), {}),
    "keys of one head for many": lambda: ((torch.randn(2, 3, 5, 8), *(torch.randn(2, 1, 5, 8),) * 2), {}),
    "keys without a batch": lambda: ((torch.randn(2, 3, 5, 8), *(torch.randn(5, 8),) * 2), {}),
    "five axes": lambda: ((torch.randn(2, 2, 3, 5, 8),) * 3, {}),
    "five axes, mask": lambda: ((torch.randn(2, 2, 3, 5, 8),) * 3, {"attn_mask": torch.rand(2, 2, 3, 5, 5) > 0.4}),
    "no queries": lambda: ((torch.randn(2, 3, 0, 8), *(torch.randn(2, 3, 5, 8),) * 2), {}),
    "no keys": lambda: ((torch.randn(2, 3, 5, 8), *(torch.randn(2, 3, 0, 8),) * 2), {}),
    "no items": lambda: ((torch.randn(0, 3, 5, 8),) * 3, {}),
    "no width": lambda: ((torch.randn(2, 3, 5, 0),) * 2 + (torch.randn(2, 3, 5, 8),), {"scale": 1.0}),
    "meta": lambda: ((torch.randn(2, 3, 5, 8, device="meta"),) * 3, {}),
}


@pytest.mark.parametrize("call", UNUSUAL)
def test_watching_makes_no_call_fail_that_torch_takes(call: str) -> None:
    tensors, settings_ = UNUSUAL[call]()
    unwatched = F.scaled_dot_product_attention(*tensors, **settings_)
    with watch():
        watched = F.scaled_dot_product_attention(*tensors, **settings_)
    assert watched.shape == unwatched.shape
    assert watched.is_meta or torch.equal(watched, unwatched)


EXPANDING = [call for call in UNUSUAL if call.startswith(("keys", "queries", "five"))]


@pytest.mark.parametrize("call", EXPANDING)
def test_tensors_that_broadcast_are_seen_as_broadcast(call: str) -> None:
    (q, k, v), settings_ = UNUSUAL[call]()
    scores = q @ k.mT * q.shape[-1] ** -0.5
    if "attn_mask" in settings_:
        scores = scores.masked_fill(~settings_["attn_mask"], -math.inf)
    P = scores.softmax(-1).nan_to_num(0.0).reshape(-1, *scores.shape[-3:])
    dense.statistics_equal(see(q, k, v, **settings_), P)


@pytest.mark.parametrize("batched", [(0, 0), (0, None), (None, 0)], ids=["all", "queries", "keys"])
def test_watching_makes_no_vmap_fail(batched: tuple[int | None, int | None]) -> None:
    q, k = torch.randn(3, 2, 5, 8), torch.randn(3, 2, 5, 8)
    mapped = [t if axis == 0 else t[0] for t, axis in zip((q, k), batched, strict=True)]
    run = torch.vmap(lambda q, k: F.scaled_dot_product_attention(q, k, k), in_dims=batched)
    unwatched = run(*mapped)
    with watch() as seen:
        watched = run(*mapped)
    assert torch.equal(watched, unwatched)
    assert len(seen) == 0


def test_an_error_of_torch_passes_through_unchanged() -> None:
    q, k = torch.randn(1, 1, 3, 8), torch.randn(1, 1, 3, 7)
    with pytest.raises(RuntimeError) as unwatched:
        F.scaled_dot_product_attention(q, k, k)
    with watch(), pytest.raises(RuntimeError) as watched:
        F.scaled_dot_product_attention(q, k, k)
    assert str(watched.value) == str(unwatched.value)


# A checkpointed module runs again in the backward pass; that is no second call.


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("kind", [CallsByName, CallsRegard])
def test_a_checkpointed_call_is_recorded_once(kind: type[nn.Module], reentrant: bool) -> None:
    model = Named(kind)
    x = torch.randn(1, 2, 5, 8, requires_grad=True)
    model(x).sum().backward()
    unwatched, x.grad = x.grad, None
    with watch(model) as seen:
        checkpoint(model, x, use_reentrant=reentrant).sum().backward()
    assert torch.equal(x.grad, unwatched)
    assert [site.path for site in seen] == ["first", "second"]


# After the block, everything is as it was.


def fail(_: Any) -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize(
    "build", [CallsByName, CallsRegard, lambda: nn.TransformerEncoderLayer(8, 2, 8, batch_first=True).eval()]
)
@pytest.mark.parametrize("grad", [False, True])
def test_nothing_stays_behind(build: Callable[[], nn.Module], grad: bool) -> None:
    model = build()
    with torch.set_grad_enabled(grad):
        before = state(model)
        with watch(model):
            model(
                torch.randn(1, 1, 3, 8)
                if not isinstance(model, nn.TransformerEncoderLayer)
                else torch.randn(1, 3, 8)
            )
        assert state(model) == before


INTERRUPTED = (
    "bug: a KeyboardInterrupt skips torch's hooks, so that names stay replaced and another error covers it"
)


@pytest.mark.parametrize(
    ("build", "error"),
    [
        (Failing, ValueError("in the model")),
        (Failing, KeyboardInterrupt()),
        (FailingLayer, ValueError("in the model")),
        (FailingLayer, KeyboardInterrupt()),
    ],
    ids=["model error", "model interrupted", "torch layer error", "torch layer interrupted"],
)
def test_nothing_stays_behind_an_error_in_the_model(
    build: Callable[[BaseException], nn.Module], error: BaseException
) -> None:
    model = nn.Sequential(build(error))
    before = state(model)
    with pytest.raises(type(error)) as raised, watch(model):
        model(torch.randn(1, 3, 8))
    assert raised.value is error
    assert state(model) == before


def test_nothing_stays_behind_an_error_in_the_block() -> None:
    model = Named()
    before = state(model)
    with pytest.raises(ZeroDivisionError), watch(model):
        fail(model(torch.randn(1, 1, 3, 8)))
    assert state(model) == before


def test_nothing_stays_behind_an_error_in_on_site() -> None:
    model = Named()
    before = state(model)
    with pytest.raises(ZeroDivisionError), watch(model, on_site=fail):
        model(torch.randn(1, 1, 3, 8))
    assert state(model) == before


def test_nothing_stays_behind_a_refusal() -> None:
    model = Named()
    before = state(model)
    with pytest.raises(WantError), watch(model, want=("entropi",)):
        pass
    assert state(model) == before


def test_an_error_caught_within_the_block_leaves_later_calls_at_their_own_paths() -> None:
    model = nn.ModuleDict({"bad": Failing(ValueError("once")), "good": CallsByName()})
    x = torch.randn(1, 1, 3, 8)
    with watch(model) as seen:
        with pytest.raises(ValueError, match="once"):
            model["bad"](x)
        model["good"](x)
    assert [site.path for site in seen] == ["bad", "good"]


def test_hooks_of_the_user_stay_and_run() -> None:
    model, ran = CallsByName(), []
    model.register_forward_hook(lambda *_: ran.append("hook"))
    with watch(model):
        model(torch.randn(1, 1, 3, 8))
    assert ran == ["hook"]
    assert len(model._forward_hooks) == 1


def test_calls_after_the_block_are_not_recorded() -> None:
    model = CallsByName()
    with watch(model) as seen:
        model(torch.randn(1, 1, 3, 8))
    model(torch.randn(1, 1, 3, 8))
    assert len(seen) == 1


# Nested watches: each sees what is its own.


def test_a_model_watched_twice_at_once_is_seen_by_both() -> None:
    model = Named()
    with watch(model) as outer:
        model(torch.randn(1, 1, 3, 8))
        with watch(model) as inner:
            model(torch.randn(1, 1, 3, 8))
    assert [site.name for site in outer] == ["first", "second", "first#1", "second#1"]
    assert [site.name for site in inner] == ["first", "second"]


def test_two_models_watched_at_once_see_their_own_calls() -> None:
    one, other, x = Named(), CallsByName(), torch.randn(1, 1, 3, 8)
    with watch(one) as first, watch(other) as second:
        one(x)
        other(x)
        F.scaled_dot_product_attention(x, x, x)
    assert [site.path for site in first] == ["first", "second"]
    assert [site.path for site in second] == [""]


def test_a_part_that_is_watched_within_the_whole_sees_its_part() -> None:
    model = Named()
    with watch(model) as whole, watch(model.second) as part:
        model(torch.randn(1, 1, 3, 8))
    assert [site.path for site in whole] == ["first", "second"]
    assert [site.path for site in part] == [""]


def test_nested_watches_keep_what_each_wants() -> None:
    model = CallsByName()
    with watch(model, want=("entropy",)) as outer, watch(model, want=("received",)) as inner:
        model(torch.randn(1, 1, 3, 8))
    assert outer[""].entropy.shape == (1, 1, 3)
    assert inner[""].received.shape == (1, 1, 3)
    with pytest.raises(NotKeptError):
        _ = outer[""].received
    with pytest.raises(NotKeptError):
        _ = inner[""].entropy


def test_the_inner_block_may_fail_and_the_outer_goes_on() -> None:
    model = CallsByName()
    with watch(model) as outer:
        with pytest.raises(ZeroDivisionError), watch(model):
            _ = 1 / 0
        model(torch.randn(1, 1, 3, 8))
    assert len(outer) == 1


# Calls, modules and paths.


def test_several_calls_of_a_module_are_entries_of_their_own() -> None:
    model = Named()
    with watch(model) as seen:
        model(torch.randn(1, 1, 3, 8))
        model(torch.randn(1, 1, 5, 8))
    assert seen["first", 1].sizes.keys == 5
    assert seen["first", 0].sizes.keys == 3
    with pytest.raises(UnknownSiteError, match=r"'first' was called 2 times; choose with \['first', 0\]"):
        _ = seen["first"]


def test_a_site_that_was_not_seen_is_refused_with_those_that_were() -> None:
    model = Named()
    with watch(model) as seen:
        model(torch.randn(1, 1, 3, 8))
    with pytest.raises(UnknownSiteError, match=r"'first', 'second'.*got 'third'"):
        _ = seen["third"]
    with pytest.raises(UnknownSiteError):
        _ = seen["first", 1]


@pytest.mark.parametrize("kind", [CallsByName, CallsImported, CallsStored, CallsRegard])
def test_a_call_is_seen_once_however_the_model_came_by_the_function(kind: type[nn.Module]) -> None:
    model = Named(kind)
    x = torch.randn(1, 2, 5, 8)
    with watch(model) as seen:
        model(x)
    assert [site.path for site in seen] == ["first", "second"]
    dense.statistics_equal(seen["first"], dense.weights(x, x))


def test_torchs_function_called_as_a_whole_model_has_the_empty_path() -> None:
    with watch() as seen:
        F.scaled_dot_product_attention(*qkv())
    assert [site.path for site in seen] == [""]


def test_a_subclass_of_torchs_own_that_is_not_seen_is_listed() -> None:
    class Own(nn.MultiheadAttention):
        def forward(self, x: Tensor) -> Tensor:
            return imported_by_name(x, x, x)

    assert "(Own): it ran, but no attention was recognised" in receipt(
        nn.Sequential(Own(8, 2)), torch.randn(1, 1, 3, 8)
    )


def test_iterating_a_record_gives_its_sites_in_order() -> None:
    with watch() as seen:
        F.scaled_dot_product_attention(*qkv())
        regard.attend(*qkv())
    assert list(seen) == seen.sites
    assert [site.call for site in seen] == [0, 1]
    assert len(seen) == 2


def test_on_site_is_told_of_each_site_as_it_comes() -> None:
    told: list[str] = []
    model = Named()
    with watch(model, on_site=lambda site: told.append(site.path)):
        model.first(torch.randn(1, 1, 3, 8))
        assert told == ["first"]
        model.second(torch.randn(1, 1, 3, 8))
    assert told == ["first", "second"]


# Other threads.


def in_a_thread(work: Callable[[], object]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


@pytest.mark.parametrize("kind", [CallsByName, CallsRegard])
def test_calls_of_other_threads_are_not_recorded(kind: type[nn.Module]) -> None:
    model, x = kind(), torch.randn(1, 1, 3, 8)
    with watch(model) as mine, watch() as everything:
        in_a_thread(lambda: model(x))
    assert (len(mine), len(everything)) == (0, 0)


@pytest.mark.parametrize("kind", [CallsByName, CallsRegard])
def test_calls_of_threads_that_copy_the_context_are_not_recorded(kind: type[nn.Module]) -> None:
    model, x = kind(), torch.randn(1, 1, 3, 8)

    async def work() -> None:
        await asyncio.to_thread(model, x)

    with watch() as seen:
        asyncio.run(work())
    assert len(seen) == 0


def test_a_thread_that_copies_the_context_may_watch_for_itself() -> None:
    model, x = CallsByName(), torch.randn(1, 1, 3, 8)

    def own() -> Record:
        with watch(model) as seen:
            model(x)
        return seen

    async def work() -> Record:
        return await asyncio.to_thread(own)

    with watch(model):
        seen = asyncio.run(work())
    assert len(seen) == 1


def test_two_threads_may_watch_torchs_own_layers_at_once() -> None:
    first_in, second_in, first_out = threading.Event(), threading.Event(), threading.Event()
    seen: dict[str, int] = {}

    class Waiting(nn.TransformerEncoderLayer):
        def __init__(self, arrived: threading.Event, until: threading.Event) -> None:
            super().__init__(8, 2, 8, batch_first=True)
            self.arrived, self.until = arrived, until

        def forward(self, *args: Any, **kwargs: Any) -> Tensor:
            self.arrived.set()
            self.until.wait(10)
            return super().forward(*args, **kwargs)

    def work(name: str, model: nn.Module, done: threading.Event) -> None:
        with torch.no_grad(), watch(model) as record:
            model(torch.randn(1, 3, 8))
        seen[name] = len(record)
        done.set()

    before = state()
    first = Waiting(first_in, second_in).eval()
    second = Waiting(second_in, first_out).eval()
    threads = [threading.Thread(target=work, args=("first", first, first_out))]
    threads.append(threading.Thread(target=work, args=("second", second, threading.Event())))
    threads[0].start()
    first_in.wait(10)
    threads[1].start()
    for thread in threads:
        thread.join()
    assert seen == {"first": 1, "second": 1}
    assert state() == before


def test_statistics_under_inference_mode_spoil_none_later() -> None:
    q, k, v = qkv(1, 2, 71)  # a size of its own, so that no other test has left tiles of this shape
    with torch.inference_mode():
        regard.attend(q, k, v, want=("entropy",))
    dense.statistics_equal(see(q, k, v), dense.weights(q, k))


# Dropout, finite masks, blind rows.


def test_statistics_are_of_the_weights_before_dropout_and_say_so() -> None:
    q, k, v = qkv()
    site = see(q, k, v, dropout_p=0.4)
    assert site.dropout == 0.4
    dense.statistics_equal(site, dense.weights(q, k))


def test_a_site_without_dropout_says_so() -> None:
    assert see(*qkv()).dropout == 0.0


@pytest.mark.parametrize("number", [-10000.0, -65504.0, -1e9, torch.finfo(torch.float32).min])
def test_a_finite_number_for_masked_keys_gives_torchs_own_weights(number: float) -> None:
    """Rows that are wholly masked with a finite number are still attended to, as rounding has it."""
    q, k, v = qkv(keys=12)
    mask = torch.zeros(2, 1, 9, 12)
    mask[0, :, :, 7:] = number
    mask[1, :, 3:6] = number
    dense.statistics_equal(see(q, k, v, attn_mask=mask), dense.weights(q, k, added=mask))


def test_float16_masks_of_its_lowest_number_give_torchs_own_weights() -> None:
    q, k, v = qkv(dtype=torch.float16)
    mask = torch.zeros(9, 9, dtype=torch.float16)
    mask[:, 6:] = mask[2] = torch.finfo(torch.float16).min
    P = dense.weights(q.float(), k.float(), added=mask.float())
    dense.close(see(q, k, v, attn_mask=mask).weights(), P, atol=1e-3)


@pytest.mark.parametrize("shift", [-100.0, -900.0, 900.0, -1001.0, -10000.0])
def test_a_number_added_to_whole_rows_gives_torchs_own_weights(shift: float) -> None:
    """The same number for all keys changes nothing but rounding, however large it is."""
    q, k, v = qkv(queries=64)
    mask = torch.full((64, 64), shift)
    dense.close(see(q, k, v, attn_mask=mask).weights(), dense.weights(q, k, added=mask))


@pytest.mark.parametrize("size", [1.0, 4.0, 30.0])
def test_rows_sum_to_one_as_well_as_float32_resolves_the_scores(size: float) -> None:
    """Scores grow with the square of the size, to 10,000; torch's log-sum-exp is no finer than they are."""
    q, _, v = qkv(1, 2, 257, width=64)
    P = see(size * q, size * q, v).weights()
    largest = float(dense.scores(size * q, size * q).abs().max())
    dense.close(P.sum(-1), torch.ones(()).expand(P.shape[:-1]), atol=dense.resolution(largest))


@pytest.mark.parametrize("sharpness", [1, 3, 10])
def test_the_spread_is_resolved_as_documented(sharpness: float) -> None:
    q, k, v = qkv(queries=64, keys=19)
    P = dense.weights(sharpness * q.double(), k.double())
    dense.spread_equal(see(sharpness * q, k, v), P)


BLIND = {
    "boolean": (torch.arange(9) > 2).unsqueeze(-1).expand(9, 12),
    "added -inf": torch.zeros(9, 12).masked_fill((torch.arange(9) <= 2).unsqueeze(-1), -math.inf),
}


@pytest.mark.parametrize("mask", BLIND)
def test_a_query_that_may_see_no_key_has_no_weight(mask: str) -> None:
    site = see(*qkv(keys=12), attn_mask=BLIND[mask])
    P = site.weights()
    assert torch.equal(P[:, :, :3], torch.zeros_like(P[:, :, :3]))
    assert torch.equal(site.entropy[..., :3], torch.zeros_like(site.entropy[..., :3]))
    assert torch.equal(site.first[..., :3], torch.zeros_like(site.first[..., :3]))
    assert site.distance.mean[..., :3].isnan().all()
    assert site.distance.spread[..., :3].isnan().all()
    assert (site.top(4).keys[:, :, :3] == -1).all()
    assert (site.visible()[..., :3] == 0).all()
    dense.close(P[:, :, 3:].sum(-1), torch.ones(()).expand(2, 3, 6))


@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_what_stands_in_a_masked_key_reaches_no_statistic(poison: float) -> None:
    q, k, v = qkv()
    mask = (torch.arange(9) < 6).expand(9, 9)
    clean = see(q, k, v, attn_mask=mask)
    k = k.clone()
    k[:, :, 6:] = poison
    with watch(want=("entropy", "received", "first", "rows")) as seen:
        regard.attend(q, k, v, regard.Attention(mask=mask))
    dense.close(seen[""].weights(), clean.weights())
    dense.close(seen[""].entropy, clean.entropy)
    dense.close(seen[""].received, clean.received)


# Numbers of every type.


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float16, 1e-5), (torch.bfloat16, 1e-5)]
)
def test_weights_are_computed_in_a_wide_type(dtype: torch.dtype, tolerance: float) -> None:
    q, k, v = qkv(dtype=dtype)
    site = see(q, k, v)
    P = dense.weights(q.double(), k.double())
    assert site.weights().dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    dense.close(site.weights(), P, atol=tolerance)
    dense.close(site.entropy, dense.entropy(P), atol=10 * tolerance)


def test_autocast_weights_are_those_of_the_rounded_tensors() -> None:
    q, k, v = qkv()
    with torch.autocast("cpu", torch.bfloat16):
        site = see(q, k, v)
    dense.close(site.weights(), dense.weights(q.bfloat16().float(), k.bfloat16().float()))


def test_autocast_weights_are_those_of_the_rounded_mask() -> None:
    q, k, v = qkv()
    mask = 5 * torch.randn(9, 9) - 20
    with torch.autocast("cpu", torch.bfloat16):
        site = see(q, k, v, attn_mask=mask)
    P = dense.weights(q.bfloat16().float(), k.bfloat16().float(), added=mask.bfloat16().float())
    dense.close(site.weights(), P)


# What is kept.


def test_a_site_holds_copies() -> None:
    q, k, v = qkv()
    P = dense.weights(q, k)
    site = see(q, k, v)
    for tensor in (q, k, v):
        tensor.zero_()
    dense.statistics_equal(site, P)


ATTENDS: dict[str, Callable[..., object]] = {
    "torch": lambda q, k, v, mask: F.scaled_dot_product_attention(q, k, v, attn_mask=mask),
    "regard": lambda q, k, v, mask: regard.attend(q, k, v, regard.Attention(mask=mask)),
}


@pytest.mark.parametrize("attend", ATTENDS)
def test_a_site_holds_no_gradient_history(attend: str) -> None:
    q, k, v = qkv(requires_grad=True)
    mask = torch.zeros(9, 9, requires_grad=True)
    with watch() as seen:
        ATTENDS[attend](q * 2, k * 2, v * 2, mask * 2)
    kept = seen[""].kept
    assert not any((kept.problem.query.requires_grad, kept.problem.key.requires_grad, kept.lse.requires_grad))
    assert not any(tensor.requires_grad for tensor in tensors_in(kept.problem.mechanism))


@pytest.mark.parametrize("kind", ["boolean", "added"])
def test_a_site_holds_a_copy_of_the_mask(kind: str) -> None:
    q, k, v = qkv()
    mask = torch.ones(9, 9, dtype=torch.bool) if kind == "boolean" else torch.zeros(9, 9)
    site = see(q, k, v, attn_mask=mask)
    before = site.weights()
    mask[:, 4:] = False if kind == "boolean" else -math.inf
    assert torch.equal(site.weights(), before)


STATISTICS: dict[str, Callable[[Site], object]] = {
    "entropy": lambda site: site.entropy,
    "received": lambda site: site.received,
    "received_max": lambda site: site.received_max,
    "distance": lambda site: site.distance,
    "first": lambda site: site.first,
    "map": lambda site: site.map(),
}
FROM_ROWS: dict[str, Callable[[Site], object]] = {
    "rows": lambda site: site.rows(0),
    "top": lambda site: site.top(2),
    "mass": lambda site: site.mass([0]),
    "diagonal": lambda site: site.diagonal(0),
    "joined": lambda site: site.joined([0] * 9, [0] * 9),
    "visible": lambda site: site.visible(),
    "weights": lambda site: site.weights(),
    "map(cells=3)": lambda site: site.map(3),
}


@pytest.mark.parametrize("name", STATISTICS)
def test_want_keeps_what_it_names_and_no_more(name: str) -> None:
    site = see(*qkv(), watching={"want": (name,)})
    STATISTICS[name](site)
    for other in set(STATISTICS) - {name}:
        with pytest.raises(NotKeptError, match=rf'{other}: not kept.*want=\(\.\.\., "{other}"\)'):
            STATISTICS[other](site)
    for made in FROM_ROWS.values():
        with pytest.raises(NotKeptError, match=r'want=\(\.\.\., "rows"\)'):
            made(site)


@pytest.mark.parametrize("name", FROM_ROWS)
def test_rows_make_any_weight_later(name: str) -> None:
    site = see(*qkv(), watching={"want": ("rows",)})
    FROM_ROWS[name](site)
    with pytest.raises(NotKeptError):
        _ = site.entropy


def test_an_empty_want_only_lists_the_calls() -> None:
    site = see(*qkv(), watching={"want": ()})
    assert site.sizes.keys == 9
    for get in STATISTICS.values():
        with pytest.raises(NotKeptError):
            get(site)


def test_a_long_call_keeps_no_rows_unless_asked() -> None:
    tensors = qkv(1, 1, 1, 2049, 2)
    kept_not = see(*tensors)
    with pytest.raises(
        NotKeptError, match=r"top\(3\): this site kept no queries and keys \(1 queries, 2049 keys\)"
    ):
        kept_not.top(3)
    assert kept_not.entropy.shape == (1, 1, 1)
    kept = see(*tensors, watching={"want": ("rows",)})
    dense.close(kept.rows(0), dense.weights(*tensors[:2]))


def test_a_call_of_2048_positions_keeps_its_rows() -> None:
    assert see(*qkv(1, 1, 1, 2048, 2)).rows(0).shape == (1, 1, 1, 2048)


def test_a_set_keeps_its_mass_by_name() -> None:
    tensors = qkv()
    site = see(
        *tensors, watching={"want": (), "sets": {"ends": [0, 8], "late": torch.tensor([5, 6, 7, 70]), "none": []}}
    )
    P = dense.weights(*tensors[:2])
    dense.close(site.mass("ends"), P[..., [0, 8]].sum(-1))
    dense.close(site.mass("late"), P[..., 5:8].sum(-1))
    assert torch.equal(site.mass("none"), torch.zeros(2, 3, 9))
    with pytest.raises(NotKeptError, match=r"\(ends, late, none\); got 'early'"):
        site.mass("early")


def test_mass_takes_any_positions() -> None:
    tensors = qkv()
    P, site = dense.weights(*tensors[:2]), see(*tensors)
    dense.close(site.mass([1, 4]), P[..., [1, 4]].sum(-1))
    dense.close(site.mass(torch.tensor([-1])), P[..., -1])
    dense.close(site.mass(range(9)), torch.ones(2, 3, 9))
    assert torch.equal(site.mass([]), torch.zeros(2, 3, 9))


def test_a_position_named_twice_is_in_the_set_once() -> None:
    site = see(*qkv(), watching={"sets": {"twice": [0, 0]}})
    dense.close(site.mass("twice"), site.first)
    dense.close(site.mass([0, 0, -9]), site.first)


def test_booleans_are_no_positions_unless_they_choose_them() -> None:
    site, chosen = see(*qkv()), torch.arange(9) > 6
    try:
        mass = site.mass(chosen)
    except (ShapeError, TypeError):
        return
    dense.close(mass, site.mass([7, 8]))


def test_the_whole_matrix_is_refused_where_it_is_too_large() -> None:
    q, k, v = qkv(1, 1, 8193, width=1)
    site = see(q, k, v, watching={"want": ("rows",)})
    with pytest.raises(WatchError, match=r"\(1, 1, 8193, 8193\) are 67,125,249 \(0\.3 GB\)\. Use rows"):
        site.weights()
    assert site.rows([0, 8192]).shape == (1, 1, 2, 8193)


@pytest.mark.parametrize("cells", [1, 2, 4, 5, 9, 64])
def test_a_map_of_any_cells_is_made_on_demand(cells: int) -> None:
    tensors = qkv(queries=9, keys=13)
    mean, largest = dense.pooled(dense.weights(*tensors[:2]), cells)
    pooled = see(*tensors).map(cells)
    dense.close(pooled.mean, mean)
    dense.close(pooled.max, largest)
    assert (pooled.query_cell, pooled.key_cell) == (math.ceil(9 / cells), math.ceil(13 / cells))


@pytest.mark.parametrize("cells", [1, 3, 64])
def test_a_map_is_kept_at_the_cells_watched(cells: int) -> None:
    tensors = qkv(queries=9, keys=13)
    mean, largest = dense.pooled(dense.weights(*tensors[:2]), cells)
    pooled = see(*tensors, watching={"cells": cells, "want": ("map",)}).map()
    dense.close(pooled.mean, mean)
    dense.close(pooled.max, largest)


@pytest.mark.parametrize("cells", [0, -1])
def test_no_cells_are_refused(cells: int) -> None:
    site = see(*qkv())
    with pytest.raises(ShapeError, match="at least 1"), watch(cells=cells):
        pass
    with pytest.raises(ShapeError, match="at least 1"):
        site.map(cells)


@pytest.mark.parametrize("k", [0, -1])
def test_no_top_keys_are_refused(k: int) -> None:
    with pytest.raises(ShapeError, match="at least 1"):
        see(*qkv()).top(k)


def test_more_top_keys_than_there_are_give_all() -> None:
    tensors = qkv(keys=5)
    best = see(*tensors).top(50)
    assert best.keys.shape == (2, 3, 9, 5)
    dense.close(best.weights.sum(-1), torch.ones(2, 3, 9))


@pytest.mark.parametrize("positions", [[9], [-10], [0, 100]])
def test_positions_out_of_range_are_refused(positions: list[int]) -> None:
    site = see(*qkv())
    with pytest.raises(ShapeError, match="rows: expected positions from 0 to 8"):
        site.rows(positions)
    with pytest.raises(ShapeError, match="mass: expected positions from 0 to 8"):
        site.mass(positions)


def test_negative_positions_of_a_set_are_refused() -> None:
    with pytest.raises(ShapeError, match="negative ones in last"), watch(sets={"last": [-1]}):
        pass


@pytest.mark.parametrize("groups", [[0] * 8, [[0] * 9]])
def test_groups_that_do_not_fit_are_refused(groups: Any) -> None:
    with pytest.raises(ShapeError, match="a group for each of 9 queries and 9 keys"):
        see(*qkv()).joined(groups, [0] * 9)


@pytest.mark.parametrize("want", [("entropi",), ("entropy", "lse"), "entropy"])
def test_a_wrong_want_is_refused_before_anything_runs(want: Any) -> None:
    with pytest.raises(WantError, match="expected"), watch(want=want):
        pytest.fail("the block ran")


# A compiled model is run as Python.


OLD_SCRIPT = "ignore:.torch.jit.script_method. is deprecated:DeprecationWarning"


def compiled_in_place() -> nn.Module:
    model = Named()
    model.second.compile()
    return model


def compiled_whole() -> nn.Module:
    model = Named()
    model.compile()
    return model


@pytest.mark.filterwarnings(OLD_SCRIPT)
@pytest.mark.parametrize(
    "build",
    [
        lambda: torch.compile(Named()),
        lambda: nn.Sequential(torch.compile(Named())),
        compiled_in_place,
        compiled_whole,
    ],
    ids=["torch.compile", "a part by torch.compile", "a part in place", "in place"],
)
def test_a_compiled_model_is_watched_as_the_python_it_was_made_of(build: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    model, x = build(), torch.randn(1, 1, 3, 8)
    with torch.no_grad(), watch(model) as seen:
        output = model(x)
    assert len(seen) >= 1
    assert not any("_orig_mod" in site.path for site in seen)
    assert "the model is compiled" in str(seen.coverage)
    torch.testing.assert_close(output, model(x))


# The receipt.


def receipt(model: nn.Module, *inputs: Any, **named: Any) -> str:
    """Return the coverage of one run as text."""
    with torch.no_grad(), watch(model) as seen:
        model(*inputs, **named)
    return str(seen.coverage)


def test_all_seen_is_all_the_receipt_says() -> None:
    assert receipt(Named(), torch.randn(1, 1, 3, 8)) == "seen: 2 attention calls in 2 modules"


def test_attention_made_at_home_is_seen() -> None:
    model = nn.Sequential(CallsByName(), HomeMadeAttention())
    assert receipt(model, torch.randn(1, 3, 8)) == "seen: 2 attention calls in 2 modules"


def test_attention_without_a_softmax_is_listed() -> None:
    model = nn.ModuleDict({"attention": SigmoidAttention()})
    with watch(model) as seen:
        model["attention"](torch.randn(1, 3, 8))
    (unseen,) = seen.coverage.unseen
    assert unseen.path == "attention"
    assert "no attention was recognised in it" in unseen.reason


def test_modules_that_did_not_run_are_listed() -> None:
    model = nn.ModuleDict({"used": HomeMadeAttention(), "idle": HomeMadeAttention()})
    text = str(watched_part(model).coverage)
    assert "idle (HomeMadeAttention): its forward did not run" in text


def watched_part(model: nn.ModuleDict) -> Record:
    with watch(model) as seen:
        model["used"](torch.randn(1, 3, 8))
    return seen


def test_a_model_without_attention_is_told_so() -> None:
    text = receipt(nn.Linear(8, 8), torch.randn(3, 8))
    assert text == "seen: 0 attention calls in 0 modules\nno module looks like attention by its class or name"


class OddAttention(nn.Module):
    """Runs a function on its input."""

    def __init__(self, run: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.run = run

    def forward(self, x: Tensor) -> Tensor:
        return self.run(x)


def attend_to_itself(x: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(x, x, x)


def attend_nested(x: Tensor) -> Tensor:
    items = torch.nested.nested_tensor([x[0], x[1, :1]], layout=torch.jagged)
    return attend_to_itself(items.transpose(1, 2))


ODD: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "meta": (lambda x: attend_to_itself(x.to("meta")), "its tensors hold no numbers"),
    "vmap": (torch.vmap(attend_to_itself), "it ran inside a functorch transform such as vmap"),
    "nested": (attend_nested, "its tensors are nested"),
    "gradient transform": (
        torch.func.grad(lambda x: attend_to_itself(x).sum()),
        "it ran inside a functorch transform such as vmap",
    ),
}


@pytest.mark.parametrize("kind", ODD)
def test_a_call_that_holds_no_numbers_is_listed_with_the_reason(kind: str) -> None:
    run, reason = ODD[kind]
    text = receipt(OddAttention(run), torch.randn(3, 2, 4, 8))
    assert "seen: 0 attention calls" in text
    assert f"(OddAttention): a call came by, but {reason}" in text


@pytest.mark.parametrize("kind", ODD)
def test_a_call_that_could_not_be_seen_is_listed_whatever_its_module_is_called(kind: str) -> None:
    class Plain(OddAttention):
        pass

    run, reason = ODD[kind]
    assert reason in receipt(Plain(run), torch.randn(3, 2, 4, 8))


def test_a_call_that_could_not_be_seen_is_listed_without_a_model() -> None:
    with watch() as seen:
        torch.vmap(attend_to_itself)(torch.randn(3, 2, 4, 8))
    assert "functorch transform" in str(seen.coverage)


def test_a_call_that_could_not_be_seen_is_listed_beside_one_that_was() -> None:
    model = OddAttention(attend_to_itself)
    with watch(model) as seen:
        model(torch.randn(1, 2, 4, 8))
        model(torch.randn(1, 2, 4, 8, device="meta"))
    assert "its tensors hold no numbers" in str(seen.coverage)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
def test_torchs_nested_tensors_are_listed_with_advice() -> None:
    model = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 24, batch_first=True), 1).eval()
    text = receipt(model, torch.randn(2, 9, 16), src_key_padding_mask=torch.arange(9) > torch.tensor([[8], [5]]))
    assert "its tensors are nested" in text
    assert "use TransformerEncoder(..., enable_nested_tensor=False)" in text


def test_a_record_prints_its_sites_and_its_receipt() -> None:
    model = nn.Sequential(CallsByName(), HomeMadeAttention())
    x = torch.randn(2, 3, 5, 8)
    with watch(model) as seen:
        model[0](x, dropout_p=0.1, is_causal=True)
    assert str(seen) == (
        "0: self, 2 x 3 heads, 5 queries, 5 keys, causal, math, weights before dropout 0.1\n"
        "seen: 1 attention call in 1 module\n"
        "not seen: 1\n"
        "  1 (HomeMadeAttention): its forward did not run"
    )


# Laws over all sizes.

SIZES = st.sampled_from([1, 2, 3, 31, 64, 65, 128, 257, 1025])
MASKS = st.sampled_from(["none", "causal", "boolean", "padding", "added", "causal and blind"])
LAWS = settings(deadline=None, max_examples=20, derandomize=True)


class Example:
    """A call of a size, its keywords, and its dense weights."""

    def __init__(
        self, queries: int, keys: int, heads: int, group: int, mask: str, seed: int, batch: int = 2
    ) -> None:
        torch.manual_seed(seed)
        self.q, self.k, self.v = qkv(batch, heads * group, queries, keys, 4, key_heads=heads)
        self.call: dict[str, Any] = {"enable_gqa": True} if group > 1 else {}
        self.allowed = torch.ones(batch, 1, queries, keys, dtype=torch.bool)
        self.added: Tensor | None = None
        self._mask(mask, batch, queries, keys)
        self.P = dense.weights(self.q, self.k, allowed=self.allowed, added=self.added)

    def _mask(self, mask: str, batch: int, queries: int, keys: int) -> None:
        if mask == "causal":
            self.call["is_causal"] = True
            self.allowed = self.allowed & dense.causal(queries, keys)
        elif mask == "added":
            self.added = self.call["attn_mask"] = torch.randn(queries, keys)
        elif mask != "none":
            if mask == "padding":
                self.allowed = (torch.arange(keys) < torch.randint(1, keys + 1, (batch, 1)))[:, None, None]
            elif mask == "boolean":
                self.allowed = torch.rand(batch, 1, queries, keys) > 0.6
            else:
                blind = torch.rand(batch, 1, queries, 1) > 0.7
                self.allowed = self.allowed & dense.causal(queries, keys) & ~blind
            self.call["attn_mask"] = self.allowed

    def site(self, **watching: Any) -> Site:
        """Return what is seen of the call."""
        return see(self.q, self.k, self.v, watching, **self.call)

    def item(self, index: int) -> Site:
        """Return what is seen of one batch item alone."""
        call = dict(self.call)
        if "attn_mask" in call and call["attn_mask"].ndim == 4:
            call["attn_mask"] = call["attn_mask"][index : index + 1]
        one = slice(index, index + 1)
        return see(self.q[one], self.k[one], self.v[one], **call)


EXAMPLES = st.builds(
    Example,
    queries=SIZES,
    keys=SIZES,
    heads=st.integers(1, 2),
    group=st.integers(1, 2),
    mask=MASKS,
    seed=st.integers(0, 99),
)


@given(EXAMPLES)
@LAWS
def test_streamed_statistics_equal_those_of_the_dense_weights(example: Example) -> None:
    dense.statistics_equal(example.site(), example.P, top=3)


@given(EXAMPLES)
@LAWS
def test_rows_sum_to_one_or_to_zero_where_a_query_sees_nothing(example: Example) -> None:
    site = example.site()
    sees = (site.visible() > 0).float()
    dense.close(site.weights().sum(-1), sees)
    dense.close(site.received.sum(-1), sees.sum(-1), rtol=1e-5)


@given(EXAMPLES)
@LAWS
def test_masked_keys_receive_nothing(example: Example) -> None:
    hidden = ~example.allowed.any(-2, keepdim=False).expand(example.P.shape[0], example.P.shape[1], -1)
    site = example.site()
    assert (site.received[hidden] == 0).all()
    assert (site.received_max[hidden] == 0).all()
    assert (site.weights()[~example.allowed.expand(example.P.shape)] == 0).all()


@given(EXAMPLES)
@LAWS
def test_a_batch_says_what_its_items_say(example: Example) -> None:
    whole = example.site()
    for index in range(2):
        alone = example.item(index)
        for name in ("entropy", "received", "received_max", "first"):
            dense.close(getattr(whole, name)[index], getattr(alone, name)[0], rtol=1e-5)
        dense.close(whole.map().mean[index], alone.map().mean[0])
        dense.close(whole.map().max[index], alone.map().max[0])
        dense.mean_distance_equal(alone, example.P[index : index + 1])


@given(EXAMPLES, st.integers(-70, 70))
@LAWS
def test_a_diagonal_is_that_of_the_dense_weights(example: Example, offset: int) -> None:
    site = example.site()
    dense.close(site.diagonal(offset), dense.diagonal(example.P, offset, site))


@given(EXAMPLES)
@LAWS
def test_visible_counts_the_keys_that_the_mask_allows(example: Example) -> None:
    wanted = example.allowed.expand(example.P.shape).sum(-1)
    assert torch.equal(example.site().visible().long(), wanted)


@given(EXAMPLES, st.integers(1, 5), st.integers(1, 5))
@LAWS
def test_joined_weights_are_sums_over_keys_and_means_over_queries(
    example: Example, rows: int, columns: int
) -> None:
    query_groups = torch.randint(-1, rows, (example.P.shape[2],)).tolist()
    key_groups = torch.randint(-1, columns, (example.P.shape[3],)).tolist()
    query_groups[0] = key_groups[0] = 0
    dense.close(example.site().joined(query_groups, key_groups), dense.joined(example.P, query_groups, key_groups))


@given(EXAMPLES, st.data())
@LAWS
def test_masses_of_parts_add_up_to_that_of_the_whole(example: Example, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, example.P.shape[3]))
    site = example.site()
    dense.close(site.mass(range(cut)), example.P[..., :cut].sum(-1))
    dense.close(site.mass(range(cut)) + site.mass(range(cut, example.P.shape[3])), example.P.sum(-1))


@given(EXAMPLES, st.data())
@LAWS
def test_chosen_rows_are_those_of_the_whole(example: Example, data: st.DataObject) -> None:
    last = example.P.shape[2] - 1
    chosen = data.draw(st.lists(st.integers(-last - 1, last), min_size=1, max_size=5))
    dense.close(example.site().rows(chosen), example.P[:, :, chosen])


# Memory.

ONE_LONG_CALL = """
import contextlib
import sys
import torch
import regard

torch.manual_seed(0)
torch.set_num_threads(2)
watching = sys.argv[1] == "watched"
q, k, v = torch.randn(3, 1, 12, 16384, 32)
with torch.no_grad(), regard.watch() if watching else contextlib.nullcontext() as seen:
    torch.nn.functional.scaled_dot_product_attention(q, k, v)
assert not watching or seen[""].entropy.shape == (1, 12, 16384)
status = open("/proc/self/status").read()
print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""


def peak(what: str) -> float:
    """Return the most memory, in MB, that a fresh process held.

    `getrusage` would do but for one thing: its maximum outlives exec, so that a child of a large test process
    starts with its parent's.
    """
    done = subprocess.run(
        [sys.executable, "-c", ONE_LONG_CALL, what], capture_output=True, text=True, check=True, timeout=170
    )
    return float(done.stdout) / 1024


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process is read from Linux's /proc")
def test_watching_16384_tokens_adds_less_than_150_megabytes() -> None:
    assert peak("watched") - peak("plain") < 150


# Kinds of heads, made by hand.

LENGTH = 32
FAR = -30.0


def onto(keys: Tensor) -> Tensor:
    """Return scores (N, N) by which each query looks at one key."""
    return 30.0 * F.one_hot(keys.clamp(0, LENGTH - 1), LENGTH).float()


def positions() -> Tensor:
    return torch.arange(LENGTH)


def gaps() -> Tensor:
    """Return how far each key (column) is from each query (row)."""
    return (positions() - positions().unsqueeze(-1)).abs()


def scattered() -> Tensor:
    """Return scores by which each query looks evenly at three keys far from it."""
    scores = torch.full((LENGTH, LENGTH), FAR)
    for step in (9, 14, 20):
        scores[positions(), (positions() + step) % LENGTH] = 0.0
    return scores


BY_HAND: dict[str, Callable[[], Tensor]] = {
    "previous": lambda: onto(positions() - 1),
    "same": lambda: onto(positions()),
    "next": lambda: onto(positions() + 1),
    "first": lambda: onto(torch.zeros(LENGTH, dtype=torch.long)),
    "separator": lambda: onto(torch.full((LENGTH,), 17)),
    "local": lambda: torch.where(gaps() <= 3, 0.0, FAR),
    "broad": lambda: torch.zeros(LENGTH, LENGTH),
    "mixed": scattered,
}


def head_of(scores: Tensor, **given_: Any) -> Head:
    (head,) = head_kinds(see_scores(scores[None]), **given_)
    return head


@pytest.mark.parametrize("kind", BY_HAND)
def test_a_head_made_by_hand_is_told(kind: str) -> None:
    assert head_of(BY_HAND[kind](), separators=[17]).kind == kind


def test_every_head_is_told_by_its_number() -> None:
    site = see_scores(torch.stack([make() for make in BY_HAND.values()]))
    assert [(head.head, head.kind) for head in head_kinds(site, [17])] == list(enumerate(BY_HAND))


def test_a_separator_that_is_not_named_is_nothing_special() -> None:
    assert head_of(BY_HAND["separator"]()).kind == "mixed"


def test_the_first_key_is_no_separator() -> None:
    head = head_of(BY_HAND["first"](), separators=[0])
    assert (head.kind, head.separator) == ("first", 0.0)


def test_shares_are_means_of_the_dense_weights() -> None:
    scores = 2 * torch.randn(LENGTH, LENGTH)
    head, P = head_of(scores, separators=[17, 20]), scores.softmax(-1)
    assert head.previous == pytest.approx(float(P.diagonal(-1).mean()), abs=1e-5)
    assert head.same == pytest.approx(float(P.diagonal(0).mean()), abs=1e-5)
    assert head.next == pytest.approx(float(P.diagonal(1).mean()), abs=1e-5)
    assert head.first == pytest.approx(float(P[:, 0].mean()), abs=1e-5)
    assert head.separator == pytest.approx(float(P[:, [17, 20]].sum(-1).mean()), abs=1e-5)
    assert head.local == pytest.approx(float((P * (gaps() <= 4)).sum(-1).mean()), abs=1e-5)
    entropy = dense.entropy(P[None, None])
    assert head.entropy == pytest.approx(float(entropy.mean()), abs=1e-5)
    assert head.relative_entropy == pytest.approx(float(entropy.mean()) / math.log(LENGTH), abs=1e-5)
    explained = head.previous + head.same + head.next + head.first + head.separator
    assert head.worth == pytest.approx((1 - head.relative_entropy) * (1 - explained), abs=1e-6)


def test_an_even_causal_head_is_broad() -> None:
    """Broad is relative to the keys that each query may see."""
    q = torch.zeros(1, 1, LENGTH, 8)
    site = see(q, q, q, is_causal=True)
    (head,) = head_kinds(site)
    assert head.kind == "broad"
    assert head.relative_entropy == pytest.approx(1.0, abs=1e-5)


def test_each_item_of_a_batch_is_judged_by_itself() -> None:
    scores = torch.stack([BY_HAND["previous"](), BY_HAND["next"]()]).unsqueeze(1)
    keys = torch.eye(LENGTH).expand(2, 1, -1, -1)
    site = see(scores, keys, keys, scale=1.0)
    assert [head_kinds(site, item=item)[0].kind for item in (0, 1)] == ["previous", "next"]


def test_attention_on_another_sequence_has_no_previous_or_next() -> None:
    class CrossAttention(nn.Module):
        def forward(self, q: Tensor, k: Tensor) -> Tensor:
            return F.scaled_dot_product_attention(q, k, k, scale=1.0)

    model = CrossAttention()
    with watch(model) as seen:
        model(BY_HAND["previous"]()[None, None], torch.eye(LENGTH)[None, None])
    (head,) = head_kinds(seen[""])
    assert (head.previous, head.same, head.next, head.local) == (0.0, 0.0, 0.0, 0.0)
    assert head.kind == "mixed"


@pytest.mark.parametrize("length", [1, 2, 9])
def test_short_texts_have_heads_too(length: int) -> None:
    (head,) = head_kinds(see(*qkv(1, 1, length)))
    assert 0.0 <= head.worth <= 1.0


def test_a_site_that_kept_no_rows_has_no_kinds_and_says_why() -> None:
    with pytest.raises(NotKeptError, match="rows"):
        head_kinds(see(*qkv(), watching={"want": ("entropy",)}))
