"""The float32 graph for Turing: the same scores, and no matrix product."""

import numpy as np
import onnx
import onnxruntime
import pytest
from precisions import half_graph, int8_graph

from crossiqa_edge.export.trt_graph import for_tensorrt
from crossiqa_edge.export.turing_graph import without_float32_products
from crossiqa_edge.runtime.artefact import Artefact


def scores(data):
    views = np.random.default_rng(0).integers(0, 256, (3, 224, 224, 3), np.uint8)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return session.run(["score"], {"views": views})[0]


def kinds(data):
    return {node.op_type for node in onnx.load_model_from_string(data).graph.node}


def test_scores_stay_without_a_product(micro_export):
    before = micro_export.onnx.read_bytes()
    after = without_float32_products(before)
    assert kinds(before) >= {"Gemm", "MatMul"}
    assert not kinds(after) & {"Gemm", "MatMul"}
    np.testing.assert_allclose(scores(after), scores(before), atol=1e-3)
    assert np.ptp(scores(before)) > 0.1


@pytest.mark.parametrize("graph", [half_graph, int8_graph])
def test_other_types_keep_their_products(micro_export, graph):
    data = for_tensorrt(graph(Artefact.open(micro_export.onnx)))
    assert kinds(without_float32_products(data)) == kinds(data) >= {"Gemm", "MatMul"}
