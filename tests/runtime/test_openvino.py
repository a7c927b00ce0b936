"""What is OpenVINO's alone; what it shares with onnxruntime is in ``test_cpu_backends``."""

import subprocess
import sys

import numpy as np
import pytest

from crossiqa_edge.errors import BackendError
from crossiqa_edge.runtime import openvino as backend
from crossiqa_edge.runtime import ort
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.openvino import _settings, open_backend
from crossiqa_edge.runtime.openvino_rewrites import order_as_bytes, part_by_picture, rewrite
from crossiqa_edge.runtime.scorer import locate

openvino = pytest.importorskip("openvino", reason="needs the openvino extra")


def test_a_network_scores_as_with_onnxruntime(micro_export):
    artefact = Artefact.open(micro_export.onnx)
    views = np.random.default_rng(0).integers(0, 256, (3, 224, 224, 3), np.uint8)
    expected = ort.open_backend(artefact).infer(views)
    # float32 sums in another order, as between onnxruntime and torch
    np.testing.assert_allclose(open_backend(artefact).infer(views), expected, atol=1e-3)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_floats_are_never_computed_in_bfloat16(make_onnx, precision):
    assert _settings(Artefact.open(make_onnx(precision=precision)), None)["INFERENCE_PRECISION_HINT"] == "f32"


def test_threads_are_as_many_as_were_asked_for(tiny_onnx):
    artefact = Artefact.open(tiny_onnx)
    assert _settings(artefact, 3)["INFERENCE_NUM_THREADS"] == 3
    assert "INFERENCE_NUM_THREADS" not in _settings(artefact, None)


def test_between_integers_it_may_be(make_onnx):
    assert "INFERENCE_PRECISION_HINT" not in _settings(Artefact.open(make_onnx(precision="int8")), None)


def test_a_signal_is_survived_after_two_models_were_closed_in_the_order_of_their_opening(tiny_onnx):
    code = (
        "import gc, signal, sys\n"
        "from crossiqa_edge.runtime.artefact import Artefact\n"
        "from crossiqa_edge.runtime.openvino import open_backend\n"
        "opened = [open_backend(Artefact.open(sys.argv[1])) for _ in range(2)]\n"
        "for backend in opened:\n"
        "    backend.close()\n"
        "gc.collect()\n"
        "signal.signal(signal.SIGINT, lambda *_: print('handled'))\n"
        "signal.raise_signal(signal.SIGINT)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tiny_onnx)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "handled\n")


def test_pixels_are_ordered_as_bytes_and_scores_stay(micro_export):
    data = micro_export.onnx.read_bytes()
    models = [openvino.Core().read_model(data) for _ in range(2)]
    assert order_as_bytes(models[1])
    assert not order_as_bytes(models[1])  # once is all
    reordered = next(node for node in models[1].get_ordered_ops() if node.get_type_name() == "Transpose")
    assert reordered.get_output_element_type(0).get_type_name() == "u8"
    before, after = map(scores_of, models)
    np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize("opset", [18, 23])
def test_tokens_get_an_axis_of_their_own_and_scores_stay(micro_export, tmp_path, opset):
    pytest.importorskip("torch", reason="exporting needs the export extra")
    from crossiqa_edge.export.onnx import export_onnx
    from crossiqa_edge.model.checkpoint import load

    artefact, _ = export_onnx(*load(micro_export.weights), tmp_path / "model.onnx", opset=opset)
    models = [openvino.Core().read_model(artefact.read()) for _ in range(2)]
    assert part_by_picture(models[1])
    flat, parted = ([axes(node.input_value(0)) for node in of_type(model, "MVN")] for model in models)
    assert flat == [2] * len(flat)
    # the last block's second LayerNorm and the one before the head see class tokens alone
    assert parted == [3] * (len(flat) - 2) + [2, 2]
    before, after = map(scores_of, models)
    np.testing.assert_allclose(after, before, atol=1e-3)
    assert np.ptp(before) > 0.1


def test_integers_are_made_where_activations_are():
    """Nodes that do nothing but quantise: few are left, where two layers read one activation."""
    data = Artefact.open(locate("nano-int8")).read()
    models = [openvino.Core().read_model(data) for _ in range(2)]
    rewrite(models[1])
    before, after = (
        sum(node.get_rt_info()["layerType"] == "FakeQuantize" for node in run.get_ordered_ops())
        for run in (openvino.compile_model(model, "CPU").get_runtime_model() for model in models)
    )
    assert after < before / 2
    np.testing.assert_allclose(*map(scores_of, models), atol=0.2)


def test_other_graphs_are_left_alone(make_onnx):
    model = openvino.Core().read_model(Artefact.open(make_onnx()).read())
    assert not order_as_bytes(model)
    assert not part_by_picture(model)


def of_type(model, kind):
    return [node for node in model.get_ordered_ops() if node.get_type_name() == kind]


def axes(value):
    return len(value.get_partial_shape())


def scores_of(model):
    views = np.random.default_rng(0).integers(0, 256, (3, 224, 224, 3), np.uint8)
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    return openvino.compile_model(model, "CPU", exact)([views])[0]


@pytest.mark.parametrize(
    ("cause", "told"), [(KeyboardInterrupt(), KeyboardInterrupt), (OSError("no library"), BackendError)]
)
def test_ctrl_c_while_openvino_is_imported_is_no_broken_installation(tiny_onnx, monkeypatch, cause, told):
    def interrupted():
        raise ImportError("initialization failed") from cause

    monkeypatch.setattr(backend, "shared_core", interrupted)
    with pytest.raises(told):
        open_backend(Artefact.open(tiny_onnx))
