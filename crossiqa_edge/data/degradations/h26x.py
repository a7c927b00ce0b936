"""H.264 and H.265 in memory, through PyAV: pictures to packets, and packets, perhaps not all, to pictures.

One thread on either side, so that equal input gives equal output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.error import FFmpegError

from crossiqa_edge.errors import BackendError
from crossiqa_edge.imaging.sampling import Frame

_LEAST_SIDE = 64  # x265's largest coding unit
_ONE_THREAD = {
    "libx264": {"threads": "1"},
    "libx265": {"x265-params": "pools=none:frame-threads=1:log-level=none"},
}


def encode(frames: Sequence[Frame], encoder: str, options: Mapping[str, str]) -> bytes:
    """An Annex B stream of ``frames``, 4:2:0 at 25 frames a second.

    Args:
        frames: uint8 (H, W, 3) each, of one size; odd or tiny sides are padded.
        encoder: ``libx264`` or ``libx265``.
        options: the encoder's own, for instance ``crf``.

    Raises:
        BackendError: this FFmpeg has no such encoder.
    """
    context = _context(encoder, "w")
    padded = [_padded(frame) for frame in frames]
    context.height, context.width = padded[0].shape[:2]
    context.pix_fmt = "yuv420p"
    context.time_base = Fraction(1, 25)
    context.framerate = Fraction(25)
    context.options = {**_ONE_THREAD[encoder], **options}
    stream = bytearray()
    for index, frame in enumerate(padded):
        picture = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format="yuv420p")
        picture.pts = index
        picture.time_base = context.time_base
        for packet in context.encode(picture):
            stream += bytes(packet)
    for packet in context.encode(None):
        stream += bytes(packet)
    return bytes(stream)


def decode_last(stream: bytes, decoder: str, like: Frame) -> Frame:
    """The last picture that ``decoder`` (``h264`` or ``hevc``) makes of ``stream``, cut to ``like``'s size.

    Missing slices are concealed as FFmpeg does by default.

    Raises:
        BackendError: this FFmpeg has no such decoder, or it could show nothing.
    """
    context = _context(decoder, "r")
    context.thread_count = 1
    last: Any = None
    for packet in [*context.parse(stream), *context.parse(None), None]:
        try:
            pictures = context.decode(packet)
        except FFmpegError:  # a damaged access unit: what a player does is to go on
            continue
        last = pictures[-1] if pictures else last
    if last is None:
        raise BackendError(
            f"{decoder} could show no picture of this stream; let its first frame arrive whole"
        )
    height, width = like.shape[:2]
    frame: Frame = last.to_ndarray(format="rgb24")[:height, :width]
    return np.ascontiguousarray(frame)


def nal_units(stream: bytes) -> list[bytes]:
    """The NAL units of an Annex B stream, each with its start code; together they are the stream."""
    starts = []
    at = stream.find(b"\x00\x00\x01")
    while at >= 0:
        starts.append(at - 1 if at and stream[at - 1] == 0 else at)
        at = stream.find(b"\x00\x00\x01", at + 3)
    return [stream[start:end] for start, end in zip(starts, [*starts[1:], len(stream)], strict=True)]


def h264_type(unit: bytes) -> int:
    """``nal_unit_type`` of an H.264 unit: 1 is a slice, 5 a slice of a key frame (ITU-T H.264, table 7-1)."""
    return unit[unit.index(1) + 1] & 31


def _context(codec: str, mode: str) -> Any:
    create: Any = av.CodecContext.create  # typed by codec names known beforehand
    try:
        return create(codec, mode)
    except (FFmpegError, ValueError) as error:
        raise BackendError(
            f"this build of FFmpeg lacks {codec}; install PyAV's own: pip install --only-binary av av"
        ) from error


def _padded(frame: Frame) -> Frame:
    """Sides made even, and large enough for the encoders, by repeating the last row and column."""
    height, width = frame.shape[:2]
    below = max(height % 2, _LEAST_SIDE - height)
    right = max(width % 2, _LEAST_SIDE - width)
    return np.pad(frame, ((0, below), (0, right), (0, 0)), mode="edge")
