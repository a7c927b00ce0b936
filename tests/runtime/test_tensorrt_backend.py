"""What of the TensorRT backends can be known without a GPU: obstacles, bindings, errors, and the calls."""

from types import SimpleNamespace

import numpy as np
import pytest
from engine_files import PLAN, engine_bytes, engine_key
from fake_cuda import FakeCuda, MeanContext

from crossiqa_edge.errors import ArtefactError, BackendError
from crossiqa_edge.runtime import devices, engine_cache, tensorrt, tensorrt_rtx
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.backend import Uploading
from crossiqa_edge.runtime.devices import Device
from crossiqa_edge.runtime.select import open_backend
from crossiqa_edge.runtime.tensorrt import PlanContext


@pytest.fixture(autouse=True)
def own_places(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def orin(monkeypatch):
    monkeypatch.setattr(devices, "device", lambda: Device("Orin", 87))
    monkeypatch.setattr(devices, "runtime_version", lambda name: "1.7.1.116")
    monkeypatch.setattr(tensorrt, "find_spec", lambda name: object())


@pytest.fixture
def graph(tiny_onnx):
    return Artefact.open(tiny_onnx)


def put(key, **changes):
    """An engine with ``key`` in the cache."""
    return engine_cache.obtain(key, lambda: engine_bytes(**changes, key=key))


class FakeTensorRT:
    """The part of the library's API that executes a plan, over ``FakeCuda``."""

    __name__ = "tensorrt_rtx"
    TensorIOMode = SimpleNamespace(INPUT=0, OUTPUT=1)
    ports = {"views": (0, np.uint8, (-1, 224, 224, 3)), "score": (1, np.float32, (-1,))}  # noqa: RUF012

    def __init__(self, cuda=None, accepts=True):
        self.cuda, self.accepts, self.plans, self.addresses = cuda, accepts, [], {}
        self.Logger = type("Logger", (), {"ERROR": 1, "__init__": lambda logger, severity: None})

    def Runtime(self, logger):  # noqa: N802
        return SimpleNamespace(deserialize_cuda_engine=self.deserialise)

    def deserialise(self, plan):
        self.plans.append(plan)
        if not self.accepts:
            return None
        names = list(self.ports)
        return SimpleNamespace(
            num_io_tensors=len(names),
            get_tensor_name=lambda index: names[index],
            get_tensor_mode=lambda name: self.ports[name][0],
            get_tensor_dtype=lambda name: self.ports[name][1],
            get_tensor_shape=lambda name: self.ports[name][2],
            create_execution_context=lambda: self,
        )

    def nptype(self, kind):
        return kind

    def set_input_shape(self, name, shape):
        self.shape = shape
        return True

    def set_tensor_address(self, name, address):
        self.addresses[name] = address
        return True

    def execute_async_v3(self, stream):
        MeanContext(self.cuda, 224).enqueue(
            self.shape[0], self.addresses["views"], self.addresses["score"], stream
        )
        return True


class TestObstacle:
    def test_names_the_library_and_how_to_get_it(self, graph, monkeypatch):
        monkeypatch.setattr(devices, "runtime_version", lambda name: None)
        assert tensorrt.obstacle(graph) == "tensorrt is not installed: pip install 'crossiqa-edge[tensorrt]'"
        assert tensorrt_rtx.obstacle(graph).endswith("pip install 'crossiqa-edge[tensorrt-rtx]'")

    def test_names_the_missing_bindings(self, graph, orin, monkeypatch):
        monkeypatch.setattr(tensorrt, "find_spec", lambda name: None)
        assert "pip install cuda-bindings" in tensorrt.obstacle(graph)

    def test_names_the_missing_gpu(self, graph, orin, monkeypatch):
        monkeypatch.setattr(devices, "device", lambda: None)
        assert "needs an NVIDIA GPU" in tensorrt.obstacle(graph)

    def test_names_the_command_that_builds_the_engine(self, graph, orin):
        assert f"crossiqa export {graph.path} --to tensorrt-rtx" in tensorrt_rtx.obstacle(graph)

    def test_there_is_none_with_an_engine_in_the_cache(self, graph, orin):
        put(engine_key(onnx_sha256=graph.sha256))
        assert tensorrt_rtx.obstacle(graph) is None
        assert "crossiqa export" in tensorrt.obstacle(graph)  # it is the other library's

    def test_an_engine_file_of_another_machine_is_told_in_words(self, orin):
        path = put(engine_key(capabilities=(110,), device="Thor"))
        assert tensorrt_rtx.obstacle(Artefact.open(path)) == (
            "built for sm_110; this machine has sm_87: will rebuild"
        )
        assert "not of tensorrt" in tensorrt.obstacle(Artefact.open(path))

    def test_asked_for_by_name_it_is_an_error(self, graph, monkeypatch):
        monkeypatch.setattr(devices, "runtime_version", lambda name: None)
        with pytest.raises(BackendError, match="not installed"):
            open_backend(graph, "tensorrt")


class TestBackend:
    @pytest.fixture
    def library(self, monkeypatch):
        cuda = FakeCuda()
        fake = FakeTensorRT(cuda)
        monkeypatch.setattr(tensorrt, "import_module", lambda name: fake)
        monkeypatch.setattr(tensorrt, "CudaRuntime", lambda: cuda)
        return fake

    @pytest.mark.parametrize("count", [1, 9, 33])
    def test_scores_through_the_cached_engine(self, graph, orin, library, count):
        put(engine_key(onnx_sha256=graph.sha256))
        backend = open_backend(graph, "tensorrt-rtx")
        views = np.random.default_rng(0).integers(0, 256, (count, 224, 224, 3), np.uint8)
        np.testing.assert_allclose(backend.infer(views), views.reshape(count, -1).mean(1) / 2.55, rtol=1e-4)
        assert backend.describe == "tensorrt-rtx Orin fp16"
        assert library.plans == [PLAN]
        backend.close()
        with pytest.raises(BackendError, match="closed"):
            backend.infer(views)

    def test_views_are_copied_to_the_device_as_they_would_be_scored(self, orin, library):
        backend = open_backend(Artefact.open(put(engine_key())))
        assert isinstance(backend, Uploading)
        backend.upload(np.zeros((2, 224, 224, 3), np.uint8))
        with pytest.raises(BackendError, match="uint8"):
            backend.upload(np.zeros((2, 112, 112, 3), np.uint8))
        backend.close()
        with pytest.raises(BackendError, match="closed"):
            backend.upload(np.zeros((2, 224, 224, 3), np.uint8))

    def test_scores_an_engine_file(self, orin, library):
        backend = open_backend(Artefact.open(put(engine_key())))
        assert backend.name == "tensorrt-rtx"  # auto: nothing else runs an engine
        assert backend.infer(np.zeros((2, 224, 224, 3), np.uint8)).tolist() == [0, 0]

    def test_refuses_views_of_another_shape(self, orin, library):
        backend = open_backend(Artefact.open(put(engine_key())))
        with pytest.raises(BackendError, match="uint8"):
            backend.infer(np.zeros((2, 112, 112, 3), np.uint8))

    def test_a_plan_that_the_library_refuses(self, orin, library):
        library.accepts = False
        with pytest.raises(BackendError, match="does not load this plan"):
            open_backend(Artefact.open(put(engine_key())))

    def test_a_stripped_plan_asks_for_its_graph(self, orin, library):
        with pytest.raises(BackendError, match="open the ONNX file"):
            open_backend(Artefact.open(put(engine_key(), stripped=True)))


@pytest.mark.parametrize(
    "ports",
    [
        {"views": (0, np.float32, (-1, 224, 224, 3)), "score": (1, np.float32, (-1,))},
        {"views": (0, np.uint8, (-1, 112, 112, 3)), "score": (1, np.float32, (-1,))},
        {"views": (0, np.uint8, (-1, 224, 224, 3)), "score": (1, np.float16, (-1,))},
        {"score": (0, np.uint8, (-1, 224, 224, 3)), "views": (1, np.float32, (-1,))},
        {"views": (0, np.uint8, (-1, 224, 224, 3))},
    ],
)
def test_a_plan_with_other_bindings_is_refused(ports):
    library = FakeTensorRT()
    library.ports = ports
    context = PlanContext(library, PLAN, "x.engine", graph=None, stripped=False)
    with pytest.raises(ArtefactError, match="should take views and give score"):
        context.check_bindings(224)


def test_a_call_that_the_engine_refuses_is_an_error():
    library = FakeTensorRT()
    library.execute_async_v3 = lambda stream: False
    context = PlanContext(library, PLAN, "x.engine", graph=None, stripped=False)
    with pytest.raises(BackendError, match="did not run on 3 views"):
        context.enqueue(3, 0, 0, 0)
