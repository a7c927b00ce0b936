"""The memory of measured speeds: found again for the same things only, and never in the way."""

import json
from pathlib import Path

import pytest
from engine_files import engine_bytes, engine_key

from crossiqa_edge.runtime import devices, engine_cache, speeds
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.speeds import Speed, recall, remember

MEASURED = {"one": Speed(120.5, 12.25), "two": None}


@pytest.fixture
def artefact(tiny_onnx):
    return Artefact.open(tiny_onnx)


@pytest.fixture
def file(monkeypatch, tmp_path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "crossiqa" / "speeds.json"


def test_what_is_remembered_is_recalled(artefact, file):
    assert recall(artefact, None) == {}
    remember(artefact, None, MEASURED)
    assert file.is_file()
    assert recall(artefact, None) == MEASURED


def test_it_holds_for_nothing_else(artefact, file, make_onnx, monkeypatch):
    remember(artefact, None, MEASURED)
    assert recall(artefact, 1) == {}
    assert recall(Artefact.open(make_onnx(name="another")), None) == {}
    cpu, cores, instructions = speeds.processor()
    for processor in (
        ("another", cores, instructions),
        (cpu, cores + 1, instructions),
        (cpu, cores, ("new",)),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(speeds, "processor", lambda processor=processor: processor)
            assert recall(artefact, None) == {}
    version = speeds._version
    for library in ("onnxruntime", "onnxruntime-gpu", "openvino", "torch", "triton", "crossiqa-edge"):
        with monkeypatch.context() as patch:
            patch.setattr(
                speeds, "_version", lambda name, new=library: "99" if name == new else version(name)
            )
            assert recall(artefact, None) == {}, library
    assert recall(artefact, None) == MEASURED


def test_it_does_not_hold_for_another_gpu_board_or_library(artefact, file, tmp_path, monkeypatch):
    gpu = tmp_path / "nvidia" / "gpus" / "0000:01:00.0" / "information"
    gpu.parent.mkdir(parents=True)
    monkeypatch.setattr(speeds, "_DRIVER", tmp_path / "nvidia")
    monkeypatch.setattr(speeds, "_BOARD", tmp_path / "model")
    for change in (
        lambda: gpu.write_text("Model: \t A4000\nIRQ: \t 1\n"),
        lambda: gpu.write_text("Model: \t A5000\nIRQ: \t 1\n"),
        lambda: (tmp_path / "model").write_text("Jetson Orin Nano"),
        lambda: (tmp_path / "nvidia" / "version").write_text("NVRM version: 570.86"),
        lambda: monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3"),
        lambda: monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID"),
        lambda: monkeypatch.setattr(devices, "runtime_version", lambda name: "99"),
    ):
        remember(artefact, None, MEASURED)
        change()
        assert recall(artefact, None) == {}
    remember(artefact, None, MEASURED)
    gpu.write_text("Model: \t A5000\nIRQ: \t 2\n")
    assert recall(artefact, None) == MEASURED, "an interrupt's number is no other GPU"


def test_it_does_not_outlive_the_engine_that_was_measured(artefact, file, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))

    def build(plan, **changes):
        key = engine_key(**changes)
        engine_cache.keep(key, engine_bytes(key=key, plan_sha256=plan * 64))

    remember(artefact, None, MEASURED)
    for plan in "12":  # built, and built again
        build(plan, onnx_sha256=artefact.sha256)
        assert recall(artefact, None) == {}
        remember(artefact, None, MEASURED)
    build("3")  # of another model
    awaiting = engine_key(onnx_sha256=artefact.sha256, precision="int8")
    engine_cache.obtain(awaiting, lambda: engine_bytes(key=awaiting, plan_sha256="4" * 64), awaiting=True)
    assert recall(artefact, None) == MEASURED


def test_a_failure_is_remembered_for_a_day_and_a_speed_for_good(artefact, file, monkeypatch):
    now = 1_000_000.0
    monkeypatch.setattr(speeds, "time", lambda: now)
    remember(artefact, None, MEASURED)
    now += 23 * 3600
    assert recall(artefact, None) == MEASURED
    now += 2 * 3600
    assert recall(artefact, None) == {"one": MEASURED["one"]}
    now -= 48 * 3600
    assert recall(artefact, None) == {"one": MEASURED["one"]}, "the clock was put back"


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: "null",
        lambda text: text.replace('"format": 2', '"format": 1'),
        lambda text: text.replace("120.5", '"fast"'),
        lambda text: text.replace("12.25", "NaN"),
        lambda text: json.dumps({"format": 2, "entries": 3}),
        lambda text: "[" * 100_000,
        lambda text: " " * (1 << 18) + text,  # larger than it is ever written
        lambda text: "\udcff",
    ],
)
def test_a_damaged_file_is_as_none_and_is_mended(artefact, file, damage):
    remember(artefact, None, MEASURED)
    file.write_bytes(damage(file.read_text()).encode(errors="surrogateescape"))
    assert recall(artefact, None).get("one") is None
    remember(artefact, None, MEASURED)
    assert recall(artefact, None) == MEASURED


def test_where_it_cannot_be_written_it_is_forgotten(artefact, file):
    file.parent.parent.mkdir()
    file.parent.write_text("a file where the folder should be")
    remember(artefact, None, MEASURED)
    assert recall(artefact, None) == {}


def test_it_does_not_grow_for_ever(artefact, file):
    for threads in range(1, 70):
        remember(artefact, threads, MEASURED)
    assert len(json.loads(file.read_text())["entries"]) == 64
    assert recall(artefact, 1) == {}
    assert recall(artefact, 69) == MEASURED


def test_what_is_measured_again_is_not_the_next_to_be_forgotten(artefact, file):
    for threads in (*range(1, 65), 1, 65):
        remember(artefact, threads, MEASURED)
    assert recall(artefact, 1) == MEASURED
    assert recall(artefact, 2) == {}


def test_one_slow_round_does_not_make_a_slow_backend(monkeypatch):
    now, rounds = 0.0, iter([0.01, 0.5, 0.01])

    class Disturbed:
        def infer(self, views):
            nonlocal now
            now += next(rounds)

    monkeypatch.setattr(speeds, "perf_counter", lambda: now)
    assert speeds.measure({"one": Disturbed()}, [None, None]) == {"one": 5.0}
