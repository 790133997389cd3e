"""Work shared among threads: done once each, errors come out, torch's own settings stay, forks begin anew."""

import os
import sys
import threading

import pytest
import torch

from regard.engines.workers import share


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_every_piece_is_worked_once():
    done = torch.zeros(100)

    def work(piece: int) -> None:
        done[piece] += 1

    share(work, range(100), worthwhile=True)
    assert bool((done == 1).all())


@pytest.mark.usefixtures("two_threads")
def test_each_thread_computes_alone_and_the_callers_threads_stay():
    seen = []
    share(lambda piece: seen.append((torch.get_num_threads(), torch.is_grad_enabled())), range(8), worthwhile=True)
    assert set(seen) == {(1, False)}
    assert torch.get_num_threads() == 2
    fresh = []
    thread = threading.Thread(target=lambda: fresh.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert fresh == [2]


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("worthwhile", [True, False])
def test_an_error_comes_out(worthwhile):
    def work(piece: int) -> None:
        if piece == 5:
            raise ValueError("piece 5")

    with pytest.raises(ValueError, match="piece 5"):
        share(work, range(8), worthwhile=worthwhile)


def test_work_that_is_not_worth_it_stays_in_its_thread():
    threads = []
    share(lambda piece: threads.append(threading.get_ident()), range(4), worthwhile=False)
    assert set(threads) == {threading.get_ident()}


@pytest.mark.usefixtures("two_threads")
@pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="no processes are forked here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_begins_anew():
    share(lambda piece: None, range(4), worthwhile=True)
    child = os.fork()
    if child == 0:
        done: list[int] = []
        share(done.append, range(4), worthwhile=True)
        os._exit(0 if sorted(done) == [0, 1, 2, 3] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
