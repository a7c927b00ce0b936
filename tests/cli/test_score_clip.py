"""``crossiqa score`` on clips: forms of output, policies, mixing with pictures, ends, exit codes."""

from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from clip_files import write_clip
from PIL import Image

from crossiqa_edge.errors import InputError
from crossiqa_edge.runtime.scorer import Scorer
from crossiqa_edge.video.frames import FrameSource, SourceEnd
from crossiqa_edge.video.pipeline import Stream
from crossiqa_edge.video.policy import Policy
from crossiqa_edge.video.source import open_source

Crossiqa = Callable[..., Any]
Process = Callable[..., "subprocess.Popen[str]"]

LEVELS = [204] * 25 + [102] * 25 + [0] * 5 + [204] * 5


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2.4 s: a second of 80, a second of 40, 0.2 s of black, 0.2 s of 80."""
    return write_clip(tmp_path_factory.mktemp("clips") / "a clip.mp4", LEVELS)


@pytest.fixture
def score(crossiqa: Crossiqa, tiny_onnx: Path) -> Crossiqa:
    return lambda *arguments: crossiqa("score", "--model", tiny_onnx, "--backend", "onnxruntime", *arguments)


def test_one_clip_is_one_document(score: Crossiqa, clip: Path) -> None:
    done = score("--json", clip)
    document = json.loads(done.out)
    assert (done.code, done.err) == (0, "")
    assert document["path"] == str(clip)
    assert [frame["index"] for frame in document["frames"]] == list(range(60))
    assert [frame["pts"] for frame in document["frames"]] == [round(place / 25, 6) for place in range(60)]
    for frame, level in zip(document["frames"], LEVELS, strict=True):
        if level:
            assert frame["score"] == pytest.approx(level / 2.55, abs=2)
        else:
            assert (frame["score"], frame["flags"]) == (None, ["black"])
    pooled = document["pooled"]
    assert pooled["mean"] == pytest.approx((30 * 80 + 25 * 40) / 55, abs=2)
    assert pooled["p5"] == pytest.approx(40, abs=2)
    assert pooled["worst_window"] == pytest.approx(40, abs=2)
    begin, stop = pooled["worst_window_at"]
    assert 1.0 <= begin <= 1.24 and stop == 2.0  # black follows, so the window may hold a few frames less
    assert document["counts"]["flagged"] == {"black": 5}


def test_lines_and_rows_have_every_frame(score: Crossiqa, clip: Path) -> None:
    lines = [json.loads(line) for line in score("--jsonl", clip).out.splitlines()]
    rows = list(csv.DictReader(io.StringIO(score("--csv", clip).out)))
    assert [line["index"] for line in lines[:-1]] == [int(row["index"]) for row in rows] == list(range(60))
    assert [line["score"] for line in lines[:-1]] == [
        float(row["score"] or "nan") if row["score"] else None for row in rows
    ]
    assert lines[-1]["event"] == "end" and lines[-1]["counts"]["scored"] == 55


def test_the_table_has_a_row_a_clip(score: Crossiqa, clip: Path) -> None:
    header, row = score(clip).out.splitlines()
    assert header.split() == ["mean", "quality", "0", "100", "p5", "worst", "frames", "file"]
    assert row.endswith(f"55  {clip}  (5 black)")


def test_pictures_and_clips_in_one_call_keep_their_order(score: Crossiqa, clip: Path, tmp_path: Path) -> None:
    for name in ("1.png", "3.png"):
        Image.new("RGB", (64, 64), (51, 51, 51)).save(tmp_path / name)
    (tmp_path / "2.mp4").write_bytes(clip.read_bytes())
    report = tmp_path / "report.html"
    done = score("--json", "--report", report, tmp_path)
    kinds = [("frames" in one, Path(one["path"]).name) for one in json.loads(done.out)]
    assert kinds == [(False, "1.png"), (True, "2.mp4"), (False, "3.png")]
    page = report.read_text("utf-8")
    assert "<h1>Quality report</h1>" in page and page.count('class="time"') == 1
    assert page.count("data:image/jpeg") > 2  # the two pictures, and stills of the clip
    worst = json.loads(score("--json", "--sort", "score", tmp_path).out)
    assert [Path(one["path"]).name for one in worst] == ["1.png", "3.png", "2.mp4"]


def test_which_frames_are_scored(score: Crossiqa, clip: Path) -> None:
    def seconds(*options: object) -> list[float]:
        return [frame["pts"] for frame in json.loads(score("--json", *options, clip).out)["frames"]]

    assert seconds("--stride", 20) == [0.0, 0.8, 1.6]
    assert seconds("--fps", 2) == [0.0, 0.52, 1.0, 1.52, 2.0] or len(seconds("--fps", 2)) == 5
    assert seconds("--start", "0:01.9", "--end", 2) == [1.92, 1.96]


def test_options_reach_what_loads_opens_and_reads(
    score: Crossiqa, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[str, Any] = {}
    load = Scorer.load

    def loaded(*words: Any, **options: Any) -> Scorer:
        told.update(threads=options["threads"], max_pixels=options["max_pixels"])
        return load(*words, **options)

    def opened(*words: Any, **options: Any) -> Any:
        told.update(options)
        return open_source(*words, **options)

    def read(scorer: Scorer, source: FrameSource, policy: Policy) -> Stream:
        told.update(policy=policy)
        source.close()
        raise InputError("enough is known")

    monkeypatch.setattr(Scorer, "load", loaded)
    monkeypatch.setattr("crossiqa_edge.video.source.open_source", opened)
    monkeypatch.setattr("crossiqa_edge.video.pipeline.stream", read)
    score(
        *(clip, "--threads", 1, "--max-pixels", 12345, "--hardware", "software", "--batch", 3),
        *("--live", "--max-latency-ms", 70, "--stride", 4, "--fps", 5, "--start", 1.5),
    )
    policy = Policy("live", max_latency_ms=70.0, stride=4, fps=5.0, start=1.5, batch=3)
    models = {"threads": 1, "max_pixels": 12345}
    assert told == {**models, "start": 1.5, "hardware": "software", "policy": policy}


@pytest.mark.parametrize("method", ["p5", "worst-window"])
def test_the_pooling_is_chosen(score: Crossiqa, clip: Path, method: str) -> None:
    document = json.loads(score("--json", "--pool", method, "--window", 0.4, "--bad-below", 50, clip).out)
    assert document["score"] == pytest.approx(40, abs=2)
    begin, stop = document["pooled"]["worst_window_at"]
    assert 0.3 <= stop - begin <= 0.401
    (segment,) = document["bad_segments"]
    assert (segment["start"], segment["end"]) == (pytest.approx(1, abs=0.13), pytest.approx(2, abs=0.13))


@pytest.mark.parametrize(("limit", "code"), [(50, 0), (70, 1)])
def test_fail_under_is_about_the_pooled_score(score: Crossiqa, clip: Path, limit: int, code: int) -> None:
    assert score("--fail-under", limit, clip).code == code


def test_timings(score: Crossiqa, clip: Path) -> None:
    assert "60 frames in" in score("--timings", clip).err


def test_a_truncated_clip_is_scored_up_to_there(score: Crossiqa, clip: Path, tmp_path: Path) -> None:
    import av

    whole, cut = tmp_path / "whole.ts", tmp_path / "cut.ts"
    with av.open(str(clip)) as source, av.open(str(whole), "w", format="mpegts") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.6)])
    done = score("--json", cut)
    document = json.loads(done.out)
    assert done.code == 1
    assert 5 < len(document["frames"]) < 60
    assert document["end"]["status"] not in ("complete", "stopped")
    assert len(done.complaints) == 1 and "scored up to 0:00:" in done.err


def test_what_is_no_clip_is_one_line(score: Crossiqa, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"not a clip at all" * 99)
    done = score("--json", tmp_path / "broken.mp4")
    assert (done.code, len(done.complaints)) == (2, 1)
    assert set(json.loads(done.out)) == {"path", "error"}
    assert score(tmp_path / "broken.mp4", clip).code == 1


def test_passwords_do_not_get_out(score: Crossiqa) -> None:
    done = score("--json", "rtsp://user:hunter2@127.0.0.1:9/live?token=abc123")
    assert done.code == 2
    assert "hunter2" not in done.out + done.err and "abc123" not in done.out + done.err
    assert "127.0.0.1:9/live" in json.loads(done.out)["path"]


def test_a_clip_without_anything_to_judge(score: Crossiqa, tmp_path: Path) -> None:
    done = score("--json", write_clip(tmp_path / "black.mp4", [0] * 10))
    assert done.code == 2
    assert json.loads(done.out)["pooled"] is None
    assert "no frame of it could be scored" in done.err


def test_a_start_beyond_the_end_says_so(score: Crossiqa, clip: Path) -> None:
    done = score("--start", "1:00:00", clip)
    assert (done.code, len(done.complaints)) == (2, 1)
    assert done.err.endswith("no frame is in the part that was to be scored; the clip lasts 0:00:02.400\n")


@pytest.mark.parametrize("part", [("--end", "0"), ("--start", "0.041", "--end", "0.079")])
def test_a_part_between_frames_says_nothing_false(score: Crossiqa, clip: Path, part: tuple[str, ...]) -> None:
    done = score(*part, clip)
    assert (done.code, len(done.complaints)) == (2, 1)
    assert "no frame is in the part" in done.err and "ended" not in done.err


def test_frames_dropped_at_the_end_are_counted(
    score: Crossiqa, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = Stream._finish

    def dropping(self: Stream, end: SourceEnd | None) -> None:
        finish(self, end)
        assert self.end is not None
        self.end = replace(self.end, read=67, dropped=7)

    monkeypatch.setattr(Stream, "_finish", dropping)
    counts = json.loads(score("--json", clip).out)["counts"]
    assert (counts["frames"], counts["dropped"]) == (60, 7)


@pytest.mark.parametrize("form", ["--json", "--jsonl"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_clip_leaves_a_complete_document(
    score: Crossiqa, clip: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, form: str
) -> None:
    real = Stream.__next__

    def interrupted_at_20(self: Stream) -> Any:
        event = real(self)
        if event.index == 20:  # type: ignore[union-attr]
            signal.raise_signal(number)
        return event

    monkeypatch.setattr(Stream, "__next__", interrupted_at_20)
    before = signal.getsignal(number)
    done = score(form, clip)
    assert (done.code, "interrupted" in done.err) == (130, True)
    frames = json.loads(done.out)["frames"] if form == "--json" else done.out.splitlines()[:-1]
    assert 20 < len(frames) < 60
    end = json.loads(done.out if form == "--json" else done.out.splitlines()[-1])["end"]
    assert end["status"] == "stopped"
    assert signal.getsignal(number) is before


def test_sigterm_ends_a_real_process_with_a_complete_document(
    process: Process, tiny_onnx: Path, tmp_path: Path
) -> None:
    printed = tmp_path / "lines.jsonl"
    with printed.open("w") as stream:
        running = process(
            "score",
            "--jsonl",
            "--model",
            tiny_onnx,
            "--backend",
            "onnxruntime",
            "testpattern:96x64@25",
            stdout=stream,
        )
        start = time.monotonic()
        while printed.read_text().count("\n") < 3:
            assert running.poll() is None and time.monotonic() - start < 60
            time.sleep(0.05)
        running.send_signal(signal.SIGTERM)
        _, errors = running.communicate(timeout=60)
    lines = [json.loads(line) for line in printed.read_text().splitlines()]
    assert running.returncode == 130 and errors.strip() == "crossiqa: interrupted"
    assert lines[-1]["event"] == "end" and lines[-1]["counts"]["frames"] == len(lines) - 1


def test_overlay_and_heat_maps_are_written(score: Crossiqa, clip: Path, tmp_path: Path) -> None:
    overlay, heat, movie = tmp_path / "o.mp4", tmp_path / "h.png", tmp_path / "h.mp4"
    done = score("--overlay", overlay, "--heatmap", heat, "--end", 0.4, clip)
    assert done.code == 0 and "overlay written" in done.err and "heat map written" in done.err
    assert overlay.read_bytes()[4:8] == b"ftyp"
    assert Image.open(heat).width >= 96
    assert score("--heatmap", movie, "--end", 0.2, clip).code == 0
    assert movie.read_bytes()[4:8] == b"ftyp"


def test_a_heat_map_is_of_one_view_of_fragments(score: Crossiqa, clip: Path, tmp_path: Path) -> None:
    heat = tmp_path / "h.png"
    for given, remedy in ((("--sampling", "crops"), "--sampling fragments"), (("--views", 5), "--views 1")):
        done = score("--sampling", "fragments", *given, "--heatmap", heat, clip)
        assert (done.code, done.out, heat.exists()) == (2, "", False)
        assert len(done.complaints) == 1 and done.complaints[0].endswith(f"; add {remedy}")


@pytest.mark.parametrize(
    "wrong",
    [
        ("--overlay", "o.mp4", "a.png"),
        ("--overlay", "o.mp4", "a.mp4", "b.mp4"),
        ("--heatmap", "h.mp4", "a.png"),
        ("--heatmap", "h.jpg", "a.mp4"),
        ("--heatmap", "h.png", "a.png", "b.png"),
        ("--start", "5", "--end", "3", "a.mp4"),
        ("--start", "noon", "a.mp4"),
        ("--pool", "vibes", "a.mp4"),
        ("--stride", "0", "a.mp4"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_told_before_the_work(
    score: Crossiqa, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wrong: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Scorer, "load", lambda *_, **__: pytest.fail("the work has begun"))
    done = score(*wrong)
    assert (done.code, done.out, "Traceback" in done.err) == (2, "", False)
    assert not list(tmp_path.iterdir())
