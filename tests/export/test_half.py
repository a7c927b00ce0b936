"""fp16 graphs: every operator of one type, and what must be float32 is."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto

from crossiqa_edge.export.half import to_half
from crossiqa_edge.export.surgery import Surgery
from crossiqa_edge.runtime.artefact import Artefact

SHAPES = {"Shape", "Concat", "Gather", "Reshape", "Expand", "Transpose"}


@pytest.fixture(scope="module")
def half(micro_export):
    return to_half(Surgery.open(Artefact.open(micro_export.onnx)))


@pytest.fixture(scope="module")
def types(half):
    """Element type of every value, as ONNX infers it."""
    graph = onnx.shape_inference.infer_shapes(half, strict_mode=True, data_prop=True).graph
    found = {value.name: value.type.tensor_type.elem_type for value in (*graph.value_info, *graph.output)}
    found |= {value.name: value.type.tensor_type.elem_type for value in graph.input}
    return found | {tensor.name: tensor.data_type for tensor in graph.initializer}


def test_no_operator_mixes_types(half, types):
    floats = {TensorProto.FLOAT, TensorProto.FLOAT16}
    for node in half.graph.node:
        if node.op_type != "Cast":
            met = {types[name] for name in (*node.input, *node.output)} & floats
            assert len(met) <= 1, f"{node.name} ({node.op_type}) mixes {met}"


def test_statistics_softmax_and_all_from_the_last_norm_on_are_float32(half, types):
    names = [node.name for node in half.graph.node]
    tail = half.graph.node[names.index("norm") :]
    sensitive = [node for node in half.graph.node if node.op_type in ("LayerNormalization", "Softmax")]
    assert len(sensitive) == 2 * 2 + 1 + 2  # two norms and one softmax a block, and the last norm
    for node in (*tail, *sensitive):
        assert types[node.output[0]] == TensorProto.FLOAT, node.name


def test_every_matrix_product_is_float16(half, types):
    products = [node for node in half.graph.node if node.op_type in ("Gemm", "MatMul")]
    assert {types[node.output[0]] for node in products} == {TensorProto.FLOAT16}
    assert len(products) > 10


def test_the_input_stays_uint8_and_the_file_is_half_as_large(half, micro_export):
    assert half.graph.input[0].type.tensor_type.elem_type == TensorProto.UINT8
    assert len(half.SerializeToString()) < 0.6 * micro_export.onnx.stat().st_size


def test_the_first_map_sees_detail_that_float16_weights_would_lose(half, micro_export):
    """Two neighbours that differ by one grey level on a bright ground: the float32 map tells them apart."""
    found = {}
    for name, model in (("single", onnx.load(micro_export.onnx)), ("half", half)):
        wider = onnx.ModelProto()
        wider.CopyFrom(model)
        kind = TensorProto.FLOAT16 if name == "half" else TensorProto.FLOAT
        wider.graph.output.append(onnx.helper.make_tensor_value_info("embedding.0", kind, None))
        session = onnxruntime.InferenceSession(wider.SerializeToString(), providers=["CPUExecutionProvider"])
        views = np.full((1, 224, 224, 3), 250, np.uint8)
        views[:, ::2] += 1
        found[name] = session.run(["embedding.0"], {"views": views})[0].astype(np.float64)
    exact = found["single"]
    rounding = np.abs(exact) * 2.0**-10 + 1e-4  # of the result itself, which is float16
    assert (np.abs(found["half"] - exact) < 2 * rounding).all()
