"""Copies to a device and its memory, on a device made of ordinary memory."""

import time

import numpy as np
import pytest
from fake_cuda import FakeCuda, MeanEngine

from crossiqa_edge.bench import child
from crossiqa_edge.bench.device import device_peak, host_to_device_ms
from crossiqa_edge.bench.point import Point
from crossiqa_edge.errors import BackendError
from crossiqa_edge.runtime.plan_runner import PlanRunner
from crossiqa_edge.runtime.scorer import Scorer

SIZE = 16


class SlowCuda(FakeCuda):
    """Takes five milliseconds until a copy has arrived."""

    def synchronise(self, stream):
        time.sleep(0.005)
        super().synchronise(stream)


class WatchedCuda(FakeCuda):
    """Knows how often its memory was looked at."""

    looks = 0

    def memory(self):
        self.looks += 1
        return super().memory()

    def wait_for_a_look(self):
        before, start = self.looks, time.monotonic()
        while self.looks < before + 2:  # one may have begun already
            assert time.monotonic() - start < 30
            time.sleep(0.001)


class OnGpu:
    """A backend over the runner of engines."""

    device = "A GPU"

    def __init__(self, cuda):
        self.engine = MeanEngine(cuda, SIZE)
        self.runner = PlanRunner(cuda, self.engine, (1, 4, 4), SIZE)

    def upload(self, views):
        self.runner.upload(views)


def test_a_copy_is_waited_for_and_nothing_is_computed():
    backend = OnGpu(SlowCuda())
    views = np.zeros((6, SIZE, SIZE, 3), np.uint8)
    assert 10 <= host_to_device_ms(backend, views) < 1000  # two batches
    assert backend.engine.contexts == []


def test_a_cpu_has_no_copies(tiny_onnx):
    with Scorer.load(tiny_onnx, backend="onnxruntime") as scorer:
        assert host_to_device_ms(scorer.backend, np.zeros((1, 224, 224, 3), np.uint8)) is None


def test_the_peak_is_what_was_in_use_at_most_also_where_it_was_given_back():
    cuda = WatchedCuda()
    cuda.allocate(5_000)  # by somebody else, before
    with device_peak(lambda: cuda) as peak:
        cuda.allocate(300_000)
        cuda.wait_for_a_look()
        cuda.used -= 300_000
        cuda.allocate(1_000)
    assert peak.used == 300_000
    assert cuda.closed


def test_what_is_in_use_at_the_end_counts_too(monkeypatch):
    monkeypatch.setattr("crossiqa_edge.bench.device._PERIOD", 1000)
    cuda = FakeCuda()
    with device_peak(lambda: cuda) as peak:
        cuda.allocate(1_000)
    assert peak.used == 1_000


def test_without_a_device_there_is_no_figure():
    def none():
        raise BackendError("CUDA: cudaMemGetInfo failed with cudaErrorNoDevice")

    with device_peak(none) as peak:
        pass
    assert peak.used is None


@pytest.mark.parametrize(("device", "starts"), [("cpu", 1), ("cuda", 2)])
def test_device_memory_takes_a_start_of_its_own_and_a_cpu_none(monkeypatch, device, starts):
    """Asking CUDA makes its context, whose time must not be missing from a cold start."""
    told = []

    def run(point, picture, memory):
        told.append(memory)
        figures = {"import_ms": 1.0, "open_ms": 2.0, "first_ms": 3.0, "peak_rss_mb": 9.0}
        return {**figures, "open_ms": 0.5, "peak_device_mb": 42.0} if memory else figures

    monkeypatch.setattr(child, "_run", run)
    found = child.cold_start(Point("nano", "onnxruntime"), b"", device)
    assert told == [False, True][:starts]
    assert found["open_ms"] == 2.0
    assert found["peak_device_mb"] == (None if device == "cpu" else 42.0)
