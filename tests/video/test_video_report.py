"""``VideoReport``: nothing is lost or invented between the stream and the document."""

from __future__ import annotations

import json

import pytest

from crossiqa_edge.video.frames import COMPLETE, DAMAGED, STOPPED, TRUNCATED, SourceEnd
from crossiqa_edge.video.pooling import Pooling
from crossiqa_edge.video.report import Recorder, VideoReport
from crossiqa_edge.video.results import FrameScore, GapEvent

EVENTS = [
    FrameScore(0, 0.0, None, flags=("black",), timings_ms={"decode": 1.0}),
    FrameScore(1, 0.04, 60.0, (50.0, 70.0), (60.0,), (), {"decode": 3.0, "infer": 2.0}),
    GapEvent(1, 0.08, 2.0, "lost"),
    FrameScore(4, 2.16, 80.0, None, (80.0,), ("letterboxed",), {"decode": 5.0, "infer": 4.0}, 2, True),
    FrameScore(5, 2.2, None, flags=("flat", "letterboxed"), timings_ms={"decode": 2.0}),
]


def report(
    events: list[FrameScore | GapEvent] = EVENTS, status: str = COMPLETE, pooling: Pooling | None = None
) -> VideoReport:
    recorder = Recorder()
    for event in events:
        recorder.add(event)
    end = SourceEnd(status, "why")
    return recorder.report("clip.mp4", {"codec": "h264"}, model="m@1", backend="b", end=end, pooling=pooling)


def test_only_scored_frames_are_pooled_and_all_are_counted() -> None:
    made = report()
    assert made.pooled is not None and made.pooled.mean == pytest.approx(70.0)
    assert made.counts() == {
        "frames": 4,
        "scored": 2,
        "flagged": {"black": 1, "flat": 1, "letterboxed": 2},
        "dropped": 2,
        "gaps": 1,
        "gap_seconds": 2.0,
    }
    assert [shot.mean for shot in made.shots] == [60.0, 80.0]


def test_the_document_is_json_with_the_documented_keys() -> None:
    document = json.loads(json.dumps(report(pooling=Pooling("p5")).to_dict(), allow_nan=False))
    assert {"path", "score", "pooled", "frames", "end", "source", "counts", "gaps"} <= set(document)
    assert [frame["score"] for frame in document["frames"]] == [None, 60.0, 80.0, None]
    assert [frame["pts"] for frame in document["frames"]] == [0.0, 0.04, 2.16, 2.2]
    assert document["frames"][3]["flags"] == ["flat", "letterboxed"]
    assert document["score"] == document["pooled"]["p5"] == pytest.approx(61.0)
    assert document["gaps"][0]["seconds"] == 2.0
    assert document["timings_ms"]["infer"] == {"mean": 3.0, "p50": 3.0, "p95": 3.9}


def test_a_clip_without_a_score_still_has_a_document() -> None:
    document = json.loads(json.dumps(report(EVENTS[:1]).to_dict(), allow_nan=False))
    assert (document["score"], document["pooled"], document["shots"]) == (None, None, [])
    assert report([]).to_dict()["frames"] == []


@pytest.mark.parametrize(
    ("events", "status", "whole"),
    [
        (EVENTS[:2], COMPLETE, True),
        (EVENTS[:2], STOPPED, True),
        (EVENTS, COMPLETE, False),
        (EVENTS[:2], TRUNCATED, False),
        (EVENTS[:2], DAMAGED, False),
    ],
)
def test_whole_means_to_the_end_and_without_gaps(
    events: list[FrameScore | GapEvent], status: str, whole: bool
) -> None:
    made = report(events, status)
    assert made.whole is whole
    assert made.to_dict()["end"] == {"status": status, "reason": "why"}


def test_minima_are_the_lowest_well_apart_in_order_of_time() -> None:
    scores = [70.0, 30.0, 31.0, 70.0, 70.0, 70.0, 70.0, 70.0, 20.0, 70.0, 70.0, 70.0, 70.0, 70.0, 25.0, 70.0]
    made = report([FrameScore(place, place / 10, score) for place, score in enumerate(scores)])
    assert made.minima(3) == [1, 8, 14]
    assert made.minima(1) == [8]
    assert made.minima() == [1, 8, 14]  # everything else lies within half a second of these
    assert report(EVENTS[:1]).minima() == [] == report([]).minima()


def test_a_shot_that_begins_with_a_flagged_frame_is_a_shot_of_its_own() -> None:
    events = [FrameScore(0, 0.0, 60.0), FrameScore(1, 0.04, None, flags=("black",), is_cut=True)]
    made = report([*events, FrameScore(2, 0.08, 80.0)])
    assert [(shot.start, shot.mean) for shot in made.shots] == [(0.0, 60.0), (0.08, 80.0)]


def test_timings_of_a_stage_that_only_some_frames_went_through_stay_in_their_rows() -> None:
    made = report()
    assert made.timings_ms["decode"].tolist() == [1.0, 3.0, 5.0, 2.0]
    assert [value if value == value else None for value in made.timings_ms["infer"].tolist()] == [
        None, 2.0, 4.0, None,
    ]  # fmt: skip


def test_a_frame_stays_until_the_next_result_or_until_something_was_lost() -> None:
    track = report().track
    assert track is not None and track.lasts is not None
    assert track.lasts.tolist() == pytest.approx([0.04, 0.04])  # the gap begins at 0.08, the next is at 2.2
    long = report([FrameScore(0, 0.0, 60.0), FrameScore(1, 3.0, 70.0), FrameScore(2, 3.5, 70.0)]).track
    assert long is not None and long.lasts is not None
    assert long.lasts.tolist() == pytest.approx([3.0, 0.5, long.period])


def test_frames_dropped_after_the_last_result_are_counted() -> None:
    recorder = Recorder()
    for event in EVENTS:
        recorder.add(event)
    end = SourceEnd(COMPLETE, "why")
    made = recorder.report("clip.mp4", {}, model="m@1", backend="b", end=end, dropped=9)
    assert made.counts()["dropped"] == made.dropped == 9


def test_the_summary_is_the_document_without_what_grows() -> None:
    document = report().to_dict()
    assert len(document.pop("frames")) == 4 and len(document.pop("gaps")) == 1
    assert report().summary() == document


@pytest.mark.parametrize(
    ("source", "told"), [({"duration": 2.0}, "; the clip lasts 0:00:02.000"), ({"duration": None}, "")]
)
def test_a_part_without_a_frame_is_told(source: dict[str, float | None], told: str) -> None:
    end = SourceEnd(COMPLETE, "all frames before 0.000 s read")
    made = Recorder().report("clip.mp4", source, model="m@1", backend="b", end=end)
    assert made.shortfall == f"no frame is in the part that was to be scored{told}"
