"""``crossiqa watch``: JSON lines in a pipe, a panel on a terminal, exit codes."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from clip_files import write_clip
from rich.console import Console
from rich.text import Text

from crossiqa_edge.cli import watch, watch_panel
from crossiqa_edge.cli.watch_panel import Panel, curve
from crossiqa_edge.errors import ConfigError
from crossiqa_edge.runtime import select
from crossiqa_edge.runtime.scorer import Scorer
from crossiqa_edge.video.frames import LOST, FrameSource, SourceEnd
from crossiqa_edge.video.pipeline import Stream
from crossiqa_edge.video.policy import Policy
from crossiqa_edge.video.results import FrameScore, GapEvent
from crossiqa_edge.video.rolling import Rolling
from crossiqa_edge.video.source import open_source

Crossiqa = Callable[..., Any]
Process = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4", [204] * 20 + [51] * 10 + [0] * 5)


@pytest.fixture
def watched(crossiqa: Crossiqa, tiny_onnx: Path) -> Crossiqa:
    return lambda *arguments: crossiqa("watch", "--model", tiny_onnx, "--backend", "onnxruntime", *arguments)


@pytest.mark.parametrize(
    ("words", "work"),
    [
        (("clip.mp4",), 300),
        (("-",), 300),
        (("rtsp://h/x",), 27_000),
        (("camera:0", "--sampling", "crops"), 27_000),  # of how many views each, the scorer knows
    ],
)
def test_auto_is_told_how_much_lies_ahead(
    crossiqa: Crossiqa, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], work: int
) -> None:
    told = []

    def load(*_: Any, **options: Any) -> Scorer:
        told.append(options["work"])
        raise ConfigError("enough is known")

    monkeypatch.setattr(Scorer, "load", load)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"YUV4MPEG2 ")))
    for verb in ("watch", "score"):
        crossiqa(verb, *words)
    assert told == [work, work]


@pytest.mark.parametrize(
    "words", [("watch", "testpattern:"), ("score", "testpattern:"), ("serve", "--port", "0")]
)
def test_views_are_limited_before_they_fill_the_memory(
    crossiqa: Crossiqa, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    def load(*_: Any, **options: Any) -> Scorer:
        raise ConfigError(f"loaded with {options['views']}")

    monkeypatch.setattr(Scorer, "load", load)
    assert "loaded with 64" in crossiqa(*words, "--views", 64).err
    done = crossiqa(*words, "--views", 65)
    assert (done.code, done.out, "loaded" in done.err) == (2, "", False)
    assert "--views" in done.err and "64" in done.err


@pytest.mark.parametrize("sampling", ["fragments", "crops"])
def test_several_views_a_frame(watched: Crossiqa, clip: Path, sampling: str) -> None:
    done = watched(clip, "--sampling", sampling, "--views", 3)
    *frames, end = [json.loads(line) for line in done.out.splitlines()]
    assert (done.code, end["scored"]) == (0, 30)
    assert [len(frame["raw"]) for frame in frames] == [3] * 30 + [0] * 5


def test_a_pipe_gets_a_line_a_frame_and_what_they_come_to(watched: Crossiqa, clip: Path) -> None:
    done = watched(clip)
    *frames, end = [json.loads(line) for line in done.out.splitlines()]
    assert (done.code, done.err) == (0, "")
    assert [frame["index"] for frame in frames] == list(range(35))
    assert {frame["path"] for frame in frames} == {str(clip)}
    assert (end["event"], end["frames"], end["scored"], end["flagged"]) == ("end", 35, 30, {"black": 5})
    assert end["mean"] == pytest.approx((20 * 80 + 10 * 20) / 30, abs=2)
    assert end["min"] == min(frame["score"] for frame in frames if frame["score"] is not None)
    assert end["end"]["status"] == "complete"
    assert end["model"].startswith("tiny-test@") and end["backend"] == "onnxruntime cpu fp32"


def test_a_backend_that_was_chosen_is_told_with_the_reason_in_one_line(
    crossiqa: Crossiqa, tiny_onnx: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(select, "BACKENDS", {name: select.BACKENDS[name] for name in ("onnxruntime",)})
    done = crossiqa("watch", "--model", tiny_onnx, clip)
    reason = "the only one that runs this onnx file here"
    assert (done.code, done.complaints) == (0, [f"crossiqa: onnxruntime cpu fp32: {reason}"])


def test_options_reach_what_loads_opens_and_reads(
    watched: Crossiqa, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[str, Any] = {}
    load = Scorer.load

    def loaded(*words: Any, **options: Any) -> Scorer:
        told.update(threads=options["threads"])
        return load(*words, **options)

    def opened(*words: Any, **options: Any) -> Any:
        told.update(options)
        return open_source(*words, **options)

    def read(scorer: Scorer, source: FrameSource, policy: Policy) -> Stream:
        told.update(policy=policy)
        source.close()
        raise ConfigError("enough is known")

    monkeypatch.setattr(Scorer, "load", loaded)
    monkeypatch.setattr(watch, "open_source", opened)
    monkeypatch.setattr(watch, "stream", read)
    watched(
        *(clip, "--threads", 1, "--hardware", "software", "--patience", 3, "--live", "--max-latency-ms", 70),
        *("--stride", 4, "--fps", 5, "--start", "1:02:03.5", "--end", "2:00:00"),
    )
    policy = Policy("live", max_latency_ms=70.0, stride=4, fps=5.0, start=3723.5, end=7200.0)
    source = {"start": 3723.5, "hardware": "software", "patience": 3.0}
    assert told == {"threads": 1, "policy": policy, **source}
    watched(clip)
    assert told["patience"] == 60.0, "as long as it takes to start a camera again"


def test_policies_are_those_of_score(watched: Crossiqa, clip: Path) -> None:
    done = watched("--stride", 10, "--end", 1, clip)
    assert [json.loads(line)["index"] for line in done.out.splitlines()[:-1]] == [0, 10, 20]


def test_nothing_to_score(watched: Crossiqa, tmp_path: Path) -> None:
    assert watched(write_clip(tmp_path / "black.mp4", [0] * 5)).code == 2
    done = watched(tmp_path / "gone.mp4")
    assert (done.code, done.out, len(done.complaints)) == (2, "", 1)


@pytest.mark.parametrize("trouble", ["gap", "lost"])
def test_what_was_lost_is_told_and_the_exit_code_says_so(
    watched: Crossiqa, clip: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    real = watch.stream

    class Troubled(Stream):
        def _run(self) -> Iterator[FrameScore | GapEvent]:
            if trouble == "gap":
                yield GapEvent(None, 0.0, 1.5, "the connection was lost")
            yield from super()._run()

        def _finish(self, end: SourceEnd | None) -> None:
            super()._finish(SourceEnd(LOST, "it did not come back") if trouble == "lost" else end)

    monkeypatch.setattr(watch, "stream", lambda scorer, source, policy: Troubled(scorer, source, policy))
    assert real is not watch.stream
    done = watched(clip)
    assert done.code == 1
    assert ("it did not come back" in done.err) == (trouble == "lost")
    assert json.loads(done.out.splitlines()[-1])["gaps"] == (trouble == "gap")


def test_frames_dropped_at_the_end_are_counted(
    watched: Crossiqa, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = Stream._finish

    def dropping(self: Stream, end: SourceEnd | None) -> None:
        finish(self, end)
        assert self.end is not None
        self.end = replace(self.end, read=42, dropped=7)

    monkeypatch.setattr(Stream, "_finish", dropping)
    end = json.loads(watched(clip).out.splitlines()[-1])
    assert (end["frames"], end["dropped"]) == (35, 7)


def test_ctrl_c_ends_an_endless_source_with_all_that_was_read(
    process: Process, tiny_onnx: Path, tmp_path: Path
) -> None:
    printed = tmp_path / "lines.jsonl"
    with printed.open("w") as stream:
        running = process(
            "watch", "--model", tiny_onnx, "--backend", "onnxruntime", "testpattern:96x64@25", stdout=stream
        )
        start = time.monotonic()
        while printed.read_text().count("\n") < 3:
            assert running.poll() is None and time.monotonic() - start < 60
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=60)
    *frames, end = [json.loads(line) for line in printed.read_text().splitlines()]
    assert running.returncode == 130 and errors.strip() == "crossiqa: interrupted"
    assert (end["event"], end["frames"]) == ("end", len(frames))


def test_sigterm_ends_the_loading_too(watched: Crossiqa, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: Any, **__: Any) -> Scorer:
        signal.raise_signal(signal.SIGTERM)
        raise ConfigError("it went on")

    monkeypatch.setattr(Scorer, "load", load)
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        done = watched(clip)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (done.code, done.err.strip()) == (130, "crossiqa: interrupted")


def test_the_panel_shows_where_the_stream_stands(tiny_onnx: Path) -> None:
    rolling = Rolling()
    source = open_source("testpattern:96x64@25")
    with Scorer.load(tiny_onnx) as scorer:
        panel = Panel(source.facts, rolling, scorer)
        assert "waiting for the first frame" in drawn(panel)
        for place in range(50):
            score = 81.0 if place < 25 else 31.0
            rolling.add(FrameScore(place, place / 25, score, timings_ms={"infer": 7.0}, dropped_before=2))
        rolling.add(GapEvent(49, 2.0, 1.5, "lost"))
        shown = drawn(panel)
    source.close()
    for figure in (
        "31.0 poor",
        "mean  56.0 fair",
        "0:00:01.960",
        "dropped 100",
        "gaps 1 (1.5 s)",
        "p95 7.0 ms",
    ):
        assert figure in shown
    assert "testpattern:" in shown and "tiny-test@" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_the_panel_is_drawn_while_results_come(tiny_onnx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between any two of its steps the other thread may have its turn; here it has."""
    rolling = Rolling()
    results = (FrameScore(place, place / 4, 50.0, flags=(f"{place}",)) for place in range(100))

    def add_one(text: object, *_: object, **__: object) -> Text:
        rolling.add(next(results))
        return Text(str(list(text)) if isinstance(text, Iterator) else str(text))

    class Told(str):
        """A flag whose spelling takes so long that results come meanwhile."""

        def __format__(self, spec: str) -> str:
            rolling.add(next(results))
            return str(self)

    source = open_source("testpattern:96x64@25")
    with Scorer.load(tiny_onnx) as scorer:
        panel = Panel(source.facts, rolling, scorer)
        rolling.add(FrameScore(0, 0.0, 50.0, flags=(Told("letterboxed"),)))
        rolling.add(next(results))
        monkeypatch.setattr(watch_panel, "curve", add_one)
        assert "letterboxed 1" in drawn(panel)
    source.close()


def test_the_present_is_in_the_panel_of_a_narrow_terminal_too(tiny_onnx: Path) -> None:
    rolling = Rolling()
    source = open_source("testpattern:96x64@25")
    for place in range(400):
        rolling.add(FrameScore(place, place / 4, 90.0 if place < 390 else 5.0))
    with Scorer.load(tiny_onnx) as scorer:
        assert "█▁▁▁" in drawn(Panel(source.facts, rolling, scorer), width=50)
    source.close()


def drawn(panel: Panel, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(panel)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def test_the_curve_runs_from_the_past_to_the_present() -> None:
    assert curve([100.0, float("nan"), 0.0]).plain == "▁·█"
