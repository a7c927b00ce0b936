"""Bare weights through torch: the scores of the graph, whichever way the network is computed."""

import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the torch backends need the train extra")

from crossiqa_edge.errors import ArtefactError, BackendError  # noqa: E402
from crossiqa_edge.runtime import torch_backend, torch_compile, torch_kernels  # noqa: E402
from crossiqa_edge.runtime.artefact import Artefact  # noqa: E402
from crossiqa_edge.runtime.select import open_backend  # noqa: E402


@pytest.fixture
def views():
    return np.random.default_rng(0).integers(0, 256, (3, 224, 224, 3), np.uint8)


def test_scores_are_those_of_the_exported_graph(micro_export, views):
    """float32 on both sides: the order of sums differs, on a scale of 100."""
    graph = open_backend(Artefact.open(micro_export.onnx), "onnxruntime").infer(views)
    with_torch = open_backend(Artefact.open(micro_export.weights), "torch")
    assert graph.std() > 0.1
    np.testing.assert_allclose(with_torch.infer(views), graph, atol=5e-3)
    assert with_torch.describe == "torch cpu fp32"


def test_kernels_are_refused_without_a_gpu_that_the_driver_sees(micro_export, monkeypatch):
    pytest.importorskip("triton", reason="kernels need Triton")
    monkeypatch.setattr(torch_kernels, "nvidia_gpu_seen", lambda: False)
    with pytest.raises(BackendError, match=r"needs an NVIDIA GPU .*; take --backend torch$"):
        open_backend(Artefact.open(micro_export.weights), "torch-kernels")


def test_kernels_are_refused_without_a_gpu_that_torch_sees(micro_export, monkeypatch):
    """As where torch is a build without CUDA: its operators would compute the references, on the CPU."""
    pytest.importorskip("triton", reason="kernels need Triton")
    monkeypatch.setattr(torch_kernels, "nvidia_gpu_seen", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BackendError, match=r"torch .* sees none; take --backend torch$"):
        open_backend(Artefact.open(micro_export.weights), "torch-kernels")


def test_kernels_run_in_half_precision_and_in_graphs(micro_export, views, monkeypatch):
    """What is put together, with the graph's capture left out: the references compute here."""
    pytest.importorskip("triton", reason="kernels need Triton")
    captured = []
    monkeypatch.setattr(torch_kernels, "nvidia_gpu_seen", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch_kernels, "TorchBackend", on_this_cpu)
    monkeypatch.setattr("crossiqa_edge.kernels.graph.Graphed", lambda score: captured.append(score) or score)
    graph = open_backend(Artefact.open(micro_export.onnx), "onnxruntime").infer(views)
    backend = open_backend(Artefact.open(micro_export.weights), "torch-kernels")
    np.testing.assert_allclose(backend.infer(views), graph, atol=0.5)
    assert (backend.name, len(captured)) == ("torch-kernels", 1)


def on_this_cpu(*arguments, **options):
    """``TorchBackend`` where its device is asked for anew, without a GPU."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: False)
        return torch_backend.TorchBackend(*arguments, **options)


def test_compiling_gives_the_same_scores(micro_export, views, monkeypatch):
    """With torch's tracing compiler, which needs no C++ compiler and takes a second instead of a minute."""
    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", lambda model: compile_(model, backend="eager"))
    artefact = Artefact.open(micro_export.weights)
    expected = torch_backend.open_backend(artefact).infer(views)
    backend = torch_compile.open_backend(artefact)
    np.testing.assert_allclose(backend.infer(views), expected, atol=1e-4)
    assert backend.name == "torch-compile"


def test_views_that_are_read_only_or_reversed_are_scored_alike(micro_export, views):
    backend = open_backend(Artefact.open(micro_export.weights), "torch")
    reversed_views = views[:, ::-1]
    reversed_views.flags.writeable = False
    np.testing.assert_array_equal(backend.infer(reversed_views), backend.infer(reversed_views.copy()))


def test_views_are_copied_without_being_scored(micro_export, views):
    backend = open_backend(Artefact.open(micro_export.weights), "torch")
    backend._score = None  # as after close: it must not be needed
    backend.upload(views)
    with pytest.raises(BackendError, match="views are uint8"):
        backend.upload(views[..., :1])


@pytest.mark.parametrize("module", [torch_backend, torch_compile, torch_kernels])
def test_a_graph_is_not_for_torch(tiny_onnx, module):
    assert "bare weights" in module.obstacle(Artefact.open(tiny_onnx))


@pytest.mark.parametrize(
    ("module", "missing"), [(torch_backend, "torch"), (torch_compile, "timm"), (torch_kernels, "triton")]
)
def test_what_is_missing_is_named(micro_export, monkeypatch, module, missing):
    real = torch_backend.find_spec
    monkeypatch.setattr(torch_backend, "find_spec", lambda name: None if name == missing else real(name))
    told = module.obstacle(Artefact.open(micro_export.weights))
    assert told == f"{missing} is not installed: pip install 'crossiqa-edge[train]'"


def test_a_failure_of_torch_is_one_line(micro_export, views):
    def fail(tensor):
        raise RuntimeError("CUDA error:\nout of memory")

    artefact = Artefact.open(micro_export.weights)
    backend = torch_backend.TorchBackend(artefact, "torch", lambda model: fail, threads=None, reason="test")
    with pytest.raises(BackendError, match="torch failed: CUDA error: out of memory"):
        backend.infer(views)


def test_a_closed_model_says_so(micro_export, views):
    backend = open_backend(Artefact.open(micro_export.weights), "torch")
    backend.close()
    backend.close()
    with pytest.raises(BackendError, match="closed"):
        backend.infer(views)


def test_weights_that_are_not_the_cards_are_refused(micro_export, tmp_path):
    data = bytearray(micro_export.weights.read_bytes())
    data[-1] ^= 1
    path = tmp_path / "changed.safetensors"
    path.write_bytes(data)
    with pytest.raises(ArtefactError, match="not those that the card names"):
        open_backend(Artefact.open(path), "torch")


def test_threads_are_torchs_own_setting(micro_export, monkeypatch):
    asked = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    open_backend(Artefact.open(micro_export.weights), "torch", threads=2)
    assert asked == [2]


def test_importing_the_modules_imports_no_torch():
    code = (
        "import sys; from crossiqa_edge.runtime import torch_backend, torch_compile, torch_kernels; "
        "print({'torch', 'timm', 'triton'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
