"""Timing on a GPU, without one: turns, and what a recording that fails must not leave behind."""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch", reason="the kernel benchmark needs the train extra")
pytest.importorskip("triton", reason="the stand-ins need Triton")

from kernel_stand_ins import Clock  # noqa: E402

from crossiqa_edge.bench.gpu_timing import CudaTimer, take_turns  # noqa: E402

WARM = 3


def test_candidates_take_turns():
    names = {name: (lambda name=name: name) for name in "ab"}
    clock = Clock()
    timings = take_turns(names, clock, rounds=8, calls=2)
    assert [call() for call in clock.timed[2 * WARM :]] == ["a", "a", "b", "b"] * 8
    assert [len(part) for part in timings["a"].rounds] == [2] * 8


@pytest.mark.parametrize(("milliseconds", "calls"), [(0.01, 5), (7.0, 2), (90.0, 1)])
def test_a_round_of_what_takes_long_has_fewer_calls(milliseconds, calls):
    slow, fast = (lambda: "slow"), (lambda: "fast")
    clock = Clock(lambda call: milliseconds if call is slow else 0.01)
    timings = take_turns({"fast": fast, "slow": slow}, clock, rounds=8)
    assert {len(part) for timing in timings.values() for part in timing.rounds} == {calls}


def test_nothing_to_time_is_no_failure():
    assert take_turns({}, Clock(), rounds=8) == {}


class Generator:
    """The default random numbers: a state that graphs hold, and that one which failed spoils."""

    def __init__(self, state):
        self.state = state

    def graphsafe_get_state(self):
        return Generator(self.state)

    def graphsafe_set_state(self, other):
        self.state = other.state

    def clone_state(self):
        return Generator(dict(self.state))


@pytest.fixture
def stand_in_cuda(monkeypatch):
    """As torch 2.14 records: where the end of a recording fails, its stream stays the current one."""
    generator = Generator({"recording": False})
    cuda = SimpleNamespace(stream="main", generator=generator, held=[])

    @contextmanager
    def stream(name):
        before, cuda.stream = cuda.stream, name
        yield
        cuda.stream = before

    class Recording:
        def __init__(self, graph):
            self.graph = graph

        def __enter__(self):
            cuda.before, cuda.stream = cuda.stream, "recording"
            cuda.held.append(generator.state)
            generator.state["recording"] = True

        def __exit__(self, kind, *rest):
            if kind is not None:
                raise RuntimeError("operation failed due to a previous error during capture")
            generator.state["recording"] = False
            cuda.stream = cuda.before

    side = SimpleNamespace(wait_stream=lambda other: None)
    monkeypatch.setattr(torch.cuda, "Stream", lambda: side)
    monkeypatch.setattr(
        torch.cuda,
        "current_stream",
        lambda: SimpleNamespace(name=cuda.stream, wait_stream=lambda other: None),
    )
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "default_generators", (generator,))
    monkeypatch.setattr(torch.cuda, "set_stream", lambda chosen: setattr(cuda, "stream", chosen.name))
    monkeypatch.setattr(torch.cuda, "stream", stream)
    monkeypatch.setattr(torch.cuda, "graph", Recording)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: SimpleNamespace(replay=lambda: "replayed"))
    return cuda


def test_a_recording_replays(stand_in_cuda):
    calls = []
    replay = CudaTimer.__new__(CudaTimer).record(lambda: calls.append(stand_in_cuda.stream))
    assert replay() == "replayed"
    assert calls[-1] == "recording"
    assert stand_in_cuda.stream == "main"


def test_a_recording_that_fails_leaves_stream_and_random_numbers_as_they_were(stand_in_cuda):
    timer = CudaTimer.__new__(CudaTimer)

    def waits():
        if stand_in_cuda.stream == "recording":
            raise RuntimeError("operation not permitted when stream is capturing")

    timer.record(lambda: None)
    with pytest.raises(RuntimeError, match="capture"):
        timer.record(waits)
    assert stand_in_cuda.stream == "main"
    assert stand_in_cuda.generator.state == {"recording": False}
    earlier, failed = stand_in_cuda.held
    assert failed["recording"]
    assert not earlier["recording"]  # or the graph before could not be replayed
