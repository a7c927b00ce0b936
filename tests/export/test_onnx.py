"""What ``export_onnx`` writes, and that it writes nothing it has not seen agree with the network."""

import onnx
import pytest
import torch

from crossiqa_edge.errors import ArtefactError, OutputError
from crossiqa_edge.export import onnx as exporter
from crossiqa_edge.export import writing
from crossiqa_edge.imaging.testpattern import photo_like
from crossiqa_edge.model.checkpoint import load
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.onnxfile import read_onnx
from crossiqa_edge.runtime.scorer import Scorer
from crossiqa_edge.version import __version__


@pytest.fixture(scope="module")
def graph(micro_export):
    return onnx.load(micro_export.onnx)


def test_the_card_travels_with_the_graph(micro_export):
    _, trained = load(micro_export.weights)
    card = Artefact.open(micro_export.onnx).card
    assert card.identity == trained.identity
    assert (card.opset, card.precision, card.package_version) == (18, "fp32", __version__)
    assert (card.mean, card.calibration, card.sampling) == (trained.mean, trained.calibration, "crops")
    assert card.acceptance["passed"] and card.acceptance["views"] >= 200
    assert card.acceptance["max_difference"] <= 0.01


def test_the_graph_is_plain_opset_18(graph, micro_export):
    found = read_onnx(micro_export.onnx.read_bytes())
    assert found.opsets == {"": 18}
    assert {domain for domain, _ in found.operators} == {""}
    # A Resize would interpolate position embeddings at run time; If and Loop come of careless tracing.
    assert not {name for _, name in found.operators} & {"Resize", "If", "Loop", "Scan"}
    assert not graph.functions


def test_nothing_of_the_machine_that_made_it_is_in_the_file(micro_export):
    data = micro_export.onnx.read_bytes()
    for trace in (b".py", b"stack_trace", b"site-packages", b"/crossiqa"):
        assert trace not in data


def test_the_scorer_gives_the_networks_score_for_a_photograph(micro_export):
    model, _ = load(micro_export.weights)
    photo = photo_like(11, 224, 224)  # one crop is the whole picture
    with torch.inference_mode():
        direct = model(torch.from_numpy(photo[None])).item()
    score = Scorer.load(micro_export.onnx, views=1).score(photo).value
    assert score == pytest.approx(direct, abs=1e-2)
    darker = Scorer.load(micro_export.onnx, views=1).score(photo // 2).value
    assert abs(darker - score) > 0.1  # else any constant graph would pass


def test_a_graph_that_disagrees_leaves_nothing_and_keeps_the_old_file(micro_export, tmp_path, monkeypatch):
    model, card = load(micro_export.weights)
    old = tmp_path / "kept.onnx"
    old.write_bytes(b"an older model")
    honest = onnx.load(micro_export.onnx)
    monkeypatch.setattr(exporter, "build", lambda *_: honest)
    with torch.no_grad():
        model.head.bias += 0.01  # the graph no longer is this network's
    for path in (old, tmp_path / "new.onnx"):
        with pytest.raises(ArtefactError, match="a score differs"):
            exporter.export_onnx(model, card, path)
    assert [path.name for path in tmp_path.iterdir()] == ["kept.onnx"]
    assert old.read_bytes() == b"an older model"


def test_a_folder_that_is_missing_is_found_out_before_the_work(micro_export, tmp_path, monkeypatch):
    def never(*_):
        raise AssertionError("exported before the output was known to be writable")

    monkeypatch.setattr(writing, "_serialised", never)
    with pytest.raises(OutputError):
        exporter.export_onnx(*load(micro_export.weights), tmp_path / "absent" / "m.onnx")
