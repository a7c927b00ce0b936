"""Attention as a node: the same scores with the function, and nothing but the node without it."""

from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="rewriting graphs needs the export extra")
pytest.importorskip("torch", reason="exporting needs the export extra")

import onnxruntime  # noqa: E402

from crossiqa_edge.card import ModelCard  # noqa: E402
from crossiqa_edge.errors import ArtefactError  # noqa: E402
from crossiqa_edge.export.attention_nodes import NAME, NAMESPACE, has_nodes, only_nodes, with_nodes  # noqa: E402
from crossiqa_edge.export.graph import FUSED_OPSET, OPSET, build  # noqa: E402
from crossiqa_edge.export.quantise import Calibration, Quantiser  # noqa: E402
from crossiqa_edge.export.surgery import Surgery  # noqa: E402
from crossiqa_edge.runtime.artefact import Artefact  # noqa: E402


def plain(opset):
    import torch

    from crossiqa_edge.model.quality import QualityModel

    torch.manual_seed(0)
    card = ModelCard("micro-test", "micro")
    model = QualityModel(card)
    torch.nn.init.normal_(model.head.weight, std=0.05)
    parameters = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    return build(parameters, card, opset)


@pytest.fixture(params=[OPSET, FUSED_OPSET], scope="module")
def graphs(request):
    before = plain(request.param)
    return before, with_nodes(before)


def scores(model):
    views = np.random.default_rng(0).integers(0, 256, (3, 224, 224, 3), np.uint8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"views": views})[0]


def test_the_function_gives_the_same_scores(graphs):
    """Another order of the same float32 products: 1e-3 of 100 is a hundred roundings."""
    before, after = graphs
    expected = scores(before)
    assert expected.std() > 0.1
    np.testing.assert_allclose(scores(after), expected, atol=1e-3)


def test_what_was_int8_after_attention_still_is():
    views = np.random.default_rng(1).integers(0, 256, (4, 224, 224, 3), np.uint8)
    quantiser = Quantiser(Surgery(plain(OPSET)), views, Calibration())
    before = quantiser.quantised(quantiser.default_layers())
    after = with_nodes(before)
    for kind in ("QuantizeLinear", "DequantizeLinear"):
        counts = [sum(node.op_type == kind for node in model.graph.node) for model in (before, after)]
        assert counts[0] == counts[1] > 0
    makers = {output: node for node in after.graph.node for output in node.output}
    (proj,) = (node for node in after.graph.node if node.name == "blocks.0.attn.proj")
    restored = makers[makers[proj.input[0]].input[0]]
    assert restored.op_type == "DequantizeLinear"
    assert makers[makers[restored.input[0]].input[0]].op_type == NAME
    np.testing.assert_allclose(scores(after), scores(before), atol=0.2)  # a code may round the other way


def test_nodes_say_what_the_plugin_must_know(graphs):
    _, after = graphs
    nodes = [node for node in after.graph.node if node.op_type == NAME]
    assert len(nodes) == 1  # micro has two blocks; in the last only the class token asks
    values = {item.name: onnx.helper.get_attribute_value(item) for item in nodes[0].attribute}
    opset = next(item.version for item in after.opset_import if not item.domain)
    scale = 1.0 if opset == OPSET else 32**-0.5
    assert values == {"heads": 2, "scale": pytest.approx(scale), "plugin_namespace": b"crossiqa", "aot": 1}


def test_what_the_node_replaces_is_gone(graphs):
    before, after = graphs
    kinds = [[node.op_type for node in model.graph.node] for model in (before, after)]
    attention = "Softmax" if "Softmax" in kinds[0] else "Attention"
    assert kinds[1].count(attention) == kinds[0].count(attention) - 1
    onnx.checker.check_model(after, full_check=True)


def test_the_given_graph_is_left_alone(graphs):
    before, _ = graphs
    assert not has_nodes(before)
    assert not before.functions


def test_it_is_an_artefact_that_can_be_opened(graphs):
    assert Artefact.parse(graphs[1].SerializeToString(), Path("with.onnx")).card.name == "micro-test"


def test_without_the_function_only_the_node_is_left(graphs):
    stripped = onnx.load_from_string(only_nodes(graphs[1].SerializeToString()))
    assert not stripped.functions
    assert has_nodes(stripped)
    assert {(item.domain, item.version) for item in stripped.opset_import} >= {(NAMESPACE, 1)}
    with pytest.raises(Exception, match=NAME):  # so nothing would run it by accident
        scores(stripped)


def test_a_graph_without_attention_is_refused(tiny_onnx):
    with pytest.raises(ArtefactError, match="no attention in this graph"):
        with_nodes(onnx.load(tiny_onnx))


def split_by_something_else(graph, transpose):
    place = list(graph.node).index(transpose)
    graph.node.insert(place, onnx.helper.make_node("Identity", [transpose.input[0]], ["same"], "same"))
    transpose.input[0] = "same"


def split_into_fewer(graph, transpose):
    split = next(node for node in graph.node if node.output[0] == transpose.input[0])
    graph.initializer.append(onnx.numpy_helper.from_array(np.array([-1, 197]), "short"))
    split.input[1] = "short"


def computed_by_nothing(graph, transpose):
    transpose.input[0] = "views"


@pytest.mark.parametrize("edit", [split_by_something_else, split_into_fewer, computed_by_nothing])
def test_attention_that_is_written_otherwise_is_a_line(edit):
    model = plain(OPSET)
    transposes = [node for node in model.graph.node if node.op_type == "Transpose"]
    edit(model.graph, next(node for node in transposes if list(node.attribute[0].ints) == [2, 0, 3, 1, 4]))
    with pytest.raises(ArtefactError, match="export it again"):
        with_nodes(model)


def test_a_transposition_without_an_order_is_no_attention():
    model = plain(OPSET)
    model.graph.node.append(onnx.helper.make_node("Transpose", ["blocks.0"], ["turned"], "turned"))
    assert has_nodes(with_nodes(model))
