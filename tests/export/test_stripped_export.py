"""Plans without weights, from the export to the scores, on stand-ins for TensorRT's builder and runtime."""

import sys

import numpy as np
import onnx
import pytest
from builder_stand_in import stand_in
from fake_cuda import FakeCuda
from fake_tensorrt import FakeTensorRT
from precisions import int8_graph

from crossiqa_edge.errors import BackendError
from crossiqa_edge.export.building import build_accepted
from crossiqa_edge.export.targets import Options, target
from crossiqa_edge.runtime import devices, engine_cache, tensorrt
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.devices import Device
from crossiqa_edge.runtime.select import open_backend

STRIPPED = Options(strip_weights=True)


def quiet(stage, share=None):
    pass


def mean(views):
    """What the stand-in computes, whatever the weights."""
    return (views.reshape(len(views), -1).mean(1, dtype=np.float64) / 2.55).astype(np.float32)


@pytest.fixture
def gpu(tmp_path, monkeypatch):
    """A machine with TensorRT, whose plans need every constant of the graph that was built last."""
    builder, runtime = stand_in("tensorrt"), FakeTensorRT(FakeCuda())

    def deserialise(plan):
        built = onnx.load_model_from_string(builder.parsed[-1])
        runtime.needs = {item.name for item in built.graph.initializer}
        return loaded(plan)

    loaded, runtime.deserialise = runtime.deserialise, deserialise
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setitem(sys.modules, "tensorrt", builder)
    monkeypatch.setattr("crossiqa_edge.export.trt_builder.device", lambda: Device("Orin", 87))
    monkeypatch.setattr(devices, "device", lambda: Device("Orin", 87))
    monkeypatch.setattr(devices, "runtime_version", lambda name: "10.3.0")
    monkeypatch.setattr(devices, "installed_version", lambda name: "10.3.0")
    monkeypatch.setattr(tensorrt, "find_spec", lambda name: object())
    monkeypatch.setattr(tensorrt, "import_module", lambda name: runtime)
    monkeypatch.setattr(tensorrt, "CudaRuntime", lambda: runtime.cuda)
    return runtime


@pytest.fixture(params=["fp32", "int8"])
def graph(request, micro_export, tmp_path):
    source = Artefact.open(micro_export.onnx)
    path = tmp_path / "graph.onnx"
    path.write_bytes(int8_graph(source) if request.param == "int8" else source.read())
    return Artefact.open(path)


def exported(graph, tmp_path, options=STRIPPED):
    folder = tmp_path / "out"
    folder.mkdir(mode=0o700)
    return build_accepted(graph, target("tensorrt"), folder / "m.engine", options, quiet, reference=mean)


def test_an_engine_without_weights_is_judged_with_those_of_its_graph(gpu, graph, tmp_path):
    built, verdict = exported(graph, tmp_path)
    assert verdict.passed
    assert Artefact.open(built).card.acceptance["passed"]
    assert not gpu.needs
    (entry,) = engine_cache.entries()
    assert (entry.header.stripped, entry.obstacle) == (True, None)


def test_who_opens_the_graph_gets_scores_from_the_engine_without_weights(gpu, graph, tmp_path):
    built, _ = exported(graph, tmp_path)
    views = np.random.default_rng(0).integers(0, 256, (3, 224, 224, 3), np.uint8)
    np.testing.assert_allclose(open_backend(graph, "tensorrt").infer(views), mean(views), rtol=1e-4)
    with pytest.raises(BackendError, match="open the ONNX file"):
        open_backend(Artefact.open(built), "tensorrt")


def test_a_whole_engine_is_judged_by_itself(gpu, graph, tmp_path):
    _, verdict = exported(graph, tmp_path, Options())
    assert verdict.passed
    assert gpu.offered == []
