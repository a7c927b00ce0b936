"""What is onnxruntime's alone, its GPU providers too; what it shares is in ``test_cpu_backends``."""

import sys
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
from onnxruntime.capi.onnxruntime_pybind11_state import EPFail
from tiny_graph import tiny_model

from crossiqa_edge.errors import ArtefactError, BackendError
from crossiqa_edge.runtime import ort, ort_cuda, ort_tensorrt
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.ort import open_backend


@pytest.fixture
def backend(tiny_onnx):
    return open_backend(Artefact.open(tiny_onnx), threads=1)


def test_threads_sleep_while_they_wait_and_bytes_are_taken_for_nothing_but_onnx(backend):
    options = backend._session.get_session_options()
    assert options.intra_op_num_threads == 1
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert options.get_session_config_entry("session.load_model_format") == "ONNX"


def random_views(count, seed=0, size=224):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), np.uint8)


def test_views_are_copied_to_where_the_provider_computes(backend):
    backend.upload(random_views(2))
    with pytest.raises(BackendError, match="views are uint8"):
        backend.upload(random_views(2)[..., :1])
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        backend.device = "cuda"
        with pytest.raises(BackendError, match=r"onnxruntime failed: .* device"):
            backend.upload(random_views(2))


def scale_to(value):
    def edit(model):
        model.graph.initializer[1].raw_data = np.float32(value).tobytes()

    return edit


def test_axes_that_onnxruntime_rejects_are_one_line_and_nothing_is_printed(make_onnx, capfd):
    def impossible_axes(model):
        model.graph.initializer[0].raw_data = np.array([1, 2, 9], np.int64).tobytes()

    artefact = Artefact.open(make_onnx(impossible_axes))
    with pytest.raises(ArtefactError, match="onnxruntime does not accept this graph") as caught:
        open_backend(artefact)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def fail_at_run_time(model):
    """A reshape to 7 x 7 elements, which no batch has; only running it shows that."""
    onnx = pytest.importorskip("onnx")
    del model.graph.node[:]
    shape = onnx.numpy_helper.from_array(np.array([7, 7], np.int64), "shape")
    model.graph.initializer.append(shape)
    model.graph.node.append(onnx.helper.make_node("Cast", ["views"], ["pixels"], to=1))
    model.graph.node.append(onnx.helper.make_node("Reshape", ["pixels", "shape"], ["square"]))
    model.graph.node.append(onnx.helper.make_node("ReduceMean", ["square"], ["mean"], keepdims=0))
    model.graph.node.append(onnx.helper.make_node("Reshape", ["mean", "one"], ["score"]))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([-1], np.int64), "one"))


def test_a_failure_at_run_time_is_one_line_and_nothing_is_printed(make_onnx, capfd):
    backend = open_backend(Artefact.open(make_onnx(fail_at_run_time)))
    with pytest.raises(BackendError, match="onnxruntime failed") as caught:
        backend.infer(random_views(1))
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("scale", [1.0, 100.5 / 200, -0.5 / 200, -1.0, np.nan])
def test_scores_outside_the_scale_are_refused(make_onnx, scale):
    backend = open_backend(Artefact.open(make_onnx(scale_to(scale))))
    with pytest.raises(ArtefactError, match=r"outside 0\.\.100"):
        backend.infer(np.full((1, 224, 224, 3), 200, np.uint8))


def test_rounding_beyond_the_ends_of_the_scale_is_clipped(make_onnx):
    backend = open_backend(Artefact.open(make_onnx(scale_to(100.05 / 255))))
    assert backend.infer(np.full((1, 224, 224, 3), 255, np.uint8)).tolist() == [100.0]


def test_the_session_has_the_bytes_that_were_checked(tmp_path):
    """Swapping the file between the check and the opening gains nothing."""
    path = tmp_path / "m.onnx"
    path.write_bytes(tiny_model().SerializeToString())
    artefact = Artefact.open(path)
    path.write_bytes(tiny_model(None).SerializeToString())
    with pytest.raises(ArtefactError, match="changed"):
        open_backend(artefact)


class StandInSession:
    """A session that takes the providers it is told, whatever it was asked for."""

    asked = None

    def __init__(self, data, options, providers, enable_fallback=1):
        type(self).asked = providers
        self.options = options
        self.falls_back = bool(enable_fallback)

    def disable_fallback(self):
        self.falls_back = False

    def get_providers(self):
        return self.taken


@pytest.fixture
def session(monkeypatch):
    """``session(*taken)``: onnxruntime as if it had a GPU build, and took these providers."""

    def pretend(*taken):
        stand_in = type("Session", (StandInSession,), {"taken": list(taken)})
        monkeypatch.setattr("onnxruntime.InferenceSession", stand_in)
        return stand_in

    monkeypatch.setattr(ort, "nvidia_gpu_seen", lambda: True)
    monkeypatch.setattr(ort, "_available", lambda: [ort.TENSORRT.title, ort.CUDA.title, ort.CPU.title])
    return pretend


@pytest.mark.parametrize(
    ("module", "provider"), [(ort_cuda, ort.CUDA), (ort_tensorrt, ort.TENSORRT)], ids=["cuda", "tensorrt"]
)
def test_a_gpu_provider_is_asked_for_with_the_cpu_behind_it(module, provider, session, tiny_onnx):
    stand_in = session(provider.title, ort.CPU.title)
    artefact = Artefact.open(tiny_onnx)
    assert module.obstacle(artefact) is None
    backend = module.open_backend(artefact, reason="because")
    assert [title for title, _ in stand_in.asked] == [provider.title, ort.CPU.title]
    assert (backend.name, backend.device, backend.reason) == (provider.name, "cuda", "because")


@pytest.mark.parametrize("module", [ort_cuda, ort_tensorrt], ids=["cuda", "tensorrt"])
@pytest.mark.parametrize("taken", [[ort.CPU.title], []], ids=["cpu", "nothing"])
def test_a_provider_that_falls_back_in_silence_is_an_error(module, taken, session, tiny_onnx):
    session(*taken)
    with pytest.raises(BackendError, match=r"onnxruntime runs on .* instead of .*--backend onnxruntime"):
        module.open_backend(Artefact.open(tiny_onnx))


def test_tensorrt_that_falls_back_on_cuda_is_an_error(session, tiny_onnx):
    session(ort.CUDA.title, ort.CPU.title)
    with pytest.raises(BackendError, match="instead of TensorrtExecutionProvider"):
        ort_tensorrt.open_backend(Artefact.open(tiny_onnx))


@pytest.mark.parametrize("kept", [True, False], ids=["1.23", "1.22"])
def test_a_provider_that_fails_at_run_time_is_an_error_and_no_other_takes_its_place(
    kept, tiny_onnx, monkeypatch, capfd
):
    """The real session around native code whose provider fails; before 1.23 the keyword did nothing."""
    real = onnxruntime.InferenceSession

    def of_release(data, options, providers, **keywords):
        return real(data, options, providers=providers, **(keywords if kept else {}))

    monkeypatch.setattr("onnxruntime.InferenceSession", of_release)
    backend = open_backend(Artefact.open(tiny_onnx))

    class Failing:
        def run(self, *asked):
            raise EPFail("TensorRT EP execution context enqueue failed.")

        def __getattr__(self, name):
            return getattr(native, name)

    native, backend._session._sess = backend._session._sess, Failing()
    with pytest.raises(BackendError, match="onnxruntime failed: TensorRT EP execution"):
        backend.infer(random_views(1))
    assert capfd.readouterr() == ("", "")


def test_a_provider_that_does_not_start_is_no_fault_of_the_graph(session, tiny_onnx, monkeypatch):
    class NotStarting(StandInSession):
        def __init__(self, data, options, providers, enable_fallback=1):
            assert not enable_fallback
            raise RuntimeError("CUDA failure 35")

    monkeypatch.setattr("onnxruntime.InferenceSession", NotStarting)
    with pytest.raises(BackendError, match=r"CUDAExecutionProvider does not start \(CUDA failure 35\)"):
        ort_cuda.open_backend(Artefact.open(tiny_onnx))


def placed(**kinds):
    """onnxruntime's account of which provider computes which kinds of nodes, by the provider's short name."""

    def told(self):
        assert self.options.get_session_config_entry("session.record_ep_graph_assignment_info") == "1"
        return [
            SimpleNamespace(
                ep_name=f"{name}ExecutionProvider",
                get_nodes=lambda kinds=kinds: [SimpleNamespace(op_type=kind) for kind in kinds],
            )
            for name, kinds in kinds.items()
        ]

    return told


GPU = pytest.mark.parametrize(
    ("module", "provider"), [(ort_cuda, ort.CUDA), (ort_tensorrt, ort.TENSORRT)], ids=["cuda", "tensorrt"]
)


@GPU
def test_nodes_that_are_left_to_the_cpu_are_an_error(module, provider, session, tiny_onnx):
    stand_in = session(provider.title, ort.CPU.title)
    stand_in.get_provider_graph_assignment_info = placed(
        CUDA=["Gemm"], CPU=["Shape", "LayerNormalization", "Erf", "Erf"]
    )
    with pytest.raises(
        BackendError, match=r"leaves 3 nodes .* to the CPU \(Erf, LayerNormalization\); take --b"
    ):
        module.open_backend(Artefact.open(tiny_onnx))


@GPU
def test_the_arithmetic_of_shapes_may_be_left_to_the_cpu(module, provider, session, tiny_onnx):
    stand_in = session(provider.title, ort.CPU.title)
    stand_in.get_provider_graph_assignment_info = placed(CUDA=["Gemm", "Erf"], CPU=["Shape", "Concat"])
    assert module.open_backend(Artefact.open(tiny_onnx)).device == "cuda"


def test_onnxruntime_itself_tells_what_it_left_to_the_cpu(tiny_onnx):
    """Of all providers of the CPU build, Azure's is one that is taken and computes nothing."""
    idle = ort.Provider("onnxruntime-azure", "AzureExecutionProvider", "cuda")
    if idle.title not in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has no provider that computes nothing")
    if not hasattr(onnxruntime.InferenceSession, "get_provider_graph_assignment_info"):
        pytest.skip("onnxruntime tells where nodes are placed from 1.24 on")
    with pytest.raises(BackendError, match=r"AzureExecutionProvider leaves \d nodes .* \(.*Cast.*\)"):
        open_backend(Artefact.open(tiny_onnx), provider=idle)


def test_the_cpu_may_of_course_compute_all(backend):
    assert backend.describe == "onnxruntime cpu fp32"


def test_a_provider_that_the_installed_onnxruntime_lacks_falls_back_and_is_an_error(tiny_onnx):
    """The real library, of which the CPU build is installed for the tests: it only warns."""
    onnxruntime = pytest.importorskip("onnxruntime")
    if ort.CUDA.title in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    with pytest.warns(UserWarning), pytest.raises(BackendError, match="instead of CUDAExecutionProvider"):
        ort_cuda.open_backend(Artefact.open(tiny_onnx))


def test_obstacles_of_gpu_providers(tiny_onnx, monkeypatch):
    artefact = Artefact.open(tiny_onnx)
    monkeypatch.setattr(ort, "nvidia_gpu_seen", lambda: False)
    assert "needs an NVIDIA GPU" in ort_cuda.obstacle(artefact)
    monkeypatch.setattr(ort, "nvidia_gpu_seen", lambda: True)
    monkeypatch.setattr(ort, "_available", lambda: [ort.CPU.title])
    assert "pip install onnxruntime-gpu" in ort_cuda.obstacle(artefact)


class Interrupted:
    """Finds onnxruntime as Ctrl-C leaves it: its compiled module makes an ImportError of that."""

    def find_spec(self, name, path=None, target=None):
        if name == "onnxruntime":
            raise ImportError("initialization failed") from KeyboardInterrupt()


def test_ctrl_c_while_onnxruntime_is_imported_is_no_broken_installation(tiny_onnx, monkeypatch):
    monkeypatch.delitem(sys.modules, "onnxruntime")
    monkeypatch.setattr(sys, "meta_path", [Interrupted(), *sys.meta_path])
    artefact = Artefact.open(tiny_onnx)
    with pytest.raises(KeyboardInterrupt):
        open_backend(artefact, threads=1)
    with pytest.raises(KeyboardInterrupt):
        ort._available()


def test_a_broken_installation_is_told(tiny_onnx, monkeypatch):
    artefact = Artefact.open(tiny_onnx)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(BackendError, match=r"does not start .*install it anew"):
        open_backend(artefact, threads=1)
    assert ort._available() == []
