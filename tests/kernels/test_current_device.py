"""Triton launches on the current device; the launchers make the one of their tensors current.

The tensors are torch's stand-ins, which say that they lie on a GPU and hold nothing.
"""

from contextlib import contextmanager

import pytest
import torch
from test_compile_options import LAUNCHES
from torch._subclasses import FakeTensorMode
from torch.utils._pytree import tree_map_only
from triton.runtime.jit import JITFunction

from crossiqa_edge.kernels import device, persistent
from crossiqa_edge.kernels.device import current_device
from crossiqa_edge.kernels.graph import capture

SECOND = torch.device("cuda", 1)


@pytest.fixture
def current(monkeypatch):
    """The devices that are current, outermost first; the first GPU is, unless somebody says otherwise."""
    stack = [torch.device("cuda", 0)]

    @contextmanager
    def stand_in(place):
        stack.append(place)
        yield
        stack.pop()

    monkeypatch.setattr(torch.cuda, "device", stand_in)
    monkeypatch.setattr(device, "_capability", lambda index: {0: 80, 1: 90}[index])
    monkeypatch.setattr(persistent, "_multiprocessors", lambda place: 4)
    return stack


@pytest.fixture
def seen(current, monkeypatch):
    """The device of every launch, which goes no further."""
    devices = []
    monkeypatch.setattr(JITFunction, "run", lambda kernel, *args, **given: devices.append(current[-1]))
    return devices


def launch_encoder(tokens, parameters):
    return persistent.launch_encoder(tokens, parameters, heads=2, hidden=256)


WITH_PERSISTENT = LAUNCHES | {"persistent": (launch_encoder, torch.ones(1, 50, 64), torch.ones(2, 9))}


@pytest.mark.parametrize("name", WITH_PERSISTENT)
def test_launchers_launch_where_their_tensors_are(name, seen, current):
    launch, *arguments = WITH_PERSISTENT[name]
    with FakeTensorMode() as stand_ins:
        there = tree_map_only(torch.Tensor, lambda x: stand_ins.from_tensor(x).to(SECOND), arguments)
        launch(*there)
    assert seen
    assert set(seen) == {SECOND}
    assert current == [torch.device("cuda", 0)]


def test_a_cpu_has_no_current_device(current):
    with current_device(torch.device("cpu")):
        assert len(current) == 1


def test_graphs_are_recorded_where_their_tensor_is(current, monkeypatch):
    """And on a stream of that device: the one that torch keeps is of whichever device came first."""
    recorded = []

    class Stream:
        def __init__(self, place):
            self.place = place

        def wait_stream(self, other):
            assert other.place == self.place

    class Graph:
        def replay(self):
            raise NotImplementedError

    @contextmanager
    def record(graph, *, stream, capture_error_mode):
        recorded.append((current[-1], stream.place, capture_error_mode))
        yield

    for name, stand_in in {
        **{"Stream": Stream, "current_stream": Stream, "stream": lambda stream: current_device(stream.place)},
        **{"CUDAGraph": Graph, "graph": record},
    }.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    with FakeTensorMode():
        capture(lambda x: 2 * x, torch.ones(3, device=SECOND))
    # "global" would fail what other threads allocate meanwhile, and end the recording
    assert recorded == [(SECOND, SECOND, "thread_local")]
