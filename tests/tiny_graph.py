"""The smallest ONNX graph that keeps the contract, for tests that need a model but not a good one."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from crossiqa_edge.card import CARD_KEY, ModelCard

TINY_CARD = ModelCard(
    name="tiny-test",
    size="nano",
    interval_half_width=12.5,
    training_data=("generated",),
    accuracy={"generated": {"srcc": 0.5}},
    weights_sha256=hashlib.sha256(b"mean of all bytes").hexdigest(),
    opset=18,
    package_version="0",
)


def tiny_model(card: ModelCard | None = TINY_CARD, *, size: int = 224) -> Any:
    """An ``onnx.ModelProto`` that keeps the graph contract; score = mean of all bytes / 255 * 100."""
    onnx = pytest.importorskip("onnx", reason="building a graph needs the onnx package")
    helper, numpy_helper, kinds = onnx.helper, onnx.numpy_helper, onnx.TensorProto
    np = pytest.importorskip("numpy")
    nodes = [
        helper.make_node("Cast", ["views"], ["pixels"], to=kinds.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "axes"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "scale"], ["score"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("views", kinds.UINT8, ["batch", size, size, 3])],
        [helper.make_tensor_value_info("score", kinds.FLOAT, ["batch"])],
        [
            numpy_helper.from_array(np.array([1, 2, 3], np.int64), "axes"),
            numpy_helper.from_array(np.array(100 / 255, np.float32), "scale"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    if card is not None:
        helper.set_model_props(model, {CARD_KEY: card.to_json()})
    return model
