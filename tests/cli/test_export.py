"""``crossiqa export``: prints what it measured, and leaves a file that can be used as it says."""

import shlex

import numpy as np
import pytest
from PIL import Image

from crossiqa_edge.imaging.testpattern import photo_like
from crossiqa_edge.runtime.artefact import Artefact


@pytest.fixture
def exported(micro_export, monkeypatch):
    """The tracing itself, which takes seconds, was done once by ``micro_export``; all else is run."""
    from crossiqa_edge.export import onnx as exporter

    monkeypatch.setattr(exporter, "_serialised", lambda model, card: micro_export.onnx.read_bytes())
    return micro_export


def test_figures_hash_size_and_the_next_command_are_printed(crossiqa, exported, tmp_path):
    output = tmp_path / "with space.onnx"
    done = crossiqa("export", exported.weights, "-o", output)
    assert (done.code, done.err) == (0, "")
    artefact = Artefact.open(output)
    for fact in (artefact.sha256, f"{artefact.size:,} bytes", artefact.card.identity, "opset 18"):
        assert fact in done.out
    assert "32 views in batches of 1, 2, 5" in done.out

    picture = tmp_path / "photo.png"
    Image.fromarray(photo_like(0, 240, 240)).save(picture)
    next_command = done.out.splitlines()[-1].removeprefix("next: crossiqa ").replace("PHOTO", str(picture))
    assert crossiqa(*shlex.split(next_command)).code == 0


def test_the_file_lies_beside_the_weights_by_default(crossiqa, exported, tmp_path):
    weights = tmp_path / "mine.safetensors"
    weights.write_bytes(exported.weights.read_bytes())
    assert crossiqa("export", weights).code == 0
    assert (tmp_path / "mine.onnx").is_file()


def test_the_weights_are_never_overwritten(crossiqa, exported, tmp_path):
    weights = tmp_path / "mine.onnx"
    weights.write_bytes(exported.weights.read_bytes())
    done = crossiqa("export", weights)
    assert done.code == 2
    assert "would overwrite the weights" in done.err
    assert weights.read_bytes() == exported.weights.read_bytes()


def test_a_failed_verification_is_one_line_and_leaves_no_file(crossiqa, exported, tmp_path, monkeypatch):
    def other(self, views):
        return np.full(len(views), 50.0, np.float32)

    monkeypatch.setattr("crossiqa_edge.runtime.ort.OrtBackend.infer", other)
    done = crossiqa("export", exported.weights, "-o", tmp_path / "bad.onnx")
    assert done.code == 2
    assert len(done.complaints) == 1
    assert "scores differ" in done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [None, b"", b"pickle?"])
def test_what_are_no_weights_is_one_line(crossiqa, exported, tmp_path, content):
    path = tmp_path / "w.safetensors"
    if content is not None:
        path.write_bytes(content)
    done = crossiqa("export", path)
    assert (done.code, done.out, len(done.complaints)) == (2, "", 1)
    assert str(path) in done.err
