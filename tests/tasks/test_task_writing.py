"""Files of a run are written whole or not at all, and what is wrong with the disk is said."""

import re
import resource

import pytest
import torch

from regard.errors import TaskError
from regard.tasks.training.state import State, read_state, write_state
from regard.tasks.training.weights import read_weights, write_weights
from regard.writing import written_whole

WEIGHTS = {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor([1, 2])}


def test_nothing_but_the_file_is_left(tmp_path):
    for content in (b"old", b"new"):
        with written_whole(tmp_path / "file", TaskError) as file:
            file.write(content)
            assert (tmp_path / "file").exists() == (content == b"new")
        assert (tmp_path / "file").read_bytes() == content
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def interrupted(file):
    file.write(b"half of the n")
    raise KeyboardInterrupt


def test_what_ends_early_leaves_the_old(tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), written_whole(tmp_path / "file", TaskError) as file:
        interrupted(file)
    assert (tmp_path / "file").read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


@pytest.mark.parametrize(
    "write",
    [
        lambda path: write_weights(path, WEIGHTS),
        lambda path: write_state(path, State(update=3), WEIGHTS, {"step": 1}),
    ],
)
def test_a_place_that_cannot_be_written_is_said(write, tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "none" / "a", tmp_path / "file" / "a"):
        with pytest.raises(TaskError, match=re.escape(f"cannot write {path}: ")):
            write(path)


@pytest.mark.parametrize("share", [0, 0.01, 0.2, 0.5, 0.9, 0.99])
def test_a_full_disk_is_said_and_leaves_the_old(share, tmp_path):
    path = tmp_path / "state"
    weights = {str(number): torch.randn(20, 20) for number in range(9)}
    write_state(path, State(update=3), weights, {})
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(share * len(before)), limits[1]))
    try:
        with pytest.raises(TaskError, match=r"cannot write .*: File too large"):
            write_state(path, State(update=4), weights, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == before


def test_what_was_written_is_read(tmp_path):
    write_weights(tmp_path / "weights", WEIGHTS)
    write_state(tmp_path / "state", State(update=3, loss=torch.tensor(0.5)), WEIGHTS, {"step": 1})
    state, weights, optimizer = read_state(tmp_path / "state")
    assert (state, optimizer) == (State(update=3, loss=0.5), {"step": 1})
    for found in (weights, read_weights(tmp_path / "weights")):
        assert found.keys() == WEIGHTS.keys()
        assert all(torch.equal(found[name], tensor) for name, tensor in WEIGHTS.items())
