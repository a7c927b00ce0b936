"""A builder's log, read back into layers. The lines are of TensorRT for RTX 1.7, cut in the middle."""

from crossiqa_edge.export.trt_layers import count, read_layers

LOG = [
    "Compiler backend is used during engine build.",
    """Layers:
Name: node_MatMul_30_myl0_5, LayerType: gemm, Inputs: [ { Name: __mye946_33_myl0, Dimensions: [-1,16], \
Datatype: Int8, Format: (Linear) Row major linear format }], Constants: [ { Name: __mye106493_dconst_myl0, \
Dimensions: [16,32], Datatype: Int8, Format: (Linear) Row major linear format }, { Name: alpha, \
Dimensions: [1], Datatype: Float, Format: (Linear) Row major linear format }], Outputs: [ { Name: out, \
Dimensions: [-1,32], Datatype: Half, Format: (Linear) Row major linear format }], TacticName: stub, \
StreamId: 0, Metadata: [ONNX Layer: node_MatMul_30][ONNX Layer: node_of_weights]
Name: _gemm_mha_v2_myl0_15, LayerType: kgen, Inputs: [ { Name: a, Datatype: Half }], Constants: [], \
Outputs: [ { Name: b, Datatype: Half }], TacticName: t, StreamId: 0, Metadata: [ONNX Layer: node_Softmax_1]
Name: __mye27710_0_myl0_0, LayerType: shape_call, Inputs: [], Constants: [], Outputs: [], StreamId: 0
""",
]


def test_each_layer_with_its_types_and_nodes():
    product, attention, shape = read_layers(LOG)
    assert (product.name, product.kind, product.arithmetic) == ("node_MatMul_30_myl0_5", "gemm", "Int8")
    assert product.inputs == ("Int8", "Int8", "Float")
    assert product.outputs == ("Half",)
    assert product.nodes == ("node_MatMul_30", "node_of_weights")
    assert (attention.kind, attention.arithmetic) == ("attention", "Half")
    assert (shape.inputs, shape.outputs, shape.nodes, shape.arithmetic) == ((), (), (), "none")


def test_counted_by_kind_and_arithmetic():
    assert count(read_layers(LOG)) == {"attention Half": 1, "gemm Int8": 1, "shape_call none": 1}


def test_a_log_without_layers_has_none():
    assert read_layers(["Name: nothing of the kind", ""]) == []
