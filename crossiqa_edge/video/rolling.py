"""``Rolling``: figures of a stream as it runs, in memory that does not grow with it."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import numpy as np

from crossiqa_edge.video.results import FrameScore, GapEvent

_LATENCIES = 512  # the last results over which latency and rate are told
_HISTORY = 240  # means of a quarter of a second each, the last minute
_QUARTER = 0.25


@dataclass
class Rolling:
    """What a person who watches a stream wants to know; ``add`` each result as it comes.

    Attributes:
        current: the last frame; None before the first.
        low: the frame with the lowest score so far; None before the first score.
        frames, scored, dropped: how many so far.
        flags: how many frames with each flag.
        gaps: how many; ``gap_seconds`` how long together.
        history: mean scores of the last quarters of a second, NaN for those without one.
    """

    current: FrameScore | None = None
    low: FrameScore | None = None
    frames: int = 0
    scored: int = 0
    dropped: int = 0
    flags: Counter[str] = field(default_factory=Counter)
    gaps: int = 0
    gap_seconds: float = 0.0
    history: deque[float] = field(default_factory=lambda: deque(maxlen=_HISTORY))
    _total: float = 0.0
    _second: deque[tuple[float, float]] = field(default_factory=deque)  # (pts, score)
    _latencies: deque[float] = field(default_factory=lambda: deque(maxlen=_LATENCIES))
    _arrivals: deque[float] = field(default_factory=lambda: deque(maxlen=_LATENCIES))
    _quarter: list[float] = field(default_factory=list)
    _quarter_end: float | None = None

    def add(self, event: FrameScore | GapEvent) -> None:
        """Take one result into account."""
        if isinstance(event, GapEvent):
            self.gaps += 1
            self.gap_seconds += event.seconds
            return
        self.current = event
        self.frames += 1
        self.dropped += event.dropped_before
        self.flags.update(event.flags)
        self._arrivals.append(monotonic())
        self._close_quarters(event.pts)
        if event.score is None:
            return
        self.scored += 1
        self._total += event.score
        self._latencies.append(sum(event.timings_ms.values()))
        self._quarter.append(event.score)
        self._second.append((event.pts, event.score))
        while self._second[0][0] <= event.pts - 1.0:
            self._second.popleft()
        if self.low is None or self.low.score is None or event.score < self.low.score:
            self.low = event

    @property
    def mean(self) -> float | None:
        """Mean of all scores so far."""
        return self._total / self.scored if self.scored else None

    @property
    def second_mean(self) -> float | None:
        """Mean score of the last second of the stream's own time."""
        second = list(self._second)  # in one step: the panel asks from a thread of its own
        return sum(score for _, score in second) / len(second) if second else None

    @property
    def fps(self) -> float | None:
        """Results a second of wall time, over the last few hundred."""
        if len(self._arrivals) < 2:
            return None
        spent = self._arrivals[-1] - self._arrivals[0]
        return (len(self._arrivals) - 1) / spent if spent else None

    def latency(self, percent: float) -> float | None:
        """A percentile of the milliseconds from a frame's arrival to its score, over the last few hundred."""
        return float(np.percentile(self._latencies, percent)) if self._latencies else None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values of the whole so far."""
        figures = {
            "mean": self.mean,
            "min": None if self.low is None else self.low.score,
            "min_at": None if self.low is None else self.low.pts,
            "latency_p50_ms": self.latency(50),
            "latency_p95_ms": self.latency(95),
            "gap_seconds": self.gap_seconds,
        }
        counts = {"frames": self.frames, "scored": self.scored, "dropped": self.dropped, "gaps": self.gaps}
        digits = {"mean": 2, "min": 2}  # as elsewhere for scores
        rounded = {
            key: None if value is None else round(value, digits.get(key, 3)) for key, value in figures.items()
        }
        return {**counts, "flagged": dict(self.flags), **rounded}

    def _close_quarters(self, pts: float) -> None:
        """Move what was gathered into the history, for each quarter of a second before ``pts``."""
        if self._quarter_end is None:
            self._quarter_end = pts + _QUARTER
        for _ in range(_HISTORY):  # a gap longer than the history leaves nothing but holes in it
            if pts < self._quarter_end:
                return
            self.history.append(float(np.mean(self._quarter)) if self._quarter else float("nan"))
            self._quarter = []
            self._quarter_end += _QUARTER
        self._quarter_end = pts + _QUARTER
