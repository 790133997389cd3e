"""Blocks of the fused kernel: any plan gives what the formula gives, and a plan kept is never a stale one."""

import gc

import pytest
import torch

import regard
from regard import Attention, attend
from regard.engines import plan
from regard.mechanisms.masks.rule import Mask
from regard.shapes import Sizes

CPU = torch.device("cpu")
LENGTH = 1300
NUMBERS = torch.arange(LENGTH) // 170


def by_item() -> Mask:
    numbers = torch.stack([NUMBERS, torch.arange(LENGTH) // 400])
    return regard.causal() & regard.documents(numbers)


MASKS = {
    "tall blocks": lambda: regard.causal(align="last"),
    "run along the diagonal": lambda: regard.causal() & regard.window(100),
    "run ahead": lambda: regard.window(3, 130),
    "documents": lambda: regard.documents(NUMBERS) & regard.causal(),
    "documents by item": by_item,
    "function by head": lambda: Attention(mask=lambda b, h, q, k: (q >= k) & (q - k < 40 * (h + 1) ** 2)).rule,
    "function by item": lambda: Attention(mask=lambda b, h, q, k: (q - k).abs() < 20 + 400 * b).rule,
    "gathered keys": lambda: regard.random_blocks(64, 3) | regard.window(10),
    "global": lambda: regard.window(10) | regard.global_tokens([0, 1, 700]),
    "blind queries": lambda: regard.causal() & ~regard.window(70),
    "nothing": lambda: ~regard.full(),
}


def vectors(length=LENGTH, dtype=torch.float64, width=8, value_width=6):
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, 4, length, width), (2, 2, length, width), (2, 2, length, value_width))
    return [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for shape in shapes]


def results(given, mechanism, engine):
    given = [tensor.clone().requires_grad_() for tensor in given]
    attended = attend(*given, mechanism, engine=engine, want=("lse",))
    return attended.output, attended.lse, *torch.autograd.grad(attended.output.square().sum(), given)


@pytest.mark.slow
@pytest.mark.parametrize("name", MASKS)
def test_blocks_give_what_the_formula_gives(name):
    mechanism = Attention(mask=MASKS[name]())
    pairs = zip(results(vectors(), mechanism, "tiled"), results(vectors(), mechanism, "reference"), strict=True)
    for ours, right in pairs:
        torch.testing.assert_close(ours, right, atol=1e-11, rtol=1e-11)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_blocks_of_other_types(dtype):
    mechanism = Attention(mask=regard.causal() & regard.window(100), weigh=regard.softmax(0.5))
    given = vectors(600, dtype)
    ours = results(given, mechanism, "tiled")
    right = results([tensor.double() for tensor in given], mechanism, "reference")
    assert ours[0].dtype == dtype
    tolerance = {torch.float32: 1e-4, torch.bfloat16: 6e-2, torch.float16: 8e-3}[dtype]
    for one, other in zip(ours, right, strict=True):
        torch.testing.assert_close(one.double(), other, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("name", MASKS)
def test_a_plan_visits_what_is_allowed_once_and_masks_what_is_not(name):
    mask, sizes = MASKS[name](), Sizes(2, 4, 2, LENGTH, LENGTH, 8, 8)
    free, visited = (torch.zeros(2, 4, LENGTH, LENGTH, dtype=torch.int8) for _ in range(2))
    for visit in plan.plan(mask, sizes, CPU).visits:
        for keys, into in ((visit.free, free), (visit.masked, visited)):
            if keys is not None:
                part = into[visit.batch, visit.heads, visit.queries]
                part[..., keys] += 1
    allowed = mask.dense(sizes).expand(2, 4, LENGTH, LENGTH)
    assert int((free + visited).amax()) <= 1
    assert bool(allowed[free > 0].all())
    assert not bool((allowed & (free + visited == 0)).any())


def test_a_plan_skips_what_is_forbidden():
    mask = regard.causal() & regard.window(255)
    visited = plan.plan(mask, Sizes.of(4096, heads=8), CPU).pairs
    assert visited <= 1.3 * mask.count(4096, heads=8)


def test_a_plan_is_kept_with_its_mask_and_goes_with_it():
    mask, sizes = regard.documents(NUMBERS), Sizes.of(LENGTH)
    kept = plan.planned(mask, sizes, CPU)
    assert plan.planned(mask, sizes, CPU) is kept
    assert plan.planned(mask, Sizes.of(LENGTH, batch=2), CPU) is not kept
    many = len(plan._kept)
    del mask
    gc.collect()
    assert len(plan._kept) == many - 1


@pytest.mark.parametrize("change", ["numbers", "booleans"])
def test_a_mask_written_into_is_planned_anew(change):
    given = vectors(600)
    if change == "numbers":
        tensor = torch.zeros(600, dtype=torch.long)
        mask = regard.documents(tensor)
    else:
        tensor = torch.ones(600, 600, dtype=torch.bool)
        mask = Attention(mask=tensor).rule
    attend(*given, Attention(mask=mask), engine="tiled")
    tensor[300:] = 1 if change == "numbers" else False
    ours, right = (attend(*given, Attention(mask=mask), engine=engine).output for engine in ("tiled", "reference"))
    torch.testing.assert_close(ours, right)


def test_a_function_is_asked_anew_at_every_call():
    given, state = vectors(600), {"back": 5}
    mechanism = Attention(mask=lambda b, h, q, k: (q - k).abs() <= state["back"])
    first = attend(*given, mechanism, engine="tiled").output
    state["back"] = 300
    second, right = (attend(*given, mechanism, engine=engine).output for engine in ("tiled", "reference"))
    assert not torch.equal(first, second)
    torch.testing.assert_close(second, right)
