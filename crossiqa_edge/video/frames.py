"""What every source of video looks like to the pipeline: facts, frames with time stamps, gaps, an end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from crossiqa_edge.imaging.sampling import Frame, Views, sample
from crossiqa_edge.imaging.yuv import Planes, sample_planes, to_rgb
from crossiqa_edge.video.results import GapEvent

# How a source, or the stream of scores made from it, came to its end.
COMPLETE = "complete"  # everything was there
STOPPED = "stopped"  # the user asked for it: Ctrl-C, `stop()`; a part that --end ends is complete
TRUNCATED = "truncated"  # the file ends before its header says so, or inside a picture
DAMAGED = "damaged"  # it could be read to its end, but not all of it
LOST = "lost"  # a live source that went away and did not come back
FAILED = "failed"  # something broke on the way: the decoder, the backend
SOUND_ENDS = (COMPLETE, STOPPED)


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What is known of a source when it is opened.

    Attributes:
        name: how results name it: one printable line without credentials.
        codec: FFmpeg's name of it, for instance ``h264``.
        width, height: pixels as shown, that is, after rotation.
        fps: frames a second on average; None where the source does not say.
        frames: how many the header announces; None where it does not.
        duration: seconds the header announces; None for live sources.
        pixel_format: FFmpeg's name of it, for instance ``yuv420p``.
        matrix: key of ``crossiqa_edge.imaging.yuv.MATRICES``, or ``rgb``.
        full_range: see ``crossiqa_edge.imaging.yuv.Planes``.
        rotation: degrees counter-clockwise by which stored frames are turned to be shown: 0, 90, 180, 270.
        interlaced: whether frames are two fields woven together; they are scored as they are stored.
        live: whether it comes at its own pace and may come back after it was lost.
        decoder: what decodes it, and why that.
    """

    name: str
    codec: str
    width: int
    height: int
    fps: float | None
    frames: int | None
    duration: float | None
    pixel_format: str
    matrix: str
    full_range: bool
    rotation: int
    interlaced: bool
    live: bool
    decoder: str

    def to_dict(self) -> dict[str, Any]:
        """The facts as JSON-ready values, keys in the order of the attributes."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class VideoFrame:
    """One frame, upright.

    Attributes:
        index: place in the source, from 0, counting every decoded frame.
        pts: presentation time in seconds since the source's beginning; strictly increasing.
        picture: planes, often views of the decoder's own memory, or RGB uint8 (H, W, 3).
        decode_ms: what decoding took, without waiting for data.
    """

    index: int
    pts: float
    picture: Planes | Frame
    decode_ms: float = 0.0

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        shape = (self.picture.luma if isinstance(self.picture, Planes) else self.picture).shape
        return shape[0], shape[1]

    def rgb(self) -> Frame:
        """The whole frame as uint8 (H, W, 3)."""
        return to_rgb(self.picture) if isinstance(self.picture, Planes) else self.picture

    def views(self, sampling: str = "fragments", *, size: int = 224, views: int | None = None) -> Views:
        """Its views, uint8 (V, S, S, 3); arguments and errors as in ``crossiqa_edge.imaging.sampling``."""
        if isinstance(self.picture, Planes):
            return sample_planes(self.picture, sampling, size=size, views=views)
        return sample(self.picture, sampling, size=size, views=views)

    def luma(self) -> npt.NDArray[np.uint8]:
        """Luma of points on a regular grid, at most 128 a side; see ``luma_at``."""
        step = -(-max(self.size) // 128)
        return self.luma_at(slice(step // 2, None, step), slice(step // 2, None, step))

    def luma_at(self, rows: slice, columns: slice) -> npt.NDArray[np.uint8]:
        """Luma from 0 (black) to 255 (white) of the pixels in these rows and columns, uint8 (h, w)."""
        if isinstance(self.picture, Planes):
            return to_rgb(replace(self.picture, luma=self.picture.luma[rows, columns], chroma=None))[..., 0]
        grey = self.picture[rows, columns] @ np.array([0.299, 0.587, 0.114], np.float32)
        rounded: npt.NDArray[np.uint8] = np.rint(grey).astype(np.uint8)
        return rounded

    def cut(self, top: int, left: int, bottom: int, right: int) -> VideoFrame:
        """The frame's part inside a box whose upper left corner lies on multiples of ``ALIGNMENT``."""
        if isinstance(self.picture, Planes):
            return replace(self, picture=self.picture.cut(top, left, bottom - top, right - left))
        return replace(self, picture=self.picture[top:bottom, left:right])


@dataclass(frozen=True, slots=True)
class SourceEnd:
    """How a source ended: one of the words above, and why, in one printable line without credentials."""

    status: str
    reason: str


class FrameSource(Protocol):
    """An opened source. Iterate once, in one thread; ``close`` may then be called from any."""

    @property
    def facts(self) -> SourceFacts:
        """What is known of it."""

    @property
    def end(self) -> SourceEnd | None:
        """How it ended; None while it has not."""

    def __iter__(self) -> Iterator[VideoFrame | GapEvent]:
        """Frames and gaps in order of presentation; trouble on the way becomes ``end``, not an exception."""

    def close(self) -> None:
        """Ask the iteration to end soon and give back what the source holds; may be called twice."""
