"""What comes out of a stream, and its form as JSON."""

from __future__ import annotations

import dataclasses
import json

import pytest

from crossiqa_edge.video.results import FLAGS, UNSCORED_FLAGS, FrameScore, GapEvent

SCORED = FrameScore(7, 0.28028, 61.237, (51.2, 71.2), (61.237,), ("letterboxed",), {"infer": 2.34567}, 2)


def test_a_frame_as_json() -> None:
    assert json.loads(json.dumps(SCORED.to_dict())) == {
        "index": 7,
        "pts": 0.28028,
        "score": 61.24,
        "interval": [51.2, 71.2],
        "raw": [61.237],
        "flags": ["letterboxed"],
        "is_cut": False,
        "dropped_before": 2,
        "timings_ms": {"infer": 2.346},
    }
    assert SCORED.word == "good"


def test_a_flagged_frame_has_neither_score_nor_word() -> None:
    black = FrameScore(0, 0.0, None, flags=("black",))
    assert (black.to_dict()["score"], black.word, black.to_dict()["interval"]) == (None, None, None)


def test_a_gap_can_be_told_from_a_frame() -> None:
    gap = GapEvent(4, 0.2, 1.5, "the connection was lost")
    assert gap.to_dict() == {
        "event": "gap",
        "after_index": 4,
        "start_pts": 0.2,
        "seconds": 1.5,
        "reason": "the connection was lost",
    }
    assert "event" not in SCORED.to_dict()


def test_results_do_not_change_and_times_are_no_part_of_equality() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        SCORED.score = 3.0  # type: ignore[misc]
    assert dataclasses.replace(SCORED, timings_ms={}) == SCORED
    assert not hasattr(SCORED, "__dict__")


def test_letterboxed_frames_are_scored() -> None:
    assert set(FLAGS) - set(UNSCORED_FLAGS) == {"letterboxed"}
