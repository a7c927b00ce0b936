"""Temporal pooling against values worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from crossiqa_edge.errors import ConfigError
from crossiqa_edge.video.pooling import (
    Pooling,
    Track,
    bad_segments,
    harmonic_mean,
    pool,
    shots,
    timecode,
    worst_window,
)


def track(
    scores: Sequence[float], fps: float = 10, cuts: Sequence[int] = (), skip: Sequence[int] = ()
) -> Track:
    """Frames at ``fps``; a shot begins at each place of ``cuts``; the places of ``skip`` have no score."""
    places = np.array([place for place in range(len(scores)) if place not in skip])
    numbers = np.cumsum(np.isin(np.arange(len(scores)), cuts))
    return Track(places / fps, np.array(scores, np.float64)[places], numbers[places], 1 / fps)


def test_every_aggregate_of_a_known_clip() -> None:
    pooled = pool(track([80.0] * 10 + [20.0] * 10 + [60.0] * 20, cuts=[10, 20]), Pooling())
    assert pooled.mean == pytest.approx(55.0)
    assert pooled.harmonic_mean == pytest.approx(40 / (10 / 81 + 10 / 21 + 20 / 61) - 1)
    assert pooled.p5 == 20.0
    assert (pooled.worst_window.mean, pooled.worst_window.start, pooled.worst_window.end) == (
        pytest.approx(20.0), pytest.approx(1.0), pytest.approx(2.0),
    )  # fmt: skip
    assert pooled.shot_mean == pytest.approx((80 + 20 + 60) / 3)
    assert (pooled.low, pooled.low_at) == (20.0, 1.0)


@pytest.mark.parametrize(
    ("method", "expected"),
    [("mean", 55), ("p5", 20), ("worst-window", 20), ("shots", 160 / 3), ("harmonic-mean", 42.13)],
)
def test_the_method_chooses_the_score(method: str, expected: float) -> None:
    clip = track([80.0] * 10 + [20.0] * 10 + [60.0] * 20, cuts=[10, 20])
    assert pool(clip, Pooling(method)).score == pytest.approx(expected, abs=0.01)


def test_one_score_of_zero_does_not_rule_the_harmonic_mean() -> None:
    assert harmonic_mean(np.array([0.0, 99.0])) == pytest.approx(2 / (1 + 1 / 100) - 1)


def test_the_percentile_sees_rare_frames_that_the_mean_hides() -> None:
    pooled = pool(track([90.0] * 90 + [10.0] * 10), Pooling())
    assert pooled.p5 == 10.0 and pooled.mean == pytest.approx(82.0)


@pytest.mark.parametrize("fps", [24000 / 1001, 25, 30000 / 1001, 30, 59.94, 60])
def test_a_window_holds_a_second_at_any_rate(fps: float) -> None:
    """A dip of exactly one second must come back whole, wherever rounding puts its time stamps."""
    frames = round(fps)
    for before in range(1, 60, 7):
        clip = track([70.0] * before + [30.0] * frames + [70.0] * 80, fps)
        rounded = Track(np.round(clip.pts, 3), clip.scores, clip.shots, clip.period)
        early = Track(clip.pts - 1e-9 * (np.arange(len(clip.pts)) % 2), clip.scores, clip.shots, clip.period)
        for seen in (clip, rounded, early):
            worst = worst_window(seen, 1.0)
            assert (worst.frames, worst.mean) == (frames, pytest.approx(30.0))


def test_a_window_ends_within_the_clip() -> None:
    worst = worst_window(track([80.0] * 20 + [20.0] * 8), 1.0)
    assert (worst.frames, worst.mean) == (10, pytest.approx((2 * 80 + 8 * 20) / 10))


def test_windows_longer_than_the_clip_take_all_of_it() -> None:
    worst = worst_window(track([50.0, 60.0, 40.0]), 10.0)
    assert (worst.frames, worst.mean, worst.low) == (3, pytest.approx(50.0), 40.0)


def test_a_window_of_a_lone_bad_frame_beside_a_gap_is_passed_over() -> None:
    clip = track([80.0] * 20 + [5.0] + [0.0] * 19 + [70.0] * 20, skip=range(21, 40))
    worst = worst_window(clip, 1.0)
    assert (worst.frames, worst.mean) == (10, 70.0)  # neither 5 alone nor 5 with three before it


def test_shots_are_pooled_one_by_one_and_those_without_a_score_left_out() -> None:
    clip = track([80.0] * 3 + [0.0] * 2 + [40.0, 60.0], cuts=[3, 5], skip=[3, 4])
    assert [(shot.frames, shot.mean, shot.low_at) for shot in shots(clip)] == [(3, 80.0, 0.0), (2, 50.0, 0.5)]


def test_bad_segments_bridge_short_returns_and_drop_flickers() -> None:
    scores = [60.0] * 10 + [20.0] * 10 + [55.0] + [20.0] * 10 + [60.0] * 20 + [10.0] + [60.0] * 10
    (segment,) = bad_segments(track(scores), 40.0)
    assert (segment.start, segment.end) == (pytest.approx(1.0), pytest.approx(3.1))
    assert (segment.low, segment.low_at, segment.frames) == (20.0, 1.0, 21)
    assert segment.mean < 40


@pytest.mark.parametrize(("frames", "told"), [(2, 0), (3, 1)])
def test_a_bad_shot_shorter_than_a_quarter_of_a_second_is_a_flicker(frames: int, told: int) -> None:
    clip = track([60.0] * 5 + [10.0] * frames + [60.0] * 5, cuts=[5, 5 + frames])
    assert len(bad_segments(clip, 40.0)) == told


def test_bad_segments_apart_stay_apart_and_reach_the_end() -> None:
    scores = [20.0] * 5 + [60.0] * 8 + [20.0] * 5
    assert [(round(s.start, 3), round(s.end, 3)) for s in bad_segments(track(scores), 40.0)] == [
        (0.0, 0.5),
        (1.3, 1.8),
    ]
    assert bad_segments(track([70.0] * 5), 40.0) == []


def test_a_cut_or_a_gap_ends_a_bad_segment_at_its_frame() -> None:
    (cut,) = bad_segments(track([70.0] * 7 + [36.0] * 7, cuts=[7]), 40.0)
    assert (cut.start, cut.frames) == (pytest.approx(0.7), 7)  # nothing of the good shot in its mean
    split = bad_segments(track([30.0] * 7 + [0.0] * 20 + [30.0] * 7, skip=range(7, 27)), 40.0)
    assert [segment.frames for segment in split] == [7, 7]


@pytest.mark.parametrize(
    "wrong", [{"method": "vibes"}, {"window": 0}, {"window": float("nan")}, {"bad_below": 101}]
)
def test_wrong_settings_are_told(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        Pooling(**wrong)  # type: ignore[arg-type]


def test_time_codes() -> None:
    codes = {0: "0:00:00.000", 61.0405: "0:01:01.040", 3599.9996: "1:00:00.000", -0.5: "-0:00:00.500"}
    assert {seconds: timecode(seconds) for seconds in codes} == codes


def test_a_window_is_full_by_the_time_that_its_frames_cover() -> None:
    """Five seconds of a bad picture that stays, a frame a second, between good ones at 25 a second."""
    good = np.arange(125) / 25
    pts = np.concatenate([good, 5.0 + np.arange(5), 10.0 + good])
    scores = np.concatenate([np.full(125, 80.0), np.full(5, 20.0), np.full(125, 80.0)])
    lasts = np.where(scores < 50, 1.0, 0.04)
    clip = Track(pts, scores, np.zeros(255, np.int64), 0.04, lasts)
    worst = worst_window(clip, 1.0)
    assert (worst.frames, worst.mean, worst.start) == (1, 20.0, 5.0)


def test_a_frame_that_was_lost_after_a_moment_fills_no_window() -> None:
    clip = Track(np.array([*np.arange(50) / 25, 2.0, 4.0, 4.04]), np.array([80.0] * 50 + [5.0, 80.0, 80.0]),
                 np.zeros(53, np.int64), 0.04, np.full(53, 0.04))  # fmt: skip
    assert worst_window(clip, 1.0).mean > 70


def test_a_cut_between_two_bad_shots_ends_a_bad_segment() -> None:
    segments = bad_segments(track([20.0] * 6 + [10.0] * 7, cuts=[6]), 40.0)
    assert [(segment.frames, segment.mean) for segment in segments] == [(6, 20.0), (7, 10.0)]
