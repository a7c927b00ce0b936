"""``Policy``: which frames of a stream are scored, and what gives way when there is no time for all."""

from __future__ import annotations

from dataclasses import dataclass

from crossiqa_edge.errors import ConfigError

MODES = ("every-frame", "live")
_TICK = 0.001  # seconds: two moments no further apart are the same
_EARLY = 0.01  # share of an interval by which a frame may come early: time stamps are rounded


@dataclass(frozen=True, slots=True)
class Policy:
    """How a stream is scored.

    Attributes:
        mode: ``every-frame``: the source waits for the scores, none is left out. ``live``: the scores
            keep up with the source; the newest frame wins and what was passed over is counted.
        max_latency_ms: ``live`` only: from a frame's arrival to its score. A frame that cannot keep it is
            dropped for a newer one, and a stride is chosen that leaves time for those that follow.
        stride: score every n-th frame.
        fps: score at most so many frames a second of the source's own time.
        start, end: score only frames with start <= pts < end, in seconds; a file is sought to ``start``,
            and its frames are counted from the key frame found there.
        batch: ``every-frame`` only: frames in one inference.
    """

    mode: str = "every-frame"
    max_latency_ms: float = 200.0
    stride: int = 1
    fps: float | None = None
    start: float | None = None
    end: float | None = None
    batch: int = 8

    def __post_init__(self) -> None:
        """Raise ConfigError for a value that makes no sense."""
        if self.mode not in MODES:
            raise ConfigError(f"unknown mode {self.mode!r}; choose from {', '.join(MODES)}")
        for name in ("stride", "batch"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} must be at least 1, not {value}")
        for name in ("max_latency_ms", "fps"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise ConfigError(f"{name} must be a positive number, not {value}")
        for name in ("start", "end"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < float("inf"):
                raise ConfigError(f"{name} is in seconds from the beginning, at least 0, not {value}")
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise ConfigError(f"end ({self.end:g} s) must come after start ({self.start:g} s)")

    @property
    def live(self) -> bool:
        """Whether the scores must keep up with the source."""
        return self.mode == "live"


class Chooser:
    """Says of each frame in turn whether the policy wants it scored."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._met = 0
        self._due = float("-inf")

    def before_start(self, pts: float) -> bool:
        """Whether ``pts`` lies before the part that is to be scored."""
        return self._policy.start is not None and pts < self._policy.start

    def lost_before_start(self, pts: float, seconds: float) -> bool:
        """Whether a gap from ``pts`` on was over before the part that is to be scored."""
        return self.before_start(pts + seconds - _TICK)

    def past_end(self, pts: float) -> bool:
        """Whether ``pts`` lies after the part that is to be scored."""
        return self._policy.end is not None and pts >= self._policy.end

    def wants(self, pts: float) -> bool:
        """Whether the frame at ``pts``, inside that part, is one that stride and fps leave."""
        self._met += 1
        if (self._met - 1) % self._policy.stride:
            return False
        if self._policy.fps is None:
            return True
        if pts < self._due - _EARLY / self._policy.fps:
            return False
        interval = 1 / self._policy.fps
        late = pts - self._due >= interval  # the first frame, or one after a pause: the intervals begin anew
        self._due = (pts if late else self._due) + interval
        return True
