"""``Policy``: which frames of a stream are scored, and what gives way when there is no time for all."""

from __future__ import annotations

from dataclasses import dataclass

from crossiqa_edge.errors import ConfigError

MODES = ("every-frame", "live")


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
        start, end: score only frames with start <= pts < end, in seconds; a file is sought to ``start``.
        batch: frames in one inference; None takes 8 for ``every-frame`` and 1 for ``live``.
    """

    mode: str = "every-frame"
    max_latency_ms: float = 200.0
    stride: int = 1
    fps: float | None = None
    start: float | None = None
    end: float | None = None
    batch: int | None = None

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

    @property
    def frames_an_inference(self) -> int:
        """The batch that holds."""
        return self.batch or (1 if self.live else 8)
