"""``crossiqa bundle``: what it prints, and what it refuses."""

import json

import pytest

from crossiqa_edge.cli.bundle import TARGETS
from crossiqa_edge.export.bundle_targets import DEVICES
from crossiqa_edge.runtime.artefact import Artefact


def test_it_offers_what_the_table_has():
    assert tuple(DEVICES) == TARGETS  # spelt out there, so that --help needs no export extra


def test_it_prints_the_next_commands(crossiqa, micro_export, tmp_path):
    done = crossiqa("bundle", micro_export.onnx, "--target", "jetson-thor", "-o", tmp_path / "made.tar.gz")
    assert done.code == 0, done.err
    assert (tmp_path / "made.tar.gz").is_file()
    assert "JetPack 7.2" in done.out
    assert ".venv/bin/python selftest.py --backend tensorrt" in done.out


def test_it_exports_to_another_precision_first(crossiqa, micro_export, tmp_path):
    made = tmp_path / "made"
    done = crossiqa("bundle", micro_export.onnx, "--target", "server", "--precision", "fp16", "-o", made)
    assert done.code == 0, done.err
    assert "fp16" in done.out
    card = Artefact.open(made / "model.onnx").card
    assert (card.precision, json.loads((made / "bundle.json").read_text())["precision"]) == ("fp16", "fp16")
    assert (made / "original.onnx").read_bytes() == micro_export.onnx.read_bytes()


def test_weights_come_with_the_float32_graph_that_lay_between(crossiqa, micro_export, tmp_path):
    made, options = tmp_path / "made", ("--target", "server", "--precision", "fp16")
    done = crossiqa("bundle", micro_export.weights, *options, "-o", made)
    assert done.code == 0, done.err
    cards = [Artefact.open(made / name).card for name in ("model.onnx", "original.onnx")]
    assert [card.precision for card in cards] == ["fp16", "fp32"]
    assert cards[0].weights_sha256 == cards[1].weights_sha256
    assert cards[0].acceptance["srcc"] >= 0.9995


def test_the_original_of_somebodys_own_file_can_be_named(crossiqa, micro_export, tmp_path):
    half = tmp_path / "half.onnx"
    assert crossiqa("export", micro_export.onnx, "--precision", "fp16", "-o", half).code == 0
    arguments = ("bundle", half, "--target", "server", "-o", tmp_path / "made")
    done = crossiqa(*arguments, "--reference", "nano")
    assert (done.code, done.out) == (2, "")
    assert "is not the float32 ONNX file" in done.err
    assert crossiqa(*arguments, "--reference", micro_export.onnx).code == 0
    assert (tmp_path / "made" / "original.onnx").read_bytes() == micro_export.onnx.read_bytes()


def test_a_graph_that_jetpacks_tensorrt_does_not_read_is_refused(crossiqa, micro_export, tmp_path):
    fused = tmp_path / "fused.onnx"
    assert crossiqa("export", micro_export.weights, "--opset", "23", "-o", fused).code == 0
    done = crossiqa("bundle", fused, "--target", "jetson-orin", "-o", tmp_path / "made")
    assert (done.code, done.out, len(done.complaints)) == (2, "", 1)
    assert "opset 23" in done.err and "--opset 18" in done.err
    assert not (tmp_path / "made").exists()


def test_bad_input_is_a_line_and_a_code(crossiqa, tmp_path, tiny_onnx):
    there = tmp_path / "there"
    there.mkdir()
    for arguments in (
        ("bundle", "no-such-model", "--target", "server"),
        ("bundle", tiny_onnx, "--target", "server", "-o", there),
        ("bundle", tiny_onnx, "--target", "raspberry"),
    ):
        done = crossiqa(*arguments)
        assert (done.code, done.out) == (2, "")
        assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("-o", "there", "there: exists already"),
        ("-o", "there.zip", "there.zip: exists already"),
        ("-o", "nowhere/made.zip", "nowhere/made.zip: cannot write here (no such folder)"),
        ("-o", "nowhere/made", "nowhere/made: cannot write here (no such folder)"),
        ("--reference", "nosuch.onnx", "nosuch.onnx: no such file"),
        ("--reference", "nano", "is not the float32 ONNX file of micro-test@"),
        ("--kernels", "nosuch.pack", "nosuch.pack: cannot be read"),
        ("--kernels", "there.zip", "there.zip: not a kernel pack"),
    ],
)
@pytest.mark.parametrize("form", ["onnx", "weights"])
def test_what_does_not_go_together_is_refused_before_the_work(
    crossiqa, micro_export, tmp_path, monkeypatch, form, option, value, words
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    (tmp_path / "there.zip").write_bytes(b"somebody's")
    monkeypatch.setattr("crossiqa_edge.export.conversion.convert", None)
    model = getattr(micro_export, form)
    done = crossiqa("bundle", model, "--target", "server", "--precision", "int8", option, value)
    assert (done.code, done.out, len(done.complaints)) == (2, "", 1)
    assert words in done.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["there", "there.zip"]


def test_the_folder_that_is_named_by_itself_is_looked_for_before_the_work(
    crossiqa, micro_export, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "micro-test-int8-server").symlink_to("nowhere")
    monkeypatch.setattr("crossiqa_edge.export.conversion.convert", None)
    done = crossiqa("bundle", micro_export.onnx, "--target", "server", "--precision", "int8")
    assert (done.code, len(done.complaints)) == (2, 1)
    assert "micro-test-int8-server: exists already" in done.err
