"""``Clock``: time stamps one can trust, out of those that streams really have."""

from __future__ import annotations

_TICK = 0.001  # seconds by which a frame is put after one whose time stamp it would share or precede
_DISORDER = 1.0  # a step back of at least so many seconds begins a new timeline
_LOSS = 1.0  # a step forward by more than so many seconds, and
_LOSS_FRAMES = 4  # so many frames, beyond what the frame announced, lost something
_USUAL_FPS = 25.0


class Clock:
    """Turns the time stamps of one source into seconds since its beginning that strictly increase.

    * The beginning is what the container declares, or the first frame.
    * A missing stamp is the previous one plus the previous frame's duration.
    * A stamp equal to the previous one, or a little before it, lies a millisecond after it.
    * A step back by a second or more, as where recordings were joined, begins a new timeline that goes
      on where the old one ended.
    * Where streams lose parts, a step forward well beyond the frame's announced duration is a loss, and
      its length is reported. In a file with an index it is a frame that was meant to stay, as screen
      recordings have them.
    """

    def __init__(self, origin: float | None, fps: float | None, *, loses: bool) -> None:
        self._origin = origin
        self._loses = loses
        self._usual = 1 / (fps or _USUAL_FPS)
        self._last: float | None = None
        self._lasts = self._usual  # the previous frame's duration

    @property
    def now(self) -> float:
        """Where the next frame is expected, in seconds."""
        return 0.0 if self._last is None else self._last + self._lasts

    def place(
        self, stamp: float | None, duration: float | None, *, near_damage: bool = False
    ) -> tuple[float, float]:
        """(seconds since the beginning, seconds lost before it) of the next frame.

        Args:
            stamp: its time stamp in seconds on the stream's own scale, None where it has none.
            duration: how long it announces to stay, in seconds; None where it does not say.
            near_damage: whether it or the frame before it is damaged: then each missing frame is a loss.
        """
        if self._origin is None and stamp is not None:
            self._origin = stamp - self.now
        pts = self.now if stamp is None or self._origin is None else stamp - self._origin
        lost = 0.0
        if self._last is not None:
            if pts <= self._last - _DISORDER:
                assert stamp is not None
                self._origin = stamp - self.now
                pts = self.now
            elif pts <= self._last:
                pts = self._last + _TICK
            late = pts - self.now
            allowed = 0.5 * self._usual if near_damage else max(_LOSS, _LOSS_FRAMES * self._usual)
            lost = late if self._loses and late > allowed else 0.0
        self._last = pts
        self._lasts = duration or self._usual
        return pts, lost

    def resume(self, missed: float) -> None:
        """Begin a new timeline ``missed`` seconds after the expected next frame: the source was reopened."""
        if self._last is not None:
            self._lasts += missed
        self._origin = None
