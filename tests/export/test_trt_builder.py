"""Kernel timings from one build to the next, on a stand-in for TensorRT, which has not been run."""

import sys
from types import ModuleType, SimpleNamespace

import onnx
import pytest

from crossiqa_edge.errors import ArtefactError, BackendError
from crossiqa_edge.export import tensorrt
from crossiqa_edge.export.targets import Options
from crossiqa_edge.export.trt_builder import compile_plan
from crossiqa_edge.export.turing_graph import without_float32_products
from crossiqa_edge.runtime import devices, engine_cache
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.devices import Device

ORIN = Device("Orin", 87)


def silent(stage, share=None):
    pass


class Config:
    """A builder's configuration, whose timing cache is the bytes it was made of."""

    def __init__(self, library):
        self.library, self.cache = library, None

    def add_optimization_profile(self, profile):
        pass

    def create_timing_cache(self, given):
        self.library.given.append(given)
        return SimpleNamespace(content=given, serialize=lambda: memoryview(self.cache.content))

    def set_compute_capability(self, capability, index):
        self.library.capabilities.append((index, capability))

    def set_timing_cache(self, cache, ignore_mismatch):
        self.library.mismatches.append(ignore_mismatch)
        self.cache = cache


class Builder:
    """Times one kernel a build, and writes it into the cache that was set."""

    def __init__(self, library):
        self.library = library

    def create_network(self, flags):
        views = SimpleNamespace(name="views", shape=(-1, 224, 224, 3))
        return SimpleNamespace(get_input=lambda index: views)

    def create_builder_config(self):
        return Config(self.library)

    def create_optimization_profile(self):
        return SimpleNamespace(set_shape=lambda *shapes: None)

    def build_serialized_network(self, network, config):
        if config.cache is not None:
            config.cache.content += b"kernel;"
        return None if self.library.failing else b"plan"


def stand_in(name):
    """The part of the library's API that building takes."""
    library = ModuleType(name)
    library.given, library.mismatches, library.failing = [], [], False
    library.ILogger = library.IProgressMonitor = type("Base", (), {"__init__": lambda base: None})
    library.Builder = lambda logger: Builder(library)
    library.parsed, library.capabilities = [], []
    library.OnnxParser = lambda network, logger: SimpleNamespace(
        parse=lambda graph: library.parsed.append(graph) or True
    )
    library.ComputeCapability = SimpleNamespace(SM75="75", SM80="80", SM86="86")
    library.NetworkDefinitionCreationFlag = SimpleNamespace(STRONGLY_TYPED=1)
    library.ProfilingVerbosity = SimpleNamespace(DETAILED=2)
    library.BuilderFlag = SimpleNamespace()
    return library


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
