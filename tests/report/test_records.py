"""JSON and CSV: complete documents after any number of results, with nothing lost on the way."""

from __future__ import annotations

import csv
import io
import json

import pytest

from crossiqa_edge.errors import InputError
from crossiqa_edge.report.records import CSV_COLUMNS, CsvWriter, JsonLinesWriter, JsonWriter
from crossiqa_edge.report.result import ClipResult, Result
from crossiqa_edge.score import Score
from crossiqa_edge.video.frames import COMPLETE, TRUNCATED, SourceEnd
from crossiqa_edge.video.report import Recorder, VideoReport
from crossiqa_edge.video.results import FrameScore, GapEvent

NAMES = ["plain.png", 'comma, "quote".png', "naïve/写真.jpg", "\\udcff.png"]


def scored(path: str) -> Result:
    flags = ("tiny", "graphics")
    score = Score(61.0, (50.0, 72.0), (60.0, 62.0), "m@1", "b", {"decode": 1, "infer": 2}, flags, 40.0, "R")
    return Result(path, path, score)


RESULTS = [*map(scored, NAMES), Result("bad, worse.png", None, InputError("damaged; export it again"))]


@pytest.mark.parametrize("count", range(len(RESULTS) + 1))
def test_json_is_one_valid_document_wherever_it_stops(count: int) -> None:
    stream = io.StringIO()
    writer = JsonWriter(stream)
    for result in RESULTS[:count]:
        writer.write(result)
    writer.close()
    assert json.loads(stream.getvalue()) == [result.to_dict() for result in RESULTS[:count]]
    assert stream.getvalue().isascii()


def test_csv_rows_read_back() -> None:
    stream = io.StringIO()
    writer = CsvWriter(stream)
    for result in RESULTS:
        writer.write(result)
    writer.close()
    rows = list(csv.DictReader(io.StringIO(stream.getvalue())))
    assert tuple(rows[0]) == CSV_COLUMNS
    assert [row["path"] for row in rows] == [*NAMES, "bad, worse.png"]
    assert rows[0] == {
        "path": "plain.png",
        "score": "61.0",
        "quality": "good",
        "interval_low": "50.0",
        "interval_high": "72.0",
        "views": "2",
        "ms": "3",
        "model": "m@1",
        "backend": "b",
        "flags": "tiny graphics",
        "percentile": "40.0",
        **dict.fromkeys(("error", "index", "pts", "is_cut", "dropped_before"), ""),
    }
    assert rows[-1]["error"] == "damaged; export it again"
    assert {rows[-1][key] for key in CSV_COLUMNS if key not in ("path", "error")} == {""}


@pytest.mark.parametrize("kind", [CsvWriter, JsonLinesWriter])
def test_every_row_and_line_is_handed_on_at_once(kind: type[CsvWriter | JsonLinesWriter]) -> None:
    flushed: list[str] = []

    class Watched(io.StringIO):
        def flush(self) -> None:
            flushed.append(self.getvalue())

    writer = kind(Watched())
    writer.write(scored("a.png"))
    assert flushed and "a.png" in flushed[-1]
    writer.frame("b.mp4", EVENTS[0])
    assert "b.mp4" in flushed[-1]


def test_json_lines_are_such_as_any_terminal_can_write() -> None:
    stream = io.StringIO()
    writer = JsonLinesWriter(stream)
    for result in RESULTS:
        writer.write(result)
    assert [json.loads(line)["path"] for line in stream.getvalue().splitlines()] == [r.path for r in RESULTS]
    assert stream.getvalue().isascii()


EVENTS = [
    FrameScore(0, 0.0, 61.0, (50.0, 72.0), (60.0, 62.0), ("letterboxed",), {"decode": 1, "infer": 2}),
    GapEvent(0, 0.04, 1.5, "lost"),
    FrameScore(3, 1.54, None, flags=("black", "letterboxed"), dropped_before=2, is_cut=True),
]


def clip(status: str = COMPLETE, events: list[FrameScore | GapEvent] = EVENTS) -> ClipResult:
    recorder = Recorder()
    for event in events:
        recorder.add(event)
    end = SourceEnd(status, "the file ends early")
    return ClipResult("a.mp4", None, recorder.report("a.mp4", {}, model="m@1", backend="b", end=end))


def test_a_lone_clip_is_a_document_of_its_own() -> None:
    stream = io.StringIO()
    writer = JsonWriter(stream, bare=True)
    writer.write(clip())
    writer.close()
    assert json.loads(stream.getvalue()) == clip().to_dict()
    stopped_before_it = io.StringIO()
    JsonWriter(stopped_before_it, bare=True).close()
    assert json.loads(stopped_before_it.getvalue()) is None


def test_json_lines_are_there_frame_by_frame_and_end_with_what_they_come_to() -> None:
    stream = io.StringIO()
    writer = JsonLinesWriter(stream)
    writer.write(RESULTS[0])
    for event in EVENTS:
        writer.frame("a.mp4", event)
        assert json.loads(stream.getvalue().splitlines()[-1]) == {"path": "a.mp4", **event.to_dict()}
    writer.write(clip())
    end = json.loads(stream.getvalue().splitlines()[-1])
    assert (end["event"], end["pooled"]["mean"], end["counts"]["gaps"]) == ("end", 61.0, 1)
    assert not {"frames", "gaps"} & set(end)
    assert json.loads(stream.getvalue().splitlines()[0]) == RESULTS[0].to_dict()


def test_json_lines_hold_no_list_of_all_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VideoReport, "_frames", None)
    stream = io.StringIO()
    JsonLinesWriter(stream).write(clip())
    assert json.loads(stream.getvalue())["counts"]["frames"] == 2


def test_csv_has_a_row_a_frame_and_one_for_what_went_wrong() -> None:
    stream = io.StringIO()
    writer = CsvWriter(stream)
    for event in EVENTS:
        writer.frame("a.mp4", event)
    writer.write(clip(TRUNCATED))
    first, gap, black, end = csv.DictReader(io.StringIO(stream.getvalue()))
    assert (first["score"], first["quality"], first["interval_low"], first["ms"], first["views"]) == (
        "61.0", "good", "50.0", "3", "2",
    )  # fmt: skip
    assert (gap["pts"], gap["error"], gap["score"]) == ("0.04", "gap of 1.500 s: lost", "")
    assert (black["score"], black["quality"], black["flags"]) == ("", "", "black letterboxed")
    assert (black["index"], black["dropped_before"], black["is_cut"]) == ("3", "2", "True")
    assert "truncated: the file ends early" in end["error"] and end["index"] == ""


def test_a_whole_clip_leaves_no_row_about_its_end() -> None:
    stream = io.StringIO()
    writer = CsvWriter(stream)
    writer.write(clip(events=EVENTS[:1]))
    assert len(stream.getvalue().splitlines()) == 1
