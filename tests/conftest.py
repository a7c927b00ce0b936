"""Fixtures that more than one room's tests use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from tiny_graph import TINY_CARD, tiny_model

from crossiqa_edge.card import ModelCard

# A busy machine is slow, not wrong.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a user of this machine has in the cache plays no part."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


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
    pytest.importorskip("onnx", reason="exporting needs the export extra")
    from crossiqa_edge.export.onnx import export_onnx
    from crossiqa_edge.model.checkpoint import load, save_model
    from crossiqa_edge.model.quality import QualityModel

    folder = tmp_path_factory.mktemp("export")
    made = MicroExport(folder / "micro.safetensors", folder / "micro.onnx")
    torch.manual_seed(0)
    card = ModelCard(
        "micro-test",
        "micro",
        sampling="crops",
        mean=(0.4, 0.5, 0.6),
        std=(0.2, 0.25, 0.3),
        calibration=(3.0, -1.0),
    )
    model = QualityModel(card)
    torch.nn.init.normal_(model.head.weight, std=0.1)
    save_model(model, card, made.weights)
    export_onnx(*load(made.weights), made.onnx)
    return made
