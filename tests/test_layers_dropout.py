"""Dropout keeps numbers by chance, scales them so that their mean stays, and sends gradients the same way."""

import pytest
import torch

from regard.layers.dropout import Dropout


def test_numbers_are_zero_or_scaled_as_often_as_asked() -> None:
    torch.manual_seed(0)
    output = Dropout(0.3)(torch.ones(400, 501))
    kept = output != 0
    assert kept.float().mean().item() == pytest.approx(0.7, abs=5 * (0.3 * 0.7 / output.numel()) ** 0.5)
    torch.testing.assert_close(output[kept], torch.full_like(output[kept], 1 / 0.7), rtol=2e-5, atol=0)


def test_neighbours_are_drawn_apart() -> None:
    torch.manual_seed(0)
    kept = (Dropout(0.5)(torch.ones(100_000)) != 0).double() - 0.5
    for offset in (1, 2, 3, 4, 8):
        together = (kept[offset:] * kept[:-offset]).mean().item() * 4
        assert abs(together) < 5 / 100_000**0.5


def test_the_gradient_goes_where_numbers_were_kept() -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 7, dtype=torch.float64, requires_grad=True)
    output = Dropout(0.4)(x)
    (grad,) = torch.autograd.grad(output.sum(), x)
    torch.testing.assert_close(grad * x, output)


def test_the_global_generator_settles_it() -> None:
    x = torch.ones(5, 5)
    torch.manual_seed(3)
    first, second = Dropout(0.5)(x), Dropout(0.5)(x)
    torch.manual_seed(3)
    assert torch.equal(Dropout(0.5)(x), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize(("p", "factor"), [(0.0, 1.0), (1e-9, 1.0), (1.0, 0.0)])
def test_ends_of_the_range(p: float, factor: float) -> None:
    x = torch.randn(50)
    assert torch.equal(Dropout(p)(x), x * factor)


def test_in_evaluation_nothing_changes() -> None:
    x = torch.randn(5)
    assert torch.equal(Dropout(0.5).eval()(x), x)


def test_a_half_type_stays_one() -> None:
    assert Dropout(0.5)(torch.ones(9, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_other_probabilities_are_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        Dropout(1.5)
