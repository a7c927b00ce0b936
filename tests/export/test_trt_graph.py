"""The graph that TensorRT gets computes what the artefact's does, and has what TensorRT takes."""

import numpy as np
import onnx
import onnxruntime
import pytest

from crossiqa_edge.card import CARD_KEY
from crossiqa_edge.export.trt_graph import for_tensorrt


@pytest.fixture(scope="module")
def pair(micro_export):
    data = micro_export.onnx.read_bytes()
    return data, for_tensorrt(data)


def scores(data, views):
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return session.run(["score"], {"views": views})[0]


def test_the_scores_stay(pair):
    size = onnx.load_model_from_string(pair[0]).graph.input[0].type.tensor_type.shape.dim[1].dim_value
    views = np.random.default_rng(0).integers(0, 256, (5, size, size, 3), np.uint8)
    np.testing.assert_allclose(scores(pair[1], views), scores(pair[0], views), atol=1e-4)


def test_bytes_are_only_cast(pair):
    graph = onnx.load_model_from_string(pair[1]).graph
    takers = {node.op_type for node in graph.node if "views" in node.input}
    assert takers <= {"Cast", "Shape"}
    assert "Cast" in takers


def test_the_head_is_no_matrix_product(pair):
    kinds = {node.op_type for node in onnx.load_model_from_string(pair[1]).graph.node}
    assert "Gemm" not in kinds
    assert {"ReduceSum", "MatMul"} <= kinds


def test_the_card_travels_on(pair):
    before, after = ({p.key: p.value for p in onnx.load_model_from_string(d).metadata_props} for d in pair)
    assert after == before
    assert CARD_KEY in after


def test_doing_it_twice_changes_nothing(pair):
    assert for_tensorrt(pair[1]) == pair[1]


def test_another_graph_is_left_as_it_is(tiny_onnx):
    data = tiny_onnx.read_bytes()
    assert onnx.load_model_from_string(for_tensorrt(data)) == onnx.load_model_from_string(data)
