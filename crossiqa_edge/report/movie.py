"""Pictures to an MP4 file that plays anywhere: H.264, 4:2:0, no sound."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from types import TracebackType
from typing import IO, Any

import numpy as np

from crossiqa_edge.errors import BackendError
from crossiqa_edge.imaging.sampling import Frame

LONGEST_SIDE = 16_384  # pixels: libx264 opens nothing larger
_CLOCK = 90_000  # ticks a second, as MPEG has it: fine enough for any rate
_CRF = 18  # visually without loss, so that what is seen is the source's own damage


class Movie:
    """An MP4 being written; a context manager, to be left before the stream is closed.

    Args:
        stream: binary and seekable.
        fps: about how many pictures a second; their time stamps are what counts.
        crf: x264's constant rate factor, 0 (without loss) to 51.
    """

    def __init__(self, stream: IO[bytes], fps: float, *, crf: int = _CRF) -> None:
        import av

        self._container = av.open(stream, "w", format="mp4")
        self._crf = crf
        self._rate = Fraction(fps).limit_denominator(1001)
        self._video: Any = None
        self._last = -1

    def write(self, picture: Frame, pts: float) -> None:
        """Add ``picture``, uint8 (H, W, 3), all of one size, shown from ``pts`` seconds on.

        Raises:
            BackendError: this build of FFmpeg has no H.264 encoder, or it refuses pictures of this size.
        """
        import av

        picture = _even(picture)
        if self._video is None:
            self._video = self._open(picture)
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
        self._last = max(round(pts * _CLOCK), self._last + 1)
        frame.pts, frame.time_base = self._last, Fraction(1, _CLOCK)
        self._encode(frame)

    def __enter__(self) -> Movie:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._video is not None and error is None:
                self._encode(None)
        finally:
            self._container.close()

    def _encode(self, frame: Any) -> None:
        """Encode ``frame``, the first of which opens the encoder; None writes what it still holds."""
        with _refusals_told(self._video.width, self._video.height):
            self._container.mux(self._video.encode(frame))

    def _open(self, picture: Frame) -> Any:
        try:
            video: Any = self._container.add_stream("libx264", rate=self._rate)
        except ValueError as error:  # how PyAV says that there is no such encoder
            raise BackendError(
                "this build of FFmpeg cannot write H.264; install PyAV's own: pip install --only-binary av av"
            ) from error
        video.height, video.width = picture.shape[:2]
        video.pix_fmt = "yuv420p"
        video.time_base = video.codec_context.time_base = Fraction(1, _CLOCK)
        video.options = {"crf": str(self._crf), "preset": "veryfast"}
        return video


@contextmanager
def _refusals_told(width: int, height: int) -> Iterator[None]:
    """Turn what FFmpeg refuses into a BackendError; errors of the file are left to whoever opened it."""
    import av

    try:
        yield
    except av.FFmpegError as error:
        if isinstance(error, OSError):
            raise
        what = f"FFmpeg cannot write H.264 of {width} x {height} pixels ({error.strerror})"
        if max(width, height) > LONGEST_SIDE:
            remedy = f"no side may be beyond {LONGEST_SIDE}: scale or crop the clip first"
        else:
            remedy = "use a smaller clip, or PyAV's own FFmpeg: pip install --only-binary av av"
        raise BackendError(f"{what}; {remedy}") from error


def _even(picture: Frame) -> Frame:
    """``picture`` with even sides, as 4:2:0 wants, by repeating the last row and column."""
    below, right = (side % 2 for side in picture.shape[:2])
    return np.pad(picture, ((0, below), (0, right), (0, 0)), mode="edge") if below or right else picture
