"""Kernel timings from one build to the next, on a stand-in for TensorRT, which has not been run."""

import signal
import sys
from contextlib import suppress

import onnx
import pytest
from builder_stand_in import Builder, stand_in
from precisions import int8_graph

from crossiqa_edge.errors import ArtefactError, BackendError
from crossiqa_edge.export import tensorrt
from crossiqa_edge.export.targets import Options
from crossiqa_edge.export.trt_builder import compile_plan, graph_of_plan
from crossiqa_edge.export.turing_graph import without_float32_products
from crossiqa_edge.runtime import devices, engine_cache
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.devices import Device
from crossiqa_edge.runtime.stripped_plan import part, refit_model

ORIN = Device("Orin", 87)


def silent(stage, share=None):
    pass


@pytest.fixture
def library(monkeypatch, tmp_path):
    """TensorRT, as if it were installed beside a GPU."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(devices, "device", lambda: ORIN)
    monkeypatch.setattr(devices, "runtime_version", lambda name: "10.3.0")
    library = stand_in("tensorrt")
    monkeypatch.setitem(sys.modules, "tensorrt", library)
    return library


def test_timings_go_into_the_builders_cache_and_come_back_with_the_plan(library, tiny_onnx):
    graph = tiny_onnx.read_bytes()
    first = compile_plan("tensorrt", graph, Options(), silent)
    again = compile_plan("tensorrt", graph, Options(), silent, timings=first.timings)
    assert library.given == [b"", b"kernel;"]
    assert (first.timings, again.timings) == (b"kernel;", b"kernel;kernel;")
    assert library.mismatches == [False, False], (
        "timings of another GPU or version are the library's to refuse"
    )


def test_ctrl_c_is_not_lost_in_the_builder(library, tiny_onnx, monkeypatch):
    def build(builder, network, config):
        with suppress(KeyboardInterrupt):  # as native code does with what its log raises
            signal.raise_signal(signal.SIGINT)
        return b"plan"

    monkeypatch.setattr(Builder, "build_serialized_network", build)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's "&" switches off
    try:
        with pytest.raises(KeyboardInterrupt):
            compile_plan("tensorrt", tiny_onnx.read_bytes(), Options(), silent)
    finally:
        signal.signal(signal.SIGINT, before)


def test_what_one_build_timed_is_kept_for_the_next(library, tiny_onnx, tmp_path):
    source = Artefact.open(tiny_onnx)
    assert engine_cache.timings("tensorrt") is None
    for batch in (8, 16):  # other options, so that it is built anew
        tensorrt.build(source, tmp_path / f"{batch}.engine", Options(max_batch=batch), silent)
    assert library.given == [b"", b"kernel;"]
    assert engine_cache.timings("tensorrt") == b"kernel;kernel;"
    tensorrt.build(source, tmp_path / "same.engine", Options(max_batch=16), silent)
    assert len(library.given) == 2, "that engine was in the cache"


def test_another_gpu_or_version_begins_without_timings(library, tiny_onnx, tmp_path, monkeypatch):
    source = Artefact.open(tiny_onnx)
    tensorrt.build(source, tmp_path / "orin.engine", Options(), silent)
    monkeypatch.setattr(devices, "device", lambda: Device("Thor", 110))
    tensorrt.build(source, tmp_path / "thor.engine", Options(), silent)
    monkeypatch.setattr(devices, "runtime_version", lambda name: "10.4.0")
    tensorrt.build(source, tmp_path / "later.engine", Options(), silent)
    assert library.given == [b"", b"", b""]


def test_a_build_that_fails_keeps_no_timings(library, tiny_onnx, tmp_path):
    library.failing = True
    with pytest.raises(BackendError, match="could not build a plan"):
        tensorrt.build(Artefact.open(tiny_onnx), tmp_path / "x.engine", Options(), silent)
    assert engine_cache.timings("tensorrt") is None


def test_tensorrt_for_rtx_times_nothing(library, tiny_onnx, monkeypatch):
    rtx = stand_in("tensorrt_rtx")
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", rtx)
    plan = compile_plan("tensorrt-rtx", tiny_onnx.read_bytes(), Options(), silent, timings=b"of another")
    assert (plan.timings, rtx.given) == (None, [])


@pytest.mark.parametrize(("capabilities", "changed"), [((75,), True), ((86,), False), ((80, 86), False)])
def test_turing_alone_takes_the_graph_without_float32_products(
    library, micro_export, monkeypatch, capabilities, changed
):
    rtx = stand_in("tensorrt_rtx")
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", rtx)
    graph = micro_export.onnx.read_bytes()
    compile_plan("tensorrt-rtx", graph, Options(compute_capabilities=capabilities), silent)
    assert rtx.parsed == [without_float32_products(graph) if changed else graph]
    assert rtx.capabilities == [(index, str(one)) for index, one in enumerate(capabilities)]


def test_a_layer_of_another_shape_is_told_with_the_files_name(library, micro_export, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", stand_in("tensorrt_rtx"))
    model = onnx.load(micro_export.onnx)
    del next(node for node in model.graph.node if node.op_type == "Gemm").input[2]
    options = Options(compute_capabilities=(75,))
    with pytest.raises(ArtefactError, match=r"^my\.onnx: node 'embedding\.0' is a Gemm without"):
        compile_plan("tensorrt-rtx", model.SerializeToString(), options, silent, where="my.onnx")


def test_tensorrt_for_rtx_is_asked_for_plans_that_can_be_captured(library, tiny_onnx, monkeypatch):
    rtx = stand_in("tensorrt_rtx")
    rtx.BuilderFlag.REQUIRE_USER_ALLOCATION = "our memory"
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", rtx)
    for runtime in ("tensorrt-rtx", "tensorrt"):  # the latter has no such flag
        compile_plan(runtime, tiny_onnx.read_bytes(), Options(), silent)
    assert (rtx.flags, library.flags) == (["our memory"], [])


def test_what_the_builder_is_always_asked_for_is_part_of_an_engines_key(library, tiny_onnx, monkeypatch):
    source = Artefact.open(tiny_onnx)
    keys = []
    for revision in (1, 2):
        monkeypatch.setattr(tensorrt, "REVISION", revision)
        keys.append(tensorrt.engine_key("tensorrt", source, Options(), (87,)))
    assert keys[0].recipe != keys[1].recipe


def constants(model):
    found = {item.name: item.SerializeToString() for item in model.graph.initializer}
    assert len(found) == len(model.graph.initializer), "a refitter takes the first of two with one name"
    return found


@pytest.mark.parametrize(
    ("precision", "runtime", "capabilities", "rewritten"),
    [
        ("fp32", "tensorrt", (), False),
        ("int8", "tensorrt", (), True),
        ("int8", "tensorrt-rtx", (75, 86), True),
        ("fp32", "tensorrt-rtx", (75,), True),
    ],
)
def test_every_weight_of_the_graph_that_was_built_is_offered_to_the_refitter(
    library, micro_export, monkeypatch, precision, runtime, capabilities, rewritten
):
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", stand_in("tensorrt_rtx"))
    monkeypatch.setattr("crossiqa_edge.export.trt_builder.device", lambda: ORIN)
    source = Artefact.open(micro_export.onnx)
    graph = int8_graph(source) if precision == "int8" else source.read()
    options = Options(strip_weights=True, compute_capabilities=capabilities)
    plan, beside = part(compile_plan(runtime, graph, options, silent).data, "x.engine")
    assert (plan, bool(beside)) == (b"plan", rewritten)
    built = graph_of_plan(graph, runtime, options)
    assert sys.modules[runtime.replace("-", "_")].parsed == [built]
    needed = constants(onnx.load_model_from_string(built))
    offered = constants(onnx.load_model_from_string(refit_model(graph, beside)))
    assert needed.items() <= offered.items()
    assert len(needed) > 20
