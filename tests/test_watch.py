"""The laws of `regard.watch`: it changes nothing, sees every call, says what it did not see, and is exact."""

import asyncio
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.functional import scaled_dot_product_attention as imported_by_name
from torch.nn.modules import module as torch_hooks
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack
from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode_stack
from torch.utils.checkpoint import checkpoint

import regard
from regard import Record, watch
from regard.errors import NotKeptError, UnknownSiteError, WantError
from regard.watch.head_kinds import Head, head_kinds
from tests import dense
from tests.calls import qkv, see, see_scores

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


def test_sites_are_numbered_in_call_order() -> None:
    model = Named()
    with watch(model) as seen:
        model(torch.randn(1, 1, 3, 8))
    assert (seen[0], seen[-1], seen[:1], seen[5:]) == (seen.sites[0], seen.sites[-1], seen.sites[:1], [])
    for key in (None, 1.5, True, [0], {}):
        with pytest.raises(UnknownSiteError, match="sites: expected a whole number of places; got"):
            _ = seen[key]  # type: ignore[call-overload]
    for key in (len(seen), -len(seen) - 1, slice("a"), slice(0, 1, 0)):
        with pytest.raises(UnknownSiteError, match=r"sites: expected places from 0 to 1.*, a slice"):
            _ = seen[key]
    with pytest.raises(UnknownSiteError, match="expected one of the sites seen"):
        _ = seen["first", 0, 0]  # type: ignore[call-overload]


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
