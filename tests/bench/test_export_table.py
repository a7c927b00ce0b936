"""The table of exports: every row is about the float32 original, whatever graph it was built from."""

from dataclasses import replace

import pytest

from crossiqa_edge.bench import export_table
from crossiqa_edge.export.targets import TARGETS


@pytest.fixture(scope="module")
def rows(micro_export, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        few = {name: replace(TARGETS[name], refused={"fp16": ""}) for name in ("onnx", "triton-server")}
        patch.setattr(export_table, "TARGETS", few)
        made = export_table._made(str(micro_export.weights), tmp_path_factory.mktemp("table"), None)
        return {row.name: row for row, _ in made}


def test_what_is_built_of_a_graph_is_as_far_from_the_original_as_the_graph(rows):
    graph, server = (rows[f"{name} int8"].acceptance for name in ("onnx", "triton-server"))
    assert server.against == "fp32"
    assert server.max_difference == pytest.approx(graph.max_difference)
    assert server.max_difference > 0


def test_markdown_has_a_line_a_row(rows):
    lines = export_table.as_markdown(list(rows.values())).splitlines()
    assert len(lines) == 2 + len(rows) == 6
    assert lines[0].count("|") == lines[-1].count("|")
