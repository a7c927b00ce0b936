"""Nested phases become one share that never falls."""

import signal

import pytest

from crossiqa_edge.errors import BackendError
from crossiqa_edge.export.trt_progress import Phases, interruptible


@pytest.fixture
def told():
    return []


@pytest.fixture
def phases(told):
    return Phases(lambda stage, share=None: told.append((stage, share)))


def test_steps_of_a_child_count_within_its_parents_step(phases, told):
    phases.start("build", None, 4)
    phases.step("build", 0)  # a quarter is done
    phases.start("tune", "build", 2)
    phases.step("tune", 0)  # and half of the second quarter
    assert told[-1] == ("TensorRT: build", pytest.approx(0.25 + 0.125))
    phases.finish("tune")
    phases.step("build", 1)
    assert told[-1][1] == pytest.approx(0.5)
    phases.finish("build")
    assert told[-1][1] == 1


def test_the_share_never_falls_and_stays_within_one(phases, told):
    phases.start("build", None, 2)
    for _ in range(3):  # the same name again, as TensorRT does
        phases.start("tune", "build", 1)
        phases.step("tune", 5)
        phases.finish("tune")
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert 0 <= min(shares) <= max(shares) <= 1


def test_another_tree_starts_at_nothing(phases, told):
    phases.start("one", None, 1)
    phases.finish("one")
    phases.start("two", None, 1)
    assert told[-1] == ("TensorRT: two", 0)


def test_unknown_phases_do_no_harm(phases):
    phases.finish("never started")
    assert phases.step("never started", 3)


def test_an_interrupt_ends_the_build_instead_of_flying_through_it():
    def interrupted(stage, share=None):
        raise KeyboardInterrupt

    phases = Phases(interrupted)
    phases.start("build", None, 2)
    assert phases.interrupted
    assert phases.step("build", 0) is False


@pytest.fixture(params=[signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def raising(request):
    """A signal that raises KeyboardInterrupt, as in the command line."""
    before = signal.signal(request.param, signal.default_int_handler)
    yield request.param
    signal.signal(request.param, before)


def test_a_signal_is_noted_and_raised_once_the_build_is_over(phases, raising):
    """Raised within a callback, such as the builder's log, native code would drop it and build on."""
    noted = []
    with pytest.raises(KeyboardInterrupt), interruptible(phases):
        signal.raise_signal(raising)
        noted.append(phases.step("build", 0))
    assert noted == [False]
    assert signal.getsignal(raising) is signal.default_int_handler


def test_a_build_that_failed_for_the_interrupt_is_an_interrupted_one(phases, raising):
    with pytest.raises(KeyboardInterrupt), interruptible(phases):
        signal.raise_signal(raising)
        raise BackendError("could not build a plan")


def test_other_failures_stay_what_they_are(phases):
    with pytest.raises(BackendError), interruptible(phases):
        raise BackendError("could not build a plan")


def test_a_signal_that_is_ignored_stays_ignored(phases):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruptible(phases):
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert not phases.interrupted
