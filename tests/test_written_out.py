"""Attention that models write out themselves: the ways people write it, and softmaxes that are none.

The oracle is the dense formula in float64, and for the values the model's own output.
"""

import gc
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from regard import Record, watch
from tests import dense

B, H, N, D = 2, 3, 11, 4
Way = Callable[..., Tensor]
HIDDEN = ~dense.causal(N, N)
HEADS = torch.tensor([1.0, 0.0, 0.5]).view(1, H, 1, 1)


class Attention(nn.Module):
    """Runs one way of writing attention, and knows its number of heads."""

    num_heads = H

    def __init__(self, way: Way) -> None:
        super().__init__()
        self.way = way
        self.dropout = nn.Dropout(0.4)
        self.dropout_in_place = nn.Dropout(0.4, inplace=True)
        self.softmax = nn.Softmax(-1)

    def forward(self, *inputs: Tensor) -> Any:
        return self.way(self, *inputs)


def inputs(dtype: torch.dtype = torch.float32, grad: bool = False) -> list[Tensor]:
    """Return queries, keys and values (B, H, N, D)."""
    random = torch.Generator().manual_seed(0)
    made = [torch.randn(B, H, N, D, generator=random) * scale for scale in (2, 1, 1)]
    return [tensor.to(dtype).requires_grad_(grad) for tensor in made]


def scores(q: Tensor, k: Tensor) -> Tensor:
    return q @ k.transpose(-2, -1) / D**0.5


def loops(m: Attention, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """GPT-2's first code: a mask of bits, masked_fill with -inf, dropout."""
    w = scores(q, k).masked_fill(HIDDEN, float("-inf"))
    return torch.matmul(m.dropout(F.softmax(w, dim=-1)), v)


def folded(m: Attention, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Fairseq's: batch and heads on one axis, baddbmm and bmm."""
    q, k, v = (t.flatten(0, 1) for t in (q, k, v))
    S = torch.baddbmm(q.new_zeros(1, N, N), q, k.transpose(1, 2), beta=0, alpha=D**-0.5)
    return torch.bmm(F.softmax(S, dim=-1), v).view(B, H, N, D)


def rounded(m: Attention, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Softmax in float32, weights cast back."""
    return torch.softmax(scores(q, k), -1, dtype=torch.float32).to(q.dtype) @ v


def typed(m: Attention, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.matmul(scores(q, k).float().softmax(-1).type_as(v), v)


def chosen_heads(m: Attention, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.matmul(m.softmax(scores(q, k)) * HEADS, v)


def chosen_heads_after_dropout(m: Attention, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.matmul(HEADS * m.dropout(m.softmax(scores(q, k))), v)


def renewed(m: Attention, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Masked after the softmax, and divided by what is left."""
    P = scores(q, k).softmax(dim=-1).masked_fill(HIDDEN, 0.0)
    return (P / P.sum(-1, keepdim=True)) @ v


def renewed_in_place(m: Attention, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    P = scores(q, k).softmax(dim=-1).clone().masked_fill_(HIDDEN, 0.0)
    P /= P.sum(-1, keepdim=True)
    return P @ v


def sunk(m: Attention, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """A learned sink: a column more, sliced off."""
    S = scores(q, k)
    return torch.cat([S, torch.ones_like(S[..., :1])], -1).softmax(-1)[..., :-1] @ v


def sunk_before(m: Attention, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    S = scores(q, k)
    return torch.cat([torch.ones_like(S[..., :1]), S], -1).softmax(-1).narrow(-1, 1, N) @ v


def einsum(rule: str, weights: str, values: str) -> Way:
    """Return a way with weights and values in some order of the axes b, h, q, k, d."""

    def way(m: Attention, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        P = torch.einsum(f"bhqd,bhkd->{weights}", q, k).mul(D**-0.5).softmax(-1)
        V = torch.einsum(f"bhkd->{values}", v)
        first = rule.replace(" ", "").split(",")[0].replace("...", "")
        return torch.einsum(rule, *((P, V) if first.endswith("k") else (V, P)))

    return way


def turned(m: Attention, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """As generative models of images write it: channels before positions, values first."""
    P = torch.bmm(q.flatten(0, 1), k.flatten(0, 1).mT).mul(D**-0.5).softmax(-1)
    return torch.bmm(v.flatten(0, 1).mT, P.permute(0, 2, 1)).mT.view(B, H, N, D)


def turned_twice(m: Attention, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    P = scores(q, k).softmax(-1).transpose(1, 2)
    return P.transpose(-3, -2) @ v


def laid_out_anew(m: Attention, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Turned, cast and dropped, made contiguous, turned back and viewed."""
    P = m.dropout(scores(q, k).softmax(-1).transpose(1, 2).type_as(v)).contiguous()
    P = P.permute(0, 2, 1, 3).contiguous().view(B * H, N, N)
    return (P @ v.flatten(0, 1)).view(B, H, N, D)


def named(m: Attention, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.matmul(input=F.softmax(input=scores(q, k), dim=-1), other=v)


def masked(q: Tensor, k: Tensor) -> Tensor:
    return scores(q, k).masked_fill(HIDDEN, -torch.inf).softmax(-1)


def plain(q: Tensor, k: Tensor) -> Tensor:
    return scores(q, k).softmax(-1)


def with_sink(q: Tensor, k: Tensor) -> Tensor:
    S = scores(q, k)
    return S.exp() / (S.exp().sum(-1, keepdim=True) + torch.e)


WAYS: dict[str, tuple[Way, Way]] = {
    "masked_fill, F.softmax, dropout, matmul": (loops, masked),
    "batch and heads folded, bmm": (folded, plain),
    "softmax in float32 and cast back": (rounded, plain),
    "float(), softmax, type_as": (typed, plain),
    "heads multiplied": (chosen_heads, lambda q, k: plain(q, k) * HEADS),
    "heads multiplied after dropout": (chosen_heads_after_dropout, lambda q, k: plain(q, k) * HEADS),
    "masked after softmax": (renewed, masked),
    "masked in place after softmax": (renewed_in_place, masked),
    "a sink sliced off": (sunk, with_sink),
    "a sink narrowed off": (sunk_before, with_sink),
    "einsum bhqk": (einsum("bhqk,bhkd->bhqd", "bhqk", "bhkd"), plain),
    "einsum, positions first": (einsum("bhqk,bkhd->bqhd", "bhqk", "bkhd"), plain),
    "einsum, heads after queries": (einsum("bqhk,bkhd->bqhd", "bqhk", "bkhd"), plain),
    "einsum, values first": (einsum("bkhd,bhqk->bqhd", "bhqk", "bkhd"), plain),
    "einsum with spaces": (einsum("b h q k, b h k d -> b h q d", "bhqk", "bhkd"), plain),
    "einsum with dots": (einsum("...qk,...kd->...qd", "bhqk", "bhkd"), plain),
    "einsum, values in any order": (einsum("bhqk,khbd->qbhd", "bhqk", "khbd"), plain),
    "values first, both turned": (turned, plain),
    "turned there and back": (turned_twice, plain),
    "turned, dropout, contiguous, view": (laid_out_anew, plain),
    "arguments by name": (named, plain),
}


def run(way: Callable[..., Any], *tensors: Tensor, train: bool = False) -> tuple[Record, Any]:
    """Return what was seen of a way, and its output, which watching must not change."""
    model = Attention(way).train(train)
    torch.manual_seed(1)
    unwatched = model(*tensors)
    torch.manual_seed(1)
    with watch(model, want=("entropy", "received", "received_max", "distance", "first", "map", "values")) as seen:
        output = model(*tensors)
    assert torch.equal(unwatched, output)
    return seen, output


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("name", WAYS)
def test_every_way_is_seen_as_computed(name: str, train: bool) -> None:
    """In training, too: what is seen are the weights before dropout."""
    way, weights = WAYS[name]
    seen, _ = run(way, *inputs(), train=train)
    (site,) = seen
    q, k, v = inputs(torch.float64)
    dense.statistics_equal(site, weights(q, k))
    dense.close(site.values, v)
    assert site.engine == "written out"
    assert (site.dropout > 0) is (train and "dropout" in name)
    assert seen.coverage.unseen == ()


@pytest.mark.parametrize("name", WAYS)
def test_watching_keeps_gradients_to_the_bit(name: str) -> None:
    model = Attention(WAYS[name][0]).train()
    grads = []
    for each in (False, True):
        tensors = inputs(grad=True)
        torch.manual_seed(1)
        if each:
            with watch(model):
                made = model(*tensors)
        else:
            made = model(*tensors)
        made.square().sum().backward()
        grads.append([tensor.grad for tensor in tensors])
    assert all(torch.equal(a, b) for a, b in zip(*grads, strict=True))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 1e-3), (torch.bfloat16, 1e-2)])
@pytest.mark.parametrize("name", ["softmax in float32 and cast back", "float(), softmax, type_as"])
def test_narrow_types_are_seen_before_rounding(name: str, dtype: torch.dtype, tolerance: float) -> None:
    way, weights = WAYS[name]
    q, k, v = inputs(dtype)
    (site,) = run(way, q, k, v)[0]
    rounded_scores = scores(q, k).double()
    dense.statistics_equal(site, rounded_scores.softmax(-1))
    dense.close(site.weights(), weights(q.double(), k.double()), atol=5 * tolerance)


@pytest.mark.parametrize("around", [torch.inference_mode, torch.no_grad, torch.enable_grad])
def test_it_is_seen_under_every_mode_of_gradients(around: Callable[[], Any]) -> None:
    with around():
        (site,) = run(loops, *inputs())[0]
    dense.statistics_equal(site, masked(*inputs(torch.float64)[:2]))


def test_it_is_seen_under_autocast() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        (site,) = run(rounded, *inputs())[0]
        q, k, _ = inputs()
        S = scores(q, k)
    dense.statistics_equal(site, S.double().softmax(-1))


def in_place(m: Attention, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return m.dropout_in_place(scores(q, k).softmax(-1)) @ v


def masked_in_place_after_dropout(m: Attention, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return m.dropout(scores(q, k).softmax(-1)).masked_fill_(HIDDEN, 0.0) @ v


def test_dropout_in_place_is_seen_before_it_dropped() -> None:
    (site,) = run(in_place, *inputs(), train=True)[0]
    dense.statistics_equal(site, plain(*inputs(torch.float64)[:2]))
    assert site.dropout == 0.4


def test_weights_changed_in_place_after_dropout_are_listed_and_not_guessed() -> None:
    seen, _ = run(masked_in_place_after_dropout, *inputs(), train=True)
    assert not len(seen)
    assert [each.class_name for each in seen.coverage.unseen] == ["Attention"]


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointed_attention_is_seen_once(reentrant: bool) -> None:
    def way(m: Attention, *tensors: Tensor) -> Tensor:
        made: Tensor = checkpoint(lambda *each: loops(m, *each), *tensors, use_reentrant=reentrant)
        return made

    model = Attention(way).eval()
    with watch(model) as seen:
        model(*inputs(grad=True)).sum().backward()
    (site,) = seen
    dense.statistics_equal(site, masked(*inputs(torch.float64)[:2]))


def test_values_shared_by_all_heads_are_seen_for_each() -> None:
    def way(m: Attention, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return (q @ k[:, :1].mT * D**-0.5).softmax(-1) @ v[:, :1]

    (site,) = run(way, *inputs())[0]
    q, k, _ = inputs(torch.float64)
    dense.statistics_equal(site, plain(q, k[:, :1]))


def test_a_query_of_a_recurrent_decoder_is_one_query_on_all_keys() -> None:
    """Bahdanau's: weights (B, N), made a row, and bmm."""

    class Additive(nn.Module):
        def forward(self, q: Tensor, k: Tensor) -> Tensor:
            weights = F.softmax((q.unsqueeze(1) + k).tanh().sum(-1), dim=-1)
            return torch.bmm(weights.unsqueeze(1), k).squeeze(1)

    query, keys = torch.randn(B, D), torch.randn(B, N, D)
    model = Additive()
    with watch(model) as seen:
        model(query, keys)
    (site,) = seen
    assert (site.sizes.batch, site.sizes.heads, site.sizes.queries, site.sizes.keys) == (B, 1, 1, N)
    dense.statistics_equal(site, (query.unsqueeze(1) + keys).tanh().sum(-1).softmax(-1).view(B, 1, 1, N))


def test_rows_whose_module_names_no_heads_are_items() -> None:
    class Anonymous(nn.Module):
        def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            return torch.bmm(torch.bmm(q, k.mT).softmax(-1), v)

    with watch() as seen:
        Anonymous()(*(tensor[:, 0] for tensor in inputs()))
    (site,) = seen
    assert (site.sizes.batch, site.sizes.heads) == (B, 1)


# what is no attention


class Experts(nn.Module):
    """A dense mixture: what routes has the form of attention with one query."""

    def forward(self, x: Tensor, outs: Tensor) -> Tensor:
        return torch.matmul(x.softmax(-1).unsqueeze(1), outs)


def classes(m: nn.Module, x: Tensor) -> Tensor:
    return x.softmax(-1)


def expected_value(m: nn.Module, x: Tensor) -> Tensor:
    """As in distributional reinforcement learning and boxes from distributions."""
    return x.softmax(-1) @ torch.arange(float(x.shape[-1]))


def codebook(m: Any, x: Tensor) -> Tensor:
    return x.softmax(-1) @ m.table


def mixture(m: nn.Module, x: Tensor) -> Tensor:
    return torch.einsum("ne,end->nd", x.softmax(-1), torch.ones(x.shape[-1], x.shape[0], D))


def best_experts(m: nn.Module, x: Tensor) -> Tensor:
    weights, index = x.softmax(-1).topk(2)
    return torch.eye(x.shape[-1])[index] * weights.unsqueeze(-1)


def over_queries(m: nn.Module, x: Tensor) -> Tensor:
    return x.softmax(-2) @ torch.ones(x.shape[-1], D)


def linear_attention(m: nn.Module, x: Tensor) -> Tensor:
    return x.softmax(-1).mT @ torch.ones(x.shape[0], D)


def one_key(m: nn.Module, x: Tensor) -> Tensor:
    return x.expand(3, *x.shape).softmax(-1)[..., 0] @ torch.ones(x.shape[0], D)


def all_heads_at_once(m: nn.Module, x: Tensor) -> Tensor:
    return torch.einsum("hqk,hkd->qd", x.expand(3, *x.shape).softmax(-1), torch.ones(3, x.shape[-1], D))


NONE = (
    classes,
    expected_value,
    codebook,
    mixture,
    best_experts,
    over_queries,
    linear_attention,
    one_key,
    all_heads_at_once,
)


@pytest.mark.parametrize("way", NONE, ids=lambda way: way.__name__)
def test_other_softmaxes_are_not_taken_for_attention(way: Way) -> None:
    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Parameter(torch.ones(7, D))

        def forward(self, x: Tensor) -> Tensor:
            return way(self, x)

    model = Layer()
    with watch(model) as seen:
        model(torch.randn(5, 7))
    assert len(seen) == 0
    # Over three axes it may be attention all the same, and is listed.
    reasons = [unseen.reason for unseen in seen.coverage.unseen]
    assert [reason.startswith("a softmax over three axes") for reason in reasons] == [True] * (
        way in (one_key, all_heads_at_once)
    )


def followed_by_hand(m: nn.Module, x: Tensor) -> Tensor:
    return (x.softmax(-1).unsqueeze(-1) * torch.ones(D)).sum(-2)


def logarithms(m: nn.Module, x: Tensor) -> Tensor:
    return x.softmax(axis=1) + 0.0


@pytest.mark.parametrize("way", [followed_by_hand, logarithms], ids=lambda way: way.__name__)
def test_a_softmax_that_is_lost_on_its_way_is_listed_whatever_its_module_is_called(way: Way) -> None:
    class Mixing(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return way(self, x)

    with watch(model := Mixing()) as seen:
        model(torch.randn(2, 5, 5))
    (unseen,) = seen.coverage.unseen
    assert unseen.class_name == "Mixing"
    assert "was not followed to a product with values" in unseen.reason


@pytest.mark.parametrize(
    "step",
    [lambda P: P.clamp(min=0.01), lambda P: torch.where(P < 0.1, 0.0, P), lambda P: P.masked_fill(P < 0.1, 0.0)],
)
def test_numbers_changed_on_the_way_are_seen(step: Callable[[Tensor], Tensor]) -> None:
    class Stepping(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            self.P = step(x.softmax(-1))
            return self.P @ torch.ones(5, D)

    with watch(model := Stepping()) as seen:
        model(torch.randn(2, 3, 5, 5))
    torch.testing.assert_close(seen[""].weights(), model.P, atol=1e-6, rtol=0)


def test_weights_below_zero_are_listed() -> None:
    class Negative(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x.softmax(-1) * -1.0) @ torch.ones(5, D)

    with watch(model := Negative()) as seen:
        model(torch.randn(2, 3, 5, 5))
    assert len(seen) == 0
    assert "below 0" in str(seen.coverage)


def test_what_comes_of_a_refused_product_is_no_weight() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Parameter(torch.randn(6, 6))

        def forward(self, x: Tensor) -> Tensor:
            return (x.softmax(-1) @ self.table) @ torch.ones(6, D)

    with watch(model := Twice()) as seen:
        model(torch.randn(5, 6))
    assert len(seen) == 0


@pytest.mark.parametrize("write", [lambda P: P.copy_(torch.eye(5)), lambda P: torch.mul(P, 0.5, out=P)])
def test_weights_written_into_after_a_cast_are_seen_as_they_are(write: Callable[[Tensor], Tensor]) -> None:
    class Cast(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            P = x.softmax(-1).to(torch.float64)
            write(P)
            self.P = P.clone()
            return P @ torch.ones(5, D, dtype=torch.float64)

    with torch.no_grad(), watch(model := Cast()) as seen:
        model(torch.randn(2, 3, 5, 5))
    torch.testing.assert_close(seen[""].weights().double(), model.P, atol=1e-6, rtol=0)


def test_watching_works_again_after_an_error_while_it_began(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def __getattr__(self, name: str) -> None:
            raise ImportError("a library whose parts cannot be loaded")

    monkeypatch.setitem(sys.modules, "flash_attn", Broken())
    model = nn.MultiheadAttention(8, 2)
    x = torch.randn(3, 1, 8)
    with watch(model) as seen:
        model(x, x, x)
    assert len(seen) == 1


def test_gradients_keep_no_call_alive() -> None:
    query = torch.randn(1, 1, 5, 8, requires_grad=True)
    with watch(want=("gradients",)) as seen:
        output = torch.nn.functional.scaled_dot_product_attention(query, query, query)
        output.sum().backward()
    assert seen.sites[0].gradient.shape == (1, 1, 5, 8)
    alive = weakref.ref(output)
    del output
    gc.collect()
    assert alive() is None


def test_a_record_keeps_no_model_alive() -> None:
    model = nn.MultiheadAttention(8, 2)
    alive = weakref.ref(model)
    x = torch.randn(3, 1, 8)
    with watch(model) as seen:
        model(x, x, x)
    del model
    gc.collect()
    assert alive() is None
    assert "seen: 1 attention call" in str(seen.coverage)


def test_experts_are_not_taken_for_attention() -> None:
    model = Experts()
    with watch(model) as seen:
        model(torch.randn(5, 7), torch.randn(5, 7, D))
    assert len(seen) == 0


def test_attention_inside_a_transform_is_listed_with_the_reason() -> None:
    model = Attention(lambda m, q, k, v: scores(q, k).softmax(-1) @ v)
    with watch(model) as seen:
        made = torch.func.vmap(model)(*inputs())
    torch.testing.assert_close(made, model(*inputs()))
    assert len(seen) == 0
    assert "functorch" in str(seen.coverage)


def test_gradients_by_a_transform_stay_the_same() -> None:
    model = Attention(lambda m, q, k, v: (scores(q, k).softmax(-1) @ v).sum())
    with watch(model):
        made = torch.func.grad(model)(*inputs())
    assert torch.equal(made, torch.func.grad(model)(*inputs()))


# what stays behind


def test_no_weights_are_held_after_the_block() -> None:
    """Even where the model hands out the weights after dropout, those before it go."""
    before: list[Any] = []

    def way(m: Attention, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        P = scores(q, k).softmax(-1)
        before.append(weakref.ref(P.untyped_storage()))
        dropped = m.dropout(P)
        return dropped @ v, dropped

    model = Attention(way).train()
    with torch.no_grad(), watch(model, want=("entropy",)) as seen:
        _, dropped = model(*inputs())
    gc.collect()
    assert len(seen) == 1
    assert before[0]() is None
    assert bool((dropped == 0).any())


def test_weights_are_let_go_within_the_block_as_soon_as_the_model_does() -> None:
    held: list[Any] = []

    def way(m: Attention, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        P = scores(q, k).softmax(-1)
        dropped = m.dropout(P.float())
        held.extend(weakref.ref(each.untyped_storage()) for each in (P, dropped))
        return dropped @ v

    model = Attention(way).train()
    with torch.no_grad(), watch(model, want=("entropy",)):
        for _ in range(3):
            model(*inputs())
            gc.collect()
            assert all(each() is None for each in held)
