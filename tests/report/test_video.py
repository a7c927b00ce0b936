"""Clips in the HTML report: self-contained, safe, and true to the numbers."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import pytest
from page_reader import HOSTILE, Page, RawText

from crossiqa_edge.errors import InputError
from crossiqa_edge.imaging.testpattern import photo_like
from crossiqa_edge.report import curve, video
from crossiqa_edge.report.movie import Movie
from crossiqa_edge.report.result import ClipResult
from crossiqa_edge.report.write import report_page
from crossiqa_edge.video.frames import COMPLETE, TRUNCATED, SourceEnd
from crossiqa_edge.video.report import Recorder, VideoReport
from crossiqa_edge.video.results import FrameScore, GapEvent

FACTS = {
    "codec": "h264",
    "width": 96,
    "height": 64,
    "fps": 25.0,
    "duration": 4.0,
    "matrix": "bt709",
    "full_range": True,
}


def frames(scores: list[float | None]) -> list[FrameScore | GapEvent]:
    return [
        FrameScore(
            place,
            place / 25,
            score,
            flags=() if score is not None else ("black",),
            timings_ms={"decode": 1.0, "wait": 7.0, "infer": 3.0},
            is_cut=place in (50, 75),
        )
        for place, score in enumerate(scores)
    ]


def clip(
    events: list[FrameScore | GapEvent],
    path: str = "a.mp4",
    source: str | None = None,
    status: str = COMPLETE,
) -> ClipResult:
    recorder = Recorder()
    for event in events:
        recorder.add(event)
    end = SourceEnd(status, "the file ends early")
    return ClipResult(path, source, recorder.report(path, FACTS, model="m@1", backend="b", end=end))


SCORES: list[float | None] = [70.0] * 40 + [None] * 10 + [30.0] * 25 + [65.0] * 25


def test_nothing_is_fetched_and_the_policy_allows_just_this_page() -> None:
    source = report_page([], [clip(frames(SCORES))], {"Model": "m"})
    page = Page(source)
    for tag, attributes in page.elements:
        assert tag not in ("link", "iframe", "object", "base", "img")
        assert not [key for key in attributes if key.startswith("on") or key in ("style", "href", "src")]
    assert "http://" not in source and "https://" not in source
    (policy,) = (
        found["content"] or "" for found in page.find("meta", **{"http-equiv": "Content-Security-Policy"})
    )
    for tag in ("style", "script"):
        (content,) = (text for name, text in RawText(source).blocks if name == tag)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_the_page_says_what_the_clip_came_to() -> None:
    text = Page(report_page([], [clip(frames(SCORES))], {})).text().split("\n")
    mean = (40 * 70 + 25 * 30 + 25 * 65) / 90
    for label, figure in (("Mean", f"{mean:.1f}"), ("5th percentile", "30.0"), ("Worst 1 s", "30.0")):
        assert text[text.index(label) + 1].strip() == figure
    assert text[text.index("Frames scored") + 1] == "90" and text[text.index("Black") + 1] == "10"
    for words in (
        "Video quality report",
        "h264",
        "96 × 64",
        "25 frames/s",
        "bt709",
        "full",
        "Bad segments: below 40",
    ):
        assert words in text
    assert "0:00:02.000" in text and "0:00:03.000" in text  # the bad segment
    assert (
        text[text.index("decode") - 1] == "25%" and text[text.index("infer") - 1] == "75%"
    )  # waiting is no work


def test_the_curve_holds_every_scored_frame_and_no_other() -> None:
    (drawn,) = Page(curve.svg(report_of(frames(SCORES)), [])).find("svg", **{"class": "time"})
    points = json.loads(drawn["data-points"] or "")
    assert points == [[place / 25, score, place] for place, score in enumerate(SCORES) if score is not None]


def test_the_line_breaks_at_flags_and_gaps() -> None:
    assert pieces(frames([50.0] * 10)) == 1
    assert pieces(frames([50.0] * 5 + [None] + [50.0] * 5)) == 2
    assert pieces([*frames([50.0] * 5), GapEvent(4, 0.2, 1.0, "lost"), FrameScore(30, 1.2, 50.0)]) == 2


def test_flags_are_shown_for_as_long_as_they_last_and_cuts_between_shots() -> None:
    events = frames(SCORES)
    events[0] = FrameScore(0, 0.0, 70.0, is_cut=True)  # the beginning of a clip is no cut
    drawn = Page(curve.svg(report_of(events), []))
    (black,) = drawn.find("rect", **{"class": "flag-black"})
    assert (black["x"], black["width"]) == ("1.6000", "0.4000")
    assert [cut["d"] for cut in drawn.find("path", **{"class": "cut"})] == ["M2.0000 0V100", "M3.0000 0V100"]


def test_a_long_curve_keeps_its_dips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curve, "_BUCKETS", 20)
    scores: list[float | None] = [60.0 + place % 7 for place in range(1000)]
    scores[333], scores[700] = 3.0, 99.0
    (drawn,) = Page(curve.svg(report_of(frames(scores)), [])).find("svg", **{"class": "time"})
    points = json.loads(drawn["data-points"] or "")
    assert len(points) <= 40
    assert [13.32, 3.0, 333] in points and [28.0, 99.0, 700] in points


@pytest.mark.parametrize("seconds", [0.04, 3.0, 59.0, 4000.0, 90000.0])
def test_ticks_are_few_and_inside(seconds: float) -> None:
    events: list[FrameScore | GapEvent] = [FrameScore(0, 5.0, 50.0), FrameScore(1, 5.0 + seconds, 50.0)]
    drawn = Page(curve.svg(report_of(events), [])).texts
    ticks = [text for tag, text in drawn if tag == "text" and (":" in text or " s" in text)]
    assert 1 <= len(ticks) <= curve._TICKS + 1
    assert len(set(ticks)) == len(ticks)


def test_stills_come_from_the_clip_at_its_minima(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with path.open("wb") as stream, Movie(stream, 25) as movie:
        for place in range(100):
            movie.write(photo_like(place // 50, 64, 96), place / 25)
    page = Page(report_page([], [clip(frames(SCORES), str(path), str(path))], {}))
    stills = page.find("img")
    assert 1 <= len(stills) <= 6 and all(
        (still["src"] or "").startswith("data:image/jpeg") for still in stills
    )
    assert (
        len(page.find("li", **{"class": "card"})) == len(page.find("g", **{"class": "marker"})) == len(stills)
    )
    assert page.find("img", alt="frame at 2.00 s")


def test_what_was_lost_is_said_first() -> None:
    events = [*frames([50.0] * 30), GapEvent(29, 1.2, 2.5, "the connection was lost")]
    text = Page(report_page([], [clip(events, status=TRUNCATED)], {})).text()
    assert "Not whole: scored up to 0:00:01.200, then truncated: the file ends early" in text
    assert "the connection was lost" in text and "2.50" in text and "Lost\n2.5 s" in text


def test_long_tables_end_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "MAX_ROWS", 1)
    bad_twice: list[float | None] = [30.0] * 25 + [70.0] * 25 + [30.0] * 25
    lost = [GapEvent(74, 3.0, 0.5, "first loss"), GapEvent(74, 3.5, 0.5, "second loss")]
    page = Page(report_page([], [clip([*frames(bad_twice), *lost])], {}))
    titles = [text for tag, text in page.texts if tag == "h3"]
    assert "Bad segments: below 40, the first 1 of 2" in titles
    assert "first loss" in page.text() and "second loss" not in page.text()
    stages = 3  # in a table that has no end to come to
    assert len(page.find("tr")) == len(page.find("table")) * 2 - 1 + stages


def test_a_clip_that_is_turned_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FACTS, "rotation", 90)
    assert "Rotation\n90°" in Page(report_page([], [clip(frames([50.0] * 5))], {})).text()


def test_failed_and_empty_clips_have_their_section() -> None:
    failed = ClipResult("b.mp4", None, InputError("b.mp4: not a video; give another"))
    text = Page(report_page([], [failed, clip(frames([None] * 5)), clip([])], {})).text()
    assert "Could not be scored: not a video; give another" in text
    assert "no frame of it could be scored" in text
    assert "no frame is in the part that was to be scored; the clip lasts 0:00:04.000" in text


def test_hostile_names_stay_text() -> None:
    events = [*frames([50.0] * 30), GapEvent(29, 1.2, 2.5, HOSTILE)]
    made = clip(events, HOSTILE, HOSTILE)
    page = Page(report_page([], [made, ClipResult(HOSTILE, None, InputError(HOSTILE))], {}))
    assert len(page.find("script")) == 1 and not page.find("img")
    assert page.text().count("alert(1)") >= 4


def report_of(events: list[FrameScore | GapEvent]) -> VideoReport:
    report = clip(events).report
    assert report is not None
    return report


def pieces(events: list[FrameScore | GapEvent]) -> int:
    (line,) = Page(curve.svg(report_of(events), [])).find("path", **{"class": "line"})
    return (line["d"] or "").count("M")
