"""``ContainerSource``: a file, pipe, camera or stream as a source, reopened where it is live and was lost."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from time import monotonic, sleep

from crossiqa_edge.errors import InputError
from crossiqa_edge.video.clock import Clock
from crossiqa_edge.video.frames import (
    COMPLETE,
    DAMAGED,
    FAILED,
    LOST,
    STOPPED,
    TRUNCATED,
    SourceEnd,
    SourceFacts,
    VideoFrame,
)
from crossiqa_edge.video.reading import Decoded, Reading, ReadingError
from crossiqa_edge.video.results import GapEvent

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 10.0  # seconds between attempts to reopen; doubled each time
_NAP = 0.1  # seconds of sleep between looks at whether to go on


class ContainerSource:
    """What FFmpeg can read, as ``crossiqa_edge.video.frames.FrameSource``.

    A frame that is damaged, or could not be decoded at all, keeps its index and becomes a gap as long as
    the frame. A live source that breaks off is reopened, at growing intervals, for ``patience`` seconds;
    the time without it is one gap, and index and time go on from where they were.
    """

    def __init__(self, open_reading: Callable[[], Reading], *, patience: float, reopen: bool) -> None:
        """Open it. ``reopen`` lets live sources be opened again; a pipe, for one, cannot.

        Raises:
            InputError, ConfigError: see ``Reading``.
        """
        self._open_reading = open_reading
        self._reading = open_reading()
        self.facts: SourceFacts = self._reading.facts
        self.end: SourceEnd | None = None
        self._reopen = reopen and self.facts.live
        self._patience = patience
        self._closed = False
        origin = None if self.facts.live else self._reading.origin
        self._clock = Clock(origin, self.facts.fps, loses=not self._reading.indexed)
        self._index = 0  # of the next frame
        self._damaged: list[int] = []  # indices, the first and the last

    def close(self) -> None:
        self._closed = True

    def __iter__(self) -> Iterator[VideoFrame | GapEvent]:
        try:
            while True:
                broken = yield from self._read()
                if self._closed:
                    self.end = SourceEnd(STOPPED, "stopped")
                elif not self._reopen:
                    self.end = self._final(broken)
                else:
                    yield from self._come_back(str(broken or "the stream ended"))
                if self.end is not None:
                    return
        finally:
            self._reading.close()

    def _read(self) -> Generator[VideoFrame | GapEvent, None, Exception | None]:
        """The frames of one reading; returns what broke it off, None if it came to its end."""
        try:
            for decoded in self._reading.frames():
                yield from self._placed(decoded)
                if self._closed:
                    return None
        except (ReadingError, InputError) as error:
            return error
        return None

    def _placed(self, decoded: Decoded) -> Iterator[VideoFrame | GapEvent]:
        after = self._index - 1 if self._index else None
        expected = self._clock.now
        near_damage = decoded.picture is None or (bool(self._damaged) and self._damaged[-1] == after)
        pts, lost = self._clock.place(decoded.stamp, decoded.duration, near_damage=near_damage)
        if lost:
            yield GapEvent(after, expected, lost, "frames are missing")
        index, self._index = self._index, self._index + 1
        if decoded.picture is None:
            self._damaged = [*self._damaged[:1], index]
            yield GapEvent(after, pts, self._clock.now - pts, "damaged picture")
        else:
            yield VideoFrame(index, pts, decoded.picture, decoded.decode_ms)

    def _come_back(self, reason: str) -> Iterator[GapEvent]:
        """Reopen the source; ``end`` is set where it does not come back in time."""
        gone = monotonic()
        wait = _FIRST_WAIT
        self._reading.close()
        after = self._index - 1 if self._index else None
        while self._waited(wait):
            try:
                self._reading = self._open_reading()
            except InputError as error:
                if monotonic() - gone + wait > self._patience:
                    self.end = SourceEnd(
                        LOST, f"{reason}; not back after {monotonic() - gone:.0f} s ({error})"
                    )
                    break
                wait = min(2 * wait, _LONGEST_WAIT)
                continue
            missed = monotonic() - gone
            yield GapEvent(after, self._clock.now, missed, f"{reason}; reopened")
            self._clock.resume(missed)
            return
        if self.end is None:
            self.end = SourceEnd(STOPPED, "stopped while it was away")
        yield GapEvent(after, self._clock.now, monotonic() - gone, reason)

    def _waited(self, seconds: float) -> bool:
        """Whether so long has passed without anybody closing the source."""
        until = monotonic() + seconds
        while not self._closed and (left := until - monotonic()) > 0:
            sleep(min(left, _NAP))
        return not self._closed

    def _final(self, broken: Exception | None) -> SourceEnd:
        """How a source ended that does not come back."""
        if isinstance(broken, InputError):
            return SourceEnd(FAILED, str(broken))
        if broken is not None:
            return SourceEnd(LOST if self.facts.live else TRUNCATED, f"broke off: {broken}")
        shortfall = self._reading.shortfall()
        if shortfall is not None:
            return SourceEnd(TRUNCATED, shortfall)
        if self._damaged and self._damaged[-1] == self._index - 1:
            return SourceEnd(TRUNCATED, f"ends inside a picture, frame {self._index - 1}")
        if self._damaged:
            return SourceEnd(DAMAGED, f"damaged pictures, the first is frame {self._damaged[0]}")
        return SourceEnd(COMPLETE, "all frames read")
