import os
import signal
import threading

import pytest

from crossiqa_edge.training.loop import _stop_requests, _until_stopped


def dying(batches):
    """Batches of a loader whose worker is killed after them."""
    yield from batches
    raise RuntimeError("DataLoader worker is killed by signal: Terminated")


def test_batches_end_after_the_one_in_hand_when_a_stop_is_asked_for():
    stop, seen = threading.Event(), []
    for batch in _until_stopped(range(5), stop):
        seen.append(batch)
        if batch == 2:
            stop.set()
    assert seen == [0, 1, 2]


def test_a_worker_that_the_same_signal_ended_ends_the_batches():
    stop = threading.Event()

    def batches():
        yield 0
        stop.set()  # while the next batch is awaited
        yield from dying([])

    assert list(_until_stopped(batches(), stop)) == [0]


def test_a_worker_that_dies_by_itself_is_an_error():
    with pytest.raises(RuntimeError, match="killed"):
        list(_until_stopped(dying([0]), threading.Event()))


def test_signals_ask_for_a_stop():
    with _stop_requests() as requested:
        os.kill(os.getpid(), signal.SIGTERM)
        assert requested.is_set()


def test_handlers_are_given_back():
    before = signal.getsignal(signal.SIGTERM)
    with _stop_requests():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
