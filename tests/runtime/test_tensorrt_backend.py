"""What of the TensorRT backends can be known without a GPU: obstacles, bindings, errors, and the calls."""

import hashlib
from types import SimpleNamespace

import numpy as np
import pytest
from engine_files import PLAN, engine_bytes, engine_header, engine_key
from fake_cuda import FakeCuda
from fake_tensorrt import FakeTensorRT, FakeTensorRTForRTX

from crossiqa_edge.errors import ArtefactError, BackendError
from crossiqa_edge.runtime import devices, engine_cache, tensorrt, tensorrt_rtx
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.backend import Uploading
from crossiqa_edge.runtime.devices import Device
from crossiqa_edge.runtime.engine_file import pack
from crossiqa_edge.runtime.packed_plan import compress
from crossiqa_edge.runtime.select import open_backend
from crossiqa_edge.runtime.stripped_plan import join
from crossiqa_edge.runtime.tensorrt import PlanEngine


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

    def test_a_plan_with_other_bindings_is_not_opened(self, orin, library):
        library.ports = {**library.ports, "views": (0, np.uint8, (-1, 112, 112, 3))}
        with pytest.raises(ArtefactError, match="should take views and give score"):
            open_backend(Artefact.open(put(engine_key())))

    def test_every_context_works_in_memory_of_ours(self, orin, library):
        backend = open_backend(Artefact.open(put(engine_key())))
        views = np.random.default_rng(0).integers(0, 256, (33, 224, 224, 3), np.uint8)
        backend.infer(views)  # 32 and 1: a slot and a size each
        np.testing.assert_allclose(backend.infer(views), views.reshape(33, -1).mean(1) / 2.55, rtol=1e-4)
        assert [context.settings for context in library.contexts] == ["ours", "ours"]
        assert len({context.memory for context in library.contexts}) == len(library.cuda.graphs) == 2

    def test_no_context_to_execute_it_is_an_error(self, orin, library):
        library.makes_contexts = False
        backend = open_backend(Artefact.open(put(engine_key())))
        with pytest.raises(BackendError, match="no room on the GPU"):
            backend.infer(np.zeros((2, 224, 224, 3), np.uint8))


class TestTensorRTForRTX:
    @pytest.fixture
    def library(self, monkeypatch):
        fake = FakeTensorRTForRTX(FakeCuda())
        monkeypatch.setattr(tensorrt, "import_module", lambda name: fake)
        monkeypatch.setattr(tensorrt, "CudaRuntime", lambda: fake.cuda)
        return fake

    def scored(self):
        """Twice, in batches of 32 and 1."""
        backend = open_backend(Artefact.open(put(engine_key())))
        views = np.random.default_rng(0).integers(0, 256, (33, 224, 224, 3), np.uint8)
        for _ in range(2):
            np.testing.assert_allclose(backend.infer(views), views.reshape(33, -1).mean(1) / 2.55, rtol=1e-4)

    def test_its_kernels_are_compiled_before_a_graph_is_captured(self, orin, library):
        self.scored()
        (settings,) = {context.settings for context in library.contexts}
        assert settings.strategy == "ours"
        assert settings.dynamic_shapes_kernel_specialization_strategy == "eager"
        assert len(library.cuda.graphs) == 2

    def test_a_plan_that_cannot_be_captured_runs_without_graphs(self, orin, library):
        library.capturable = False
        self.scored()
        assert library.cuda.graphs == []

    def test_the_library_still_has_what_is_asked_of_it(self):
        rtx = pytest.importorskip("tensorrt_rtx", reason="needs the tensorrt-rtx extra")
        assert rtx.ExecutionContextAllocationStrategy.USER_MANAGED
        assert rtx.DynamicShapesKernelSpecializationStrategy.EAGER
        for kind, names in {
            rtx.ICudaEngine: ("device_memory_size_v2", "create_execution_context", "create_runtime_config"),
            rtx.IExecutionContext: ("set_device_memory", "is_stream_capturable", "execute_async_v3"),
            rtx.IRuntimeConfig: (
                "set_execution_context_allocation_strategy",
                "dynamic_shapes_kernel_specialization_strategy",
            ),
        }.items():
            assert [name for name in names if not hasattr(kind, name)] == []


class TestStripped:
    """A plan without weights, of which the tiny graph's file has one and another lies beside the plan."""

    @pytest.fixture
    def library(self, monkeypatch):
        fake = FakeTensorRT(FakeCuda(), needs={"mean", "beside"})
        monkeypatch.setattr(tensorrt, "import_module", lambda name: fake)
        monkeypatch.setattr(tensorrt, "CudaRuntime", lambda: fake.cuda)
        return fake

    @pytest.fixture
    def named(self, make_onnx):
        onnx = pytest.importorskip("onnx")

        def edit(model):
            model.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(2, np.float32), "mean"))

        return Artefact.open(make_onnx(edit))

    def beside(self, name="beside"):
        onnx = pytest.importorskip("onnx")
        model = onnx.ModelProto()
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(3, np.float16), name))
        return model.SerializeToString()

    def put(self, graph, data):
        key = engine_key(onnx_sha256=graph.sha256)
        packed = compress(data)
        header = engine_header(
            key=key,
            stripped=True,
            plan_sha256=hashlib.sha256(packed).hexdigest(),
            packed_size=len(packed),
            plan_size=len(data),
        )
        return engine_cache.obtain(key, lambda: pack(header, packed))

    def test_it_gets_its_weights_from_the_graph_and_from_beside_the_plan(self, named, orin, library):
        self.put(named, join(PLAN, self.beside()))
        backend = open_backend(named, "tensorrt-rtx")
        assert library.plans == [PLAN]
        assert not library.needs
        assert backend.infer(np.zeros((2, 224, 224, 3), np.uint8)).tolist() == [0, 0]

    def test_a_weight_that_is_nowhere_is_an_error(self, named, orin, library):
        self.put(named, join(PLAN, self.beside("other")))
        with pytest.raises(BackendError, match="do not fit the plan"):
            open_backend(named, "tensorrt-rtx")

    @pytest.mark.parametrize(("read", "taken"), [(True, False), (False, True)])
    def test_weights_must_be_read_and_taken(self, named, orin, library, monkeypatch, read, taken):
        monkeypatch.setattr(library, "refit", lambda model: read)
        monkeypatch.setattr(library, "Refitter", lambda *_: SimpleNamespace(refit_cuda_engine=lambda: taken))
        self.put(named, join(PLAN, self.beside()))
        with pytest.raises(BackendError, match="do not fit the plan"):
            open_backend(named, "tensorrt-rtx")

    def test_opened_by_itself_it_asks_for_its_graph(self, named, orin, library):
        with pytest.raises(BackendError, match="open the ONNX file"):
            open_backend(Artefact.open(self.put(named, join(PLAN, b""))))

    def test_another_graph_than_its_own_is_refused(self, named, tiny_onnx, orin, library):
        engine = Artefact.open(self.put(named, join(PLAN, self.beside())))
        with pytest.raises(BackendError, match="open the ONNX file that it was built from"):
            tensorrt.open_backend(engine, name="tensorrt-rtx", graph=Artefact.open(tiny_onnx))
        assert tensorrt.open_backend(engine, name="tensorrt-rtx", graph=named)

    def test_one_of_an_earlier_version_is_refused(self, named, orin, library):
        self.put(named, PLAN)
        with pytest.raises(ArtefactError, match="of an earlier version"):
            open_backend(named, "tensorrt-rtx")


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
    engine = PlanEngine(library, PLAN, "x.engine")
    with pytest.raises(ArtefactError, match="should take views and give score"):
        engine.check_bindings(224)


def test_a_call_that_the_engine_refuses_is_an_error():
    library = FakeTensorRT()
    library.runs = False
    context = PlanEngine(library, PLAN, "x.engine").context(0)
    with pytest.raises(BackendError, match="did not run on 3 views"):
        context.enqueue(3, 0, 0, 0)
