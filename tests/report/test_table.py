"""The table: plain and complete in a pipe, coloured and within the line on a terminal."""

from __future__ import annotations

import io
import re

import pytest

from crossiqa_edge.errors import InputError
from crossiqa_edge.report.result import ClipResult, Result
from crossiqa_edge.report.table import TableWriter
from crossiqa_edge.score import Score
from crossiqa_edge.video.frames import COMPLETE, SourceEnd
from crossiqa_edge.video.pooling import Pooling
from crossiqa_edge.video.report import Recorder
from crossiqa_edge.video.results import FrameScore


class Stream(io.TextIOWrapper):
    def __init__(self, *, terminal: bool = False, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding)
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal

    def text(self) -> str:
        self.flush()
        return self.buffer.getvalue().decode(self.encoding)  # type: ignore[attr-defined]


def result(path: str, value: float, interval: tuple[float, float] | None = (0.0, 100.0)) -> Result:
    return Result(path, path, Score(value, interval, (value,), "m", "b", {"decode": 1.5, "infer": 2.25}))


def clip(path: str, scores: list[float | None], pooling: Pooling | None = None, **source: bool) -> ClipResult:
    recorder = Recorder()
    for place, score in enumerate(scores):
        flags = ("black",) if score is None else ()
        recorder.add(FrameScore(place, place / 25, score, flags=flags))
    end = SourceEnd(COMPLETE, "")
    return ClipResult(
        path, path, recorder.report(path, source, model="m", backend="b", end=end, pooling=pooling)
    )


def rows(stream: Stream, *results: Result | ClipResult) -> list[str]:
    writer = TableWriter(stream)
    for one in results:
        writer.write(one)
    writer.close()
    return stream.text().splitlines()


def test_a_row_says_score_word_interval_time_and_name() -> None:
    header, row = rows(Stream(), result("a photo.jpg", 63.24, (51.6, 74.9)))
    assert header.split() == ["score", "quality", "0", "100", "interval", "ms", "file"]
    assert re.fullmatch(r" +63\.2  good +██████▍ +52-75 +3\.8  a photo\.jpg", row)


def test_a_reference_set_has_a_column_and_flags_a_remark() -> None:
    score = Score(63.2, (51.6, 74.9), (63.2,), "m", "b", {"infer": 3.8}, ("graphics",), 41.6, "LIVE-itW")
    terminal = Stream(terminal=True)
    for stream in (Stream(), terminal):
        header, row, *legend = rows(stream, Result("a.png", "a.png", score))
        plain = [re.sub(r"\x1b\[\d*m", "", line) for line in (header, row, *legend)]
        assert plain[0].split()[-4:] == ["interval", "beats", "ms", "file"]
        assert re.search(r"52-75 +42% +3\.8  a\.png  \(graphics\)$", plain[1])
        assert plain[0].index("file") == plain[1].index("a.png") and len(plain[1]) <= 80
        assert plain[2:] == ["beats: better than this share of LIVE-itW"] * (stream is terminal)


def test_columns_stay_in_line_and_within_80() -> None:
    lines = rows(Stream(), *(result(f"photos/{value}.png", value) for value in (0.0, 9.96, 50.0, 100.0)))
    assert {line.index(name) for line, name in zip(lines, ["file"] + ["photos"] * 4, strict=True)} == {
        lines[0].index("file")
    }
    assert max(map(len, lines)) <= 80


def test_the_bar_grows_with_the_score_from_nothing_to_full() -> None:
    lines = rows(Stream(encoding="ascii"), *(result("x", value) for value in (0, 35, 100)))
    assert [line.count("#") for line in lines[1:]] == [0, 4, 10]


def test_a_pipe_gets_whole_names_and_no_codes() -> None:
    name = "folder/" * 30 + "a.png"
    lines = rows(Stream(), result(name, 12.0))
    assert lines[1].endswith(name)
    assert "\x1b" not in "".join(lines)


def test_a_terminal_gets_colour_and_the_end_of_long_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    row = rows(Stream(terminal=True), result("folder/" * 30 + "a.png", 12.0))[1]
    assert "\x1b[31m" in row
    plain = re.sub(r"\x1b\[\d+m", "", row)
    assert len(plain) == 80 and "…" in plain and plain.endswith("/a.png")


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in "".join(rows(Stream(terminal=True), result("a.png", 12.0)))


def test_failures_and_missing_intervals() -> None:
    assert rows(Stream(), Result("bad.png", None, InputError("damaged"))) == []
    assert "-" not in rows(Stream(), result("a.png", 50.0, None))[1]


def test_a_clip_is_one_row_with_its_aggregates_and_flags() -> None:
    header, row = rows(Stream(), clip("a.mp4", [None, 80.0, 80.0, 20.0]))
    assert header.split() == ["mean", "quality", "0", "100", "p5", "worst", "frames", "file"]
    assert re.fullmatch(r" +60\.0  good +█+ +26\.0 +60\.0 +3  a\.mp4  \(1 black\)", row)
    assert header.index("file") == row.index("a.mp4")


def test_interlaced_clips_are_told() -> None:
    remarks = [rows(Stream(), clip("a.mp4", [50.0], interlaced=woven))[1][-12:] for woven in (True, False)]
    assert remarks[0] == "(interlaced)" and remarks[1].endswith("a.mp4")


def test_the_first_column_is_what_the_clip_is_pooled_to() -> None:
    header, row = rows(Stream(), clip("a.mp4", [80.0, 20.0], Pooling("p5")))
    assert (header.split()[0], row.split()[0]) == ("p5", "23.0")


def test_pictures_and_clips_have_headers_of_their_own() -> None:
    lines = rows(Stream(), result("a.png", 50.0), clip("b.mp4", [40.0]), clip("c.mp4", [40.0]))
    assert [line.split()[-1] for line in lines] == ["file", "a.png", "file", "b.mp4", "c.mp4"]


def test_a_clip_without_a_score_has_no_row() -> None:
    assert rows(Stream(), clip("a.mp4", [None])) == []
