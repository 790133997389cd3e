"""The laws of merging: several batches say together what each says by itself, in one process or from several."""

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import regard
from regard import Record, merge, watch
from regard.engines.statistics import STATISTICS
from regard.errors import NotKeptError, RecordError
from regard.mechanisms.masks.tensors import TensorMask
from tests import dense, models, records
from tests.records import HOW
from tests.test_generation import build, prompt, watched_generation


@pytest.mark.parametrize("name", sorted(HOW))
def test_batches_say_together_what_they_say_alone(name: str) -> None:
    parts = [records.seen(name, seed=seed, batch=batch) for seed, batch in ((0, 2), (1, 1), (2, 3))]
    whole = merge(parts)[""]

    def put_together(of: Callable[[Any], Tensor]) -> Tensor:
        return torch.cat([of(part[""]) for part in parts])

    assert whole.sizes.batch == 6
    for of in (
        lambda site: site.entropy,
        lambda site: site.received,
        lambda site: site.received_max,
        lambda site: site.distance.spread.nan_to_num(9),
        lambda site: site.first,
        lambda site: site.map().max,
        lambda site: site.mass("some"),
        lambda site: site.gradient,
        lambda site: site.values,
        lambda site: site.visible(),
    ):
        assert torch.equal(of(whole), put_together(of))
    for of in (
        lambda site: site.weights(),
        lambda site: site.mass([0, 2]),
        lambda site: site.diagonal(1),
        lambda site: site.map(4).mean,
        lambda site: site.top(2).weights,
    ):
        dense.close(of(whole), put_together(of))
    wanted = put_together(lambda site: site.weights())
    dense.close(whole.rows([3, 0]), wanted[:, :, [3, 0]])


@torch.no_grad()
def test_a_model_seen_in_two_batches_is_as_seen_in_one() -> None:
    family = models.FAMILIES["bert padded"]
    model, inputs = family.build("sdpa"), family.inputs()
    with watch(model) as one:
        model(**inputs)
    parts = []
    for item in range(2):
        with watch(model) as seen:
            model(**{name: tensor[item : item + 1] for name, tensor in inputs.items()})
        parts.append(seen)
    whole = merge(parts)
    assert whole.coverage.paths == one.coverage.paths
    assert whole.coverage.calls == 2 * one.coverage.calls
    for got, wanted in zip(whole, one, strict=True):
        dense.close(got.weights(), wanted.weights())
        dense.close(got.received, wanted.received)


def test_masks_of_tensors_stay_one_tensor() -> None:
    whole = merge([records.seen("boolean"), records.seen("boolean", seed=1)])[""]
    assert whole.kept is not None
    assert isinstance(whole.kept.problem.mask, TensorMask)


@pytest.mark.parametrize("before", [True, False], ids=["joined first", "merged first"])
def test_generations_merge(before: bool) -> None:
    model = build("gpt2")
    parts = [watched_generation(model, *prompt(padded=True, seed=seed))[1] for seed in (1, 2)]
    whole = merge([part.joined() for part in parts]) if before else merge(parts).joined()
    for path in ("transformer.h.0.attn", "transformer.h.1.attn"):
        sites = [part.joined()[path] for part in parts]
        dense.close(whole[path].weights(), torch.cat([site.weights() for site in sites]))
        dense.close(whole[path].entropy, torch.cat([site.entropy for site in sites]))


def test_one_record_is_itself() -> None:
    seen = records.seen("plain")
    assert merge([seen]).sites == seen.sites


def test_what_one_record_did_not_keep_the_whole_does_not_have() -> None:
    bare = records.seen("plain", want=STATISTICS)
    whole = merge([records.seen("plain"), bare])[""]
    assert whole.entropy.shape[0] == 4
    with pytest.raises(NotKeptError, match="not every record that was merged"):
        whole.weights()


def longer() -> Record:
    """Return the record of a call of another length."""
    q = torch.randn(2, 4, 5, 4)
    with watch(want=records.EVERYTHING, sets={"some": [1, 4]}) as seen:
        regard.attend(q, q, q)
    return seen


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (longer, "key_heads of .*: 4, and 2 in record 0"),
        (lambda: records.seen("plain", want=("entropy",)), "statistics of"),
        (lambda: records.seen("plain", sets={"some": [2]}), "sets: {'some': \\[2\\]}, and {'some': \\[1, 4\\]}"),
        (lambda: records.seen("plain", cells=3), "cells of .*: 3, and 64"),
        (lambda: records.seen("plain", dtype=torch.float64), "dtype of .*: torch.float64"),
        (lambda: records.seen("plain").select(queries=[1, 3]), "queries of .*: 2, and 7"),
        (lambda: records.seen("scale"), "mechanisms that differ in masks and biases at most; score differs"),
        (lambda: records.seen("sink"), "weigh differs"),
        (lambda: records.seen("bias"), "some have more modifiers"),
        (lambda: Record(), "sites: 0, and 1"),
    ],
)
def test_the_first_difference_is_named(other: Callable[[], Record], message: str) -> None:
    with pytest.raises(RecordError, match=message):
        merge([records.seen("plain"), other()])


def test_nothing_cannot_be_merged() -> None:
    with pytest.raises(RecordError, match="at least one"):
        merge([])


# Several processes.

WORKER = """
import sys, torch, regard
import torch.distributed as dist
from tests import records
rank, port, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3]
dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
own = records.seen("padding", seed=rank, batch=1 + rank)
own.save(f"{folder}/{rank}.safetensors")
regard.gather(own).save(f"{folder}/gathered{rank}.safetensors")
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_records_of_two_processes_are_gathered_by_both(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    root = Path(__file__).parent.parent
    command = [sys.executable, "-c", WORKER]
    workers = [
        subprocess.Popen([*command, str(rank), port, str(tmp_path)], cwd=root, stderr=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    errors = [worker.communicate(timeout=170)[1] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], errors
    wanted = merge(regard.load_record(tmp_path / f"{rank}.safetensors") for rank in range(2))
    assert wanted[""].sizes.batch == 3
    for rank in range(2):
        gathered = regard.load_record(tmp_path / f"gathered{rank}.safetensors")
        records.identical(gathered.sites, wanted.sites)
        assert gathered.coverage == wanted.coverage


def test_gathering_needs_processes() -> None:
    with pytest.raises(RecordError, match="init_process_group"):
        regard.gather(records.seen("plain"))
