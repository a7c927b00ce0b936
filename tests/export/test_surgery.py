"""Graphs with our card and names whose layers are shaped otherwise: a line says so, nothing fails."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper
from precisions import int8_graph

from crossiqa_edge.errors import ArtefactError
from crossiqa_edge.export.conversion import Recipe, convert, plan
from crossiqa_edge.export.half import to_half
from crossiqa_edge.export.quantise import Calibration, Quantiser
from crossiqa_edge.export.surgery import Surgery
from crossiqa_edge.export.trt_graph import for_tensorrt
from crossiqa_edge.export.turing_graph import without_float32_products
from crossiqa_edge.runtime.artefact import Artefact

LAYER = "blocks.0.mlp.fc1"


def silent(stage, share=None):
    pass


def constant(model, name):
    return next(item for item in model.graph.initializer if item.name == name)


def without_bias(model, node):
    del node.input[2]


def without_constant_weight(model, node):
    place = list(model.graph.node).index(node)
    model.graph.node.insert(place, helper.make_node("Identity", [node.input[1]], ["same"], "same"))
    model.graph.node[place + 1].input[1] = "same"


def with_the_weight_transposed(model, node):
    weight = constant(model, node.input[1])
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight).T.copy(), weight.name))
    node.attribute.append(helper.make_attribute("transB", 1))


def with_a_factor(model, node):
    node.attribute.append(helper.make_attribute("alpha", 2.0))


def with_a_bias_of_two_axes(model, node):
    constant(model, node.input[2]).dims.insert(0, 1)


SHAPES = {
    without_bias: "without a constant weight and a constant bias",
    without_constant_weight: "without a constant weight and a constant bias",
    with_the_weight_transposed: "with transB",
    with_a_factor: "with alpha",
    with_a_bias_of_two_axes: "whose bias is not one number an output",
}


def changed(path, edit, name):
    """The bytes of the graph at ``path``, one of whose layers was changed by ``edit(model, node)``."""
    model = onnx.load(path)
    edit(model, next(node for node in model.graph.node if node.name == name))
    return model.SerializeToString()


@pytest.fixture(params=SHAPES.items(), ids=lambda item: item[0].__name__)
def other(request, micro_export, tmp_path):
    """A sound artefact of another shape, and what is to be said of it."""
    edit, words = request.param
    path = tmp_path / "other.onnx"
    path.write_bytes(changed(micro_export.onnx, edit, LAYER))
    return Artefact.open(path), f"node '{LAYER}' is a Gemm {words}; export it again from its weights"


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_other_precisions_are_not_made_of_it(other, tmp_path, precision):
    artefact, words = other
    planned = plan(artefact.path, "onnx", tmp_path / "made.onnx", recipe=Recipe(precision))
    with pytest.raises(ArtefactError) as caught:
        convert(planned, silent)
    assert str(caught.value) == f"{artefact.path}: {words}"
    assert not (tmp_path / "made.onnx").exists()


def test_no_graph_for_turing_is_made_of_it(other):
    artefact, words = other
    with pytest.raises(ArtefactError) as caught:
        without_float32_products(artefact.read(), "that file")
    assert str(caught.value) == f"that file: {words}"


def test_a_square_layer_is_not_transposed_silently(micro_export):
    """Of which no shape would tell."""
    data = changed(micro_export.onnx, with_the_weight_transposed, "blocks.0.attn.proj")
    with pytest.raises(ArtefactError, match=r"'blocks.0.attn.proj' is a Gemm with transB"):
        without_float32_products(data)


def test_attributes_that_change_nothing_are_taken(micro_export, tmp_path):
    def spelt_out(model, node):
        node.attribute.extend(
            helper.make_attribute(*pair) for pair in (("alpha", 1.0), ("beta", 1.0), ("transB", 0))
        )

    path = tmp_path / "spelt.onnx"
    path.write_bytes(changed(micro_export.onnx, spelt_out, LAYER))
    assert LAYER in Surgery.open(Artefact.open(path)).linears()


def test_layers_whose_constants_have_other_names_are_not_taken(micro_export, tmp_path):
    def renamed(model, node):
        constant(model, node.input[1]).name = "w"
        node.input[1] = "w"

    path = tmp_path / "renamed.onnx"
    path.write_bytes(changed(micro_export.onnx, renamed, LAYER))
    with pytest.raises(ArtefactError, match=f"'{LAYER}' is a Gemm whose weight or bias is not called after"):
        Surgery.open(Artefact.open(path))


def test_a_missing_constant_is_named(micro_export):
    surgery = Surgery(onnx.load(micro_export.onnx), "that file")
    with pytest.raises(ArtefactError, match="that file: it has no constant 'nonesuch'"):
        surgery.value("nonesuch")


def scores(data):
    views = np.random.default_rng(0).integers(0, 256, (3, 224, 224, 3), np.uint8)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return session.run(["score"], {"views": views})[0]


def test_an_embedding_in_int8_is_rewritten_for_tensorrt(micro_export):
    """As a search for layers may choose it."""
    surgery = Surgery(onnx.load(micro_export.onnx))
    views = np.random.default_rng(0).integers(0, 256, (8, 224, 224, 3), np.uint8)
    quantiser = Quantiser(surgery, views, Calibration(smoothing=0))
    model = quantiser.quantised(quantiser.layers)
    data = model.SerializeToString()
    np.testing.assert_allclose(scores(for_tensorrt(data)), scores(data), atol=1)


def test_a_first_layer_of_another_shape_in_int8_is_a_line(source):
    model = onnx.load_from_string(int8_graph(source))
    with_a_factor(model, next(node for node in model.graph.node if node.name == "embedding.0"))
    with pytest.raises(ArtefactError, match=r"that file: node 'embedding.0' is a Gemm with alpha"):
        for_tensorrt(model.SerializeToString(), "that file")


def with_an_attribute_too_many(model):
    next(node for node in model.graph.node if node.op_type == "Softmax").attribute.append(
        helper.make_attribute("nonesuch", 1)
    )
    return model.SerializeToString()


def test_a_graph_that_breaks_the_rules_is_a_line(source):
    """Where nobody has run it before: a bundle's, and one for TensorRT."""
    for graph, rewritten in (
        (onnx.load_from_string(int8_graph(source)), for_tensorrt),
        (onnx.load(source.path), without_float32_products),
    ):
        with pytest.raises(ArtefactError, match=r"that file: the graph is not sound: .*nonesuch"):
            rewritten(with_an_attribute_too_many(graph), "that file")


def test_a_float32_graph_still_becomes_half(source):
    assert to_half(Surgery.open(source)).graph.node
