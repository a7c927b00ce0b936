"""``FrameScore`` and ``GapEvent``: what comes out of a stream, one by one, in the order of the frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from crossiqa_edge.score import quality_word

# A frame with one of the first three has nothing on it to judge, and is flagged instead of scored.
# A letterboxed one is scored; the flag says that its bars were part of the picture.
UNSCORED_FLAGS = ("black", "flat", "frozen")
FLAGS = (*UNSCORED_FLAGS, "letterboxed")


@dataclass(frozen=True, slots=True)
class FrameScore:
    """One frame of a stream.

    Attributes:
        index: place in the source, from 0, counting every decoded frame, those passed over too.
        pts: presentation time in seconds.
        score: quality, 0 to 100, higher is better; None where a flag says that there was nothing to score.
        interval: (low, high) as in ``Score``; None without a score, or without such a figure in the card.
        raw: the calibrated score of each view, in the order of the views; empty without a score.
        flags: any of ``FLAGS``.
        timings_ms: milliseconds by stage (``decode``, ``sample``, ``wait``, ``infer``); no part of equality.
        dropped_before: frames that live mode passed over since the last result, because they came too fast.
        is_cut: whether a new shot begins here.
    """

    index: int
    pts: float
    score: float | None
    interval: tuple[float, float] | None = None
    raw: tuple[float, ...] = ()
    flags: tuple[str, ...] = ()
    timings_ms: Mapping[str, float] = field(default_factory=dict, compare=False)
    dropped_before: int = 0
    is_cut: bool = False

    @property
    def word(self) -> str | None:
        """The score in a word of the five-point scale; None without a score."""
        return None if self.score is None else quality_word(self.score)

    def to_dict(self) -> dict[str, Any]:
        """The frame as JSON-ready values, rounded to what the figures can bear."""
        return {
            "index": self.index,
            "pts": round(self.pts, 6),
            "score": None if self.score is None else round(self.score, 2),
            "interval": None if self.interval is None else [round(edge, 2) for edge in self.interval],
            "raw": [round(value, 3) for value in self.raw],
            "flags": list(self.flags),
            "is_cut": self.is_cut,
            "dropped_before": self.dropped_before,
            "timings_ms": {stage: round(value, 3) for stage, value in self.timings_ms.items()},
        }


@dataclass(frozen=True, slots=True)
class GapEvent:
    """A stretch of the stream that was lost. No frame is invented for it.

    Attributes:
        after_index: index of the last frame before it; None when nothing had come yet.
        start_pts: when it began, in seconds.
        seconds: how long it lasted.
        reason: why, in one printable line without credentials.
    """

    after_index: int | None
    start_pts: float
    seconds: float
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """The gap as JSON-ready values; the key ``event`` tells it from a frame."""
        return {
            "event": "gap",
            "after_index": self.after_index,
            "start_pts": round(self.start_pts, 6),
            "seconds": round(self.seconds, 3),
            "reason": self.reason,
        }
