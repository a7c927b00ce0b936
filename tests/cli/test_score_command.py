"""``crossiqa score`` on sound pictures: forms of output, ways of naming pictures, exit codes."""

from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from crossiqa_edge.cli import score_extras
from crossiqa_edge.cli.score import _exit_code
from crossiqa_edge.imaging.decode import decode
from crossiqa_edge.imaging.testpattern import photo_like
from crossiqa_edge.report import write
from crossiqa_edge.report.result import Result
from crossiqa_edge.runtime import select, speeds
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.scorer import Scorer
from crossiqa_edge.score import Score

Crossiqa = Callable[..., Any]
Process = Callable[..., "subprocess.Popen[str]"]

# The tiny model scores brightness: a picture of grey level g gets g / 255 * 100.
LEVELS = {"dark": 51, "bright": 204, "middle": 127}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three grey pictures; by name: bright 80, dark 20, middle 49.8."""
    where = tmp_path / "pictures"
    where.mkdir()
    for name, level in LEVELS.items():
        Image.new("RGB", (96, 64), (level, level, level)).save(where / f"{name}.png")
    return where


@pytest.fixture
def score(crossiqa: Crossiqa, tiny_onnx: Path) -> Crossiqa:
    return lambda *arguments: crossiqa("score", "--model", tiny_onnx, "--backend", "onnxruntime", *arguments)


def test_table(score: Crossiqa, folder: Path) -> None:
    done = score(folder)
    header, *rows = done.out.splitlines()
    assert (done.code, done.err) == (0, "")
    assert header.split()[0] == "score"
    assert all(row.endswith("  (tiny, blank)") for row in rows)
    names = [Path(row.split()[-3]).stem for row in rows]
    assert [(row.split()[0], row.split()[1], name) for row, name in zip(rows, names, strict=True)] == [
        ("80.0", "excellent", "bright"),
        ("20.0", "poor", "dark"),
        ("49.8", "fair", "middle"),
    ]


def test_json_is_one_document_with_the_documented_keys(score: Crossiqa, folder: Path) -> None:
    done = score("--json", folder)
    document = json.loads(done.out)
    assert (done.code, done.err) == (0, "")
    assert [one["path"] for one in document] == [str(folder / f"{name}.png") for name in sorted(LEVELS)]
    assert list(document[0]) == [
        "path", "score", "quality", "interval", "percentile", "reference", "flags", "raw", "views", "model",
        "backend", "timings_ms",
    ]  # fmt: skip
    assert document[0]["flags"] == ["tiny", "blank"]
    assert document[1]["score"] == pytest.approx(20, abs=0.01)
    assert document[1]["interval"] == pytest.approx([7.5, 32.5], abs=0.01)
    assert set(document[1]["timings_ms"]) == {"decode", "sample", "infer"}


def test_csv(score: Crossiqa, folder: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(score("--csv", folder).out)))
    assert [round(float(row["score"]), 1) for row in rows] == [80.0, 20.0, 49.8]


@pytest.mark.parametrize("form", ["--json", "--csv"])
def test_sorting_puts_the_worst_first(score: Crossiqa, folder: Path, form: str) -> None:
    out = score(form, "--sort", "score", folder).out
    assert out.index("dark") < out.index("middle") < out.index("bright")


def test_pictures_are_named_in_five_ways(
    score: Crossiqa, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text(f"{folder / 'dark.png'}\n")
    piped = io.TextIOWrapper(io.BytesIO((folder / "bright.png").read_bytes()))
    monkeypatch.setattr("sys.stdin", piped)
    done = score("--json", folder / "bright.png", f"{folder}/m*.png", f"@{listed}", "-", folder)
    assert [(Path(one["path"]).stem, round(one["score"])) for one in json.loads(done.out)] == [
        ("bright", 80), ("middle", 50), ("dark", 20), ("-", 80), ("bright", 80), ("dark", 20), ("middle", 50),
    ]  # fmt: skip


def test_sampling_and_batch_change_the_views_not_the_score(score: Crossiqa, folder: Path) -> None:
    scores = []
    for sampling, given, views in (
        *(("crops", ("--views", "3"), 3), ("crops", (), 5)),
        *(("fragments", (), 1), ("fragments", ("--views", "4"), 4)),
    ):
        found = json.loads(score("--json", "--sampling", sampling, *given, "--batch", "2", folder).out)
        assert [(one["views"], len(one["raw"])) for one in found] == [(views, views)] * 3
        scores.append([one["score"] for one in found])
    assert scores == [scores[0]] * 4


def test_several_views_of_fragments_are_those_of_the_library(
    score: Crossiqa, tiny_onnx: Path, tmp_path: Path
) -> None:
    photo, page = tmp_path / "photo.png", tmp_path / "r.html"
    Image.fromarray(photo_like(3, 400, 700)).save(photo)
    done = score("--json", "--sampling", "fragments", "--views", 5, "--report", page, photo)
    (found,) = json.loads(done.out)
    with Scorer.load(tiny_onnx, backend="onnxruntime", sampling="fragments", views=5) as scorer:
        expected = scorer.score(photo)
    assert found["raw"] == pytest.approx(expected.raw, abs=0.01)
    assert len(set(found["raw"])) > 1
    assert "fragments, 5 views a picture" in page.read_text()


@pytest.mark.parametrize(("limit", "code"), [(15, 0), (21, 1), (100, 1)])
def test_fail_under(score: Crossiqa, folder: Path, limit: int, code: int) -> None:
    done = score("--fail-under", limit, folder)
    assert done.code == code
    assert len(done.out.splitlines()) == 4
    assert (f"pictures score below {limit}" in done.err) == bool(code)


@pytest.mark.parametrize(("value", "code"), [(39.996, 0), (40.004, 0), (39.994, 1)])
def test_fail_under_judges_scores_as_they_are_shown(value: float, code: int) -> None:
    assert _exit_code([Result("a.png", None, Score(value, None, (value,), "m", "b"))], 40.0) == code


def test_the_report_has_thumbnails_of_what_max_pixels_let_in(
    score: Crossiqa, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[object] = []
    monkeypatch.setattr(write, "write_report", lambda *_, **more: seen.append(more["max_pixels"]))
    assert score("--max-pixels", 123_456_789, "--report", tmp_path / "r.html", folder).code == 0
    assert seen == [123_456_789]


def test_the_heat_map_is_of_a_picture_that_max_pixels_let_in(
    score: Crossiqa, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def decoded(source: Any, *, max_pixels: int) -> Any:
        seen.append(max_pixels)
        return decode(source, max_pixels=max_pixels)

    monkeypatch.setattr(score_extras, "decode", decoded)
    words = ("--max-pixels", 123_456_789, "--heatmap", tmp_path / "h.png")
    assert score(*words, folder / "dark.png").code == 0
    assert seen == [123_456_789]


def test_timings_go_to_stderr_and_shares_sum_to_one(score: Crossiqa, folder: Path) -> None:
    done = score("--csv", "--timings", folder)
    assert len(done.out.splitlines()) == 4
    assert "3 pictures in" in done.err and "pictures/s" in done.err
    shares = [int(line.split("%")[0].split()[-1]) for line in done.complaints if "%" in line]
    assert len(shares) == 3
    assert sum(shares) == pytest.approx(100, abs=2)


@pytest.mark.parametrize("timings", [[], ["--timings"]], ids=["plain", "timings"])
def test_a_backend_that_was_chosen_is_told_with_the_reason_in_one_line(
    crossiqa: Crossiqa, tiny_onnx: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, timings: list[str]
) -> None:
    monkeypatch.setattr(select, "BACKENDS", {name: select.BACKENDS[name] for name in ("onnxruntime",)})
    done = crossiqa("score", "--json", "--model", tiny_onnx, *timings, folder)
    told = [line for line in done.complaints if "onnxruntime" in line]
    assert told == ["crossiqa: onnxruntime cpu fp32: the only one that runs this onnx file here"]
    assert done.complaints[0] == told[0] and (timings or len(done.complaints) == 1)
    assert len(json.loads(done.out)) == 3


def test_the_line_says_what_was_measured_on_first_use(
    crossiqa: Crossiqa, tiny_onnx: Path, folder: Path
) -> None:
    pytest.importorskip("openvino", reason="needs two backends to choose from")
    (first,) = crossiqa("score", "--model", tiny_onnx, folder).complaints
    assert "first to be done with 3 views" in first and "ms a view: onnxruntime " in first
    assert set(speeds.recall(Artefact.open(tiny_onnx), None)) == {"onnxruntime", "openvino"}
    (second,) = crossiqa("score", "--model", tiny_onnx, folder).complaints
    assert second == first


def test_nothing_is_told_of_a_backend_that_scored_nothing_or_was_asked_for(
    crossiqa: Crossiqa, tiny_onnx: Path, folder: Path
) -> None:
    assert len(crossiqa("score", "--model", tiny_onnx, folder / "gone.png").complaints) == 1
    assert crossiqa("score", "--model", tiny_onnx, "--backend", "onnxruntime", folder).err == ""


def test_report_is_written_beside_the_table(score: Crossiqa, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    done = score("--report", path, folder)
    assert done.code == 0
    assert len(done.out.splitlines()) == 4
    page = path.read_text("utf-8")
    assert page.count("data:image/jpeg") == 3
    assert "tiny-test@" in page and "onnxruntime cpu fp32" in page


def test_a_report_that_cannot_be_written_is_told_before_the_work(
    score: Crossiqa, folder: Path, tmp_path: Path
) -> None:
    done = score("--report", tmp_path / "no such folder" / "report.html", folder)
    assert (done.code, done.out) == (2, "")
    assert "no such folder" in done.err and len(done.complaints) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        ["--backend", "abacus"],
        ["--views", "0"],
        ["--batch", "1025"],
        ["--fail-under", "101"],
        ["--sampling", "squeeze"],
        [],
    ],
    ids=lambda wrong: " ".join(wrong) or "no path",
)
def test_wrong_usage(score: Crossiqa, folder: Path, wrong: list[str]) -> None:
    done = score(*wrong, *([folder] if wrong else []))
    assert (done.code, done.out) == (2, "")
    assert "Traceback" not in done.err
    assert (wrong[0] if wrong else "PATH...") in done.err


def test_a_missing_model_is_one_line(crossiqa: Crossiqa, folder: Path) -> None:
    done = crossiqa("score", "--model", "none.onnx", folder)
    assert (done.code, done.out, len(done.complaints)) == (2, "", 1)
    assert done.err.startswith("crossiqa: none.onnx: ")


@pytest.mark.parametrize("order", ["given", "score"])
def test_interrupted_runs_keep_what_was_done(
    score: Crossiqa, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: str
) -> None:
    real = Scorer.score_many

    def two_then_interrupt(self: Scorer, sources: Any, batch: int) -> Any:
        for index, outcome in enumerate(real(self, sources, batch)):
            if index == 2:
                raise KeyboardInterrupt
            yield outcome

    monkeypatch.setattr(Scorer, "score_many", two_then_interrupt)
    report = tmp_path / "report.html"
    done = score("--json", "--sort", order, "--report", report, folder)
    assert done.code == 130
    assert "interrupted" in done.err
    stems = [Path(one["path"]).stem for one in json.loads(done.out)]
    assert stems == (["bright", "dark"] if order == "given" else ["dark", "bright"])
    assert list(tmp_path.glob("*report*")) == [] and list(tmp_path.glob(".*")) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_real_process_with_a_valid_document(
    process: Process, folder: Path, tmp_path: Path, tiny_onnx: Path, number: signal.Signals
) -> None:
    listed = tmp_path / "list.txt"
    for index in range(1500):
        (folder / f"{index}.png").symlink_to(folder / "middle.png")
    listed.write_text("".join(f"{folder}/{index}.png\n" for index in range(1500)))
    running = process("score", "--csv", "--batch", "1", "--model", tiny_onnx, f"@{listed}")
    assert running.stdout is not None
    first = [running.stdout.readline() for _ in range(3)]
    running.send_signal(number)
    rest, errors = running.communicate(timeout=60)
    rows = list(csv.DictReader(io.StringIO("".join(first) + rest)))
    assert running.returncode == 130
    assert errors.strip() == "crossiqa: interrupted"
    assert 2 <= len(rows) < 1500
    assert {round(float(row["score"]), 1) for row in rows} == {49.8}


def test_results_and_complaints_are_apart(process: Process, folder: Path, tiny_onnx: Path) -> None:
    words = ("--json", "--model", tiny_onnx, "--backend", "onnxruntime")
    running = process("score", *words, folder / "dark.png", folder / "gone.png")
    out, errors = running.communicate(timeout=60)
    assert running.returncode == 1
    assert [Path(one["path"]).name for one in json.loads(out)] == ["dark.png", "gone.png"]
    assert len(errors.splitlines()) == 1 and "gone.png" in errors
