"""``crossiqa export --plugin attention``: accepted like any export, and only for what can have the plugin."""

import pytest

onnx = pytest.importorskip("onnx", reason="exporting needs the export extra")

from crossiqa_edge.export.attention_nodes import has_nodes  # noqa: E402


def test_the_graph_has_the_node_and_was_accepted(crossiqa, micro_export, tmp_path):
    made = tmp_path / "with-plugin.onnx"
    done = crossiqa("export", micro_export.weights, "--plugin", "attention", "-o", made)
    assert done.code == 0, done.err
    assert "accepted" in done.out
    assert has_nodes(onnx.load(made))


def test_other_runtimes_are_refused_before_any_work(crossiqa, micro_export, tmp_path):
    options = ("--to", "openvino", "--plugin", "attention", "-o", tmp_path / "x.bin")
    done = crossiqa("export", micro_export.weights, *options)
    assert done.code == 2
    assert "--plugin is for TensorRT" in done.err


def test_a_dry_run_names_the_step(crossiqa, micro_export, tmp_path):
    done = crossiqa(
        "export", micro_export.weights, "--plugin", "attention", "--dry-run", "-o", tmp_path / "x.onnx"
    )
    assert done.code == 0
    assert "make attention a node for a plugin" in done.out
