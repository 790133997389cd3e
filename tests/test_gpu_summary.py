"""Looking on CUDA goes to a kernel where it knows the call's terms; else it streams, for a reason that is said.

The kernel's own laws are in `gpu_laws` and `gpu_compiling`. They run in processes of their own here, since Triton
has to be told of its interpreter before it is imported.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

import regard
from regard import Attention
from regard.engines.contract import Problem
from regard.engines.gpu import terms
from regard.engines.log_weights import log_sum_exp
from regard.engines.observe import observe
from regard.engines.statistics import Statistics

ROOT = Path(__file__).parent.parent
triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")


def problem_of(mechanism=Attention(), dtype=torch.float32, width=4, queries=3):  # noqa: B008
    query, key = torch.ones(2, 2, queries, width, dtype=dtype), torch.ones(2, 1, 5, width, dtype=dtype)
    return Problem.of(query, key, key, mechanism)


def passes(name: str, **environment: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"tests/{name}.py"]
    given = {**os.environ, **environment}
    done = subprocess.run(command, cwd=ROOT, env=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-10000:] + done.stderr


@triton
@pytest.mark.slow
def test_the_kernel_computes_what_the_streaming_pass_computes():
    passes("gpu_laws", **({} if torch.cuda.is_available() else {"TRITON_INTERPRET": "1"}))


@triton
@pytest.mark.slow
def test_the_kernel_compiles(tmp_path):
    passes("gpu_compiling", TRITON_CACHE_DIR=str(tmp_path))


ones = torch.ones(3, 5, dtype=torch.bool)
REFUSED = {
    "its numbers are float64": problem_of(dtype=torch.float64),
    "its vectors are wider than 256": problem_of(width=257),
    "there are no positions": problem_of(queries=0),
    "its scores are no dot products": problem_of(
        Attention(score=regard.additive(torch.ones(3, 4), torch.ones(3, 4), torch.ones(3)))
    ),
    "the kernel has no mask every 2": problem_of(Attention(mask=regard.dilated(2, dilation=2))),
    "the kernel has no mask ~(causal)": problem_of(Attention(mask=ones & ~regard.causal())),
    "the kernel has no mask (causal | boolean tensor)": problem_of(Attention(mask=regard.causal() | ones)),
    "the kernel has no modifier relative buckets": problem_of(
        Attention(bias=regard.relative_buckets(torch.ones(8, 2)))
    ),
    "a soft cap is not the first of its modifiers": problem_of(
        Attention(modify=(torch.ones(3, 5), regard.soft_cap(3.0)))
    ),
    "it has more than one boolean tensor": problem_of(Attention(mask=ones & regard.causal() & ones)),
    "it adds more than one tensor": problem_of(Attention(mask=ones.float(), bias=ones.float())),
    "it adds float64": problem_of(Attention(mask=ones.double())),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_a_call_that_has_no_terms_is_left_for_a_reason(reason):
    assert terms.unsuited(REFUSED[reason]) == [reason]


def test_every_reason_is_told():
    mechanism = Attention(mask=regard.dilated(2, dilation=2) & ones.double())
    assert len(terms.unsuited(problem_of(mechanism, torch.float64, 300))) == 4


def test_large_numbers_added_to_whole_rows_are_left_to_the_streaming_pass():
    table = torch.zeros(3, 5)
    problem = problem_of(Attention(mask=table))
    assert terms.unsuited(problem, log_sum_exp(problem)) == []
    table[1] = torch.finfo(torch.float32).min
    assert terms.unsuited(problem, log_sum_exp(problem)) == ["it adds large numbers to whole rows"]


def test_on_the_cpu_nothing_goes_to_the_kernel():
    assert terms.against(problem_of()) == ["its tensors lie on cpu, not on CUDA"]


def test_without_triton_nothing_goes_to_the_kernel(monkeypatch):
    monkeypatch.setattr(terms, "_triton", lambda: False)
    monkeypatch.setattr(Problem, "device", torch.device("cuda"))
    assert terms.against(problem_of()) == ["triton is not installed"]


def test_older_gpus_are_left_to_the_streaming_pass(monkeypatch):
    monkeypatch.setattr(terms, "_triton", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    monkeypatch.setattr(Problem, "device", torch.device("cuda"))
    assert terms.against(problem_of()) == ["it takes a GPU of compute capability 8.0; this one has 7.5"]


def test_what_nothing_speaks_against_goes_to_the_kernel(monkeypatch):
    made, sums = Statistics(first=torch.ones(2, 2, 3)), torch.zeros(2, 2, 3)
    stand_in = ModuleType("launch")
    stand_in.summary = lambda problem, lse, wanted, cells: made
    stand_in.log_sum_exp = lambda problem: sums
    monkeypatch.setitem(sys.modules, "regard.engines.gpu.launch", stand_in)
    monkeypatch.setattr("regard.engines.gpu.launch", stand_in, raising=False)
    monkeypatch.setattr(terms, "against", lambda problem, lse=None: [])
    problem = problem_of(Attention(weigh=regard.softmax(sink=0.0)))
    assert observe(problem, sums, ("first",)) is made
    assert torch.equal(log_sum_exp(problem), torch.full((2, 2, 3), 2.0).log())


def test_bands_meet_whichever_end_they_are_aligned_at():
    mask = regard.causal(align="last") & regard.window(50) & regard.padding([3, 4]) & regard.padding([2, 5])
    found = terms.Terms.of(problem_of(Attention(mask=mask)))
    assert found.band == (-3, 2)
    assert found.lengths.tolist() == [2, 4]
    assert (found.allowed, found.added, found.cap) == (None, None, None)
