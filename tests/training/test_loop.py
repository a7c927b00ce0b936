import os
import signal

import pytest

from crossiqa_edge.training.loop import _stop_requests


def test_a_worker_that_the_same_signal_ended_is_no_error_of_its_own():
    with pytest.raises(KeyboardInterrupt), _stop_requests() as requested:
        os.kill(os.getpid(), signal.SIGTERM)
        assert requested.is_set()
        raise RuntimeError("DataLoader worker is killed by signal: Terminated")


def test_a_worker_that_dies_by_itself_is_an_error():
    with pytest.raises(RuntimeError, match="killed"), _stop_requests():
        raise RuntimeError("DataLoader worker is killed by signal: Killed")


def test_handlers_are_given_back():
    before = signal.getsignal(signal.SIGTERM)
    with _stop_requests():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
