"""Laws of projections: `F.linear`'s numbers whatever the way they are multiplied in."""

from contextlib import AbstractContextManager, nullcontext

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.layers import projection
from regard.layers.projection import Projection, project

SHAPES = [(512, 256), (256, 256), (256, 512), (256, 2048), (64, 64)]


def exactly(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return x Wᵀ + b in double precision."""
    product = x.double() @ weight.double().T
    return product if bias is None else product + bias.double()


@pytest.mark.parametrize(
    "lead", [(), (1,), (1, 1), (2, 1), (1, 3), (2, 4), (8,), (9, 1), (40,), (0, 1), (1, 0)], ids=str
)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("biased", [True, False])
def test_a_projection_is_a_product_and_a_sum(lead: tuple[int, ...], shape: tuple[int, int], biased: bool) -> None:
    torch.manual_seed(0)
    layer = Projection(shape[1], shape[0], bias=biased)
    x = torch.randn(*lead, shape[1])
    with torch.no_grad():
        y = layer(x)
    assert y.shape == (*lead, shape[0])
    assert y.is_contiguous()
    torch.testing.assert_close(y.double(), exactly(x, layer.weight, layer.bias), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("rows", [1, 2, 4])
def test_sides_are_exchanged_where_it_was_measured_to_pay(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    called = []
    monkeypatch.setattr(projection.F, "linear", lambda *given: called.append(given))
    with torch.no_grad():
        project(torch.randn(rows, 1, 256), torch.randn(512, 256))
    assert bool(called) is not torch.backends.mkl.is_available()


@pytest.mark.parametrize(
    "within",
    [torch.enable_grad(), torch.no_grad()],
    ids=["with gradient", "without"],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("columns", [False, True], ids=["by rows", "by columns"])
def test_whatever_was_not_measured_is_left_to_torch_to_the_bit(
    within: AbstractContextManager[None], dtype: torch.dtype, columns: bool
) -> None:
    torch.manual_seed(0)
    weight, bias = torch.randn(512, 256, dtype=dtype), torch.randn(512, dtype=dtype)
    weight = weight.t().contiguous().t() if columns else weight
    x = torch.randn(2, 1, 256, dtype=dtype)
    with within:
        ours, theirs = project(x, weight, bias), F.linear(x, weight, bias)
        if torch.is_grad_enabled() or columns or dtype != torch.float32:
            assert torch.equal(ours, theirs)
        else:
            torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("autocast", [nullcontext(), torch.autocast("cpu")], ids=["plain", "autocast"])
def test_results_have_torchs_type(autocast: AbstractContextManager[None]) -> None:
    x, weight = torch.randn(1, 256), torch.randn(256, 256)
    with torch.no_grad(), autocast:
        assert project(x, weight).dtype == F.linear(x, weight).dtype


def test_rows_do_not_reach_one_another() -> None:
    x, weight = torch.randn(3, 256), torch.randn(512, 256)
    x[1] = torch.nan
    with torch.no_grad():
        y = project(x, weight)
    assert y[1].isnan().all()
    torch.testing.assert_close(y[::2], F.linear(x[::2], weight), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_batch_may_be_mapped_over(mode: type[torch.no_grad]) -> None:
    x, weight = torch.randn(3, 256), torch.randn(512, 256)
    with mode():
        torch.testing.assert_close(torch.vmap(lambda row: project(row, weight))(x), F.linear(x, weight))


def test_it_is_stored_and_drawn_as_a_linear_layer() -> None:
    torch.manual_seed(0)
    ours = Projection(300, 300)
    torch.manual_seed(0)
    theirs = nn.Linear(300, 300)
    assert isinstance(ours, nn.Linear)
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict(), atol=0, rtol=0)


def test_a_row_of_another_width_is_refused_as_by_torch() -> None:
    with torch.no_grad(), pytest.raises(RuntimeError, match=r"cannot be multiplied|size mismatch"):
        Projection(256, 512)(torch.randn(1, 255))
