"""The figures that `crossiqa watch` shows, and that they stay small."""

from __future__ import annotations

import json
import math
import sys
from itertools import count

import pytest

from crossiqa_edge.video import rolling as module
from crossiqa_edge.video.results import FrameScore, GapEvent
from crossiqa_edge.video.rolling import Rolling


def frame(place: int, score: float | None, *, fps: float = 10, ms: float = 5.0, **more: object) -> FrameScore:
    return FrameScore(place, place / fps, score, timings_ms={"infer": ms}, **more)  # type: ignore[arg-type]


def test_the_second_is_the_last_of_the_streams_own_time() -> None:
    rolling = Rolling()
    for place in range(30):
        rolling.add(frame(place, 80.0 if place < 20 else 20.0))
    assert rolling.second_mean == pytest.approx(20.0)
    rolling.add(frame(30, 31.0))
    assert rolling.second_mean == pytest.approx((9 * 20 + 31) / 10)
    assert rolling.mean == pytest.approx((20 * 80 + 10 * 20 + 31) / 31)


def test_counts_flags_gaps_drops_and_the_lowest() -> None:
    rolling = Rolling()
    for event in (
        frame(0, None, flags=("black",)),
        frame(1, 50.0, dropped_before=3),
        frame(2, 30.0),
        GapEvent(2, 0.3, 1.5, "lost"),
        frame(20, 30.0, flags=("letterboxed",)),
    ):
        rolling.add(event)
    values = rolling.to_dict()
    assert json.loads(json.dumps(values)) == values
    assert (values["frames"], values["scored"], values["dropped"], values["gaps"]) == (4, 3, 3, 1)
    assert (values["min"], values["min_at"], values["gap_seconds"]) == (30.0, 0.2, 1.5)
    assert values["flagged"] == {"black": 1, "letterboxed": 1}


def test_latency_is_told_over_scored_frames_only() -> None:
    rolling = Rolling()
    for place in range(100):
        rolling.add(frame(place, 50.0, ms=place))
        rolling.add(frame(place, None, ms=1e6))
    assert rolling.latency(50) == pytest.approx(49.5)
    assert rolling.latency(95) == pytest.approx(94.05)
    told = rolling.to_dict()
    assert (told["latency_p50_ms"], told["latency_p95_ms"]) == (49.5, 94.05)


def test_the_rate_is_that_of_the_clock_on_the_wall(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = count(step=0.02)
    monkeypatch.setattr(module, "monotonic", lambda: next(ticks))
    rolling = Rolling()
    for place in range(10):
        rolling.add(frame(place, 50.0))
    assert rolling.fps == pytest.approx(50.0)


def test_history_has_a_hole_where_nothing_was_scored() -> None:
    rolling = Rolling()
    for place in [*range(5), *range(10, 16)]:
        rolling.add(frame(place, 60.0))
    first, second, third, fourth, *_ = rolling.history
    assert (first, second) == (60.0, 60.0)
    assert math.isnan(third) and not math.isnan(rolling.history[-1]), fourth


def test_a_day_of_frames_takes_no_more_memory_than_a_minute() -> None:
    rolling = Rolling()

    def held() -> int:
        return sum(sys.getsizeof(value) for value in vars(rolling).values())

    for place in range(4000):
        rolling.add(frame(place, 50.0, fps=30))
    early = held()
    for place in range(4000, 20000):
        rolling.add(frame(place, 50.0, fps=30))
    rolling.add(frame(10**8, 50.0, fps=30))  # a gap of weeks
    assert held() <= early + 4096  # a deque gives and takes blocks of 64 places


def test_before_the_first_score_there_are_no_figures() -> None:
    rolling = Rolling()
    assert (rolling.mean, rolling.second_mean, rolling.fps, rolling.latency(50)) == (None, None, None, None)
    assert rolling.to_dict()["min"] is None


def test_the_last_second_can_be_asked_for_while_results_come() -> None:
    rolling = Rolling()

    class Interrupting(float):
        """A score during whose addition another thread has its turn."""

        def __radd__(self, other: float) -> float:
            rolling.add(frame(rolling.frames, 50.0))
            return other + float(self)

    rolling._second.append((-0.1, Interrupting(70.0)))
    rolling.add(frame(0, 50.0))
    assert rolling.second_mean == pytest.approx(60.0)
