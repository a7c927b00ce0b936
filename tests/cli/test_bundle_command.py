"""``crossiqa bundle``: what it prints, and what it refuses."""

import json

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
