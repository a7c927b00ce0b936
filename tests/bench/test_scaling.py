import json

import numpy as np
import pytest

from crossiqa_edge.bench import scaling
from crossiqa_edge.bench.point import Point
from crossiqa_edge.bench.scaling import AFFINE, AMDAHL, CONSTANT, TOKENS, Curve, curves, tiled, to_markdown
from crossiqa_edge.errors import MissingDependencyError

pytest.importorskip("matplotlib")

from crossiqa_edge.bench.figure import scaling_png

X = np.array([50.0, 197.0, 442.0, 1025.0])


def curve(y, law, x=X):
    y = np.asarray(y, float)
    labels = tuple(map(str, x))
    return Curve("tokens", "tokens", x, labels, y, tuple((v, v) for v in y), law, law.fit(x, y))


def test_a_law_is_recovered_from_what_obeys_it():
    found = curve(2 + 0.05 * X + 1e-4 * X**2, TOKENS)
    assert found.coefficients == pytest.approx([2, 0.05, 1e-4], rel=1e-6)
    assert found.deviation < 1e-9


@pytest.mark.parametrize(("law", "y"), [(CONSTANT, 1 + X), (AFFINE, X**2), (AMDAHL, X)])
def test_what_breaks_a_law_is_told(law, y):
    assert curve(y, law).deviation > 0.3


def test_what_counts_is_the_relative_error_upwards_and_downwards():
    two = curve([1.0, 3.0], CONSTANT, X[:2])
    assert two.coefficients == pytest.approx([1.2])  # 4/3 over 10/9; the mean would be 2
    quick = curve([1.0] * 8 + [0.8], CONSTANT, np.arange(1.0, 10.0))
    assert quick.deviation == pytest.approx(1 - 0.8 / quick.coefficients[0])


def test_costs_never_fall_with_the_work():
    assert (AFFINE.fit(X, 100 / X) >= 0).all()


def test_tiling_fills_any_size():
    photo = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    big = tiled(photo, 5, 7)
    assert big.shape == (5, 7, 3)
    assert (big[2:4, 3:6] == photo).all()


def test_all_curves_are_measured(monkeypatch):
    """With a micro model and the smallest sizes; its figures mean nothing here, its form does."""
    monkeypatch.setattr(scaling, "RESOLUTIONS", {"small": (240, 320), "large": (480, 640)})
    monkeypatch.setattr(scaling, "BATCHES", (1, 2))
    monkeypatch.setattr(scaling, "VIEWS", (1, 2))
    monkeypatch.setattr(scaling, "VIEW_SIZES", (32, 64))
    small = scaling.write_untrained
    monkeypatch.setattr(scaling, "write_untrained", lambda _, side, path: small("micro", side, path))
    measured = curves("nano", "onnxruntime", seconds=0.01)
    assert [item.name for item in measured] == ["resolution", "batch", "views", "threads", "tokens"]
    assert measured[-1].labels == ("5", "17")
    for item in json.loads(json.dumps([item.to_dict() for item in measured])):
        assert all(point["p50_ms"] > 0 for point in item["points"])
    assert scaling_png(measured).startswith(b"\x89PNG")
    assert to_markdown(measured).count("\n") == 2 + len(measured)


def test_without_graphs_of_other_sizes_the_other_curves_stand(monkeypatch):
    """``export`` is an extra of its own, and not every backend runs ONNX."""
    monkeypatch.setattr(scaling, "RESOLUTIONS", {"small": (240, 320)})
    monkeypatch.setattr(scaling, "BATCHES", (1,))
    monkeypatch.setattr(scaling, "VIEWS", (1,))
    told = []

    def absent(*given):
        raise MissingDependencyError("writing ONNX graphs", "export")

    monkeypatch.setattr(scaling, "write_untrained", absent)
    measured = curves("nano", "onnxruntime", 0.01, told.append)
    assert [item.name for item in measured] == ["resolution", "batch", "views", "threads"]
    assert "crossiqa-edge[export]" in told[0]


def test_an_untrained_model_has_the_tokens_asked_for(tmp_path):
    scaling.write_untrained("micro", 48, tmp_path / "m.onnx")
    scorer = Point(str(tmp_path / "m.onnx"), "onnxruntime").open()
    assert scorer.card.view_size == 48
