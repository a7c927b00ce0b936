"""The graph that is written out by hand computes what the network does, and every parameter has its place."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from crossiqa_edge.card import ModelCard
from crossiqa_edge.errors import ArtefactError
from crossiqa_edge.export.graph import FUSED_OPSET, OPSET, build
from crossiqa_edge.model.family import FAMILY
from crossiqa_edge.model.quality import QualityModel


def network(**card):
    torch.manual_seed(1)
    card = ModelCard("m", **{"size": "micro", "mean": (0.4, 0.5, 0.6), "std": (0.2, 0.25, 0.3), **card})
    model = QualityModel(card).eval()
    torch.nn.init.normal_(model.head.weight, std=0.1)
    for name, parameter in model.named_parameters():  # zeros and ones would hide a missing term
        if parameter.dim() == 1 and name != "head.bias":
            torch.nn.init.normal_(parameter, mean=float("norm" in name and "weight" in name), std=0.1)
    return model, card, {name: value.numpy() for name, value in model.state_dict().items()}


def scores(graph, views):
    onnx.checker.check_model(graph, full_check=True)
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["score"], {"views": views})[0]


@pytest.mark.parametrize("opset", [OPSET, FUSED_OPSET])
@pytest.mark.parametrize(
    ("embedding", "view_size"), [("multilevel", 224), ("linear", 224), ("multilevel", 112)]
)
def test_scores_are_the_networks(opset, embedding, view_size):
    model, card, parameters = network(embedding=embedding, view_size=view_size)
    views = np.random.default_rng(0).integers(0, 256, (3, view_size, view_size, 3), np.uint8)
    views[1] //= 8  # dark, so that the constants of the normalisation matter
    with torch.inference_mode():
        expected = model(torch.from_numpy(views)).numpy()
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(scores(build(parameters, card, opset), views), expected, atol=1e-3)


def test_attention_is_one_operator_where_the_opset_has_it():
    _, card, parameters = network()
    plain, fused = (
        {node.op_type for node in build(parameters, card, opset).graph.node} for opset in (OPSET, FUSED_OPSET)
    )
    assert {"Softmax", "Erf"} <= plain and not plain & {"Attention", "Gelu"}
    assert {"Attention", "Gelu"} <= fused and not fused & {"Softmax", "Erf"}


@pytest.mark.parametrize("opset", [OPSET, FUSED_OPSET])
def test_the_file_asks_for_no_newer_reader_than_its_opset_does(opset):
    _, card, parameters = network()
    model = build(parameters, card, opset)
    assert [item.version for item in model.opset_import] == [opset]
    assert model.ir_version == onnx.helper.find_min_ir_version_for(model.opset_import)


def test_no_tensor_has_more_dimensions_than_tensorrt_takes():
    assert {size.levels for size in FAMILY.values() if size.name != "micro"} == {FAMILY["nano"].levels}
    _, card, parameters = network(size="nano")
    graph = onnx.shape_inference.infer_shapes(build(parameters, card), data_prop=True).graph
    assert max(len(value.type.tensor_type.shape.dim) for value in graph.value_info) <= 8


def test_a_parameter_that_is_missing_or_has_no_place_is_named():
    _, card, parameters = network()
    with pytest.raises(ArtefactError, match=r"lack encoder\.blocks\.1\.mlp\.fc2\.bias"):
        build({name: p for name, p in parameters.items() if name != "encoder.blocks.1.mlp.fc2.bias"}, card)
    with pytest.raises(ArtefactError, match=r"hold encoder\.blocks\.0\.ls1\.gamma"):
        build({**parameters, "encoder.blocks.0.ls1.gamma": np.ones(64, np.float32)}, card)
