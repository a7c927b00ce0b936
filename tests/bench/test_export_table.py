"""The table of exports: every row is about the float32 original, whatever graph it was built from."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from crossiqa_edge.bench import export_table
from crossiqa_edge.bench.timing import Timing
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


def test_times_are_those_of_a_view_whatever_the_batch(micro_export, monkeypatch):
    inferred = []

    class Backend:
        def infer(self, views):
            inferred.append(len(views))

        def close(self):
            pass

    def made(model, folder, threads):
        shutil.copy(micro_export.onnx, folder / "onnx-fp32.onnx")
        yield export_table.Row("onnx", "fp32"), Backend()

    def interleave(calls, seconds):
        for call in calls.values():
            call()
        return {name: Timing((np.array([24.0]),) * 8) for name in calls}

    monkeypatch.setattr(export_table, "_made", made)
    monkeypatch.setattr(export_table, "interleave", interleave)
    monkeypatch.setattr(export_table, "probe_views", lambda card: np.zeros((20, 1, 1, 3), np.uint8))
    (row,) = export_table.table("nano", seconds=1.0)
    assert inferred == [1, 8]
    assert row.milliseconds == {1: 24.0, 8: 3.0}


def test_markdown_has_a_line_a_row(rows):
    lines = export_table.as_markdown(list(rows.values())).splitlines()
    assert len(lines) == 2 + len(rows) == 6
    assert lines[0].count("|") == lines[-1].count("|")
