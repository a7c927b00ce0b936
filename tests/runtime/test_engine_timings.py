"""Kernel timings that a build leaves are for the next one on the same GPU, with the same library."""

import pytest

from crossiqa_edge.runtime import devices, engine_cache
from crossiqa_edge.runtime.devices import Device


@pytest.fixture
def orin(monkeypatch):
    """A GPU and a library that there are not."""
    monkeypatch.setattr(devices, "device", lambda: Device("Orin", 87))
    monkeypatch.setattr(devices, "runtime_version", lambda name: "10.3")


@pytest.mark.parametrize(
    ("change", "value"),
    [("device", lambda: Device("A4000", 86)), ("runtime_version", lambda name: "10.4")],
    ids=["another GPU", "another version"],
)
def test_they_are_of_no_use_to_another_gpu_or_library(orin, monkeypatch, change, value):
    engine_cache.keep_timings("tensorrt", b"timed")
    assert engine_cache.timings("tensorrt") == b"timed"
    assert engine_cache.timings("tensorrt-rtx") is None
    monkeypatch.setattr(devices, change, value)
    assert engine_cache.timings("tensorrt") is None
