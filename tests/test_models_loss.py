"""The loss of a vocabulary's logits is the sum of cross entropies, with its gradients, in any number of blocks."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from regard.errors import ModelError, ShapeError
from regard.models import Recurrent, Transformer, input_feeding, searching, t5, transformer
from regard.models import loss as module
from regard.models.loss import vocabulary_loss

WIDTH, VOCABULARY = 5, 11


def gradient(leaf: Tensor) -> Tensor:
    """Return the gradient that came to a leaf."""
    assert leaf.grad is not None
    return leaf.grad


def _given(rows: int = 7, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    """Return vectors, weight and bias."""
    torch.manual_seed(0)
    shapes = ((rows, WIDTH), (VOCABULARY, WIDTH), (VOCABULARY,))
    vectors, weight, bias = (torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes)
    return vectors, weight, bias


def _independent(
    vectors: Tensor, weight: Tensor, target: Tensor, bias: Tensor | None, smoothing: float, ignore: int = -100
) -> Tensor:
    logits = F.linear(vectors, weight, bias).flatten(0, -2)
    return F.cross_entropy(logits, target, label_smoothing=smoothing, ignore_index=ignore, reduction="sum")


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("height", [1, 3, 100])
def test_it_is_the_sum_of_cross_entropies(
    monkeypatch: pytest.MonkeyPatch, height: int, bias: bool, smoothing: float
) -> None:
    monkeypatch.setattr(module, "ELEMENTS", height * VOCABULARY)
    vectors, weight, added = _given()
    asked = (vectors, weight, added) if bias else (vectors, weight)
    target = torch.tensor([0, 10, 4, 4, 3, 9, 1])
    loss = vocabulary_loss(vectors, weight, target, added if bias else None, smoothing, ignore=4)
    expected = _independent(vectors, weight, target, added if bias else None, smoothing, ignore=4)
    torch.testing.assert_close(loss, expected)
    found, right = (torch.autograd.grad(3 * each, asked) for each in (loss, expected))
    torch.testing.assert_close(found, right)


def test_its_gradient_is_that_of_its_numbers() -> None:
    vectors, weight, bias = _given()
    target = torch.tensor([0, 10, 4, 4, 3, 9, 1])
    assert torch.autograd.gradcheck(
        lambda *given: vocabulary_loss(given[0], given[1], target, given[2], 0.1, ignore=3), (vectors, weight, bias)
    )


def test_axes_before_the_last_are_rows() -> None:
    vectors, weight, _ = _given(6)
    target = torch.arange(6)
    whole = vocabulary_loss(vectors, weight, target)
    torch.testing.assert_close(vocabulary_loss(vectors.view(2, 3, WIDTH), weight, target.view(2, 3)), whole)


def test_rows_that_do_not_count_reach_nothing() -> None:
    vectors, weight, bias = _given()
    spoiled = vectors.detach().clone()
    spoiled[2] = torch.nan
    spoiled.requires_grad_()
    target = torch.tensor([0, 1, -1, 2, 3, 4, 5])
    loss = vocabulary_loss(spoiled, weight, target, bias, 0.1, ignore=-1)
    loss.backward()
    assert loss.isfinite()
    assert [gradient(each).isfinite().all().item() for each in (spoiled, weight)] == [True, True]
    assert gradient(spoiled)[2].tolist() == [0.0] * WIDTH


def test_no_rows_cost_nothing() -> None:
    vectors, weight, bias = _given()
    loss = vocabulary_loss(vectors, weight, torch.full((7,), -1), bias, 0.1, ignore=-1)
    loss.backward()
    assert loss.item() == 0
    assert not gradient(weight).any()


def test_large_logits_stay_finite() -> None:
    vectors = torch.tensor([[300.0, 0.0], [-300.0, 0.0]], requires_grad=True)
    weight = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    loss = vocabulary_loss(vectors, weight, torch.tensor([1, 1]))
    loss.backward()
    assert loss.item() == pytest.approx(600)
    assert gradient(vectors).tolist() == [[2.0, 0.0], [0.0, 0.0]]


@pytest.mark.parametrize("way", ["autocast", "stored"])
def test_half_precision_is_near_single(way: str) -> None:
    vectors, weight, bias = _given(dtype=torch.float32)
    target = torch.arange(7)
    right = torch.autograd.grad(vocabulary_loss(vectors, weight, target, bias, 0.1), (vectors, weight, bias))
    kept = torch.float32 if way == "autocast" else torch.bfloat16
    halves = [each.detach().to(kept).requires_grad_() for each in (vectors, weight, bias)]
    with torch.autocast("cpu", torch.bfloat16, enabled=way == "autocast"):
        loss = vocabulary_loss(halves[0], halves[1], target, halves[2], 0.1)
    loss.backward()
    assert loss.dtype == torch.float32
    for half, expected in zip(halves, right, strict=True):
        assert gradient(half).dtype == kept
        assert (gradient(half).float() - expected).norm() < 0.02 * expected.norm()


def test_without_gradients_none_are_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, weight, bias = _given()
    target = torch.arange(7)
    expected = vocabulary_loss(vectors, weight, target, bias, 0.1).detach()
    monkeypatch.setattr(module, "_add_product", None)
    with torch.no_grad():
        torch.testing.assert_close(vocabulary_loss(vectors, weight, target, bias, 0.1), expected)


def test_what_does_not_fit_is_refused() -> None:
    vectors, weight, bias = _given()
    with pytest.raises(ShapeError, match=r"got \(7, 5\), \(11, 5\), \(6,\), \(11,\)"):
        vocabulary_loss(vectors, weight, torch.arange(6), bias)
    with pytest.raises(ModelError, match="from 0 to 10, or `ignore`; got 0 to 11"):
        vocabulary_loss(vectors, weight, torch.tensor([0, 1, 2, 3, 4, 5, 11]), bias)
    with pytest.raises(ModelError, match=r"label_smoothing: expected a number from 0 to 1; got 1\.5"):
        vocabulary_loss(vectors, weight, torch.arange(7), bias, 1.5)


MODELS: dict[str, Callable[[], Transformer | Recurrent]] = {
    "transformer": lambda: transformer(vocabulary=9, width=8, layers=1, heads=2, hidden=8, bias=True, dropout=0.0),
    "t5": lambda: t5(vocabulary=9, width=8, head_width=4, layers=1, heads=2, hidden=8, dropout=0.0),
    "searching": lambda: searching(9, 9, width=4, hidden=6, alignment=5, readout=3),
    "input_feeding": lambda: input_feeding(9, 9, width=4, layers=2),
}


@pytest.mark.parametrize("name", MODELS)
def test_models_hand_out_what_their_logits_are_made_of(name: str) -> None:
    torch.manual_seed(0)
    model = MODELS[name]().eval()
    source, target = torch.randint(9, (2, 4)), torch.randint(9, (2, 3))
    real = torch.tensor([[True] * 4, [True] * 2 + [False] * 2])
    vectors, (weight, bias) = model.vectors(source, target, real=real), model.projection
    logits = model(source, target, real=real)
    torch.testing.assert_close(F.linear(vectors, weight, bias), logits)
    losses = (
        vocabulary_loss(vectors, weight, target, bias),
        _independent(vectors, weight, target.flatten(), bias, 0.0),
    )
    torch.testing.assert_close(*losses)
