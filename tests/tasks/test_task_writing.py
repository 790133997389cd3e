"""Files of a run are written whole or not at all, and what is wrong with the disk is said."""

import os
import re
import resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from regard.errors import ReportError, TaskError
from regard.reports.writing import check_writable
from regard.tasks.training.state import State, read_state, write_state
from regard.tasks.training.weights import read_weights, write_weights
from regard.writing import write_whole, written_whole

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


def test_threads_that_write_one_file_do_not_meet(tmp_path):
    contents = [letter * 100_000 for letter in (b"a", b"b", b"c")]
    with ThreadPoolExecutor(3) as several:
        list(several.map(lambda content: write_whole(tmp_path / "file", content, TaskError), contents * 20))
    assert (tmp_path / "file").read_bytes() in contents
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_a_file_keeps_its_permissions_and_links_stay_links(tmp_path):
    (tmp_path / "file").touch(mode=0o600)
    (tmp_path / "link").symlink_to("file")
    write_whole(tmp_path / "link", b"new", TaskError)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"new"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


def test_a_pipe_is_written_to(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor(1) as reader:
        read = reader.submit((tmp_path / "pipe").read_bytes)
        write_whole(tmp_path / "pipe", b"through", TaskError)
        assert read.result() == b"through"


def test_places_that_cannot_be_are_said(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    for path in (tmp_path / "loop", tmp_path, Path("/"), Path("a\0b")):
        with pytest.raises(TaskError, match="cannot write"):
            write_whole(path, b"", TaskError)
        with pytest.raises(ReportError):
            check_writable(path)
