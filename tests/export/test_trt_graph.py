"""What TensorRT gets of an artefact: only int8 graphs change, and their scores hardly."""

import numpy as np
import onnx
import onnxruntime
import pytest
from precisions import int8_graph

from crossiqa_edge.card import CARD_KEY
from crossiqa_edge.export.acceptance import LIMITS
from crossiqa_edge.export.trt_graph import for_tensorrt
from crossiqa_edge.runtime.artefact import Artefact


@pytest.fixture(scope="module")
def pair(micro_export):
    data = int8_graph(Artefact.open(micro_export.onnx))
    return data, for_tensorrt(data)


def scores(data, views):
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return session.run(["score"], {"views": views})[0]


def test_a_float_graph_stays_as_it_is(micro_export, tiny_onnx):
    for path in (micro_export.onnx, tiny_onnx):
        assert for_tensorrt(path.read_bytes()) == path.read_bytes()


def test_the_scores_hardly_change(pair):
    views = np.random.default_rng(0).integers(0, 256, (6, 224, 224, 3), np.uint8)
    before, after = (scores(data, views) for data in pair)
    assert not np.array_equal(before, after)  # it is float16 in between
    # A rounding in float16 can move a value by an int8 step: so by no more than int8 itself may differ.
    assert np.abs(after - before).mean() < LIMITS["int8"].mean_difference


def test_every_product_is_of_int8_or_half(pair):
    """Shape inference with strict types, as TensorRT's: one float32 product and Turing is out."""
    model = onnx.shape_inference.infer_shapes(onnx.load_model_from_string(pair[1]), strict_mode=True)
    types = {item.name: item.type.tensor_type.elem_type for item in model.graph.value_info}
    products = [node for node in model.graph.node if node.op_type in ("Gemm", "MatMul")]
    assert len(products) > 10
    assert {types[node.output[0]] for node in products} == {onnx.TensorProto.FLOAT16}
    quantised = [node for node in model.graph.node if node.op_type == "QuantizeLinear"]
    assert {types[node.output[0]] for node in quantised} == {onnx.TensorProto.INT8}


def test_the_integers_and_the_card_are_the_same(pair):
    before, after = (onnx.load_model_from_string(data) for data in pair)

    def integers(model):
        return {item.name: item.raw_data for item in model.graph.initializer if item.data_type == 3}

    assert integers(before)
    assert integers(after) == integers(before)
    cards = [{item.key: item.value for item in model.metadata_props}[CARD_KEY] for model in (before, after)]
    assert cards[0] == cards[1]
