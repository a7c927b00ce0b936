import json

import pytest

from crossiqa_edge.cli import tune


@pytest.fixture(autouse=True)
def _few_pictures(monkeypatch):
    monkeypatch.setattr(tune, "_PROBE_PICTURES", 6)
    monkeypatch.setattr(tune, "_BATCHES", (1, 2))


@pytest.fixture
def measured(crossiqa, tiny_onnx, tmp_path):
    """A result file with one small run."""
    path = tmp_path / "results.jsonl"
    done = crossiqa(
        *("bench", "--model", tiny_onnx, "--backend", "onnxruntime", "--batch", 1, "--seconds", 0.02),
        *("--rounds", 8, "--limit", 6, "--no-cold", "--out", path),
    )
    assert done.code == 0
    assert "onnxruntime cpu" in done.out
    return path


def test_a_run_is_kept_and_can_be_shown_again(crossiqa, measured, tmp_path):
    page = tmp_path / "r.html"
    shown = crossiqa("bench", "report", measured, "--out", page)
    assert shown.code == 0
    assert page.exists()
    assert page.with_suffix(".png").exists()
    assert crossiqa("bench", "report", measured, "--markdown").out.startswith("| model |")


def test_a_run_compared_with_itself_has_not_changed(crossiqa, measured):
    done = crossiqa("bench", "compare", measured, measured, "--fail-slower", "--fail-srcc", 0)
    assert done.code == 0
    assert " 1.000 " in done.out
    assert "slower" not in done.out


def test_a_regression_fails(crossiqa, measured, tmp_path):
    row = json.loads(measured.read_text())
    slow = {**row, "latency_ms": {name: 9 * ms for name, ms in row["latency_ms"].items()}}
    slow["p50_interval_ms"] = [9 * edge for edge in row["p50_interval_ms"]]
    worse = tmp_path / "worse.jsonl"
    worse.write_text(json.dumps({**slow, "accuracy": {**row["accuracy"], "srcc": -1.0}}))
    assert crossiqa("bench", "compare", measured, worse).code == 0
    assert crossiqa("bench", "compare", measured, worse, "--fail-slower").code == 1
    assert crossiqa("bench", "compare", measured, worse, "--fail-srcc", 0.01).code == 1


def test_files_that_are_no_results(crossiqa, tmp_path):
    absent = crossiqa("bench", "report", tmp_path / "absent.jsonl")
    assert absent.code == 2
    assert "cannot be read" in absent.err


def test_tune_writes_what_score_reads(crossiqa, tiny_onnx, tmp_path):
    config = tmp_path / "found.json"
    done = crossiqa(
        *("tune", "--model", tiny_onnx, "--max-latency-ms", 5000, "--p", 50),
        *("--seconds", 0.01, "--out", config, "--json"),
    )
    assert done.code == 0
    document = json.loads(done.out)
    assert document["chosen"] == json.loads(config.read_text())
    scored = crossiqa("score", "--config", config, "examples/coffee.jpg", "--json")
    assert scored.code == 0
    assert json.loads(scored.out)[0]["backend"].startswith(document["chosen"]["backend"])


def test_tune_says_when_nothing_fits(crossiqa, tiny_onnx, tmp_path):
    config = tmp_path / "found.json"
    done = crossiqa(
        *("tune", "--model", tiny_onnx, "--max-latency-ms", 1e-6, "--seconds", 0.01, "--out", config)
    )
    assert done.code == 1
    assert "certainly too slow" in done.out
    assert not config.exists()
