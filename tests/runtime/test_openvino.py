"""What is OpenVINO's alone; what it shares with onnxruntime is in ``test_cpu_backends``."""

import numpy as np
import pytest

from crossiqa_edge.runtime import ort
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.openvino import _settings, open_backend

pytest.importorskip("openvino", reason="needs the openvino extra")


def test_a_network_scores_as_with_onnxruntime(micro_export):
    artefact = Artefact.open(micro_export.onnx)
    views = np.random.default_rng(0).integers(0, 256, (3, 224, 224, 3), np.uint8)
    expected = ort.open_backend(artefact).infer(views)
    # float32 sums in another order, as between onnxruntime and torch
    np.testing.assert_allclose(open_backend(artefact).infer(views), expected, atol=1e-3)


def test_float32_is_never_computed_in_bfloat16(make_onnx):
    assert _settings(Artefact.open(make_onnx()), None)["INFERENCE_PRECISION_HINT"] == "f32"
    assert "INFERENCE_PRECISION_HINT" not in _settings(Artefact.open(make_onnx(precision="int8")), None)
