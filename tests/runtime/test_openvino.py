"""What is OpenVINO's alone; what it shares with onnxruntime is in ``test_cpu_backends``."""

import numpy as np
import pytest

from crossiqa_edge.runtime import ort
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.byteorder import order_as_bytes
from crossiqa_edge.runtime.openvino import _settings, open_backend

openvino = pytest.importorskip("openvino", reason="needs the openvino extra")


def test_a_network_scores_as_with_onnxruntime(micro_export):
    artefact = Artefact.open(micro_export.onnx)
    views = np.random.default_rng(0).integers(0, 256, (3, 224, 224, 3), np.uint8)
    expected = ort.open_backend(artefact).infer(views)
    # float32 sums in another order, as between onnxruntime and torch
    np.testing.assert_allclose(open_backend(artefact).infer(views), expected, atol=1e-3)


def test_float32_is_never_computed_in_bfloat16(make_onnx):
    assert _settings(Artefact.open(make_onnx()), None)["INFERENCE_PRECISION_HINT"] == "f32"
    assert "INFERENCE_PRECISION_HINT" not in _settings(Artefact.open(make_onnx(precision="int8")), None)


def test_pixels_are_ordered_as_bytes_and_scores_stay(micro_export):
    data = micro_export.onnx.read_bytes()
    models = [openvino.Core().read_model(data) for _ in range(2)]
    assert order_as_bytes(models[1])
    assert not order_as_bytes(models[1])  # once is all
    reordered = next(node for node in models[1].get_ordered_ops() if node.get_type_name() == "Transpose")
    assert reordered.get_output_element_type(0).get_type_name() == "u8"
    views = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), np.uint8)
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    before, after = (openvino.compile_model(model, "CPU", exact)([views])[0] for model in models)
    np.testing.assert_array_equal(after, before)


def test_graphs_that_begin_otherwise_are_left_alone(make_onnx):
    model = openvino.Core().read_model(Artefact.open(make_onnx()).read())
    assert not order_as_bytes(model)
