"""The laws of chains: streamed products, rollout and weighted values equal the dense formulas in float64."""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.pytorch_utils import Conv1D

import regard
from regard import Attention, Record, Site, head_mean, rollout, softmax, value_weighted, watch
from regard.errors import NotKeptError, ShapeError, WantError, WatchError
from regard.watch.chains import head_mean as streaming
from regard.watch.chains.stack import ALL
from tests import dense
from tests.memory import on_linux, peak
from tests.models import FAMILIES, minilm_folder

LAWS = settings(deadline=None, max_examples=25, derandomize=True)
SIZES = st.sampled_from([1, 2, 7, 33, 65])
EVERYTHING = ("rows", "values", "gradients")


@pytest.fixture(autouse=True)
def _small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make tiles so small that small calls have many."""
    monkeypatch.setattr(streaming, "TILE", 1 << 8)
    monkeypatch.setattr(streaming, "KEY_TILE", 16)
    monkeypatch.setattr(streaming, "PREPARED", 1 << 10)


class Example:
    """A call of random sizes with gradients, and its dense weights and their gradients in float64."""

    def __init__(
        self,
        queries: int,
        keys: int,
        group: int,
        mask: str,
        sink: bool,
        seed: int,
        dtype: torch.dtype,
        heads: int = 2,
    ) -> None:
        generator = torch.Generator().manual_seed(seed)

        def vectors(count: int, length: int, width: int) -> Tensor:
            return torch.randn(2, count, length, width, generator=generator, dtype=torch.float64).to(dtype)

        self.q = vectors(heads * group, queries, 4)
        self.k, self.v = vectors(heads, keys, 4), vectors(heads, keys, 3)
        self.d_output = vectors(heads * group, queries, 3)
        self.allowed = self._allowed(mask, queries, keys, generator)
        self.sink = torch.linspace(-1, 1, heads * group, dtype=dtype) if sink else None
        self.P = self._weights()
        value = self.v.double().repeat_interleave(group, 1)
        self.dP = self.d_output.double() @ value.mT

    @staticmethod
    def _allowed(mask: str, queries: int, keys: int, generator: torch.Generator) -> Tensor:
        allowed = torch.ones(2, 1, queries, keys, dtype=torch.bool)
        if mask == "causal":
            return allowed.tril()
        if mask == "scattered":
            return torch.rand(allowed.shape, generator=generator) > 0.7
        if mask == "left padding":
            return allowed.tril() & (torch.arange(keys) >= torch.tensor([[0], [keys // 2]]))[:, None, None]
        return allowed

    def _weights(self) -> Tensor:
        S = dense.scores(self.q.double(), self.k.double()).masked_fill(~self.allowed, -torch.inf)
        if self.sink is not None:
            S = torch.cat([S, self.sink.double().view(1, -1, 1, 1).expand(*S.shape[:3], 1)], -1)
        return S.softmax(-1).nan_to_num(0.0)[..., : self.k.shape[2]]

    def site(self) -> Site:
        """Return what is seen of the call, after a backward pass."""
        q = self.q.clone().requires_grad_()
        mechanism = Attention(mask=self.allowed, weigh=softmax(sink=self.sink))
        with watch(want=EVERYTHING) as seen:
            output = regard.attend(q, self.k, self.v, mechanism).output
        output.backward(self.d_output)
        return seen[""]


EXAMPLES = st.builds(
    Example,
    queries=SIZES,
    keys=SIZES,
    group=st.integers(1, 2),
    mask=st.sampled_from(["none", "causal", "scattered", "left padding"]),
    sink=st.booleans(),
    seed=st.integers(0, 99),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)

# What each rule makes of weights, their gradients and values (B, H, Nk, Dv).
RULES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "weights": lambda P, dP, V: P,
    "value norms": lambda P, dP, V: P * V.norm(dim=-1).unsqueeze(2),
    "gradient": lambda P, dP, V: P * dP,
    "positive gradient": lambda P, dP, V: (P * dP).clamp(min=0),
}


def wanted(example: Example, of: str) -> Tensor:
    V = example.v.double().repeat_interleave(example.P.shape[1] // example.v.shape[1], 1)
    return RULES[of](example.P, example.dP, V)


def close(got: Tensor, expected: Tensor, example: Example) -> None:
    tolerance = 1e-12 if example.q.dtype == torch.float64 else 1e-5
    dense.close(got, expected, rtol=tolerance, atol=tolerance * max(1.0, float(expected.abs().amax())))


# The mean over heads.


@given(EXAMPLES, st.sampled_from(list(RULES)), st.data())
@LAWS
def test_streamed_products_equal_dense_ones(example: Example, of: Any, data: st.DataObject) -> None:
    heads = data.draw(st.none() | st.lists(st.integers(0, example.P.shape[1] - 1), min_size=1, unique=True))
    chosen = wanted(example, of)
    M = chosen.mean(1) if heads is None else chosen[:, heads].mean(1)
    streamed = head_mean(example.site(), of, heads)
    x, y = torch.randn(2, 3, M.shape[1]).double(), torch.randn(2, M.shape[2], 2).double()
    close(streamed.left(x), x @ M, example)
    close(streamed.right(y), M @ y, example)
    close(streamed.sums(), M.sum(-1), example)
    close(streamed.dense(), M, example)


@pytest.mark.parametrize("of", RULES)
@pytest.mark.parametrize("lengths", [(0, 3), (3, 0), (0, 0)])
def test_calls_without_queries_or_keys_have_products_too(lengths: tuple[int, int], of: Any) -> None:
    streamed = head_mean(Example(*lengths, 1, "none", False, 0, torch.float32).site(), of)
    assert streamed.left(torch.ones(2, 1, lengths[0])).tolist() == [[[0.0] * lengths[1]]] * 2
    assert streamed.right(torch.ones(2, lengths[1], 1)).shape == (2, lengths[0], 1)
    assert not streamed.sums().any()
    assert streamed.dense().shape == (2, *lengths)


def test_products_are_exact_under_autocast_and_hold_no_history() -> None:
    example = Example(33, 33, 1, "none", False, 0, torch.float32)
    streamed = head_mean(example.site())
    x = torch.randn(2, 1, 33, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        product = streamed.left(x)
    assert not product.requires_grad
    dense.close(product, x.detach().double() @ example.P.mean(1), atol=1e-5)


def test_what_fits_no_call_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Example(7, 5, 1, "none", False, 0, torch.float32).site()
    with pytest.raises(ShapeError, match=r"left: expected a tensor of shape \(2, 'm', 7\); got \(2, 1, 5\)"):
        head_mean(site).left(torch.ones(2, 1, 5))
    with pytest.raises(ShapeError, match=r"right: expected a tensor of shape \(2, 5, 'm'\); got \(5, 1\)"):
        head_mean(site).right(torch.ones(5, 1))
    with pytest.raises(ShapeError, match="heads: expected numbers from 0 to 1"):
        head_mean(site, heads=[2])
    with pytest.raises(ShapeError, match="at least one"):
        head_mean(site, heads=[])
    with pytest.raises(WantError, match="of: expected one of weights"):
        head_mean(site, "weight")  # type: ignore[arg-type]
    monkeypatch.setattr(streaming, "DENSE_LIMIT", 69)
    with pytest.raises(WatchError, match="at most 69 numbers; got 70"):
        head_mean(site).dense()


def test_what_was_not_kept_is_refused() -> None:
    q = torch.randn(1, 1, 3, 4)
    with watch(want=()) as nothing, watch(want=("rows",)) as rows, watch(want=("gradients",)) as gradients:
        F.scaled_dot_product_attention(q, q, q)
    with pytest.raises(NotKeptError, match="head_mean"):
        head_mean(nothing[""])
    with pytest.raises(NotKeptError, match="values"):
        head_mean(rows[""], "value norms")
    with pytest.raises(WatchError, match="none has reached"):
        head_mean(gradients[""], "gradient")


# Rollout.


class Stack(nn.Module):
    """Layers that attend with random vectors of their own."""

    def __init__(self, examples: list[Example]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Attends(example) for example in examples)

    def forward(self) -> None:
        for layer in self.layers:
            layer()


class Attends(nn.Module):
    """One layer of such."""

    def __init__(self, example: Example) -> None:
        super().__init__()
        self.example = example

    def forward(self) -> None:
        example = self.example
        mechanism = Attention(mask=example.allowed, weigh=softmax(sink=example.sink))
        regard.attend(example.q, example.k, example.v, mechanism)


def watched(examples: list[Example]) -> Record:
    stack = Stack(examples)
    with torch.no_grad(), watch(stack, want=("rows",)) as seen:
        stack()
    return seen


def mixing(P: Tensor, residual: float) -> Tensor:
    """Return A of rollout, its rows divided by their sums."""
    A = residual * torch.eye(P.shape[-1], dtype=torch.float64) + (1 - residual) * P.double().mean(1)
    return (A / A.sum(-1, keepdim=True)).nan_to_num(0.0)


def rolled(weights: list[Tensor], residual: float = 0.5) -> Tensor:
    """Return A_L ... A_1."""
    out = torch.eye(weights[0].shape[-1], dtype=torch.float64).expand(len(weights[0]), -1, -1)
    for P in weights:
        out = mixing(P, residual) @ out
    return out


@given(
    st.integers(1, 3),
    SIZES,
    st.sampled_from(["none", "causal", "scattered", "left padding"]),
    st.booleans(),
    st.sampled_from([0.0, 0.2, 0.5, 1.0]),
    st.integers(0, 99),
    st.sampled_from([torch.float32, torch.float64]),
)
@LAWS
def test_rollout_equals_the_product_of_matrices(
    layers: int, length: int, mask: str, sink: bool, residual: float, seed: int, dtype: torch.dtype
) -> None:
    examples = [Example(length, length, 2, mask, sink, seed + layer, dtype) for layer in range(layers)]
    expected = rolled([example.P for example in examples], residual)
    seen = watched(examples)
    close(rollout(seen, residual=residual), expected, examples[0])
    close(rollout(seen, [-1, 0], residual=residual), expected[:, [-1, 0]], examples[0])
    if residual:
        close(expected.sum(-1), torch.ones(2, length), examples[0])


def test_a_query_that_sees_nothing_passes_on_itself() -> None:
    seen = watched([Example(6, 6, 1, "left padding", False, seed, torch.float32) for seed in range(2)])
    assert torch.equal(rollout(seen, 1)[1, 0], F.one_hot(torch.tensor(1), 6).float())


@cache
def family(name: str) -> tuple[list[Tensor], Record]:
    """Return the eager model's weights, as torch's function means them, and the record of the other."""
    eager, fast = FAMILIES[name].pair()
    inputs = FAMILIES[name].inputs()
    with torch.no_grad():
        weights = FAMILIES[name].attentions(eager(**inputs, output_attentions=True))
        with watch(fast) as seen:
            fast(**inputs)
    real = FAMILIES[name].real_queries
    return weights if real is None else [P * real()[:, None, :, None] for P in weights], seen


@pytest.mark.parametrize("name", ["bert padded", "gpt2", "llama left padded", "vit"])
def test_rollout_of_a_model_equals_that_of_its_weights(name: str) -> None:
    weights, seen = family(name)
    dense.close(rollout(seen), rolled(weights), atol=1e-6)


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_rollout_of_an_encoder_decoder_is_of_the_stack_that_is_chosen(name: str) -> None:
    weights, seen = family(name)
    dense.close(rollout(seen, paths="encoder."), rolled(weights[:2]), atol=1e-6)
    decoder = [site for site in seen if site.kind == "self" and site.path.startswith("decoder")]
    dense.close(rollout(decoder), rolled(weights[2::2]), atol=1e-6)
    own = {site.path for site in decoder}
    dense.close(rollout(seen, 0, paths=lambda path: path in own), rolled(weights[2::2])[:, :1], atol=1e-6)


def test_sites_that_make_no_stack_are_refused() -> None:
    _, seen = family("bart")
    with pytest.raises(WatchError, match=r"'decoder\.layers\.0\.encoder_attn' is cross-attention"):
        rollout(seen)
    with pytest.raises(WatchError, match="over the same positions"):
        rollout([site for site in seen if site.kind == "self"])
    with pytest.raises(WatchError, match="expected paths of sites that were seen"):
        rollout(seen, paths="encoders.")


def test_a_second_pass_is_refused_and_layers_that_share_a_module_are_not() -> None:
    stack = Stack([Example(5, 5, 1, "none", False, seed, torch.float32) for seed in range(2)])
    with watch(stack) as twice:
        stack()
        stack()
    with pytest.raises(WatchError, match="called in turn 2 times"):
        rollout(twice)
    assert torch.equal(rollout(twice.sites[2:]), rollout(twice.sites[:2]))
    shared = nn.Sequential(stack.layers[0])
    with watch(shared) as albert:
        for _ in range(3):
            shared[0]()
    dense.close(rollout(albert), rolled([stack.layers[0].example.P] * 3), atol=1e-6)


def test_wrong_choices_are_refused() -> None:
    seen = watched([Example(5, 5, 1, "none", False, 0, torch.float32)])
    with pytest.raises(ShapeError, match=r"rollout: expected positions from 0 to 4.*; got \[5\]"):
        rollout(seen, 5)
    with pytest.raises(ShapeError, match="rollout: expected positions from 0 to 4"):
        rollout(seen, [0.5])  # type: ignore[list-item]
    with pytest.raises(ShapeError, match="residual: expected a share"):
        rollout(seen, residual=1.5)


def test_all_queries_of_a_long_text_must_be_chosen() -> None:
    q = torch.randn(1, 1, ALL + 1, 2)
    with watch(want=("rows",)) as seen:
        F.scaled_dot_product_attention(q, q, q)
    with pytest.raises(WatchError, match="Say from which tokens to start"):
        rollout(seen)


@pytest.mark.slow
def test_rollout_of_a_real_model_equals_that_of_its_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    tokenizer = transformers.AutoTokenizer.from_pretrained(minilm_folder())
    inputs = tokenizer(
        " ".join(["The animal didn't cross the street because it was too tired."] * 20), return_tensors="pt"
    )
    weights, records = [], []
    for implementation in ("eager", "sdpa"):
        model = transformers.AutoModel.from_pretrained(minilm_folder(), attn_implementation=implementation).eval()
        with torch.no_grad(), watch(model, want=("rows",)) as seen:
            output = model(**inputs, output_attentions=implementation == "eager")
        weights.append(output.attentions)
        records.append(seen)
    dense.close(rollout(records[1]), rolled(list(weights[0])), atol=1e-5)


ROLLED = """
import sys
import torch
import regard

torch.manual_seed(0)
with torch.no_grad(), regard.watch(want=("rows",)) as seen:
    for _ in range(2):
        torch.nn.functional.scaled_dot_product_attention(*torch.randn(3, 1, 2, 8000, 16), is_causal=True)
if sys.argv[1] == "rollout":
    regard.rollout(seen, [7999])
"""


@pytest.mark.slow
@on_linux
def test_rollout_of_8000_tokens_takes_a_small_part_of_one_matrix() -> None:
    one_matrix = 8000 * 8000 * 4 / 2**20
    assert peak(ROLLED, "rollout") - peak(ROLLED, "plain") < one_matrix / 8


# Weights times norms of values.


@given(EXAMPLES, st.sampled_from(["none", "matrix", "linear", "conv"]), st.integers(0, 99))
@LAWS
def test_weighted_values_are_the_norms_of_what_each_key_gives(example: Example, given_as: str, seed: int) -> None:
    heads, dtype = example.P.shape[1], example.q.dtype
    W = torch.randn(heads * 3, 5, generator=torch.Generator().manual_seed(seed)).to(dtype)
    moved = example.P.unsqueeze(-1) * example.v.double().repeat_interleave(heads // 2, 1).unsqueeze(2)
    if given_as != "none":
        moved = moved @ W.double().unflatten(0, (heads, 1, 3))
    norms = moved.norm(dim=-1)
    site = example.site()
    got = value_weighted(site, projection(given_as, W))
    last = example.P.shape[2] - 1
    close(got.received, norms.sum(-2), example)
    close(got.rows([0, last]), norms[:, :, [0, last]], example)
    close(got.head_mean().dense(), norms.mean(1), example)
    groups = [(torch.arange(n) // 2 - 1).tolist() for n in norms.shape[2:]]
    if all(max(each) >= 0 for each in groups):
        close(got.joined(*groups), dense.joined(norms, *groups), example)


def projection(given_as: str, W: Tensor) -> Tensor | nn.Module | None:
    """Return x W as a matrix, as torch keeps it or as GPT-2 does."""
    if given_as == "linear":
        linear = nn.Linear(*W.shape)
        linear.weight = nn.Parameter(W.T)
        return linear
    if given_as == "conv":
        conv = Conv1D(W.shape[1], W.shape[0])
        conv.weight = nn.Parameter(W)
        return conv
    return W if given_as == "matrix" else None


def test_weighted_values_of_a_layer_add_up_to_its_output() -> None:
    """For one key alone, what it gives to each query is what the layer puts out."""
    attention = nn.MultiheadAttention(8, 2, batch_first=True, bias=False)
    x, y = torch.randn(1, 3, 8), torch.randn(1, 1, 8)
    with torch.no_grad(), watch(attention, want=("values",)) as seen:
        output, _ = attention(x, y, y, need_weights=False)
    one = value_weighted(seen[""], attention.out_proj)
    dense.close(one.norms.shape == (1, 2, 1) and output.norm(dim=-1), output.norm(dim=-1))
    parts = seen[""].values[0, :, 0].unsqueeze(1) @ attention.out_proj.weight.T.unflatten(0, (2, 4))
    dense.close(one.norms[0, :, 0], parts.norm(dim=-1)[:, 0].detach())
    dense.close(parts.sum(0).expand(3, -1).detach(), output[0])


def test_a_projection_that_does_not_fit_is_refused() -> None:
    site = Example(7, 5, 1, "none", False, 0, torch.float32).site()
    with pytest.raises(ShapeError, match=r"expected a projection of 6 numbers \(2 heads of 3\).*got \(5, 6\)"):
        value_weighted(site, torch.ones(5, 6))
    with pytest.raises(ShapeError, match="got Identity"):
        value_weighted(site, nn.Identity())
    with pytest.raises(ShapeError, match="joined: expected a group"):
        value_weighted(site).joined([0], [0])
