"""The table of targets: what makes no sense is refused before any work, with what would make sense."""

import pytest

from crossiqa_edge.errors import BackendError, ConfigError
from crossiqa_edge.export.targets import PRECISIONS, TARGETS, Options, check, target
from crossiqa_edge.runtime import devices
from crossiqa_edge.runtime.devices import Device
from crossiqa_edge.runtime.select import BACKENDS

trt_builder = pytest.importorskip("crossiqa_edge.export.trt_builder", reason="needs the export extra")


@pytest.fixture
def machine(monkeypatch):
    """``machine(None)``: both libraries and no GPU; ``machine(Device("name", 86))`` has one."""

    def make(gpu):
        monkeypatch.setattr(devices, "installed_version", lambda name: "1.0")
        for home in (devices, trt_builder):
            monkeypatch.setattr(home, "device", lambda: gpu)

    return make


@pytest.mark.parametrize(
    ("name", "hint"),
    [("tensort", "did you mean 'tensorrt'"), ("open-vino", "'openvino'"), ("zzz", "choose from onnx")],
)
def test_an_unknown_target_is_told_the_nearest(name, hint):
    with pytest.raises(ConfigError, match=hint):
        target(name)


@pytest.mark.parametrize(
    ("precision", "hint"), [("fp61", "'fp16'"), ("int4", "'int8'"), ("x", "choose from fp32")]
)
def test_an_unknown_precision_is_told_the_nearest(precision, hint):
    with pytest.raises(ConfigError, match=hint):
        check(target("onnx"), precision, Options())


def test_every_combination_is_either_made_or_refused_with_one_that_is_made(machine):
    machine(Device("any", 86))
    for row in TARGETS.values():
        assert row.precisions
        for precision in PRECISIONS:
            if precision in row.precisions:
                check(row, precision, Options())
            else:
                with pytest.raises(ConfigError, match=f"use --precision {row.precisions[0]}$"):
                    check(row, precision, Options())


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("onnx", Options(workspace=512), "--workspace; tensorrt"),
        ("openvino", Options(dla=0), "--dla; tensorrt has"),
        ("tensorrt", Options(compute_capabilities=(86,)), "--compute-capabilities; tensorrt-rtx has"),
        ("triton-server", Options(strip_weights=True), "--strip-weights"),
    ],
)
def test_an_option_that_the_target_has_no_use_for_is_refused_with_who_has(name, options, words):
    with pytest.raises(ConfigError, match=words):
        check(target(name), "int8", options)


@pytest.mark.parametrize("name", devices.RUNTIMES)
def test_a_builder_that_is_not_installed_is_named_before_any_work(name, monkeypatch):
    monkeypatch.setattr(devices, "runtime_version", lambda name: None)
    with pytest.raises(BackendError, match=rf"pip install 'crossiqa-edge\[{name}\]'"):
        check(target(name), "fp16", Options())


def test_tensorrt_without_a_gpu_is_refused_with_the_ways_round(machine):
    machine(None)
    with pytest.raises(BackendError, match="--to tensorrt-rtx builds without one, `crossiqa bundle`"):
        check(target("tensorrt"), "fp16", Options())
    check(target("tensorrt-rtx"), "fp16", Options())


@pytest.mark.parametrize(
    ("precision", "capabilities", "words"),
    [
        ("fp16", (70,), "does not build for 70; choose from 75, 80"),
        ("fp32", (75, 86), r"Turing \(75\) takes another graph than others; build for it alone"),
    ],
)
def test_architectures_that_cannot_be_built_for_are_refused(machine, precision, capabilities, words):
    machine(None)
    with pytest.raises(ConfigError, match=words):
        check(target("tensorrt-rtx"), precision, Options(compute_capabilities=capabilities))
    for possible in ((75,), (80, 86)):
        check(target("tensorrt-rtx"), precision, Options(compute_capabilities=possible))


def test_a_gpu_that_tensorrt_for_rtx_does_not_build_for_is_refused(machine):
    machine(Device("Orin", 87))
    with pytest.raises(ConfigError, match="does not build for 87"):
        check(target("tensorrt-rtx"), "fp16", Options())


def test_weights_are_stripped_where_there_is_a_gpu_only(machine):
    machine(None)
    with pytest.raises(ConfigError, match=r"--strip-weights: .*; leave it out"):
        check(target("tensorrt-rtx"), "fp16", Options(strip_weights=True))
    machine(Device("RTX", 89))
    check(target("tensorrt-rtx"), "fp16", Options(strip_weights=True))


def test_the_accelerator_is_refused_in_float32():
    with pytest.raises(ConfigError, match="use --precision fp16"):
        check(target("tensorrt"), "fp32", Options(dla=0))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"opt_batch": 0}, "--opt-batch 0: a batch has at least one view"),
        ({"max_batch": 4}, "--max-batch 4 is below --opt-batch, the fastest, which is 8: lower that too"),
        ({"max_batch": 65537}, "a batch of 65537; give at most 65536"),
        ({"workspace": 0}, "a workspace of 0 MiB; give 1 to 16777216"),
        ({"workspace": 99999999999999}, "give 1 to 16777216"),
        ({"dla": -1}, "--dla -1: accelerators are numbered from 0"),
    ],
)
def test_options_that_no_machine_can_have_are_refused(values, words):
    with pytest.raises(ConfigError, match=words):
        Options(**values)


def test_the_largest_options_fit_into_the_builders_integers():
    largest = Options(workspace=16777216, max_batch=65536)
    assert largest.workspace << 20 < 1 << 63
    assert largest.max_batch < 1 << 31


def test_what_a_target_makes_is_run_by_a_backend_that_there_is():
    assert {row.backend for row in TARGETS.values()} <= set(BACKENDS)
