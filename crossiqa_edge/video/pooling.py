"""Temporal pooling: from a score per frame to a few figures a clip, and to the stretches that are bad.

Only scored frames count here. A frame that was flagged instead of scored, a gap, or a dropped frame has no
score, so it neither helps nor harms a clip; ``VideoReport`` counts them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crossiqa_edge.errors import ConfigError

Floats = npt.NDArray[np.float64]  # (N,)

METHODS = ("mean", "harmonic-mean", "p5", "worst-window", "shots")
_PERCENTILE = 5
_SMOOTH = 0.5  # seconds, of the moving mean that tells bad segments
_SHORTEST = 0.25  # seconds: a shorter dip is a flicker, not a segment


@dataclass(frozen=True, slots=True)
class Pooling:
    """How a clip's scores become one.

    Attributes:
        method: one of ``METHODS``; what the clip's single score is.
        window: length in seconds of the worst window.
        bad_below: a segment is bad where the moving mean stays below this; 40 is where "fair" ends.
    """

    method: str = "mean"
    window: float = 1.0
    bad_below: float = 40.0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ConfigError(f"unknown pooling {self.method!r}; choose from {', '.join(METHODS)}")
        if not self.window > 0:
            raise ConfigError(f"a window of {self.window} s holds no frame; make it longer than 0")
        if not 0 <= self.bad_below <= 100:
            raise ConfigError(f"scores run from 0 to 100, so none is below {self.bad_below}")


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a clip: a shot, a window, or a bad segment. Times in seconds, ``end`` exclusive.

    Attributes:
        frames: scored frames in it, at least 1.
        mean, low: mean and lowest of their scores.
        low_at: time of the lowest.
    """

    start: float
    end: float
    frames: int
    mean: float
    low: float
    low_at: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values, with time codes beside the seconds."""
        return {
            "start": round(self.start, 3),
            "end": round(self.end, 3),
            "timecode": f"{timecode(self.start)} - {timecode(self.end)}",
            "frames": self.frames,
            "mean": round(self.mean, 2),
            "low": round(self.low, 2),
            "low_at": round(self.low_at, 3),
        }


@dataclass(frozen=True, slots=True)
class Track:
    """The scored frames of a clip, in order of time.

    Attributes:
        pts: seconds, rising.
        scores: 0..100, finite.
        shots: number of the shot that each frame belongs to, never falling.
        period: seconds that one frame stands for.
        lasts: seconds for which each frame was shown; None where all were for ``period``.
    """

    pts: Floats
    scores: Floats
    shots: npt.NDArray[np.int64]
    period: float
    lasts: Floats | None = None

    def segment(self, first: int, stop: int) -> Segment:
        """The frames ``first`` to ``stop`` (exclusive) as one stretch."""
        part = self.scores[first:stop]
        low = int(part.argmin())
        return Segment(
            start=float(self.pts[first]),
            end=float(self.pts[stop - 1]) + self.period,
            frames=stop - first,
            mean=float(part.mean()),
            low=float(part[low]),
            low_at=float(self.pts[first + low]),
        )


@dataclass(frozen=True, slots=True)
class Pooled:
    """What a clip's scores come to. ``score`` is the one that ``Pooling.method`` names."""

    score: float
    mean: float
    harmonic_mean: float
    p5: float
    worst_window: Segment
    shot_mean: float
    low: float
    low_at: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values; ``worst_window`` is its mean, ``worst_window_at`` its start and end."""
        window = self.worst_window
        return {
            "score": round(self.score, 2),
            "mean": round(self.mean, 2),
            "harmonic_mean": round(self.harmonic_mean, 2),
            "p5": round(self.p5, 2),
            "worst_window": round(window.mean, 2),
            "worst_window_at": [round(window.start, 3), round(window.end, 3)],
            "shot_mean": round(self.shot_mean, 2),
            "min": round(self.low, 2),
            "min_at": round(self.low_at, 3),
        }


def pool(track: Track, pooling: Pooling) -> Pooled:
    """Every aggregate of ``track``, which holds at least one frame."""
    worst = worst_window(track, pooling.window)
    lowest = int(track.scores.argmin())
    figures = {
        "mean": float(track.scores.mean()),
        "harmonic-mean": harmonic_mean(track.scores),
        "p5": float(np.percentile(track.scores, _PERCENTILE)),
        "worst-window": worst.mean,
        "shots": float(np.mean([shot.mean for shot in shots(track)])),
    }
    return Pooled(
        score=figures[pooling.method],
        mean=figures["mean"],
        harmonic_mean=figures["harmonic-mean"],
        p5=figures["p5"],
        worst_window=worst,
        shot_mean=figures["shots"],
        low=float(track.scores[lowest]),
        low_at=float(track.pts[lowest]),
    )


def harmonic_mean(scores: Floats) -> float:
    """Harmonic mean shifted by one, so that a frame of score 0 pulls hard but does not rule alone.

    ``1 / mean(1 / (score + 1)) - 1``, as libvmaf pools its frames.
    """
    return float(1 / np.mean(1 / (scores + 1)) - 1)


def worst_window(track: Track, seconds: float) -> Segment:
    """The stretch of ``seconds`` with the lowest mean; all of a clip that is no longer than that.

    A window begins at a scored frame and ends within the clip. One whose frames were shown for less than
    three quarters of the time of the fullest, at the edge of a gap or of black, is passed over: a few say
    little about a second. Time is counted, not frames, of which a still passage has few.
    """
    first = np.arange(len(track.pts))
    slack = track.period / 2  # time stamps are rounded; a frame on the window's end is the next window's
    stop = np.searchsorted(track.pts, track.pts + seconds - slack, side="left")
    stop = np.maximum(stop, first + 1)
    lengths = stop - first
    sums = np.concatenate([[0.0], np.cumsum(track.scores)])
    means = (sums[stop] - sums[first]) / lengths
    beyond = track.pts + seconds > track.pts[-1] + track.period + slack
    lasts = np.full(len(first), track.period) if track.lasts is None else track.lasts
    shown = np.concatenate([[0.0], np.cumsum(lasts)])
    covered = np.minimum(shown[stop] - shown[first], seconds)
    means[beyond | (4 * covered < 3 * covered.max())] = np.inf
    worst = int(means.argmin())  # the first, so all of it, where every window is beyond
    return track.segment(worst, int(stop[worst]))


def shots(track: Track) -> list[Segment]:
    """One stretch a shot; shots without a scored frame are not among them."""
    starts = np.flatnonzero(np.diff(track.shots, prepend=-1))
    stops = [*starts[1:], len(track.shots)]
    return [track.segment(int(first), int(stop)) for first, stop in zip(starts, stops, strict=True)]


def bad_segments(track: Track, below: float) -> list[Segment]:
    """The stretches over which the moving mean of half a second stays below ``below``, in order of time.

    The mean does not look across cuts. A cut ends a stretch, and so does half a second without a scored
    frame; stretches shorter than a quarter of a second are left out: they are flickers.
    """
    bad = np.flatnonzero(_moving_mean(track, _SMOOTH) < below)
    if not len(bad):
        return []
    apart = (np.diff(bad) > 1) | (np.diff(track.pts[bad]) > _SMOOTH + track.period)
    apart |= np.diff(track.shots[bad]) > 0
    groups = np.split(bad, np.flatnonzero(apart) + 1)
    segments = [track.segment(int(group[0]), int(group[-1]) + 1) for group in groups]
    return [segment for segment in segments if segment.end - segment.start >= _SHORTEST]


def _moving_mean(track: Track, seconds: float) -> Floats:
    """(N,): mean score of the frames of the same shot at most half of ``seconds`` away."""
    reach = seconds / 2 + track.period / 4  # time stamps are rounded
    first = np.searchsorted(track.pts, track.pts - reach, side="left")
    stop = np.searchsorted(track.pts, track.pts + reach, side="right")
    first = np.maximum(first, np.searchsorted(track.shots, track.shots, side="left"))
    stop = np.minimum(stop, np.searchsorted(track.shots, track.shots, side="right"))
    sums = np.concatenate([[0.0], np.cumsum(track.scores)])
    means: Floats = (sums[stop] - sums[first]) / (stop - first)
    return means


def timecode(seconds: float) -> str:
    """``H:MM:SS.mmm``, negative times with a sign."""
    thousandths = round(abs(seconds) * 1000)
    minutes, rest = divmod(thousandths, 60_000)
    sign = "-" if seconds < 0 and thousandths else ""
    return f"{sign}{minutes // 60}:{minutes % 60:02d}:{rest // 1000:02d}.{rest % 1000:03d}"
