"""``crossiqa models``: what comes along, from the cards."""

import json

import pytest
from tiny_graph import TINY_CARD

from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.weights import available


@pytest.fixture
def folder(tmp_path, monkeypatch):
    shipped = tmp_path / "weights"
    shipped.mkdir()
    monkeypatch.setattr("crossiqa_edge.weights._FOLDER", shipped)
    return shipped


def test_the_table_tells_what_the_card_tells(crossiqa, folder, make_onnx):
    accuracy = {"kodak": {"srcc": 0.8123, "krcc": 0.6}, "live": {"srcc": 0.7}}
    path = make_onnx(accuracy=accuracy, training_data=("one [set]", "two"), precision="fp16")
    (folder / "nano.onnx").write_bytes(path.read_bytes())
    done = crossiqa("models")
    assert (done.code, done.err) == (0, "")
    assert done.out.split()[:3] == ["name", "size", "precision"]
    row = done.out.splitlines()[1]
    size = f"{path.stat().st_size:,}"
    for fact in ("nano", "fp16", size, "one [set], two", "kodak: srcc 0.812, krcc 0.6"):
        assert fact in row
    assert "live: srcc 0.7" in done.out.splitlines()[2]


@pytest.mark.parametrize(("precision", "told"), [("int8", True), ("fp32", False)])
def test_another_precision_without_figures_of_its_own_says_how_near_it_is(
    crossiqa, folder, make_onnx, precision, told
):
    path = make_onnx(accuracy={}, precision=precision, acceptance={"srcc": 0.99978, "passed": True})
    (folder / "nano.onnx").write_bytes(path.read_bytes())
    assert ("as its fp32: srcc 0.99978" in crossiqa("models").out) is told


def test_json_has_the_whole_card(crossiqa, folder, tiny_onnx):
    (folder / "b.onnx").write_bytes(tiny_onnx.read_bytes())
    (model,) = json.loads(crossiqa("models", "--json").out)
    artefact = Artefact.open(tiny_onnx)
    assert (model["name"], model["bytes"], model["sha256"]) == ("b", artefact.size, artefact.sha256)
    assert model["card"]["weights_sha256"] == TINY_CARD.weights_sha256
    assert model["card"]["accuracy"] == {"generated": {"srcc": 0.5}}


def test_none_is_no_error(crossiqa, folder):
    done = crossiqa("models")
    assert (done.code, done.out) == (0, "")
    assert "No model comes" in done.err
    assert crossiqa("models", "--json").out == "[]\n"


def test_a_damaged_one_is_one_line(crossiqa, folder):
    (folder / "nano.onnx").write_bytes(b"x")
    done = crossiqa("models")
    assert (done.code, len(done.complaints)) == (2, 1)
    assert "nano.onnx" in done.err


def test_what_is_really_shipped_is_listed(crossiqa):
    models = json.loads(crossiqa("models", "--json").out)
    assert tuple(model["name"] for model in models) == available()
