"""The kernel compiles for a GPU, where there is none; run by `test_gpu_summary` in a process of its own.

Triton's interpreter takes programs that its compiler refuses, so compiling is tested by itself: a stand-in for the
driver names the GPU, and every launch ends before it would run.
"""

import pytest
import torch

pytest.importorskip("triton", reason="triton is not installed")

from triton.backends.compiler import GPUTarget
from triton.runtime import driver

import regard
from regard import Attention
from regard.engines.contract import Problem
from regard.engines.gpu import launch
from regard.engines.statistics import STATISTICS


class Hopper:
    """A driver that only says what to compile for."""

    def get_current_target(self):
        return GPUTarget("cuda", 90, 32)

    def get_current_device(self):
        return 0

    def get_current_stream(self, device=None):
        return 0


class Compiling:
    """The kernel, compiled but not run."""

    def __init__(self, kernel):
        self.kernel, self.compiled = kernel, []

    def __getitem__(self, grid):
        return lambda **given: self.compiled.append(self.kernel.warmup(grid=grid, **given))


@pytest.fixture
def compiling(monkeypatch):
    driver.set_active(Hopper())
    stand_in = Compiling(launch.walk)
    monkeypatch.setattr(launch, "walk", stand_in)
    return stand_in


def problem_of(dtype, width, queries, mechanism):
    query, key = torch.randn(2, 4, queries, width).to(dtype), torch.randn(2, 2, 513, width).to(dtype)
    return Problem.of(query, key, key, mechanism)


MECHANISMS = {
    "full": Attention(),
    "lengths, booleans, added, cap": Attention(
        modify=regard.soft_cap(3.0),
        bias=torch.randn(4, 1, 513),
        mask=regard.causal() & regard.padding([3, 4]) & torch.ones(2, 1, 1, 513, dtype=torch.bool),
    ),
    "one key allowed a query": Attention(mask=torch.ones(513, dtype=torch.bool), bias=torch.randn(2, 1, 1, 1)),
}


@pytest.mark.parametrize("width", [1, 128, 256])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32], ids=str)
def test_it_compiles_in_every_type_and_width(dtype, width, compiling):
    problem = problem_of(dtype, width, 700, Attention(mask=regard.causal()))
    launch.summary(problem, torch.zeros(2, 4, 700), frozenset(STATISTICS), (350, 9))
    launch.log_sum_exp(problem)
    assert len(compiling.compiled) == 2
    # No more than every multiprocessor from compute capability 8.0 on has of its own.
    assert all(each.metadata.shared <= 99 * 1024 for each in compiling.compiled)


@pytest.mark.parametrize("name", MECHANISMS)
def test_it_compiles_for_every_mechanism(name, compiling):
    problem = problem_of(torch.bfloat16, 64, 1, MECHANISMS[name])
    launch.summary(problem, torch.zeros(2, 4, 1), frozenset(STATISTICS), (1, 9))
    launch.log_sum_exp(problem)


@pytest.mark.parametrize("name", STATISTICS)
def test_it_compiles_for_every_statistic_alone(name, compiling):
    problem = problem_of(torch.bfloat16, 64, 700, Attention(weigh=regard.softmax(sink=1.0)))
    launch.summary(problem, torch.zeros(2, 4, 700), frozenset([name]), (11, 9))
