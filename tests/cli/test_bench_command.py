import json

import pytest

from crossiqa_edge.bench import peers
from crossiqa_edge.bench.roofline import Peak
from crossiqa_edge.cli import tune
from crossiqa_edge.errors import OutputError
from crossiqa_edge.runtime import select


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


def test_views_are_points_of_their_own(crossiqa, tiny_onnx):
    done = crossiqa(
        *("bench", "--model", tiny_onnx, "--backend", "onnxruntime", "--batch", 1, "--seconds", 0.02),
        *("--rounds", 8, "--limit", 6, "--no-cold", "--json", "--sampling", "fragments"),
        *("--sampling", "crops", "--views", 1, "--views", 3),
    )
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert [(row["sampling"], row["views"]) for row in rows] == [
        *(("fragments", 1), ("fragments", 3), ("crops", 1), ("crops", 3))
    ]


def test_a_run_compared_with_itself_has_not_changed(crossiqa, measured):
    done = crossiqa("bench", "compare", measured, measured, "--fail-slower", "--fail-srcc", 0)
    assert done.code == 0
    assert " 1.000 " in done.out
    assert "slower" not in done.out


def test_a_regression_fails(crossiqa, measured, tmp_path):
    row = json.loads(measured.read_text())
    before, worse = tmp_path / "before.jsonl", tmp_path / "worse.jsonl"
    p50 = row["latency_ms"]["p50"]  # intervals as of a quiet machine, which this need not be
    before.write_text(json.dumps({**row, "p50_interval_ms": [p50, p50]}))
    slow = {"latency_ms": {**row["latency_ms"], "p50": 2 * p50}, "p50_interval_ms": [2 * p50, 2 * p50]}
    worse.write_text(json.dumps({**row, **slow, "accuracy": {**row["accuracy"], "srcc": -1.0}}))
    assert crossiqa("bench", "compare", before, worse).code == 0
    assert crossiqa("bench", "compare", before, worse, "--fail-slower").code == 1
    assert crossiqa("bench", "compare", before, worse, "--fail-srcc", 0.01).code == 1


SHORT = (
    *("--backend", "onnxruntime", "--batch", 1, "--seconds", 0.02),
    *("--rounds", 8, "--limit", 6, "--no-cold"),
)


def test_a_check_that_has_nothing_to_check_does_not_pass(crossiqa, measured, tmp_path):
    row = json.loads(measured.read_text())
    lost, other = tmp_path / "lost.jsonl", tmp_path / "other.jsonl"
    lost.write_text(json.dumps({**row, "accuracy": {**row["accuracy"], "srcc": None}}))
    other.write_text(json.dumps({**row, "accuracy": {**row["accuracy"], "set": "other"}}))
    assert crossiqa("bench", "compare", measured, lost, "--fail-srcc", 0.01).code == 1
    assert crossiqa("bench", "compare", measured, other, "--fail-srcc", 0.01).code == 2
    assert crossiqa("bench", "compare", measured, other).code == 0
    assert crossiqa("bench", "compare", measured, measured, "--fail-srcc", "nan").code == 2


def test_what_only_one_run_has_is_told_on_stderr(crossiqa, measured, tmp_path):
    row = json.loads(measured.read_text())
    more = tmp_path / "more.jsonl"
    more.write_text("".join(json.dumps({**row, "batch": batch}) + "\n" for batch in (1, 8)))
    done = crossiqa("bench", "compare", more, measured)
    assert done.code == 0
    assert "only before, not compared: tiny-test" in done.err
    assert "only before" not in done.out


@pytest.mark.parametrize("bad", [("--out", "absent/rows.jsonl"), ("--report", "plot.png")])
def test_what_cannot_be_written_is_told_before_anything_is_measured(crossiqa, tiny_onnx, bad, tmp_path):
    done = crossiqa("bench", "--model", tiny_onnx, *SHORT, bad[0], tmp_path / bad[1])
    assert done.code == 2
    assert "timing" not in done.err
    assert list(tmp_path.rglob("plot*")) == []


def test_rows_are_not_appended_to_what_holds_none(crossiqa, tiny_onnx, tmp_path):
    (tmp_path / "notes.txt").write_text("not a result\n")
    done = crossiqa("bench", "--model", tiny_onnx, *SHORT, "--out", tmp_path / "notes.txt")
    assert done.code == 2
    assert (tmp_path / "notes.txt").read_text() == "not a result\n"


def test_what_was_measured_is_shown_even_if_the_disk_is_full_by_then(
    crossiqa, tiny_onnx, tmp_path, monkeypatch
):
    def full(path, *rows):
        raise OutputError(f"{path}: not written (No space left on device)")

    monkeypatch.setattr("crossiqa_edge.bench.jsonl.append", full)
    done = crossiqa("bench", "--model", tiny_onnx, *SHORT, "--out", tmp_path / "rows.jsonl")
    assert done.code == 2
    assert "tiny-test" in done.out


@pytest.mark.parametrize("seconds", ["nan", "inf"])
def test_a_time_without_end_is_refused(crossiqa, tiny_onnx, seconds):
    assert crossiqa("bench", "--model", tiny_onnx, "--seconds", seconds).code == 2
    assert crossiqa("bench", "roofline", tiny_onnx, "--seconds", seconds).code == 2
    assert crossiqa("tune", "--max-latency-ms", 9, "--model", tiny_onnx, "--seconds", seconds).code == 2


def test_files_that_are_no_results(crossiqa, tmp_path):
    absent = crossiqa("bench", "report", tmp_path / "absent.jsonl")
    assert absent.code == 2
    assert "cannot be read" in absent.err


def test_a_roofline_of_every_backend_that_runs_here(crossiqa, monkeypatch):
    monkeypatch.setattr("crossiqa_edge.bench.roofline_table.measure_peak", lambda device: Peak(1e9, 1e9))
    done = crossiqa("bench", "roofline", "nano", "--batch", 1, "--seconds", 0.01)
    assert done.code == 0
    header, _, *lines = done.out.splitlines()
    assert "of the roof" in header
    assert "| onnxruntime |" in done.out
    assert len(lines) == len({line.split("|")[3] for line in lines})  # one each


def test_peers_says_who_is_missing(crossiqa, tiny_onnx, monkeypatch):
    absent = peers.metric("Absent", "absent", "no_such_module_here", lambda: lambda frame: 0.0)
    monkeypatch.setattr(peers, "METRICS", (absent,))
    monkeypatch.setattr(peers, "NETWORKS", ())
    done = crossiqa("bench", "peers", "--model", tiny_onnx, "--limit", 6, "--seconds", 0.01)
    assert done.code == 0
    assert "left out: Absent: not installed; pip install absent" in done.err
    assert "| tiny-test@" in done.out


def test_peers_are_run_by_one_runtime(crossiqa, tiny_onnx, monkeypatch):
    """Where another is faster with our model it is not taken: the networks beside it are onnxruntime's."""
    monkeypatch.setattr(select, "_choose", lambda *given: ("openvino", "fastest here"))
    monkeypatch.setattr(peers, "METRICS", ())
    monkeypatch.setattr(peers, "NETWORKS", ())
    done = crossiqa("bench", "peers", "--model", tiny_onnx, "--limit", 6, "--seconds", 0.01)
    assert done.code == 0
    assert "| onnxruntime cpu fp32 |" in done.out


def test_tune_writes_what_score_reads(crossiqa, tiny_onnx, tmp_path):
    config = tmp_path / "found.json"
    done = crossiqa(
        *("tune", "--model", tiny_onnx, "--max-latency-ms", 5000, "--p", 50),
        *("--seconds", 0.01, "--out", config, "--json"),
    )
    assert done.code == 0
    document = json.loads(done.out)
    assert document["chosen"] == json.loads(config.read_text())
    tried = {(trial["point"]["sampling"], trial["point"]["views"]) for trial in document["trials"]}
    assert tried == {("fragments", 1), ("fragments", 5), ("crops", 1), ("crops", 5)}
    scored = crossiqa("score", "--config", config, "examples/coffee.jpg", "--json")
    assert scored.code == 0
    assert json.loads(scored.out)[0]["backend"].startswith(document["chosen"]["backend"])


def test_tune_shows_what_it_found_where_it_cannot_write(crossiqa, tiny_onnx, tmp_path):
    done = crossiqa(
        *("tune", "--model", tiny_onnx, "--max-latency-ms", 5000, "--p", 50, "--seconds", 0.01),
        *("--out", tmp_path / "absent" / "found.json"),
    )
    assert done.code == 2
    assert "chosen" in done.out


def test_tune_says_when_nothing_fits(crossiqa, tiny_onnx, tmp_path):
    config = tmp_path / "found.json"
    done = crossiqa(
        *("tune", "--model", tiny_onnx, "--max-latency-ms", 1e-6, "--seconds", 0.01, "--out", config)
    )
    assert done.code == 1
    assert "certainly too slow" in done.out
    assert not config.exists()
