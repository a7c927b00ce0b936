"""``VideoReport``: all that was found out about one clip, in arrays, and what it pools to."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from crossiqa_edge.score import quality_word
from crossiqa_edge.video.frames import COMPLETE, SOUND_ENDS, SourceEnd
from crossiqa_edge.video.pooling import (
    Floats,
    Pooled,
    Pooling,
    Segment,
    Track,
    bad_segments,
    pool,
    shots,
    timecode,
)
from crossiqa_edge.video.results import FLAGS, FrameScore, GapEvent

_APART, _SHARE = 0.5, 20  # minima lie half a second and a twentieth of the clip apart


@dataclass(frozen=True)
class VideoReport:
    """One clip: a column of numbers a property of its frames, N frames each, and the gaps between them.

    Attributes:
        path: how results name the clip, one printable line without credentials.
        source: what ``SourceFacts.to_dict`` gives: codec, size, rate, colour.
        model, backend: as in ``Score``.
        end: how the stream ended, and why.
        pooling: how the scores become one.
        index: int64 (N,), place in the source.
        pts: float64 (N,), seconds.
        score: float64 (N,), 0..100, NaN where the frame was flagged instead.
        flags: uint8 (N,), one bit a flag in the order of ``FLAGS``.
        is_cut: bool (N,), whether a shot begins.
        dropped_before: int64 (N,).
        timings_ms: float64 (N,) by stage.
        gaps: in order of time.
        dropped_after: frames that were passed over after the last result.
    """

    path: str
    source: Mapping[str, Any]
    model: str
    backend: str
    end: SourceEnd
    pooling: Pooling
    index: npt.NDArray[np.int64]
    pts: Floats
    score: Floats
    flags: npt.NDArray[np.uint8]
    is_cut: npt.NDArray[np.bool_]
    dropped_before: npt.NDArray[np.int64]
    timings_ms: Mapping[str, Floats]
    gaps: tuple[GapEvent, ...]
    dropped_after: int = 0

    @property
    def frames(self) -> int:
        """Frames with a result, flagged ones included."""
        return len(self.index)

    @cached_property
    def scored(self) -> npt.NDArray[np.bool_]:
        """Bool (N,): which frames have a score."""
        return np.isfinite(self.score)

    @property
    def whole(self) -> bool:
        """Whether the clip was scored to its end, with nothing lost on the way."""
        return self.end.status in SOUND_ENDS and not self.gaps

    @property
    def shortfall(self) -> str | None:
        """What kept it from being scored whole, in a line; None where nothing did."""
        if self.end.status not in SOUND_ENDS:
            return f"scored up to {timecode(self._last)}, then {self.end.status}: {self.end.reason}"
        if self.gaps:
            lost = sum(gap.seconds for gap in self.gaps)
            return f"{len(self.gaps)} gaps, {lost:.1f} s lost; the first: {self.gaps[0].reason}"
        if self.end.status == COMPLETE and not self.frames:  # an empty clip is refused when it is opened
            return f"no frame is in the part that was to be scored{self._length}"
        return None if self.pooled is not None else "no frame of it could be scored"

    @property
    def _length(self) -> str:
        seconds = self.source["duration"]
        return "" if seconds is None else f"; the clip lasts {timecode(seconds)}"

    @property
    def _last(self) -> float:
        return float(self.pts[-1]) + self.period if self.frames else 0.0

    @cached_property
    def period(self) -> float:
        """Seconds that one result stands for: the median step between them; 0 for a single frame."""
        return float(np.median(np.diff(self.pts))) if self.frames > 1 else 0.0

    @cached_property
    def track(self) -> Track | None:
        """The scored frames; None where there is none."""
        if not self.scored.any():
            return None
        shot = np.cumsum(self.is_cut, dtype=np.int64)
        return Track(
            self.pts[self.scored],
            self.score[self.scored],
            shot[self.scored],
            self.period,
            self._lasts[self.scored],
        )

    @property
    def _lasts(self) -> Floats:
        """Float64 (N,), seconds until the next result, or until something was lost."""
        until = np.append(self.pts[1:], self.pts[-1:] + self.period)
        lost = np.sort(np.array([gap.start_pts for gap in self.gaps] + [np.inf]))
        lasts: Floats = np.minimum(until, lost[np.searchsorted(lost, self.pts, side="right")]) - self.pts
        return lasts

    @cached_property
    def pooled(self) -> Pooled | None:
        """The aggregates; None without a scored frame."""
        return None if self.track is None else pool(self.track, self.pooling)

    @cached_property
    def shots(self) -> list[Segment]:
        """The shots that have a scored frame."""
        return [] if self.track is None else shots(self.track)

    @cached_property
    def bad_segments(self) -> list[Segment]:
        """The stretches that stay below ``pooling.bad_below``."""
        return [] if self.track is None else bad_segments(self.track, self.pooling.bad_below)

    def minima(self, count: int = 6) -> list[int]:
        """Places of the lowest frames, in order of time: at most ``count``, well apart from each other."""
        apart = max(_APART, (self.pts[-1] - self.pts[0]) / _SHARE) if self.frames else 0.0
        chosen: list[int] = []
        for place in np.argsort(self.score, kind="stable").tolist():  # NaN comes last
            if len(chosen) == count or not self.scored[place]:
                break
            if all(abs(self.pts[place] - self.pts[other]) >= apart for other in chosen):
                chosen.append(place)
        return sorted(chosen)

    def flag_counts(self) -> dict[str, int]:
        """How many frames have each flag; only flags that occur."""
        counts = {flag: int((self.flags >> bit & 1).sum()) for bit, flag in enumerate(FLAGS)}
        return {flag: count for flag, count in counts.items() if count}

    def flags_of(self, place: int) -> list[str]:
        """The flags of the frame at ``place`` in the columns."""
        return [flag for bit, flag in enumerate(FLAGS) if self.flags[place] >> bit & 1]

    @property
    def dropped(self) -> int:
        """Frames that were passed over for want of time, or left unscored by an early end."""
        return int(self.dropped_before.sum()) + self.dropped_after

    def counts(self) -> dict[str, Any]:
        """What was seen, scored, flagged, dropped and lost."""
        return {
            "frames": self.frames,
            "scored": int(self.scored.sum()),
            "flagged": self.flag_counts(),
            "dropped": self.dropped,
            "gaps": len(self.gaps),
            "gap_seconds": round(sum(gap.seconds for gap in self.gaps), 3),
        }

    def to_dict(self) -> dict[str, Any]:
        """The JSON document of docs/video.md."""
        gaps = [gap.to_dict() for gap in self.gaps]
        return {**self.summary(), "gaps": gaps, "frames": list(self._frames())}

    def summary(self) -> dict[str, Any]:
        """The document without its ``gaps`` and ``frames``, of which there may be any number."""
        pooled = self.pooled
        return {
            "path": self.path,
            "score": None if pooled is None else round(pooled.score, 2),
            "quality": None if pooled is None else quality_word(pooled.score),
            "end": {"status": self.end.status, "reason": self.end.reason},
            "model": self.model,
            "backend": self.backend,
            "source": dict(self.source),
            "pooling": self.pooling.method,
            "pooled": None if pooled is None else pooled.to_dict(),
            "counts": self.counts(),
            "timings_ms": {stage: _spread(spent) for stage, spent in self.timings_ms.items()},
            "bad_segments": [segment.to_dict() for segment in self.bad_segments],
            "shots": [shot.to_dict() for shot in self.shots],
        }

    def _frames(self) -> Iterator[dict[str, Any]]:
        scores = np.round(self.score, 2).tolist()
        for place, (index, pts) in enumerate(zip(self.index.tolist(), self.pts.tolist(), strict=True)):
            yield {
                "index": index,
                "pts": round(pts, 6),
                "score": scores[place] if self.scored[place] else None,
                "flags": self.flags_of(place),
                "is_cut": bool(self.is_cut[place]),
                "dropped_before": int(self.dropped_before[place]),
            }


def _spread(spent: Floats) -> dict[str, float]:
    """Mean, median and 95th percentile in milliseconds, over the frames that went through the stage."""
    known = spent[np.isfinite(spent)]
    if not len(known):
        return {}
    middle, high = np.percentile(known, (50, 95))
    return {"mean": round(float(known.mean()), 3), "p50": round(middle, 3), "p95": round(high, 3)}


@dataclass
class Recorder:
    """Takes results as they come and keeps what a ``VideoReport`` needs: some sixty bytes a frame."""

    gaps: list[GapEvent] = field(default_factory=list)
    _index: array[int] = field(default_factory=lambda: array("q"))
    _pts: array[float] = field(default_factory=lambda: array("d"))
    _score: array[float] = field(default_factory=lambda: array("d"))
    _flags: array[int] = field(default_factory=lambda: array("B"))
    _cuts: array[int] = field(default_factory=lambda: array("b"))
    _dropped: array[int] = field(default_factory=lambda: array("q"))
    _timings: dict[str, array[float]] = field(default_factory=dict)

    def add(self, event: FrameScore | GapEvent) -> None:
        """Keep one result."""
        if isinstance(event, GapEvent):
            self.gaps.append(event)
            return
        for stage in event.timings_ms:
            if stage not in self._timings:
                self._timings[stage] = array("d", [np.nan]) * len(self._index)
        for stage, column in self._timings.items():
            column.append(event.timings_ms.get(stage, np.nan))
        self._index.append(event.index)
        self._pts.append(event.pts)
        self._score.append(np.nan if event.score is None else event.score)
        self._flags.append(sum(1 << bit for bit, flag in enumerate(FLAGS) if flag in event.flags))
        self._cuts.append(event.is_cut)
        self._dropped.append(event.dropped_before)

    def report(
        self,
        path: str,
        source: Mapping[str, Any],
        *,
        model: str,
        backend: str,
        end: SourceEnd,
        pooling: Pooling | None = None,
        dropped: int | None = None,
    ) -> VideoReport:
        """What was kept so far, as one ``VideoReport``.

        Args:
            dropped: frames passed over in all, as ``StreamEnd`` has it; None: none after the last result.
        """
        return VideoReport(
            path=path,
            source=source,
            model=model,
            backend=backend,
            end=end,
            pooling=pooling or Pooling(),
            index=np.array(self._index, np.int64),
            pts=np.array(self._pts, np.float64),
            score=np.array(self._score, np.float64),
            flags=np.array(self._flags, np.uint8),
            is_cut=np.array(self._cuts, np.bool_),
            dropped_before=np.array(self._dropped, np.int64),
            timings_ms={stage: np.array(spent, np.float64) for stage, spent in self._timings.items()},
            gaps=tuple(self.gaps),
            dropped_after=0 if dropped is None else dropped - sum(self._dropped),
        )
