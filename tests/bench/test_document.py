import json
from pathlib import Path

import pytest
from rows_for_tests import row

pytest.importorskip("matplotlib")

from crossiqa_edge.bench.document import main, page
from crossiqa_edge.bench.jsonl import append

ROOT = Path(__file__).parents[2]


def test_two_runs_and_their_parts_make_the_page(tmp_path):
    append(tmp_path / "points.jsonl", row(p50=10, run="a"))
    append(tmp_path / "points.jsonl", row(p50=14, run="b"))
    (tmp_path / "roofline.md").write_text("| roof |\n")
    (tmp_path / "scaling.png").write_bytes(b"")
    text = page(tmp_path)
    assert "| roof |" in text
    assert "slower" in text
    assert "scaling.png" in text
    assert "tradeoff.png" not in text
    assert text.count("Not measured in this run.") == 4  # kernels, scaling, peers and suites


def test_a_run_of_other_points_does_not_forbid_the_page(tmp_path):
    append(tmp_path / "points.jsonl", row("nano", run="a"), row("tiny", run="b"))
    assert "Not comparable: the two runs have no point in common" in page(tmp_path)


def test_kernels_on_a_gpu_stand_with_the_roofline(tmp_path):
    append(tmp_path / "points.jsonl", row())
    kernel = {
        **{"run": "k", "device": "A GPU", "architecture": "sm_90", "cuda": "13.0", "commit": "abc"},
        **{"kernel": "layer_norm", "shape": {"tokens": 197}, "candidate": "ours", "mode": "graph"},
        **{"p50_ms": 0.01, "p95_ms": 0.02, "roof_share": 0.625, "distance": 0.0},
        **{"ratio_to_ours": None, "ratio_interval": None},
    }
    append(tmp_path / "kernels.jsonl", {**kernel, "run": "older", "roof_share": 0.1}, kernel)
    text = page(tmp_path)
    assert "Measured on A GPU (sm_90)" in text
    assert "layer_norm tokens 197" in text
    assert "62 %" in text
    assert "10 %" not in text


def test_a_stored_run_of_the_suites_is_told_in_calibration_loops(tmp_path):
    append(tmp_path / "points.jsonl", row())
    loop = {"fullname": "s.py::loop", "stats": {"median": 0.5}, "extra_info": {"calibration": True}}
    stage = {"fullname": "s.py::test_decode", "stats": {"median": 0.25}}
    (tmp_path / "suites.json").write_text(json.dumps({"benchmarks": [loop, stage]}))
    assert "| test_decode | 0.5000 |" in page(tmp_path)


def test_no_results_no_page(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_the_committed_page_is_what_the_committed_results_say(monkeypatch):
    monkeypatch.chdir(ROOT)
    committed = (ROOT / "docs" / "benchmarks.md").read_text()
    folder = committed.split("results lie in `")[1].split("`")[0]
    assert committed == page(Path(folder))
