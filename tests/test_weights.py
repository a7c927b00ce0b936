"""Shipped models are found by name."""

import pytest

from crossiqa_edge import weights
from crossiqa_edge.errors import ArtefactError
from crossiqa_edge.runtime.artefact import Artefact


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "_FOLDER", tmp_path)
    for name, size in (("tiny", 30), ("nano", 10), ("base", 90)):
        (tmp_path / f"{name}.onnx").write_bytes(bytes(size))
    (tmp_path / "nano.safetensors").write_bytes(b"")
    return tmp_path


def test_the_smallest_comes_first(folder):
    assert weights.available() == ("nano", "tiny", "base")
    assert weights.find("tiny") == folder / "tiny.onnx"


def test_an_unknown_name_gives_near_ones_and_the_way_out(folder):
    with pytest.raises(ArtefactError, match=r"did you mean tiny\?.*nano, tiny, base; or give a path"):
        weights.find("tinny")
    for name in ("../nano", "", "nano.onnx/..", "qqq"):
        with pytest.raises(ArtefactError, match="hipped: nano, tiny, base"):
            weights.find(name)


def test_what_is_shipped_is_sound_and_carries_its_own_name_and_precision():
    for name in weights.available():
        artefact = Artefact.open(weights.find(name))
        card = artefact.card
        suffix = "" if card.precision == "fp32" else f"-{card.precision}"
        assert (artefact.kind, card.name + suffix) == ("onnx", name)
