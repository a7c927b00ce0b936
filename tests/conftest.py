"""Fixtures that more than one room's tests use."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
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


@pytest.fixture(scope="session")
def tiny_onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound artefact of a few hundred bytes; the score of a view is its mean byte / 255 * 100."""
    path = tmp_path_factory.mktemp("artefacts") / "tiny.onnx"
    path.write_bytes(tiny_model().SerializeToString())
    return path


@pytest.fixture
def make_onnx(tmp_path: Path) -> Callable[..., Path]:
    """``make_onnx(edit=None, **card_values)``: the tiny artefact again, changed by ``edit(model)``."""

    def make(edit: Callable[[Any], object] | None = None, **card_values: Any) -> Path:
        model = tiny_model(replace(TINY_CARD, **card_values))
        if edit is not None:
            edit(model)
        path = tmp_path / "made.onnx"
        path.write_bytes(model.SerializeToString())
        return path

    return make


@dataclass(frozen=True)
class MicroExport:
    """Weights of the smallest network, and the ONNX file that was made of them."""

    weights: Path
    onnx: Path


@pytest.fixture(scope="session")
def micro_export(tmp_path_factory: pytest.TempPathFactory) -> MicroExport:
    """A random network with a head that spreads its scores, really exported: once, for it takes seconds."""
    torch = pytest.importorskip("torch", reason="exporting needs the export extra")
    pytest.importorskip("onnxscript", reason="exporting needs the export extra")
    from crossiqa_edge.export.onnx import export_onnx

    from crossiqa_edge.model.checkpoint import load, save_model
    from crossiqa_edge.model.quality import QualityModel

    folder = tmp_path_factory.mktemp("export")
    made = MicroExport(folder / "micro.safetensors", folder / "micro.onnx")
    torch.manual_seed(0)
    card = ModelCard(
        "micro-test", "micro", mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3), calibration=(3.0, -1.0)
    )
    model = QualityModel(card)
    torch.nn.init.normal_(model.head.weight, std=0.1)
    save_model(model, card, made.weights)
    export_onnx(*load(made.weights), made.onnx)
    return made
